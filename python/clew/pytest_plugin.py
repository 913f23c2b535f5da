"""The pytest plugin: a runtime, virtual time, stores and crash points as fixtures.

It costs nothing until a test asks for one of them; such a test also fails when it leaves a runtime
open or a thread of Clew's behind.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ._core import ManualClock
    from ._runtime import Runtime

__all__ = ["clew_clock", "clew_no_leaks", "clew_runtime", "clew_store", "crash_points"]


def _left_behind(before: Counter[str]) -> list[str]:
    """The system may list a thread for a moment after it was joined."""
    from . import testing

    left = Counter(testing.clew_threads()) - before
    for _ in range(200):
        if not left:
            break
        threading.Event().wait(0.01)
        left = Counter(testing.clew_threads()) - before
    return sorted(left.elements())


@pytest.fixture
def clew_no_leaks() -> Iterator[None]:
    """Fail the test when it leaves a runtime open or a thread of Clew's behind; disarm faults."""
    import gc

    from . import testing

    runtimes, threads = testing.live_runtimes(), Counter(testing.clew_threads())
    try:
        yield
    finally:
        testing.disarm_faults()
    if testing.live_runtimes() > runtimes:
        gc.collect()  # one that was dropped in a cycle is closed by now
    left = testing.live_runtimes() - runtimes
    if left > 0:
        pytest.fail(f"the test left {left} runtime(s) open: close them", pytrace=False)
    leaked = _left_behind(threads)
    if leaked:
        pytest.fail(f"the test left threads behind: {', '.join(leaked)}", pytrace=False)


@pytest.fixture
def clew_clock() -> ManualClock:
    """Virtual time, on which the test's `clew_runtime` runs when both are asked for."""
    from ._core import ManualClock

    return ManualClock()


def _stores() -> list[str]:
    """The backends at hand: PostgreSQL where a server is installed or CLEW_TEST_POSTGRES is set."""
    from ._postgres import find_server

    at_hand = "CLEW_TEST_POSTGRES" in os.environ or find_server() is not None
    return ["memory", "file", *(["postgresql"] if at_hand else [])]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of `clew_store` on each backend at hand."""
    if "clew_store" in metafunc.fixturenames:
        metafunc.parametrize("clew_store", _stores(), indirect=True)


@pytest.fixture
def clew_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh store for ``clew.Runtime``, of each backend at hand in turn.

    PostgreSQL is a private server, which the first test starts and which ends with the tests; or
    the one that ``CLEW_TEST_POSTGRES`` names. Each test has a schema of its own there.
    """
    if request.param == "postgresql":
        from ._postgres import fresh_schema

        with fresh_schema() as url:
            yield url
    else:
        yield ":memory:" if request.param == "memory" else str(tmp_path / "clew.db")


@pytest.fixture
def clew_runtime(request: pytest.FixtureRequest, clew_no_leaks: None) -> Iterator[Runtime]:  # noqa: ARG001 - for its effect
    """An open runtime in memory, closed after the test.

    On the test's `clew_clock` and `clew_store` when it asks for these too.
    """
    from ._runtime import Runtime

    asked = request.fixturenames
    clock = request.getfixturevalue("clew_clock") if "clew_clock" in asked else None
    store = request.getfixturevalue("clew_store") if "clew_store" in asked else ":memory:"
    runtime = Runtime(store, workers=4, clock=clock)
    try:
        yield runtime
    finally:
        runtime.close(drain=False, timeout=10)


@pytest.fixture
def crash_points(clew_no_leaks: None) -> list[str]:  # noqa: ARG001 - for its effect
    """The names of all fault points: kill or fail at each in turn with `clew.testing.arm_fault`."""
    from .testing import fault_points

    return fault_points()
