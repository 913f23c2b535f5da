"""Calls, and what a handler may ask about its own."""

from collections.abc import Awaitable, Callable, Generator, Iterator
from datetime import datetime
from typing import Any, Literal, final

from .. import _call
from ._values import Duration, Json, Reference

class Call:
    """One call. Thread-safe. `clew.Call` makes a `concurrent.futures.Future` of it."""

    @property
    def id(self) -> str:
        """The id of its trace."""
    @property
    def capability(self) -> str | None:
        """``id@version``, or None when none was found."""
    def done(self) -> bool: ...
    def running(self) -> bool: ...
    def cancelled(self) -> bool:
        """True when it ended as cancelled."""
    def cancel(self, reason: str = "cancelled by the caller") -> bool:
        """Ask it to stop. True when it had not begun and is now cancelled.

        One that runs sees ``ctx.cancelled`` and goes on until it heeds it; then False.
        """
    def result(self, timeout: Duration | None = None) -> Json:
        """Wait for the output, or raise the call's error. `Timeout` when it has not ended in time."""
    def exception(self, timeout: Duration | None = None) -> BaseException | None:
        """Wait for the end; return the error or None."""
    def wait(self, timeout: Duration | None = None) -> bool:
        """Wait for the end; False when the time was up first."""
    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Call ``fn(call)`` once it has ended: at once if it has, else on the thread that ends it."""
    @property
    def outcome(self) -> Literal["success", "failure", "timeout", "cancelled", "rejected"] | None:
        """How it ended; None while it has not."""
    @property
    def progress(self) -> tuple[int, int]:
        """``(done, total)`` as the handler reported last; ``(0, 0)`` before."""
    @property
    def trace(self) -> dict[str, Any] | None:
        """The trace as of `Runtime.trace`; None while the call has not ended."""
    def __await__(self) -> Generator[Any, None, Json]:
        """Wait in asyncio. Cancelling the wait cancels the call."""

@final
class Map:
    """The results of `Runtime.map`: an iterator, asynchronous too. For one consumer at a time.

    Ordered or as they come. Leaving it early (``close`` or dropping it) cancels what has not begun.
    """

    def __iter__(self) -> Iterator[Json]: ...
    def __next__(self) -> Json: ...
    def __aiter__(self) -> Map: ...
    def __anext__(self) -> Awaitable[Json]: ...
    def close(self) -> None:
        """Take no more input, cancel what is in flight, drop what is ready."""

    def _take(self) -> tuple[bool, Json]:
        """Return whether there is a next result, and it. Never blocks. StopIteration at the end."""

    def _on_ready(self, callback: Callable[[None], object]) -> None:
        """Call back once there is a next result: at once, or on another thread."""

# --- the context of a handler -------------------------------------------------------------------

@final
class Context:
    """What a handler may ask about its call. Valid while the handler runs, from any thread."""

    def call(self, ref: Reference, input: Any = ..., **options: Any) -> Any:
        """Make a call within this one: the output. In an ``async def`` handler: an awaitable of it.

        ``options`` are those of `Runtime.execute`. The nested call's deadline is at most this one's,
        and it is cancelled with this one.
        """
    def submit(self, ref: Reference, input: Any = ..., **options: Any) -> _call.Call:
        """Start a call within this one."""
    def _connect(self, name: str, request: Any) -> Any:
        """Send a request to a connector; its response. Blocks."""

    def emit(
        self, event: str, data: Any = None, *, subject: str | None = None, key: str | None = None
    ) -> None:
        """Publish an event that ``emits`` names if the call succeeds, before its caller hears of it."""
    @property
    def deadline(self) -> datetime | None: ...
    @property
    def remaining(self) -> float | None:
        """Seconds to the deadline, not below 0; None without one."""
    @property
    def cancelled(self) -> bool:
        """Whether the call was asked to stop, or nobody waits for it any more."""
    def check_cancelled(self) -> None:
        """Raise `Cancelled` when ``cancelled``."""
    @property
    def idempotency_key(self) -> str | None: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def attempt(self) -> int: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def traceparent(self) -> str:
        """What to hand to other processes, as W3C Trace Context has it."""
    @property
    def run_id(self) -> str | None: ...
    @property
    def step(self) -> str | None: ...
    @property
    def item(self) -> int | None:
        """Index within a for_each."""
    @property
    def capability(self) -> str:
        """``id@version``."""
    def progress(self, done: int, total: int) -> None: ...
    def heartbeat(self, details: Any = None) -> None:
        """Say that the work goes on: raises `Cancelled` when it should not. ``details`` is JSON."""
