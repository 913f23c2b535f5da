"""For tests of what runs on Clew: virtual time, faults, wrappers, leaks, conformance.

The pytest plugin (``clew.pytest_plugin``, which pytest finds by itself) has them as fixtures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from .. import _core
from .._core import ManualClock
from . import conformance
from ._wrappers import Checked, Faulty, Recorded, Recording, Slow
from .conformance import ConformanceCase, conformance_cases

__all__ = [
    "Checked",
    "ConformanceCase",
    "Faulty",
    "ManualClock",
    "Recorded",
    "Recording",
    "Slow",
    "arm_fault",
    "clew_threads",
    "conformance",
    "conformance_cases",
    "disarm_faults",
    "fault",
    "fault_hits",
    "fault_points",
    "live_runtimes",
]


def fault_points() -> list[str]:
    """Return the names of all points where a test can make Clew fail, sorted.

    ``CLEW_FAULT=name=kill@1`` arms one in a child process from its start; ``error`` fails it.
    """
    return _core.fault_points()


def arm_fault(
    name: str,
    action: Literal["error", "kill"] | Callable[[], None] = "error",
    *,
    at: int = 1,
    code: str = "unavailable",
) -> None:
    """Make a fault point act at its ``at``-th hit from now.

    Args:
        name: One of `fault_points`.
        action: ``"error"`` fails that hit with ``code``; ``"kill"`` ends the process with SIGKILL;
            a callable is called at each hit from there on, and fails it when it raises.
        at: Counted from 1.
        code: The code of an error.

    Raises:
        NotFound: There is no such point; a near name is suggested.
    """
    _core.arm_fault(name, action, at=at, code=code)


def fault_hits(name: str) -> int:
    """Return how often a point was hit since it was armed; 0 when it is not armed."""
    return _core.fault_hits(name)


def disarm_faults() -> None:
    """Turn all points off."""
    _core.disarm_faults()


@contextmanager
def fault(
    name: str,
    action: Literal["error", "kill"] | Callable[[], None] = "error",
    *,
    at: int = 1,
    code: str = "unavailable",
) -> Iterator[None]:
    """Arm a point for the length of a block; afterwards all points are off."""
    arm_fault(name, action, at=at, code=code)
    try:
        yield
    finally:
        disarm_faults()


def live_runtimes() -> int:
    """Return how many runtimes of this process are open."""
    return _core.live_runtimes()


def clew_threads() -> list[str]:
    """Return the names of the threads of this process that belong to Clew, sorted.

    Known on Linux only; elsewhere the list is empty.
    """
    names = []
    for task in Path("/proc/self/task").glob("*/comm"):
        try:
            names.append(task.read_text().strip())
        except OSError:  # it has ended meanwhile
            continue
    return sorted(name for name in names if name.startswith("clew"))
