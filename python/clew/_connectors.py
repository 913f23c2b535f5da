"""Resources of the host: binding them, and what a handler holds of one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from . import _check, _core
from ._check import invalid

__all__ = ["Connector", "add"]


class Connector:
    """A resource of the host, as one call may use it. Valid while its handler runs.

    Each request is a call within the call: it ends at its deadline and leaves a trace of its own,
    ``connector.<name>``. Nothing secret and no place of the host crosses, either way.
    """

    __slots__ = ("_context", "_name")

    def __init__(self, context: _core.Context, name: str) -> None:
        self._context = context
        self._name = _check.text("name", name)

    def invoke(self, request: Any) -> Any:
        """Send a request; return the response.

        Raises:
            InvalidInput: The contract does not name the connector (``reason`` is ``undeclared``),
                or something would cross that must not (``forbidden``).
            ExecutionFailed: The connector raised; ``__cause__`` is what.
            Conflict: Called in an `async def` handler: await `ainvoke` there.
        """
        return self._context._connect(self._name, request)

    async def ainvoke(self, request: Any) -> Any:
        """Send a request from an `async def` handler; it waits on a thread."""
        import asyncio

        return await asyncio.to_thread(self._context._connect, self._name, request)

    def __repr__(self) -> str:
        return f"<Connector {self._name}>"


def add(core: _core.Runtime, name: Any, connector: Any, version: Any, timeout: Any) -> None:
    """Bind ``connector``, a callable or something with ``invoke``."""
    invoke: Callable[..., Any] = getattr(connector, "invoke", connector)
    if not callable(invoke):
        raise invalid("connector", connector, "a callable, or something with invoke")

    takes = _parameters(invoke) & {"traceparent", "ctx"}

    def plain(request: Any) -> Any:
        return invoke(request)

    def within(request: Any, ctx: _core.Context) -> Any:
        known = {"traceparent": ctx.traceparent, "ctx": ctx}
        return invoke(request, **{name: known[name] for name in takes})

    core.add_connector(
        _check.text("name", name),
        within if takes else plain,
        _check.text("version", version),
        timeout,
        context="ctx" if takes else "",
    )


def _parameters(invoke: Callable[..., Any]) -> set[str]:
    try:
        return set(inspect.signature(invoke).parameters)
    except (TypeError, ValueError):  # some builtins have none
        return set()
