"""The stores of a runtime that stand beside calls and runs; each is loaded at its first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import _core
    from ._artifacts import Artifacts
    from ._attachments import Attachments
    from ._effects import Effects
    from ._processes import Processes
    from ._sessions import Sessions
    from ._triggers import Triggers

__all__ = ["Storing"]


class Storing:
    """What a runtime keeps for agents: a part of `clew.Runtime`."""

    _core: _core.Runtime

    @property
    def processes(self) -> Processes:
        """The registry of processes."""
        from ._processes import Processes

        return Processes(self._core)

    @property
    def sessions(self) -> Sessions:
        """Sessions: state, graph and queue."""
        from ._sessions import Sessions

        return Sessions(self._core)

    @property
    def attachments(self) -> Attachments:
        """Attachments of sessions."""
        from ._attachments import Attachments

        return Attachments(self._core)

    @property
    def triggers(self) -> Triggers:
        """Host events, and the triggers that wait for them."""
        from ._triggers import Triggers

        return Triggers(self._core)

    @property
    def effects(self) -> Effects:
        """Effects: run once, recorded, and answered from the record."""
        from ._effects import Effects

        return Effects(self._core)

    @property
    def artifacts(self) -> Artifacts:
        """Program modules."""
        from ._artifacts import Artifacts

        return Artifacts(self._core)
