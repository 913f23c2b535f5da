"""A call is a future wherever the standard library takes one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import clew
import pytest


class Gate:
    """A capability that waits until the test lets it go."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, n: int) -> int:
        self.entered.release()
        assert self.go.wait(30)
        if n < 0:
            raise ZeroDivisionError("below zero")
        return n


@pytest.fixture
def gate(clew_runtime: clew.Runtime) -> Iterator[Gate]:
    made = Gate()

    @clew.capability("test.gate", version="1.0.0")
    def handler(n: int) -> int:
        return made(n)

    clew_runtime.register(handler)
    yield made
    made.go.set()


def test_a_call_is_a_future(clew_runtime: clew.Runtime, gate: Gate) -> None:
    call = clew_runtime.submit("test.gate", {"n": 1})
    assert isinstance(call, futures.Future)
    assert isinstance(call, clew.Call)
    assert gate.entered.acquire(timeout=30)
    assert (call.done(), call.running(), call.cancelled()) == (False, True, False)
    assert (call.outcome, call.trace) == (None, None)
    with pytest.raises(TimeoutError) as raised:
        call.result(0.01)
    assert isinstance(raised.value, clew.Timeout)

    gate.go.set()
    assert call.result(30) == 1
    assert call.exception() is None
    assert (call.done(), call.running(), call.outcome) == (True, False, "success")
    assert call.trace is not None
    assert (call.trace.capability, call.trace.id) == ("test.gate", call.id)


def test_wait_and_as_completed_see_each_call_once(clew_runtime: clew.Runtime, gate: Gate) -> None:
    calls = [clew_runtime.submit("test.gate", {"n": n}) for n in range(3)]
    done, pending = futures.wait(calls, timeout=0)
    assert (done, pending) == (set(), set(calls))

    gate.go.set()
    assert sorted(call.result() for call in futures.as_completed(calls, timeout=30)) == [0, 1, 2]
    assert futures.wait(calls).done == set(calls)
    assert set(futures.as_completed(calls)) == set(calls)


def test_waiting_for_the_first_and_for_an_exception(clew_runtime: clew.Runtime, gate: Gate) -> None:
    good, bad = (clew_runtime.submit("test.gate", {"n": n}) for n in (1, -1))
    gate.go.set()
    assert futures.wait([good, bad], 30, futures.FIRST_COMPLETED).done
    assert bad in futures.wait([good, bad], 30, futures.FIRST_EXCEPTION).done
    error = bad.exception()
    assert isinstance(error, clew.ExecutionFailed)
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_calls_that_end_while_others_wait_are_never_lost(clew_runtime: clew.Runtime) -> None:
    @clew.capability("test.nothing", version="1.0.0")
    def handler(n: int) -> int:
        return n

    clew_runtime.register(handler)
    for _ in range(50):
        calls = [clew_runtime.submit("test.nothing", {"n": n}) for n in range(8)]
        assert len(list(futures.as_completed(calls, timeout=30))) == 8


def test_a_call_that_has_not_begun_can_be_cancelled(clew_no_leaks: None) -> None:
    with clew.Runtime(workers=1) as rt:
        made = Gate()
        rt.register(clew.capability("test.gate", version="1.0.0")(lambda n: made(n)))
        first = rt.submit("test.gate", {"n": 1})
        assert made.entered.acquire(timeout=30)
        second = rt.submit("test.gate", {"n": 2})
        assert second.cancel() is True
        assert second.cancelled()
        assert first.cancel() is False
        made.go.set()
        for cls in (futures.CancelledError, clew.Cancelled):
            with pytest.raises(cls):
                second.result(30)
            with pytest.raises(cls):
                second.exception(30)
        assert futures.wait([second], 30).done == {second}
        assert made.entered.acquire(blocking=False) is False


