"""What a handler knows of its call: the core's class, with what only Python can give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core
from ._connectors import Connector

__all__ = ["Context"]

if TYPE_CHECKING:
    from logging import Logger, LoggerAdapter

    class Context(_core.Context):  # type: ignore[misc]  # final for others: completed here
        """What a handler may ask about its call. Valid while the handler runs, from any thread."""

        @property
        def log(self) -> LoggerAdapter[Logger]:
            """A logger; its records carry ``trace_id, run_id, step, capability``."""

        def connector(self, name: str) -> Connector:
            """Return a resource of the host that the contract names in ``connectors``."""

else:
    Context = _core.Context


def _log(self: _core.Context) -> LoggerAdapter[Logger]:
    import logging

    facts = {
        "trace_id": self.trace_id,
        "run_id": self.run_id,
        "step": self.step,
        "capability": self.capability,
    }
    return logging.LoggerAdapter(logging.getLogger("clew.handler"), facts)


def _connector(self: _core.Context, name: str) -> Connector:
    """Return a resource of the host that the contract names in ``connectors``."""
    return Connector(self, name)


if not TYPE_CHECKING:
    Context.__doc__ = (
        "What a handler may ask about its call. Valid while the handler runs, from any thread."
    )
    Context.log = property(
        _log, doc="A logger whose records carry trace_id, run_id, step and capability."
    )
    Context.connector = _connector
