"""Idempotency keys: one execution, whoever asks, however often, whatever dies meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import clew
import pytest
from clew.testing import ManualClock


class Counter:
    """A handler that counts its calls and may be held back."""

    def __init__(self) -> None:
        self.calls = 0
        self.lock = threading.Lock()
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.fails = False

    def register(self, rt: clew.Runtime, **more: Any) -> None:
        rt.register_contract({"id": "pay.charge", "version": "1.0.0", **more}, self.charge)

    def charge(self, amount: int) -> dict[str, int]:
        with self.lock:
            self.calls += 1
            number = self.calls
        self.entered.set()
        assert self.go_on.wait(60)
        if self.fails:
            raise ValueError("no money")
        return {"amount": amount, "number": number}


@pytest.fixture(params=["memory", "file"])
def rt(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    store = ":memory:" if request.param == "memory" else tmp_path / "a.db"
    with clew.Runtime(store, workers=4) as opened:
        yield opened


def charge(rt: clew.Runtime, amount: int = 5, key: str = "k", **options: Any) -> Any:
    return rt.execute("pay.charge", {"amount": amount}, idempotency_key=key, **options)


# Parity: idempotency
def test_the_same_key_and_input_replay_the_result(rt: clew.Runtime) -> None:
    counter = Counter()
    counter.register(rt)
    first = charge(rt)
    assert charge(rt) == first == {"amount": 5, "number": 1}
    assert charge(rt, key="other")["number"] == 2
    assert counter.calls == 2
    assert [one.outcome for one in rt.traces()] == ["success"] * 3
    assert rt.verify() == []


def test_another_input_under_the_key_is_a_conflict_naming_the_difference(
    rt: clew.Runtime,
) -> None:
    counter = Counter()
    counter.register(rt)
    charge(rt)
    with pytest.raises(clew.Conflict) as caught:
        charge(rt, amount=6)
    context = caught.value.context
    assert (context["path"], context["registered"], context["given"]) == ("amount", 5, 6)
    assert counter.calls == 1
    assert rt.traces()[0].outcome == "rejected"


def test_sixteen_racing_callers_share_one_execution(rt: clew.Runtime) -> None:
    counter = Counter()
    counter.go_on.clear()
    counter.register(rt)
    calls = [rt.submit("pay.charge", {"amount": 5}, idempotency_key="k") for _ in range(16)]
    assert counter.entered.wait(60)
    with pytest.raises(clew.Conflict):
        charge(rt, amount=6)
    counter.go_on.set()
    assert [call.result(60) for call in calls] == [{"amount": 5, "number": 1}] * 16
    assert counter.calls == 1
    assert len(rt.traces(outcome="success")) == 16


def test_sixteen_racing_threads_share_one_execution(rt: clew.Runtime) -> None:
    counter = Counter()
    counter.register(rt)
    barrier = threading.Barrier(16)
    results: list[Any] = []

    def work() -> None:
        barrier.wait()
        results.append(charge(rt))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"amount": 5, "number": 1}] * 16
    assert counter.calls == 1


def test_a_failure_frees_the_key(rt: clew.Runtime) -> None:
    counter = Counter()
    counter.fails = True
    counter.register(rt)
    with pytest.raises(clew.ExecutionFailed, match="no money"):
        charge(rt)
    counter.fails = False
    assert charge(rt, amount=7) == {"amount": 7, "number": 2}


def test_a_call_that_never_ran_frees_the_key(rt: clew.Runtime) -> None:
    counter = Counter()
    counter.go_on.clear()
    counter.register(rt, max_concurrency=1)
    first = rt.submit("pay.charge", {"amount": 1})
    assert counter.entered.wait(60)
    waiting = rt.submit("pay.charge", {"amount": 2}, idempotency_key="k")
    assert waiting.cancel()
    counter.go_on.set()
    first.result(60)
    assert charge(rt, amount=3) == {"amount": 3, "number": 2}


def test_who_waits_for_a_call_that_never_runs_runs_itself(rt: clew.Runtime) -> None:
    counter = Counter()
    counter.go_on.clear()
    counter.register(rt, max_concurrency=1)
    first = rt.submit("pay.charge", {"amount": 1})
    assert counter.entered.wait(60)
    calls = [rt.submit("pay.charge", {"amount": 2}, idempotency_key="k") for _ in range(8)]
    for call in calls[:4]:
        assert call.cancel()
    counter.go_on.set()
    first.result(60)
    assert [call.result(60) for call in calls[4:]] == [{"amount": 2, "number": 2}] * 4
    assert counter.calls == 2


def test_a_result_that_came_after_the_deadline_answers_the_next_call(rt: clew.Runtime) -> None:
    counter = Counter()
    counter.go_on.clear()
    counter.register(rt)
    with pytest.raises(clew.Timeout):
        charge(rt, timeout="50ms")
    again = rt.submit("pay.charge", {"amount": 5}, idempotency_key="k")
    counter.go_on.set()
    assert again.result(60) == {"amount": 5, "number": 1}
    assert charge(rt) == {"amount": 5, "number": 1}
    assert counter.calls == 1


def test_a_call_from_a_worker_into_its_own_full_pool_gets_through() -> None:
    with clew.Runtime(workers=1) as rt:
        counter = Counter()
        counter.register(rt)

        def outer(ctx: clew.Context) -> Any:
            return ctx.call("pay.charge", {"amount": 1}, idempotency_key="inner")

        rt.register_contract({"id": "a.outer", "version": "1.0.0"}, outer)
        assert rt.submit("a.outer").result(60) == {"amount": 1, "number": 1}
        assert rt.execute("a.outer") == {"amount": 1, "number": 1}
        assert counter.calls == 1


@pytest.mark.parametrize("effect", ["pure", "idempotent", "once"])
def test_async_handlers_keep_their_keys_too(rt: clew.Runtime, effect: str) -> None:
    calls = []

    async def handler(x: int) -> int:
        calls.append(x)
        return x + 1

    rt.register_contract({"id": "a.b", "version": "1.0.0", "effect": effect}, handler)
    assert [rt.execute("a.b", {"x": 1}, idempotency_key="k") for _ in range(3)] == [2, 2, 2]
    assert calls == [1]


def test_a_key_expires_in_the_very_instant_and_not_before() -> None:
    clock = ManualClock()
    with clew.Runtime(clock=clock, limits={"idempotency_ttl": "10s"}) as rt:
        counter = Counter()
        counter.register(rt)
        charge(rt)
        clock.advance("9.999999s")
        assert charge(rt)["number"] == 1
        clock.advance("1us")
        assert charge(rt, amount=9) == {"amount": 9, "number": 2}


def test_the_key_answers_after_a_restart(tmp_path: Path) -> None:
    counter = Counter()
    with clew.Runtime(tmp_path / "a.db") as rt:
        counter.register(rt)
        charge(rt)
    with clew.Runtime(tmp_path / "a.db") as rt:
        counter.register(rt)
        assert charge(rt) == {"amount": 5, "number": 1}
        with pytest.raises(clew.Conflict):
            charge(rt, amount=6)
    assert counter.calls == 1


KILLED = """
import os, sys, clew
effect = sys.argv[2]
rt = clew.Runtime(sys.argv[1])
def charge(amount):
    os.kill(os.getpid(), 9)
