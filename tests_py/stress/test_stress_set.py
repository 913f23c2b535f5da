"""Nine loads that a runtime must bear. ``make stress`` runs them at full length."""

from __future__ import annotations

import gc
import os
import resource
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import clew
import pytest

FULL = os.environ.get("CLEW_STRESS") == "1"
MIB = 1 << 20


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def flaky(n: int) -> int:
    if n % 2:
        raise ValueError("odd")
    return n


def register(rt: clew.Runtime, handler: Any) -> None:
    rt.register_contract({"id": "s.s", "version": "1.0.0"}, handler)


def on_threads(count: int, work: Any) -> None:
    failures: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run(index: int) -> None:
        barrier.wait()
        try:
            work(index)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# Parity: stress set
def test_a_burst_of_fifty_threads_on_eight_workers(clew_no_leaks: None) -> None:
    with clew.Runtime(workers=8) as rt:
        register(rt, lambda n: n)
        on_threads(50, lambda index: rt.submit("s.s", {"n": index}).result(60) == index)
        assert rt.stats()["calls"]["success"] == 50


def test_ten_thousand_calls_one_after_the_other(clew_runtime: clew.Runtime) -> None:
    register(clew_runtime, lambda n: n + 1)
    assert all(clew_runtime.execute("s.s", {"n": n}) == n + 1 for n in range(10_000))
    assert clew_runtime.stats()["calls"]["success"] == 10_000


def test_a_thousand_mixed_calls_are_five_hundred_of_each(clew_runtime: clew.Runtime) -> None:
    register(clew_runtime, flaky)
    calls = [clew_runtime.submit("s.s", {"n": n}) for n in range(1000)]
    kinds = Counter(type(call.exception(60)).__name__ for call in calls)
    assert kinds == {"NoneType": 500, "ExecutionFailed": 500}


def test_of_two_hundred_every_fifth_raises_and_then_all_is_well(
    clew_runtime: clew.Runtime,
) -> None:
    def fifth(n: int) -> int:
        if n % 5 == 0:
            raise SystemExit(n)
        return n

    register(clew_runtime, fifth)
    calls = [clew_runtime.submit("s.s", {"n": n}) for n in range(200)]
    assert Counter(call.exception(60) is None for call in calls) == {True: 160, False: 40}
    assert clew_runtime.execute("s.s", {"n": 1}) == 1


@pytest.mark.timeout(1800)
def test_a_soak_leaves_memory_as_it_was() -> None:
    with clew.Runtime(limits={"traces_max": 1000}) as rt:
        register(rt, flaky)

        def soak(rounds: int) -> None:
            for n in range(rounds * 1000):
                rt.submit("s.s", {"n": n}).exception(60)

        soak(3)  # as many traces as are kept, and more
        gc.collect()
        baseline = resident()
        soak(2000 if FULL else 50)
        gc.collect()
        assert resident() <= baseline * 1.1 + 8 * MIB


@pytest.mark.timeout(600)
def test_cycles_of_making_using_and_dropping_leave_no_descriptor(tmp_path: Path) -> None:
    def cycle() -> None:
        with clew.Runtime(tmp_path / "a.db", workers=2) as rt:
            register(rt, lambda n: n)
            assert rt.execute("s.s", {"n": 1}) == 1

    cycle()
    before = descriptors()
    for _ in range(1000 if FULL else 50):
        cycle()
    gc.collect()
    assert descriptors() <= before + 8


def test_one_worker_serves_a_hundred_threads() -> None:
    with clew.Runtime(workers=1) as rt:
        running = []
        most = []

        def alone(n: int) -> int:
            running.append(n)
            most.append(len(running))
            running.remove(n)
            return n

        register(rt, alone)
        on_threads(100, lambda index: rt.submit("s.s", {"n": index}).result(60))
        assert max(most) == 1


def test_two_hundred_and_fifty_six_workers_serve_as_many_callers() -> None:
    before = resident()
    with clew.Runtime(workers=256) as rt:
        together = threading.Barrier(256)

        def meet(n: int) -> int:
            together.wait(60)  # only if all of them run at once
            return n

        register(rt, meet)
        calls = [rt.submit("s.s", {"n": n}) for n in range(256)]
        assert [call.result(60) for call in calls] == list(range(256))
        assert resident() < before + 400 * MIB


@pytest.mark.parametrize("drain", [True, False])
def test_closing_under_load_loses_nothing_and_repeats_nothing(drain: bool) -> None:
    seen: Counter[int] = Counter()
    lock = threading.Lock()

    def once(n: int) -> int:
        with lock:
            seen[n] += 1
        return n

    rt = clew.Runtime(workers=4)
    register(rt, once)
    calls = [rt.submit("s.s", {"n": n}) for n in range(2000)]
    rt.close(drain=drain)
    assert max(seen.values(), default=0) <= 1
    assert all(call.done() for call in calls)
    succeeded = {n for n, call in enumerate(calls) if not call.cancelled()}
    assert succeeded <= set(seen)
    assert not drain or len(succeeded) == 2000
    with pytest.raises(clew.Closed):
        rt.submit("s.s", {"n": 1})
