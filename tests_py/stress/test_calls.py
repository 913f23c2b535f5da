"""Many calls at once, of every kind, through the Python API: each ends once, the books balance."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from time import monotonic
from typing import Any

import clew
import pytest

THREADS = 64
CALLS = 1000  # of each thread
KINDS = 5
EACH = THREADS * CALLS // KINDS


def register_mixed(rt: clew.Runtime) -> None:
    """Register one capability for each way in which a call can end."""
    rt.register_native("sleep", contract={"id": "mix.sleeps", "version": "1.0.0"})

    @clew.capability("mix.good", version="1.0.0", effect="pure")
    def good(n: int) -> int:
        return n + 1

    @clew.capability("mix.bad", version="1.0.0")
    def bad(n: int) -> int:
        raise ArithmeticError(n)

    @clew.capability("mix.heeds", version="1.0.0")
    def heeds(ctx: clew.Context) -> None:
        pause = threading.Event()
        while True:
            ctx.check_cancelled()
            pause.wait(0.001)

    @clew.capability("mix.outer", version="1.0.0")
    def outer(n: int, ctx: clew.Context) -> int:
        return 10 * int(ctx.call("mix.good", {"n": n}))

    for capability in (good, bad, heeds, outer):
        rt.register(capability)


def call_mixed(rt: clew.Runtime, number: int) -> str:
    """Make one call; return how it looked to its caller."""
    kind = number % KINDS
    try:
        if kind == 0:
            assert rt.execute("mix.good", {"n": number}) == number + 1
            return "good"
        if kind == 1:
            rt.execute("mix.bad", {"n": number})
        elif kind == 2:
            rt.execute("mix.sleeps", {"for": "1h"}, timeout=0.001)
        elif kind == 3:
            call = rt.submit("mix.heeds")
            call.cancel()
            call.result(60)
        else:
            assert rt.execute("mix.outer", {"n": number}) == 10 * (number + 1)
            return "nested"
    except clew.ExecutionFailed as error:
        # Its own cause, not a neighbour's.
        own = type(error.__cause__) is ArithmeticError and error.__cause__.args == (number,)
        return "failed" if own else "the wrong cause"
    except clew.Timeout:
        return "timed out"
    except clew.Cancelled:
        return "cancelled"
    return "nothing was raised"


def in_threads(work: Callable[[], Any]) -> list[Any]:
    """Run `work` on THREADS threads that begin together."""
    begin = threading.Barrier(THREADS, timeout=60)

    def one() -> Any:
        begin.wait()
        return work()

    with futures.ThreadPoolExecutor(THREADS) as pool:
        return [each.result() for each in [pool.submit(one) for _ in range(THREADS)]]


@pytest.mark.slow
def test_sixty_four_threads_of_mixed_calls_are_counted_exactly(
    tmp_path: Path, clew_no_leaks: None
) -> None:
    store = tmp_path / "work.db"
    with clew.Runtime(store, workers=8) as rt:
        register_mixed(rt)
        seen = in_threads(lambda: Counter(call_mixed(rt, i) for i in range(CALLS)))
        words = ("good", "failed", "timed out", "cancelled", "nested")
        assert seen == [Counter(dict.fromkeys(words, CALLS // KINDS))] * THREADS

        calls = rt.stats()["calls"]
        assert calls["total"] == THREADS * CALLS + EACH  # and those within others
        assert calls["success"] == 3 * EACH
        assert (calls["failure"], calls["timeout"], calls["cancelled"]) == (EACH, EACH, EACH)
        assert calls["rejected"] == calls["in_flight"] == 0

    with clew.Runtime(store) as rt:  # once closed, all are on the disk
        assert rt.verify() == []
        rows = rt.sql(
            "SELECT capability, outcome, code, COUNT(*) AS n, COUNT(DISTINCT id) AS ids "
            "FROM v_traces GROUP BY capability, outcome, code ORDER BY capability"
        )
        assert [tuple(row.values()) for row in rows] == [
            ("mix.bad", "failure", "execution_failed", EACH, EACH),
            ("mix.good", "success", None, 2 * EACH, 2 * EACH),
            ("mix.heeds", "cancelled", "cancelled", EACH, EACH),
            ("mix.outer", "success", None, EACH, EACH),
            ("mix.sleeps", "timeout", "timeout", EACH, EACH),
        ]
        (nested,) = rt.sql(
            "SELECT COUNT(*) AS n, COUNT(DISTINCT parent) AS parents FROM v_traces "
            "WHERE capability = 'mix.good' AND parent IN "
            "(SELECT id FROM v_traces WHERE capability = 'mix.outer')"
        )
        assert nested == {"n": EACH, "parents": EACH}


def test_of_200_calls_of_which_every_fifth_raises_160_succeed_and_the_pool_lives(
    clew_runtime: clew.Runtime,
) -> None:
    entered = Counter[int]()

    @clew.capability("test.fifth", version="1.0.0")
    def fifth(n: int) -> int:
        entered[n] += 1  # each key is of one call alone
        if n % 5 == 4:
            raise ArithmeticError("every fifth")
        return n

    clew_runtime.register(fifth)
    calls = [clew_runtime.submit("test.fifth", {"n": n}) for n in range(200)]
    errors = [call.exception(60) for call in calls]

    failed = [n for n, error in enumerate(errors) if error is not None]
    assert failed == list(range(4, 200, 5))
    assert all(isinstance(errors[n], clew.ExecutionFailed) for n in failed)
    assert entered == Counter(range(200))
    outcomes = Counter(trace.outcome for trace in clew_runtime.traces(limit=1000))
    assert outcomes == {"success": 160, "failure": 40}
    # Alive: every worker still takes a call, all at one time.
    meeting = threading.Barrier(4, timeout=30)
    clew_runtime.register(clew.capability("test.meet", version="1.0.0")(lambda: meeting.wait()))
    met = [clew_runtime.submit("test.meet") for _ in range(4)]
    assert sorted(call.result(60) for call in met) == [0, 1, 2, 3]
    assert clew_runtime.stats()["pool"]["failures"] == 0


@pytest.mark.parametrize("workers", [0, 257])
def test_workers_out_of_bounds_are_refused_naming_the_bounds(workers: int, tmp_path: Path) -> None:
    store = tmp_path / "work.db"
    with pytest.raises(clew.InvalidInput) as raised:
        clew.Runtime(store, workers=workers)
    error = raised.value
    assert (error.code, error.context["path"]) == ("invalid_input", "workers")
    assert error.context["value"] == workers
    assert "1 to 256" in error.message
    assert not store.exists()


@pytest.mark.parametrize("workers", [1, 256])
def test_workers_at_the_bounds_are_taken(workers: int, clew_no_leaks: None) -> None:
    with clew.Runtime(workers=workers) as rt:
        assert rt.stats()["pool"]["capacity"] == workers


@pytest.mark.parametrize("way", ["execute", "call", "submit", "timed"])
def test_a_nested_call_on_a_pool_of_one_completes(way: str, clew_no_leaks: None) -> None:
    with clew.Runtime(workers=1) as rt:

        @clew.capability("test.leaf", version="1.0.0")
        def leaf(n: int) -> int:
            return n + 1

        @clew.capability("test.outer", version="1.0.0")
        def outer(n: int, ctx: clew.Context) -> Any:
            if way == "execute":
                return rt.execute("test.leaf", {"n": n})
            if way == "call":
                return ctx.call("test.leaf", {"n": n})
            if way == "submit":
                return ctx.submit("test.leaf", {"n": n}).result(30)
            return rt.execute("test.leaf", {"n": n}, timeout=30)  # asks for another thread

        rt.register(leaf)
        rt.register(outer)
        calls = [rt.submit("test.outer", {"n": n}) for n in range(20)]
        assert [call.result(60) for call in calls] == list(range(1, 21))
        assert rt.stats()["pool"]["running_max"] == 1
        parents = Counter(trace.parent for trace in rt.traces("test.leaf"))
        assert parents == Counter(call.id for call in calls)


DEADLINE = 0.05
LATE = 0.1  # seconds after its deadline by which a call must have returned


def test_a_handler_of_5_s_with_a_deadline_of_50_ms_returns_within_100_ms_of_it(
    clew_no_leaks: None,
) -> None:
    """The best of a few tries counts: the machine may be busy, the runtime must not be."""
    entered, stop = threading.Event(), threading.Event()
    late = []
    with clew.Runtime(workers=2) as rt:

        @clew.capability("test.long", version="1.0.0")
        def long() -> str:
            entered.set()
            stop.wait(5)
            return "late"

        rt.register(long)
        meeting = threading.Barrier(2, timeout=30)
        rt.register(clew.capability("test.meet", version="1.0.0")(lambda: meeting.wait()))
        for _ in range(5):
            begun = monotonic()
            with pytest.raises(clew.Timeout):
                rt.execute("test.long", timeout=DEADLINE)
            late.append(monotonic() - begun - DEADLINE)
            assert late[-1] >= 0, "nor may it return before"
            if entered.is_set():  # else its worker was not awake in time
                # The handler goes on in its slot; its caller does not.
                assert rt.stats()["pool"]["running"] == 1
            (trace, *_) = rt.traces("test.long")
            assert (trace.outcome, trace.code) == ("timeout", "timeout")
            stop.set()
            # Both slots can be had at one time again: that of the handler has come back.
            met = [rt.submit("test.meet") for _ in range(2)]
            assert sorted(call.result(60) for call in met) == [0, 1]
            stop.clear()
            if entered.is_set() and late[-1] <= LATE:
                break
            entered.clear()
        assert min(late) <= LATE
        assert rt.stats()["pool"]["running_max"] == 2
