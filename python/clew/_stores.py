"""What stands beside calls and runs in a runtime's store, as attributes of `Runtime`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import _core
    from ._processes import Processes

__all__ = ["Stores"]


class Stores:
    """The part of a runtime that gives access to its stores."""

    _core: _core.Runtime

    @property
    def processes(self) -> Processes:
        """The registry of processes."""
        from ._processes import Processes

        return Processes(self._core)
