"""`async def` handlers on the runtime's loop, and waiting for handles in a loop of one's own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import clew
import pytest
from bindings.support import nap
from clew import _core

Register = Callable[..., str]


def test_handlers_share_one_loop_and_overlap(runtime: _core.Runtime, add: Register) -> None:
    seen: set[tuple[int, int]] = set()

    async def naps(n: int) -> int:
        seen.add((id(asyncio.get_running_loop()), threading.get_ident()))
        await asyncio.sleep(0.1)
        return n

    ref = add(naps, kind="async")
    began = time.perf_counter()
    calls = [runtime.submit(ref, {"n": n}) for n in range(200)]
    assert [call.result(30) for call in calls] == list(range(200))
    assert time.perf_counter() - began < 10  # one by one it would take 20
    assert len(seen) == 1
    assert threading.get_ident() not in {thread for _, thread in seen}


def test_what_it_raises_fails_the_call(runtime: _core.Runtime, add: Register) -> None:
    async def breaks() -> None:
        await asyncio.sleep(0)
        raise ValueError("bad doc")

    with pytest.raises(clew.ExecutionFailed, match="ValueError: bad doc") as caught:
        runtime.execute(add(breaks, kind="async"))
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_exits_do_not_end_the_loop(
    kind: type[BaseException], runtime: _core.Runtime, add: Register
) -> None:
    async def leaves() -> None:
        raise kind

    ref = add(leaves, kind="async")
    for _ in range(2):
        with pytest.raises(clew.ExecutionFailed):
            runtime.execute(ref)


@pytest.mark.parametrize("how", ["cancel", "timeout", "close"])
def test_stopping_a_call_cancels_its_task(how: str, runtime: _core.Runtime, add: Register) -> None:
    started, ended = threading.Event(), threading.Event()

    async def waits() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    call = runtime.submit(add(waits, kind="async"), timeout="1s" if how == "timeout" else None)
    assert started.wait(10)
    if how == "cancel":
        assert not call.cancel()
    elif how == "close":
        runtime.close(drain=False)
    assert ended.wait(10)
    error = call.exception(10)
    assert type(error) is (clew.Timeout if how == "timeout" else clew.Cancelled)


def test_calls_that_reach_a_loop_as_it_closes_end_all_the_same() -> None:
    async def waits() -> None:
        await asyncio.sleep(60)

    for count in (1, 10, 1000):
        runtime = _core.Runtime(workers=2)
        runtime.register({"id": "t.waits", "version": "1.0.0"}, waits, kind="async")
        calls = [runtime.submit("t.waits") for _ in range(count)]
        runtime.close(drain=False)
        assert {type(call.exception(30)) for call in calls} == {clew.Cancelled}


def test_a_limit_holds_without_taking_slots(runtime: _core.Runtime, add: Register) -> None:
    now = most = 0

    async def limited() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1

    ref = add(limited, kind="async", contract={"max_concurrency": 3})
    calls = [runtime.submit(ref) for _ in range(40)]
    for call in calls:
        call.result(30)
    assert most == 3


def test_calls_that_wait_for_their_limit_end_with_the_runtime(
    runtime: _core.Runtime, add: Register
) -> None:
    started = threading.Event()

    async def waits() -> None:
        started.set()
        await asyncio.sleep(60)

    ref = add(waits, kind="async", contract={"max_concurrency": 1})
    calls = [runtime.submit(ref) for _ in range(5)]
    assert started.wait(10)
    runtime.close(drain=False)
    assert {type(call.exception(10)) for call in calls} == {clew.Cancelled}


def test_a_nested_call_is_awaited(runtime: _core.Runtime, add: Register) -> None:
    def inner(n: int) -> int:
        return 10 * n

    async def outer(ctx: _core.Context) -> Any:
        one = await ctx.call("t.inner", {"n": 1})
        both = await asyncio.gather(ctx.call("t.inner", {"n": 2}), ctx.submit("t.inner", {"n": 3}))
        return [one, *both, ctx.trace_id]

    add(inner)
    *results, trace_id = runtime.execute(add(outer, kind="async", context="ctx"))
    assert results == [10, 20, 30]
    traces, _ = runtime.traces(capability="t.inner")
    assert {t["parent"] for t in traces} == {trace_id}


def test_a_plain_value_is_a_result_too(runtime: _core.Runtime, add: Register) -> None:
    def plain() -> int:
        return 5

    assert runtime.execute(add(plain, kind="async")) == 5


# --- in a loop of one's own ---


async def test_a_call_is_awaitable(runtime: _core.Runtime, add: Register) -> None:
    def double(n: int) -> int:
        return 2 * n

    ref = add(double)
    assert await runtime.submit(ref, {"n": 1}) == 2
    many = await asyncio.gather(*(runtime.submit(ref, {"n": n}) for n in range(500)))
    assert many == [2 * n for n in range(500)]
    done = runtime.submit(ref, {"n": 3})
    done.wait(10)
    assert await done == 6
    assert await done == 6  # again


async def test_awaiting_raises_the_error_of_the_call(runtime: _core.Runtime) -> None:
    with pytest.raises(clew.NotFound):
        await runtime.submit("t.absent")


async def test_cancelling_the_wait_cancels_the_call(runtime: _core.Runtime, add: Register) -> None:
    started = threading.Event()

    def waits(ctx: _core.Context) -> None:
        started.set()
        while True:
            ctx.check_cancelled()
            nap(0.001)

    call = runtime.submit(add(waits, context="ctx"))

    async def wait() -> Any:
        return await call

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)  # the task has begun to wait
    while not started.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(call.exception(10), clew.Cancelled)


def test_a_loop_that_is_gone_is_no_trouble(runtime: _core.Runtime, native: Register) -> None:
    native("sleep")
    calls = []

    async def leaves() -> None:
        call = runtime.submit("n.sleep", {"for": "100ms"})
        calls.append(call)
        task = asyncio.ensure_future(asyncio.wait_for(asyncio.shield(asyncio.gather(call)), 0.01))
        with pytest.raises(asyncio.TimeoutError):
            await task

    asyncio.run(leaves())
    calls[0].wait(10)
    assert calls[0].done()


async def test_a_map_is_an_asynchronous_iterator(runtime: _core.Runtime, add: Register) -> None:
    def double(n: int) -> int:
        nap(0.001)
        return 2 * n

    ref = add(double)
    got = [value async for value in runtime.map(ref, ({"n": n} for n in range(100)), concurrency=4)]
    assert got == [2 * n for n in range(100)]


# --- blocking the loop ---


def ways(runtime: _core.Runtime) -> dict[str, Callable[[clew.Context], Any]]:
    """Ways to wait for an async capability in the loop that has to run it."""
    definition, _ = _core.load_text(
        "workflow: t.flow\nversion: 1.0.0\nsteps:\n  a: {call: t.inner}\n"
    )
    assert definition is not None
    return {
        "execute": lambda ctx: runtime.execute("t.inner"),
        "result": lambda ctx: runtime.submit("t.inner").result(),
        "result with a timeout": lambda ctx: runtime.submit("t.inner").result(60),
        "result of ctx.submit": lambda ctx: ctx.submit("t.inner").result(),
        "exception": lambda ctx: runtime.submit("t.inner").exception(),
        "through a function": lambda ctx: runtime.execute("t.between"),
        "through a submitted function": lambda ctx: runtime.submit("t.between").result(),
        "map": lambda ctx: list(runtime.map("t.inner", [{}, {}])),
        "map through a function": lambda ctx: list(runtime.map("t.between", [{}, {}])),
        "run": lambda ctx: runtime.start(definition, {}).result(),
    }


@pytest.fixture
def loop_runtime() -> Iterator[_core.Runtime]:
    runtime = _core.Runtime(workers=2)

    async def inner() -> int:
        await asyncio.sleep(0)
        return 1

    runtime.register({"id": "t.inner", "version": "1.0.0"}, inner, kind="async")
    runtime.register({"id": "t.between", "version": "1.0.0"}, lambda: runtime.execute("t.inner"))
    yield runtime
    runtime.close(drain=False, timeout=10)


@pytest.mark.parametrize("way", list(ways(None)))  # type: ignore[arg-type]  # for the names
def test_a_handler_cannot_block_its_own_loop(way: str, loop_runtime: _core.Runtime) -> None:
    runtime = loop_runtime

    async def outer(ctx: clew.Context) -> str:
        with pytest.raises(clew.ClewError, match="await it instead"):
            ways(runtime)[way](ctx)
        return "refused"

    contract = {"id": "t.outer", "version": "1.0.0"}
    runtime.register(contract, outer, kind="async", context="ctx")
    assert runtime.submit("t.outer").result(20) == "refused"
    assert runtime.execute("t.inner") == 1  # the loop goes on
    began = time.monotonic()
    runtime.close(timeout=1)
    assert time.monotonic() - began < 5


def test_a_handler_may_wait_for_what_needs_no_loop(loop_runtime: _core.Runtime) -> None:
    runtime = loop_runtime
    runtime.register({"id": "t.plain", "version": "1.0.0"}, lambda n: n)

    async def outer() -> list[Any]:
        call = runtime.submit("t.plain", {"n": 2})
        return [runtime.execute("t.plain", {"n": 1}), call.result(10)]

    runtime.register({"id": "t.outer", "version": "1.0.0"}, outer, kind="async")
    assert runtime.submit("t.outer").result(20) == [1, 2]


def test_closing_frees_a_loop_that_is_blocked_behind_our_back(
    loop_runtime: _core.Runtime,
) -> None:
    runtime = loop_runtime
    calls: list[_core.Call] = []
    submitted = threading.Event()

    def waits() -> None:  # for a call that only the loop can run, made elsewhere
        assert submitted.wait(10)
        calls[0].exception()

    async def outer() -> None:
        runtime.submit("t.waits").result()

    runtime.register({"id": "t.waits", "version": "1.0.0"}, waits)
    runtime.register({"id": "t.outer", "version": "1.0.0"}, outer, kind="async")
    call = runtime.submit("t.outer")
    while not call.running():
        nap(0.001)
    calls.append(runtime.submit("t.inner"))
    submitted.set()
    began = time.monotonic()
    runtime.close(timeout=1)
    assert time.monotonic() - began < 10
    assert call.done()