rt.register_contract({"id": "pay.charge", "version": "1.0.0", "effect": effect}, charge)
rt.execute("pay.charge", {"amount": 5}, idempotency_key="k")
"""


@pytest.mark.parametrize("effect", ["idempotent", "once"])
def test_a_process_that_was_killed_leaves_what_its_effect_says(tmp_path: Path, effect: str) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a.db"), effect]
    assert subprocess.run(command, env={**os.environ}, check=False, timeout=60).returncode == -9
    counter = Counter()
    with clew.Runtime(tmp_path / "a.db") as rt:
        counter.register(rt, effect=effect)
        if effect == "idempotent":
            assert charge(rt) == {"amount": 5, "number": 1}
            return
        for _ in range(2):
            with pytest.raises(clew.UnknownOutcome):
                charge(rt)
        assert counter.calls == 0


def test_a_key_that_another_process_runs_is_left_to_it(tmp_path: Path) -> None:
    counter = Counter()
    counter.go_on.clear()
    with clew.Runtime(tmp_path / "a.db") as one, clew.Runtime(tmp_path / "a.db") as two:
        counter.register(one)
        counter.register(two)
        running = one.submit("pay.charge", {"amount": 5}, idempotency_key="k")
        assert counter.entered.wait(60)
        with pytest.raises(clew.Unavailable) as caught:
            charge(two)
        assert caught.value.retryable
        counter.go_on.set()
        assert running.result(60) == charge(two) == {"amount": 5, "number": 1}


def test_a_key_that_is_too_long_is_refused(clew_runtime: clew.Runtime) -> None:
    counter = Counter()
    counter.register(clew_runtime)
    with pytest.raises(clew.InvalidInput) as caught:
        charge(clew_runtime, key="k" * 201)
    assert caught.value.context["path"] == "idempotency_key"
    assert counter.calls == 0
