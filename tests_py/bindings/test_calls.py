"""Calls from Python: execute, submit, what a Call says, nesting, limits, cancelling, time."""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import clew
import pytest
from bindings.support import nap
from clew import _core

Register = Callable[..., str]


def test_arguments_go_by_keyword(runtime: _core.Runtime, add: Register) -> None:
    def shape(first: int, second: Any = "default", **rest: Any) -> Any:
        return [first, second, rest]

    ref = add(shape)
    assert runtime.execute(ref, {"first": 1}) == [1, "default", {}]
    assert runtime.execute(ref, {"x": 3, "second": 2, "first": 1}) == [1, 2, {"x": 3}]
    # The names of an earlier call must not be taken for those of this one.
    assert runtime.execute(ref, {"x": 3, "first": 1, "second": 2}) == [1, 2, {"x": 3}]
    many = {f"k{i}": i for i in range(40)}
    assert runtime.execute(ref, {"first": 0, **many}) == [0, "default", many]
    with pytest.raises(clew.ExecutionFailed, match=r"TypeError.*missing"):
        runtime.execute(ref)


def test_the_input_is_taken_over_at_the_call(runtime: _core.Runtime, add: Register) -> None:
    gate = threading.Event()

    def late(items: list[int]) -> list[int]:
        gate.wait(10)
        return items

    given = {"items": [1]}
    call = runtime.submit(add(late), given)
    given["items"].append(2)
    gate.set()
    assert call.result(10) == [1]


def test_an_input_must_be_an_object(runtime: _core.Runtime, native: Register) -> None:
    for given in (None, [1], "x", 3):
        with pytest.raises(clew.InvalidInput, match="an object of arguments"):
            runtime.execute(native("echo"), given)


@pytest.mark.parametrize("ref", [None, 3, b"t.x", object()])
def test_a_reference_must_be_one(runtime: _core.Runtime, ref: Any) -> None:
    with pytest.raises(clew.InvalidInput):
        runtime.execute(ref)


def test_a_reference_may_be_an_object_that_has_one(
    runtime: _core.Runtime, native: Register
) -> None:
    class Named:
        __clew_ref__ = native("echo")

    assert runtime.execute(Named(), {"a": 1}) == {"a": 1}


def test_unknown_references_raise_and_leave_a_trace(runtime: _core.Runtime) -> None:
    with pytest.raises(clew.NotFound):
        runtime.execute("t.absent")
    call = runtime.submit("t.absent")
    assert call.done()
    assert call.outcome == "rejected"
    assert isinstance(call.exception(), clew.NotFound)
    assert call.capability is None
    traces, _ = runtime.traces(outcome="rejected")
    assert [t["code"] for t in traces] == ["not_found", "not_found"]


def test_a_changed_function_is_called_at_once(runtime: _core.Runtime) -> None:
    contract = {"id": "t.same", "version": "1.0.0"}
    ref = "t.same"
    runtime.register(contract, lambda: 1, fingerprint="one")
    assert runtime.execute(ref) == 1
    again = runtime.register(contract, lambda: 2, fingerprint="two")
    assert again["replaced"]
    assert runtime.execute(ref) == 2


def test_a_call_tells_how_it_went(runtime: _core.Runtime, add: Register) -> None:
    def double(n: int) -> int:
        return 2 * n

    call = runtime.submit(add(double), {"n": 4}, correlation_id="c-1")
    assert call.result(10) == 8
    assert call.exception() is None
    assert (call.done(), call.running(), call.cancelled()) == (True, False, False)
    assert (call.outcome, call.capability) == ("success", "t.double@1.0.0")
    trace = call.trace
    assert trace is not None
    assert trace == runtime.trace(call.id)
    assert trace["correlation_id"] == "c-1"
    assert trace["input_sha256"] == _core.digest({"n": 4})
    assert trace["output_sha256"] == _core.digest(8)
    assert abs(trace["started"] - datetime.now(timezone.utc)) < timedelta(minutes=1)


def test_a_call_that_has_not_ended_says_so(runtime: _core.Runtime, add: Register) -> None:
    started, gate = threading.Event(), threading.Event()

    def waits() -> None:
        started.set()
        gate.wait(10)

    call = runtime.submit(add(waits))
    assert started.wait(10)
    assert (call.done(), call.running(), call.outcome, call.trace) == (False, True, None, None)
    for timeout in (0, 0.01, "10ms"):
        with pytest.raises(clew.Timeout):
            call.result(timeout)
        assert not call.wait(timeout)
    gate.set()
    assert call.wait(10)


