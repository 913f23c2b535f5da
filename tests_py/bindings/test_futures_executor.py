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
        for _ in range(2):
            with pytest.raises(clew.ClewError, match=r"frail.*is broken: .*terminated abruptly"):
                runtime.execute("t.dies")
        with pytest.raises(clew.NoEligibleTarget, match="is broken"):
            runtime.execute("t.dies")
        codes = [trace["code"] for trace in runtime.traces()[0]]
        assert codes == ["no_eligible_target", "no_eligible_target", "unavailable"]


def test_one_that_was_shut_down_is_left_out_too(runtime: _core.Runtime) -> None:
    pool = ThreadPoolExecutor(1)
    runtime.add_executor("threads", pool, ["pool"])
    runtime.register({"id": "t.f", **CONTRACT}, lambda: 1)
    assert runtime.execute("t.f") == 1
    pool.shutdown()
    with pytest.raises(clew.Unavailable, match="threads was shut down"):
        runtime.execute("t.f")
    with pytest.raises(clew.NoEligibleTarget, match="was shut down"):
        runtime.execute("t.f")


class Unloadable(Exception):
    """Pickles, and cannot be made again from what was pickled."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__("un")
        self.both = (a, b)


class Unpicklable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("no way")


class Value:
    """A result of that kind."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


def raises(kind: str) -> Any:
    if kind == "unloadable":
        raise Unloadable(1, 2)
    if kind == "unpicklable":
        raise Unpicklable("un")
    if kind == "exit":
        raise SystemExit(3)
    if kind == "lock":
        return threading.Lock()
    return Value()


CARRIED = [
    ("unloadable", "Unloadable: un"),
    ("unpicklable", "Unpicklable: un"),
    ("exit", "SystemExit: 3"),
    ("lock", "cannot pickle"),
    ("value", "the result cannot be unpickled"),
]


@pytest.mark.parametrize(("kind", "text"), CARRIED)
def test_what_cannot_come_back_fails_its_call_alone(
    runtime: _core.Runtime, processes: ProcessPoolExecutor, kind: str, text: str
) -> None:
    runtime.add_executor("procs", processes, ["pool"])
    for function in (raises, pid_and):
        runtime.register({"id": f"t.{function.__name__}", **CONTRACT}, function)
    others = [runtime.submit("t.pid_and", {"n": n}) for n in range(4)]
    for _ in range(2):
        with pytest.raises(clew.ExecutionFailed, match=text) as raised:
            runtime.execute("t.raises", {"kind": kind})
        assert raised.value.context["exception"]
    assert [call.result(60)[1] for call in others] == list(range(4))
    assert runtime.execute("t.pid_and", {"n": 9})[1] == 9


def test_where_it_was_raised_over_there_is_kept(remote: _core.Runtime) -> None:
    with pytest.raises(clew.ExecutionFailed) as raised:
        remote.execute("t.breaks")
    cause = raised.value.__cause__
    assert isinstance(cause, ValueError)
    assert "in breaks" in str(cause.__cause__)


# --- whether it runs ---


def hold(path: str) -> int:
    with open(path, "a"):
        pass
    while not os.path.exists(path + ".go"):
        nap(0.005)
    return 1


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_what_is_queued_there_does_not_run_and_can_be_taken_back(
    runtime: _core.Runtime, kind: str, tmp_path: Any
) -> None:
    context = multiprocessing.get_context("spawn")
    made = {
        "processes": lambda: ProcessPoolExecutor(1, mp_context=context),
        "threads": lambda: ThreadPoolExecutor(1),
    }
    with made[kind]() as pool:
        runtime.add_executor("pool", pool, ["pool"], capacity=1)
        runtime.register({"id": "t.hold", **CONTRACT, "effect": "once"}, hold)
        files = [tmp_path / str(n) for n in range(8)]
        calls = [runtime.submit("t.hold", {"path": str(path)}) for path in files]
        while not files[0].exists():
            nap(0.005)
        assert calls[0].running()
        assert not calls[-1].running()
        late = runtime.submit("t.hold", {"path": str(tmp_path / "late")}, timeout="50ms")
        assert isinstance(late.exception(30), clew.Timeout)  # and no unknown outcome

        assert [calls[-1].cancel() for _ in range(2)] == [True, True]
        assert calls[-1].cancelled()
        assert calls[0].cancel() is False
        answers = [call.cancel() for call in calls]
        assert answers[0] is False
        for path in files:
            (tmp_path / (path.name + ".go")).touch()
        for call in calls:
            call.wait(30)
    ran = [path.exists() for path in files]
    assert [not answer for answer in answers] == ran
    assert not (tmp_path / "late").exists()
    for call, answer in zip(calls, answers, strict=True):
        trace = call.trace
        assert trace is not None
        assert (trace["run_us"] == 0) is answer


def test_running_over_there_is_timed(remote: _core.Runtime, tmp_path: Any) -> None:
    remote.register({"id": "t.hold", **CONTRACT}, hold)
    remote.execute("t.pid_and", {"n": 1})  # the pool is up
    call = remote.submit("t.hold", {"path": str(tmp_path / "one")})
    while not (tmp_path / "one").exists():
        nap(0.01)
    nap(0.2)
    (tmp_path / "one.go").touch()
    assert call.result(30) == 1
    trace = call.trace
    assert trace is not None
    assert trace["run_us"] > 100_000


def test_one_that_the_owner_took_back_is_cancelled(runtime: _core.Runtime, tmp_path: Any) -> None:
    pool = ThreadPoolExecutor(1)
    runtime.add_executor("pool", pool, ["pool"])
    runtime.register({"id": "t.hold", **CONTRACT}, hold)
    first, second = (runtime.submit("t.hold", {"path": str(tmp_path / n)}) for n in "ab")
    while not (tmp_path / "a").exists():
        nap(0.005)
    pool.shutdown(wait=False, cancel_futures=True)
    (tmp_path / "a.go").touch()
    assert isinstance(second.exception(30), clew.Cancelled)
    assert first.result(30) == 1


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
