"""The thread pool through the whole runtime: registry, router, executor, trace, store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import clew
import pytest
from clew import _core


@pytest.fixture
def rt(clew_store: str, clew_no_leaks: None) -> Iterator[clew.Runtime]:
    with clew.Runtime(clew_store, workers=8) as runtime:
        yield runtime


class Meeting:
    """Lets nobody on before all have come: what passes it ran at the same time."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties, timeout=30)
        self.threads: set[int] = set()

    def join(self) -> None:
        self._barrier.wait()
        self.threads.add(threading.get_ident())


def square(rt: clew.Runtime, meeting: Meeting, name: str = "math.square", factor: int = 1) -> None:
    @clew.capability(name, version="1.0.0", effect="pure")
    def handler(n: int) -> int:
        meeting.join()
        return factor * n * n

    rt.register(handler)


def chain(names: list[str]) -> dict[str, Any]:
    """A workflow whose steps hand a number on."""
    steps: dict[str, Any] = {}
    value = "{{ input.n }}"
    for index, name in enumerate(names):
        step = f"step{index}"
        steps[step] = {"call": f"{name}@^1", "with": {"n": value}}
        value = f"{{{{ steps.{step}.output }}}}"
    return {"workflow": "math.chain", "version": "1.0.0", "steps": steps, "output": value}


def test_native_executor_and_thread_pool_produce_identical_output(rt: clew.Runtime) -> None:
    rt.register_native("echo", contract={"id": "echo.native", "version": "1.0.0"})

    @clew.capability("echo.python", version="1.0.0")
    def echo(**members: Any) -> dict[str, Any]:
        return members

    rt.register(echo)
    given = {
        "z": [1, 2.5, None, True, "é\U0001f600"],
        "a": {"deep": [{"k": -(2**63)}]},
        "n": 2**63 - 1,
    }

    native, pooled = (rt.submit(name, given).result(30) for name in ("echo.native", "echo.python"))

    assert _core.canonical_json(native) == _core.canonical_json(pooled)
    assert _core.to_json(native).encode() == _core.to_json(pooled).encode()
    digests = {trace.output_sha256 for trace in rt.traces()}
    assert digests == {_core.digest(given)}
    assert {trace.executor for trace in rt.traces()} == {"native", "python"}


def test_thread_pool_executor_satisfies_capability_executor_trait_object(rt: clew.Runtime) -> None:
    """Any executor of the standard's interface stands in for the built-in ones."""

    @clew.capability("pool.where", version="1.0.0", permitted_targets=["side"])
    def where(n: int) -> list[Any]:
        return [n, threading.current_thread().name]

    rt.register(where)
    with ThreadPoolExecutor(2, thread_name_prefix="side") as pool:
        rt.add_executor("pool", pool, targets=["side"])
        n, thread = rt.execute("pool.where", {"n": 7}, timeout=30)
        (trace,) = rt.traces()
        assert (n, trace.executor, trace.target, trace.outcome) == (7, "pool", "side", "success")
        assert thread.startswith("side")


def test_router_routes_to_thread_pool_executor(rt: clew.Runtime) -> None:
    meeting = Meeting(1)
    square(rt, meeting)
    assert rt.submit("math.square@^1", {"n": 12}).result(30) == 144
    (trace,) = rt.traces()
    assert (trace.executor, trace.target, trace.outcome) == ("python", "local", "success")
    assert meeting.threads.isdisjoint({threading.get_ident()})


def test_router_concurrent_requests_to_same_capability(rt: clew.Runtime) -> None:
    meeting = Meeting(8)
    square(rt, meeting)
    calls = [rt.submit("math.square", {"n": n}) for n in range(8)]
    assert [call.result(30) for call in calls] == [n * n for n in range(8)]
    assert len(meeting.threads) == 8


def test_router_concurrent_requests_to_different_capabilities(rt: clew.Runtime) -> None:
    meeting = Meeting(4)
    for factor in range(1, 5):
        square(rt, meeting, f"math.square{factor}", factor)
    calls = [rt.submit(f"math.square{factor}", {"n": 10}) for factor in range(1, 5)]
    assert [call.result(30) for call in calls] == [100, 200, 300, 400]
    assert len(meeting.threads) == 4


def test_concurrent_executions_produce_isolated_traces(rt: clew.Runtime) -> None:
    meeting = Meeting(4)
    square(rt, meeting)
    inputs = [{"n": n} for n in range(4)]
    calls = [rt.submit("math.square", given, correlation_id=f"c{given['n']}") for given in inputs]
    for call in calls:
        call.result(30)

    traces = {trace.id: trace for trace in rt.traces()}
    assert set(traces) == {call.id for call in calls}
    for given, call in zip(inputs, calls, strict=True):
        trace = traces[call.id]
        assert trace.correlation_id == f"c{given['n']}"
        assert trace.input_sha256 == _core.digest(given)
        assert trace.output_sha256 == _core.digest(given["n"] ** 2)
        assert trace.parent is None