def test_callbacks_are_called_once_each(runtime: _core.Runtime, add: Register) -> None:
    gate, seen = threading.Event(), []
    done = threading.Event()

    def waits() -> int:
        gate.wait(10)
        return 1

    call = runtime.submit(add(waits))
    call.add_done_callback(lambda c: seen.append(("first", c is call, c.result(0))))
    call.add_done_callback(lambda _: done.set())
    assert seen == []
    gate.set()
    assert done.wait(10)
    call.add_done_callback(lambda c: seen.append(("late", c is call, c.result(0))))
    assert seen == [("first", True, 1), ("late", True, 1)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_callback_that_raises_harms_nobody(runtime: _core.Runtime, native: Register) -> None:
    call = runtime.submit(native("nothing"))
    call.wait(10)
    seen = []
    call.add_done_callback(lambda _: 1 / 0)
    call.add_done_callback(seen.append)
    assert seen == [call]
    assert call.result(0) is None


# --- nesting ---


@pytest.mark.parametrize("workers", [1, 2])
def test_calls_within_calls_do_not_starve_a_small_pool(workers: int) -> None:
    runtime = _core.Runtime(workers=workers)

    def depth(n: int, ctx: _core.Context) -> int:
        if n == 0:
            return 0
        if n % 2:
            return 1 + ctx.submit("t.depth", {"n": n - 1}).result()
        return 1 + runtime.execute("t.depth", {"n": n - 1})

    runtime.register({"id": "t.depth", "version": "1.0.0"}, depth, context="ctx")
    calls = [runtime.submit("t.depth", {"n": 12}) for _ in range(6)]
    assert [call.result(30) for call in calls] == [12] * 6
    runtime.close()


def test_a_nested_call_knows_its_parent(runtime: _core.Runtime, add: Register) -> None:
    def inner() -> None:
        return None

    def outer(ctx: _core.Context) -> list[str]:
        inside = [ctx.submit("t.inner"), runtime.submit("t.inner")]
        return [ctx.trace_id, *(call.id for call in inside if call.wait())]

    add(inner)
    outer_id, *inner_ids = runtime.execute(add(outer, context="ctx"))
    assert runtime.trace(outer_id)["parent"] is None
    assert [runtime.trace(i)["parent"] for i in inner_ids] == [outer_id, outer_id]


def test_a_failure_inside_keeps_its_code(runtime: _core.Runtime, add: Register) -> None:
    def outer(ctx: _core.Context) -> None:
        ctx.call("t.absent")

    with pytest.raises(clew.ExecutionFailed) as caught:
        runtime.execute(add(outer, context="ctx"))
    assert caught.value.context["code"] == "not_found"
    assert isinstance(caught.value.__cause__, clew.NotFound)


def test_a_limit_per_capability_holds(runtime: _core.Runtime, add: Register) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def limited() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        nap(0.002)
        with lock:
            now -= 1

    ref = add(limited, contract={"max_concurrency": 2})
    calls = [runtime.submit(ref) for _ in range(30)]
    for call in calls:
        call.result(30)
    assert most == 2


# --- stopping ---


def test_cancel_before_it_begins() -> None:
    runtime = _core.Runtime(workers=1)
    gate, ran = threading.Event(), []
    runtime.register({"id": "t.hold", "version": "1.0.0"}, lambda: gate.wait(10))
    runtime.register({"id": "t.next", "version": "1.0.0"}, lambda: ran.append(1))
    hold, queued = runtime.submit("t.hold"), runtime.submit("t.next")
    assert queued.cancel("no longer wanted")
    assert queued.cancelled()
    with pytest.raises(clew.Cancelled, match="no longer wanted"):
        queued.result()
    gate.set()
    hold.result(10)
    runtime.close()
    assert ran == []


def test_cancel_while_it_runs(runtime: _core.Runtime, add: Register) -> None:
    started = threading.Event()

    def heeds(ctx: _core.Context) -> None:
        started.set()
        while True:
            ctx.check_cancelled()
            ctx.heartbeat({"still": "here"})
            nap(0.001)

    call = runtime.submit(add(heeds, context="ctx"))
    assert started.wait(10)
    assert call.cancel() is False  # it had begun
    with pytest.raises(clew.Cancelled):
        call.result(10)
    assert (call.outcome, call.cancelled()) == ("cancelled", True)


def test_a_timeout_comes_although_the_handler_goes_on(
    runtime: _core.Runtime, add: Register
) -> None:
    released = threading.Event()
    seen = []

    def slow(ctx: _core.Context) -> None:
        seen.append((ctx.deadline is not None, ctx.remaining is not None and ctx.remaining <= 1))
        released.wait(10)
        seen.append(ctx.cancelled)

    ref = add(slow, context="ctx")
    with pytest.raises(clew.Timeout):
        runtime.execute(ref, timeout="1s")
    released.set()
    late = runtime.submit(ref, deadline=datetime.now(timezone.utc) - timedelta(seconds=1))
    assert isinstance(late.exception(10), clew.Timeout)
    runtime.close()
    assert seen == [(True, True), True]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", "soon"),
        ("deadline", datetime(2026, 1, 1)),
        ("deadline", 5),
        ("idempotency_key", 5),
        ("target", b"x"),
        ("correlation_id", 1.5),
    ],
)
def test_bad_options_are_named(
    option: str, value: Any, runtime: _core.Runtime, native: Register
) -> None:
    with pytest.raises(clew.InvalidInput) as caught:
        runtime.execute(native("nothing"), **{option: value})
    assert caught.value.context["path"] == option


