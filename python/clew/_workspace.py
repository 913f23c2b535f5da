"""A workspace: a tenant's own capabilities within a runtime."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._registry import Registering

if TYPE_CHECKING:
    from . import _core
    from ._call import Call

__all__ = ["Workspace"]


class Workspace(Registering):
    """The capabilities of one tenant. Those of others, and the runtime's own, are not seen here.

    Handlers call within their own workspace. Everything else (threads, store, traces) is the
    runtime's. What `Runtime.workspace` returns; thread-safe.

    Example:
        >>> acme = rt.workspace("acme")
        >>> _ = acme.register(words)
        >>> acme.execute("text.words", {"doc": "a b"})
        2
    """

    def __init__(self, core: _core.Runtime, name: str) -> None:
        self._core = core
        self._workspace = name

    @property
    def name(self) -> str:
        """Its name."""
        return self._workspace

    def execute(
        self,
        ref: _core.Reference,
        input: Any = ...,  # noqa: A002 - the word of contracts
        **options: Any,
    ) -> Any:
        """Run a call here; the options are those of `Runtime.execute`."""
        return self._core.execute(ref, input, workspace=self._workspace, **options)

    def submit(
        self,
        ref: _core.Reference,
        input: Any = ...,  # noqa: A002 - the word of contracts
        **options: Any,
    ) -> Call:
        """Start a call here; the options are those of `Runtime.submit`."""
        return self._core.submit_future(ref, input, workspace=self._workspace, **options)

    def map(self, ref: _core.Reference, inputs: Iterable[Any], **options: Any) -> _core.Map:
        """Run a call here for each input; the options are those of `Runtime.map`."""
        return self._core.map(ref, inputs, workspace=self._workspace, **options)

    def __repr__(self) -> str:
        return f"<Workspace {self._workspace} of {self._core.name}>"
