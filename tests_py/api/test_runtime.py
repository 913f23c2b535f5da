"""The runtime itself: opening, looking, closing."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import clew
import pytest
from clew import testing


@clew.capability("test.words", version="1.0.0")
def words(doc: str) -> int:
    return len(doc.split())


def test_a_store_is_a_path_of_any_kind(clew_no_leaks: None, tmp_path: Path) -> None:
    for store in (tmp_path / "a.db", str(tmp_path / "b.db")):
        with clew.Runtime(store, name="one", workers=3) as rt:
            assert (rt.name, rt.store, rt.workers) == ("one", str(store), 3)
            assert "one" in repr(rt)
        assert Path(store).exists()


def test_the_number_of_workers_is_told_also_where_it_was_chosen(clew_no_leaks: None) -> None:
    with clew.Runtime() as rt:
        assert rt.workers == rt.stats()["pool"]["capacity"] > 0
        assert f"{rt.workers} workers" in repr(rt)


@pytest.mark.parametrize("running", [False, True])
def test_only_a_running_ipython_is_a_prompt(
    clew_no_leaks: None, monkeypatch: pytest.MonkeyPatch, running: bool
) -> None:
    shell = object() if running else None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with clew.Runtime() as rt:
        rt.register(words)

        @clew.capability("test.words", version="1.0.0")
        def other(text: str) -> int:
            return len(text)

        if running:
            assert rt.register(other).replaced
        else:
            with pytest.raises(clew.Conflict):
                rt.register(other)


def test_a_foreign_file_is_left_as_it_was(clew_no_leaks: None, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(b"these are notes, no database" * 100)
    before = file.read_bytes()
    with pytest.raises(clew.ClewError) as raised:
        clew.Runtime(file)
    assert type(raised.value) is not clew.ClewError
    assert file.read_bytes() == before


def test_limits_are_taken(clew_no_leaks: None) -> None:
    limits = {
        "queue_max": 10,
        "traces_max": 100,
        "traces_age": "1h",
        "relaxed_ms": 5,
        "lease_ttl": "5s",
    }
    with clew.Runtime(durability="relaxed", limits=limits) as rt:
        rt.register(words)
        assert rt.execute("test.words", {"doc": "a"}) == 1


def test_stats_health_and_invariants(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register(words)
    clew_runtime.execute(words, {"doc": "a b"})
    assert clew_runtime.health()["status"] == "ok"
    assert clew_runtime.verify() == []
    assert clew_runtime.stats()
    rows = clew_runtime.sql(
        "SELECT capability, outcome FROM v_traces WHERE outcome = ?", ["success"]
    )
    assert rows == [{"capability": "test.words", "outcome": "success"}]


def test_an_exception_closes_without_draining(clew_no_leaks: None) -> None:
    entered = threading.Event()

    @clew.capability("test.loop", version="1.0.0")
    def loop(ctx: clew.Context) -> None:
        entered.set()
        pause = threading.Event()
        while True:
            ctx.check_cancelled()
            pause.wait(0.005)

    calls: list[clew.Call] = []

    def leave() -> None:
        with clew.Runtime() as rt:
            rt.register(loop)
            calls.append(rt.submit("test.loop"))
            assert entered.wait(30)
            raise RuntimeError("out")

    with pytest.raises(RuntimeError, match="out"):
        leave()
    assert calls[0].cancelled()


def test_a_dropped_runtime_is_freed_and_leaves_no_thread(clew_no_leaks: None) -> None:
    rt = clew.Runtime()
    rt.register(words)
    rt.execute("test.words", {"doc": "a"})
    gone = weakref.ref(rt)
    del rt
    gc.collect()
    assert gone() is None


def test_a_subclass_may_have_its_own_execute(clew_no_leaks: None) -> None:
    class Counting(clew.Runtime):
        calls = 0

        def execute(self, *args: Any, **options: Any) -> Any:
            self.calls += 1
            return super().execute(*args, **options)

    with Counting() as rt:
        rt.register(words)
        assert rt.execute("test.words", {"doc": "a"}) == 1
        assert rt.calls == 1


def test_virtual_time_stands_still_until_it_is_moved(
    clew_runtime: clew.Runtime, clew_clock: clew.ManualClock
) -> None:
    clew_runtime.register_native("sleep", contract={"id": "test.sleep", "version": "1.0.0"})
    call = clew_runtime.submit("test.sleep", {"for": "1h"})
    assert clew_clock.await_waiters()
    assert not call.done()
    while not call.done():  # its sleep may begin only after an advance
        clew_clock.advance("1h")
    assert call.outcome == "success"


def test_fault_points_are_listed_and_armed(
    clew_runtime: clew.Runtime, crash_points: list[str]
) -> None:
    assert crash_points == sorted(crash_points) == testing.fault_points()
    assert crash_points
    with pytest.raises(clew.NotFound):
        testing.arm_fault("no.such.point")
    with testing.fault(crash_points[0]):
        assert testing.fault_hits(crash_points[0]) == 0
    with pytest.raises(clew.InvalidInput):
        testing.arm_fault(crash_points[0], at=0)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("rt = clew.Runtime(); kept.append(rt)", "runtime"),
        ("rt = clew.Runtime(); rt.close()", None),
        ("rt = clew.Runtime(); del rt", None),
    ],
)
def test_the_plugin_fails_a_test_that_leaks(
    pytester: pytest.Pytester, body: str, word: str | None
) -> None:
    pytester.makepyfile(
        f"import clew\nkept = []\ndef test_it(clew_no_leaks):\n    {body}\n"
        "def test_close():\n    [rt.close() for rt in kept]\n"
    )
    result = pytester.runpytest_subprocess("-p", "clew.pytest_plugin", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1 if word else 0)
    if word:
        result.stdout.fnmatch_lines([f"*left 1 {word}*"])