def test_trace_capability_id_matches_executed_capability(rt: clew.Runtime) -> None:
    meeting = Meeting(4)
    for factor in range(1, 5):
        square(rt, meeting, f"math.square{factor}", factor)
    calls = {factor: rt.submit(f"math.square{factor}", {"n": 1}) for factor in range(1, 5)}
    for factor, call in calls.items():
        assert call.result(30) == factor
        trace = rt.trace(call.id)
        assert (trace.capability, trace.version) == (f"math.square{factor}", "1.0.0")
        assert trace.output_sha256 == _core.digest(factor)


def test_failed_execution_recorded_in_trace(rt: clew.Runtime) -> None:
    @clew.capability("math.fail", version="1.0.0")
    def fail(n: int) -> int:
        raise ArithmeticError(f"cannot do {n}")

    rt.register(fail)
    call = rt.submit("math.fail", {"n": 3})
    error = call.exception(30)
    assert isinstance(error, clew.ExecutionFailed)
    assert isinstance(error.__cause__, ArithmeticError)
    (trace,) = rt.traces(outcome="failure")
    assert (trace.id, trace.code, trace.output_sha256) == (call.id, "execution_failed", None)
    assert len(rt.traces()) == 1


def test_workflow_with_thread_pool_executor_completes_all_steps(rt: clew.Runtime) -> None:
    meeting = Meeting(1)
    for factor in range(1, 4):
        square(rt, meeting, f"math.square{factor}", factor)
    run = rt.start(chain(["math.square1", "math.square2", "math.square3"]), {"n": 2})
    assert run.result(30) == 3 * (2 * (2 * 2) ** 2) ** 2
    assert [step.status for step in run.steps()] == ["completed"] * 3
    traces = rt.traces(run=run.id)
    assert {trace.executor for trace in traces} == {"python"}
    assert sorted(str(trace.step) for trace in traces) == ["step0", "step1", "step2"]
    assert meeting.threads.isdisjoint({threading.get_ident()})


def test_workflow_step_failure_halts_traversal(rt: clew.Runtime) -> None:
    entered: list[str] = []

    def step(name: str, good: bool) -> None:
        @clew.capability(name, version="1.0.0")
        def handler(n: int) -> int:
            entered.append(name)
            if not good:
                raise ArithmeticError("no further")
            return n

        rt.register(handler)

    step("math.first", good=True)
    step("math.second", good=False)
    step("math.third", good=True)
    run = rt.start(chain(["math.first", "math.second", "math.third"]), {"n": 2})
    with pytest.raises(clew.ExecutionFailed, match="no further"):
        run.result(30)

    assert entered == ["math.first", "math.second"]
    assert run.info.failed_step == "step1"
    statuses = [step.status for step in run.steps()]
    assert statuses[:2] == ["completed", "failed"]
    assert statuses[2] not in ("running", "completed", "failed")
    assert len(rt.traces(capability="math.third")) == 0
    assert not [
        event for event in run.events() if event.step == "step2" and "started" in event.type
    ]


def test_event_published_by_pool_thread_reaches_broker(rt: clew.Runtime) -> None:
    ran_on: list[int] = []

    @clew.capability("test.emits", version="1.0.0", emits=("test.happened@1.0.0",))
    def emits(n: int, ctx: clew.Context) -> None:
        ran_on.append(threading.get_ident())
        ctx.emit("test.happened", {"n": n})

    rt.register(emits)
    rt.events.define("test.happened@1.0.0")
    sub = rt.subscribe("test.*")
    call = rt.submit(emits, {"n": 7})
    (event,) = sub.poll(timeout=30)
    assert (event.type, event.data) == ("test.happened", {"n": 7})
    assert call.result() is None
    assert event.causation_id == call.trace.id
    assert ran_on != [threading.get_ident()]
    assert sub.poll(timeout=0) == []


def test_concurrent_event_publishers_no_broker_corruption(rt: clew.Runtime) -> None:
    meeting = Meeting(4)

    @clew.capability("test.emits", version="1.0.0", emits=("test.happened",))
    def emits(who: int, ctx: clew.Context) -> None:
        meeting.join()
        for n in range(3):
            ctx.emit("test.happened", {"who": who, "n": n})

    rt.register(emits)
    rt.events.define("test.happened@1.0.0")
    for call in [rt.submit(emits, {"who": who}) for who in range(4)]:
        call.result()
    events = rt.subscribe(">", from_="start").poll()
    assert [event.cursor for event in events] == list(range(1, 13))
    assert len({event.id for event in events}) == 12
    for who in range(4):
        assert [e.data["n"] for e in events if e.data["who"] == who] == [0, 1, 2]
