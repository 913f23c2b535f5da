"""Workflows as data, and their runs."""

from collections.abc import Callable, Generator, Mapping
from typing import Any, Literal, TypeAlias, final

from ._values import Duration, Json

@final
class Definition:
    """A checked workflow. Immutable."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def document(self) -> dict[str, Any]: ...
    def steps(self) -> list[dict[str, Any]]:
        """Return ``name, call, on_event`` (None when absent), ``after, for_each`` (bool), ``line``."""

Problem: TypeAlias = dict[str, Any]
"""``path, line, message, suggestion``; line 0 when unknown, suggestion possibly empty."""

def load_text(text: str) -> tuple[Definition | None, list[Problem]]:
    """Read YAML or JSON. The definition is None exactly when there are problems."""

def load_value(document: Mapping[str, Any]) -> tuple[Definition | None, list[Problem]]:
    """Read a workflow given as data."""

def parse_yaml(text: str) -> Json:
    """Return YAML 1.2 text as a value. `InvalidInput` with the line."""

@final
class Run:
    """One durable run. Thread-safe."""

    @property
    def id(self) -> str: ...
    @property
    def status(
        self,
    ) -> Literal[
        "pending", "running", "waiting", "completed", "failed", "cancelled", "unknown"
    ]: ...
    def info(self) -> dict[str, Any]:
        """Return ``id, workflow, version, status, input, output, error, failed_step, tags, key,
        workspace, priority, waiting_for, created, ended, steps_done, steps_total``.

        ``error`` is None or a dict of ``code, message, context, retryable``; ``failed_step``, ``key``,
        ``workspace`` and ``waiting_for`` are None when there is nothing to say.
        """
    def steps(self) -> list[dict[str, Any]]:
        """Return ``id, status, attempts, output, error, started, ended, items, items_done, reason``
        of each step, in the order of the definition. ``items`` is None but for a for_each."""
    def events(self, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Return events with ``seq > after``: ``seq, at, type, step, item, data``."""
    def wait_events(self, after: int, timeout: Duration | None = None) -> bool:
        """Wait for events beyond ``after`` or the end of the run; False when the time was up first."""
    def wait(self, timeout: Duration | None = None) -> bool:
        """Wait for the end; False when the time was up first."""
    def done(self) -> bool: ...
    def result(self, timeout: Duration | None = None) -> Json:
        """Wait for the output, or raise the run's error. `Timeout` when it has not ended in time."""
    def cancel(self, reason: str = "cancelled by the user") -> None: ...
    def on_ended(self, callback: Callable[[Run], object]) -> None:
        """Call back once when it has ended: at once if it has, else on another thread."""
    def definition(self) -> Definition: ...
    def __await__(self) -> Generator[Any, None, Json]:
        """Wait in asyncio. Cancelling the wait leaves the run alone."""