def test_the_hot_methods_check_their_arguments(runtime: _core.Runtime, native: Register) -> None:
    ref = native("echo")
    given: Any
    for method in (runtime.execute, runtime.submit):
        for args, given in (
            ((), {}),
            ((), {"input": {}}),
            ((ref, {}, 1), {}),
            ((ref, {}), {"input": {}}),
            ((ref,), {"ref": ref}),
            ((ref,), {"nobody": 1}),
        ):
            with pytest.raises(TypeError):
                method(*args, **given)
        method(ref=ref, input={"a": 1}, priority=-3, timeout=None, deadline=None)
    assert runtime.execute(input={"a": 1}, ref=ref) == {"a": 1}
    assert runtime.execute(ref, ...) == {}
    call = runtime.submit(ref)
    for args, given in (((1, 2), {}), ((1,), {"timeout": 1}), ((), {"until": 1})):
        with pytest.raises(TypeError):
            call.result(*args, **given)
    assert call.result(timeout=10) == call.result(10) == call.result() == {}
    with pytest.raises(clew.InvalidInput):
        call.result("soon")


def test_a_call_is_made_by_submit_alone(runtime: _core.Runtime, native: Register) -> None:
    class Mine(clew.Call):
        pass

    for cls in (_core.Call, clew.Call, Mine):
        for make in (cls, lambda cls=cls: cls.__new__(cls), lambda cls=cls: object.__new__(cls)):
            with pytest.raises(TypeError):
                make()
    with pytest.raises(TypeError):
        copy.copy(runtime.submit_future(native("echo")))
    others: Any = _core.Call.done, _core.Call.result, _core.Runtime.submit
    for method in others:
        with pytest.raises(TypeError):
            method(3)
    with pytest.raises(TypeError):
        _core.Runtime.__new__(_core.Runtime).submit("n.echo")


def test_a_call_that_is_dropped_runs_and_goes(runtime: _core.Runtime, add: Register) -> None:
    done = threading.Event()
    call = runtime.submit_future(add(done.set))
    gone = weakref.ref(call)
    del call
    assert done.wait(10)
    assert runtime.close()
    assert gone() is None


def test_after_close_every_call_says_closed(native: Register, runtime: _core.Runtime) -> None:
    ref = native("nothing")
    assert runtime.close()
    assert runtime.closed
    assert runtime.close(drain=False)  # again is fine
    for use in (
        lambda: runtime.execute(ref),
        lambda: runtime.submit(ref).result(),
        lambda: runtime.map(ref, [{}]),
        lambda: runtime.register_native({"id": "n.x", "version": "1.0.0"}, "echo"),
        lambda: runtime.resolve(ref),
        runtime.capabilities,
        runtime.traces,
        runtime.stats,
        runtime.health,
        runtime.verify,
        runtime.runs,
        runtime.now,
        lambda: runtime.sql("SELECT 1"),
        lambda: runtime.run("x"),
        lambda: runtime.start("x", {}),
        lambda: runtime.find_workflow("x"),
    ):
        with pytest.raises(clew.Closed):
            use()  # type: ignore[no-untyped-call]  # lambdas
