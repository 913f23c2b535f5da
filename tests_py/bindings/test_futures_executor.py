"""Any concurrent.futures.Executor may serve targets."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import clew
import pytest
from bindings.support import nap
from clew import _core

CONTRACT = {"version": "1.0.0", "permitted_targets": ["pool"]}


def pid_and(n: int) -> list[int]:
    return [os.getpid(), n]


def breaks() -> None:
    raise ValueError("over there")


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def picky() -> None:
    raise clew.NotFound("nothing there", {"key": "k"})


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def remote(runtime: _core.Runtime, processes: ProcessPoolExecutor) -> _core.Runtime:
    runtime.add_executor("procs", processes, ["pool"])
    for function in (pid_and, breaks, picky):
        runtime.register({"id": f"t.{function.__name__}", **CONTRACT}, function)
    return runtime


def test_calls_run_in_other_processes(remote: _core.Runtime) -> None:
    calls = [remote.submit("t.pid_and", {"n": n}) for n in range(20)]
    results = [call.result(60) for call in calls]
    assert [n for _, n in results] == list(range(20))
    assert os.getpid() not in {pid for pid, _ in results}
    trace = calls[0].trace
    assert trace is not None
    assert (trace["executor"], trace["target"]) == ("procs", "pool")


def test_errors_come_back_with_their_class(remote: _core.Runtime) -> None:
    with pytest.raises(clew.ExecutionFailed, match="ValueError: over there"):
        remote.execute("t.breaks")
    with pytest.raises(clew.ExecutionFailed) as caught:
        remote.execute("t.picky")
    assert caught.value.context["code"] == "not_found"
    assert caught.value.context["key"] == "k"


def test_a_broken_executor_is_left_out_from_then_on(runtime: _core.Runtime) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        runtime.add_executor("frail", pool, ["pool"])
        runtime.register({"id": "t.dies", **CONTRACT}, dies)
        with pytest.raises(clew.Unavailable, match="executor frail is broken"):
            runtime.execute("t.dies")
        with pytest.raises(clew.NoEligibleTarget):
            runtime.execute("t.dies")


def test_one_that_was_shut_down_is_left_out_too(runtime: _core.Runtime) -> None:
    pool = ThreadPoolExecutor(1)
    runtime.add_executor("threads", pool, ["pool"])
    runtime.register({"id": "t.f", **CONTRACT}, lambda: 1)
    assert runtime.execute("t.f") == 1
    pool.shutdown()
    with pytest.raises(clew.Unavailable):
        runtime.execute("t.f")
    with pytest.raises(clew.NoEligibleTarget):
        runtime.execute("t.f")


def test_cancelling_reaches_the_future(runtime: _core.Runtime) -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        runtime.add_executor("threads", pool, ["pool"])
        runtime.register({"id": "t.hold", **CONTRACT}, lambda: gate.wait(10))
        runtime.register({"id": "t.next", **CONTRACT}, lambda: 1)
        hold, queued = runtime.submit("t.hold"), runtime.submit("t.next")
        queued.cancel()
        assert isinstance(queued.exception(10), clew.Cancelled)
        gate.set()
        assert hold.result(10) is True


def test_a_limit_holds_there_as_well(runtime: _core.Runtime) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def busy() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        nap(0.002)
        with lock:
            now -= 1

    with ThreadPoolExecutor(8) as pool:
        runtime.add_executor("threads", pool, ["pool"])
        runtime.register({"id": "t.busy", **CONTRACT, "max_concurrency": 2}, busy)
        calls = [runtime.submit("t.busy") for _ in range(30)]
        for call in calls:
            call.result(30)
    assert most == 2


def test_closing_ends_calls_that_are_out(runtime: _core.Runtime) -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        runtime.add_executor("threads", pool, ["pool"])
        runtime.register({"id": "t.hold", **CONTRACT}, lambda: gate.wait(10))
        calls = [runtime.submit("t.hold") for _ in range(3)]
        runtime.close(drain=False)
        assert all(call.done() for call in calls)
        assert {type(call.exception(0)) for call in calls} == {clew.Cancelled}
        gate.set()


def test_a_handler_that_needs_its_context_stays_here(runtime: _core.Runtime) -> None:
    with ThreadPoolExecutor(1) as pool:
        runtime.add_executor("threads", pool, ["pool"])
        runtime.register({"id": "t.f", **CONTRACT}, lambda ctx: 1, context="ctx")
        with pytest.raises(clew.NoEligibleTarget):
            runtime.execute("t.f")


def test_what_cannot_be_carried_fails_the_call(
    runtime: _core.Runtime, processes: ProcessPoolExecutor
) -> None:
    runtime.add_executor("procs", processes, ["pool"])
    runtime.register({"id": "t.local", **CONTRACT}, lambda: 1)
    with pytest.raises(clew.ExecutionFailed, match=r"[Pp]ickl"):
        runtime.execute("t.local")


class Inline:
    """The smallest executor there can be: it runs what it is given at once."""

    def submit(self, function: Any, /, **arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(**arguments))
        except BaseException as error:
            future.set_exception(error)
        return future


def test_an_executor_may_answer_at_once(runtime: _core.Runtime) -> None:
    runtime.add_executor("inline", Inline(), ["pool"])  # type: ignore[arg-type]  # it quacks
    runtime.register({"id": "t.f", **CONTRACT, "max_concurrency": 1}, lambda n: n)
    assert [runtime.execute("t.f", {"n": n}) for n in range(10)] == list(range(10))


@pytest.mark.parametrize("name", ["python", "native", "async"])
def test_names_are_taken_once(name: str, runtime: _core.Runtime) -> None:
    with pytest.raises(clew.Conflict):
        runtime.add_executor(name, Inline(), ["pool"])  # type: ignore[arg-type]  # it quacks


def test_what_is_no_executor_is_refused(runtime: _core.Runtime) -> None:
    with pytest.raises(clew.InvalidInput, match=r"concurrent\.futures\.Executor"):
        runtime.add_executor("x", object(), ["pool"])  # type: ignore[arg-type]  # on purpose