def test_callbacks_get_the_call_and_their_errors_stay_theirs(
    clew_runtime: clew.Runtime, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    called = threading.Event()
    seen: list[Any] = []
    call = clew_runtime.submit("test.gate", {"n": 1})
    call.add_done_callback(lambda one: 1 // 0)
    call.add_done_callback(lambda one: (seen.append(one), called.set()))
    gate.go.set()
    assert called.wait(30)
    call.add_done_callback(seen.append)
    assert seen == [call, call]
    assert "exception calling callback" in caplog.text


def test_only_the_runtime_ends_a_call(clew_runtime: clew.Runtime, gate: Gate) -> None:
    call = clew_runtime.submit("test.gate", {"n": 1})
    for change in (
        lambda: call.set_result(1),
        lambda: call.set_exception(ValueError()),
        call.set_running_or_notify_cancel,
    ):
        with pytest.raises(clew.Unsupported):
            change()
    assert not call.done()


def test_a_refusal_is_the_outcome_of_the_call(clew_runtime: clew.Runtime) -> None:
    call = clew_runtime.submit("no.such", {})
    assert isinstance(call.exception(30), clew.NotFound)
    assert (call.outcome, call.capability) == ("rejected", None)


async def test_a_call_can_be_awaited_and_wrapped(clew_runtime: clew.Runtime, gate: Gate) -> None:
    first, second = (clew_runtime.submit("test.gate", {"n": n}) for n in (1, 2))
    wrapped = asyncio.wrap_future(second)
    gate.go.set()
    assert await first == 1
    assert await first == 1
    assert await wrapped == 2


async def test_cancelling_the_wait_leaves_the_call_alone(
    clew_runtime: clew.Runtime, gate: Gate
) -> None:
    call = clew_runtime.submit("test.gate", {"n": 7})

    async def wait() -> Any:
        return await call

    waiter = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert not call.cancelled()
    gate.go.set()
    assert await call == 7


def test_progress_is_what_the_handler_said_last(clew_runtime: clew.Runtime) -> None:
    @clew.capability("test.progress", version="1.0.0")
    def handler(ctx: clew.Context) -> None:
        ctx.progress(1, 3)
        ctx.progress(3, 3)

    clew_runtime.register(handler)
    call = clew_runtime.submit("test.progress")
    call.result(30)
    assert call.progress == (3, 3)


def test_map_is_lazy_bounded_and_ordered(clew_runtime: clew.Runtime) -> None:
    @clew.capability("test.double", version="1.0.0")
    def handler(n: int) -> int:
        return 2 * n

    clew_runtime.register(handler)
    taken: list[int] = []

    def endless() -> Iterator[dict[str, int]]:
        n = 0
        while True:
            taken.append(n)
            yield {"n": n}
            n += 1

    results = clew_runtime.map("test.double", endless(), concurrency=4)
    assert [next(results) for _ in range(10)] == [2 * n for n in range(10)]
    assert len(taken) <= 13
    results.close()

    inputs = [{"n": n} for n in range(100)]
    unordered = clew_runtime.map("test.double", inputs, ordered=False)
    assert sorted(unordered) == [2 * n for n in range(100)]
    mixed = list(clew_runtime.map("test.double", [{"n": 1}, {"n": "x"}], return_exceptions=True))
    assert mixed[0] == 2
    assert isinstance(mixed[1], clew.InvalidInput)
    with pytest.raises(clew.InvalidInput):
        list(clew_runtime.map("test.double", [{"n": "x"}]))


# --- the protocol, side by side with the standard library's own ---


@pytest.mark.parametrize("timeout", [0, -1, -0.5, -(2**70)])
def test_no_patience_is_a_timeout(clew_runtime: clew.Runtime, gate: Gate, timeout: float) -> None:
    call = clew_runtime.submit("test.gate", {"n": 1})
    other: futures.Future[Any] = futures.Future()
    for future in (call, other):
        with pytest.raises(TimeoutError):
            future.result(timeout)
        with pytest.raises(TimeoutError):
            future.exception(timeout)
    gate.go.set()
    call.result(30)
    assert call.result(timeout) == 1
    assert call.exception(timeout) is None


def test_cancelling_again_says_the_same(clew_no_leaks: None) -> None:
    with clew.Runtime(workers=1) as rt:
        made = Gate()
        rt.register(clew.capability("test.gate", version="1.0.0")(lambda n: made(n)))
        first, second = (rt.submit("test.gate", {"n": n}) for n in (1, 2))
        assert made.entered.acquire(timeout=30)
        assert [second.cancel() for _ in range(3)] == [True] * 3
        assert [first.cancel() for _ in range(3)] == [False] * 3
        made.go.set()
        first.result(30)
        assert first.cancel() is False
        assert second.cancel() is True


def test_one_that_ran_and_heeded_was_not_kept_from_running(clew_runtime: clew.Runtime) -> None:
    entered = threading.Event()

    @clew.capability("test.heeds", version="1.0.0")
    def heeds(ctx: clew.Context) -> None:
        entered.set()
        while True:
            ctx.check_cancelled()
            threading.Event().wait(0.001)

    clew_runtime.register(heeds)
    call = clew_runtime.submit("test.heeds")
    assert entered.wait(30)
    assert call.cancel() is False
    assert isinstance(futures.wait([call], 30).done.pop(), clew.Call)
    assert call.cancelled()
    assert call.cancel() is False  # it ran


def test_what_is_done_is_in_the_set_of_the_done(clew_runtime: clew.Runtime) -> None:
    @clew.capability("test.nothing", version="1.0.0")
    def handler(n: int) -> int:
        return n

    clew_runtime.register(handler)
    for _ in range(300):
        calls = [clew_runtime.submit("test.nothing", {"n": n}) for n in range(4)]
        futures.wait(calls, timeout=0)  # from now on they have waiters
        while True:
            before = {call for call in calls if call.done()}
            done, pending = futures.wait(calls, timeout=0)
            assert before <= done
            assert done | pending == set(calls)
            assert not done & pending
            if not pending:
                break
        assert set(futures.as_completed(calls, timeout=0)) == set(calls)
