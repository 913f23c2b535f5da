"""The asynchronous twins: same names, same signatures, same answers, and a loop that goes on."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import clew
import clew.aio
import pytest
from clew._artifacts import Artifacts
from clew._attachments import Attachments
from clew._effects import EffectController, Effects
from clew._events import Events
from clew._processes import Processes
from clew._sessions import Session, Sessions
from clew._triggers import Triggers

PAIRS = [
    (clew.Runtime, clew.aio.Runtime),
    (clew.Run, clew.aio.Run),
    (clew.Subscription, clew.aio.Subscription),
    (Events, clew.aio.Events),
    (Processes, clew.aio.Processes),
    (Session, clew.aio.Session),
    (Sessions, clew.aio.Sessions),
    (Attachments, clew.aio.Attachments),
    (Triggers, clew.aio.Triggers),
    (Artifacts, clew.aio.Artifacts),
    (Effects, clew.aio.Effects),
    (EffectController, clew.aio.EffectController),
]
# What has no twin: a context manager that would block, and what makes a twin of an open runtime.
WITHOUT = {"__enter__", "__exit__"}


def public(cls: type) -> dict[str, Any]:
    return {
        name: getattr(cls, name)
        for name in dir(cls)
        if not name.startswith("_") or name in ("__init__", "__enter__", "__await__")
    }


@pytest.mark.parametrize(("blocking", "twin"), PAIRS)
def test_twins_have_the_same_names_and_signatures(blocking: type, twin: type) -> None:
    ours, theirs = public(blocking), public(twin)
    assert set(ours) - WITHOUT == set(theirs) - {"of"}
    for name in set(ours) - WITHOUT:
        if callable(ours[name]) and (name != "__init__" or blocking is clew.Runtime):
            one, other = inspect.signature(ours[name]), inspect.signature(theirs[name])
            assert list(one.parameters.values()) == list(other.parameters.values()), name


def test_what_blocks_is_a_coroutine_and_what_does_not_is_none() -> None:
    immediate = {
        "workspace",
        "add_connector",
        "submit",
        "map",
        "events",
        "done",
        "of",
        "scoped",
        "start_replay",
    }
    for _, twin in PAIRS:
        for name, member in vars(twin).items():
            if inspect.isfunction(member) and not name.startswith("_"):
                waits = name not in immediate and (twin, name) != (clew.aio.Sessions, "open")
                assert inspect.iscoroutinefunction(member) is waits, name


@clew.capability("test.words", version="1.0.0")
def words(doc: str) -> int:
    if doc == "bad":
        raise ZeroDivisionError("bad doc")
    return len(doc.split())


@clew.capability("test.later", version="1.0.0")
async def later(doc: str, ctx: clew.Context) -> int:
    await asyncio.sleep(0)
    return int(await ctx.call("test.words", {"doc": doc}))


FLOW = {
    "workflow": "test.flow",
    "version": "1.0.0",
    "steps": {"count": {"call": "test.words@^1", "with": {"doc": "{{ input.doc }}"}}},
    "output": "{{ steps.count.output }}",
}


async def test_everything_works_under_async_with(clew_no_leaks: None) -> None:
    async with clew.aio.Runtime(workers=2) as rt:
        rt.register(words)
        rt.register(later)
        assert await rt.execute("test.words", {"doc": "a b"}) == 2
        assert await rt.execute("test.later", {"doc": "a b c"}) == 3
        assert await rt.submit("test.words", {"doc": "a"}) == 1
        assert [n async for n in rt.map("test.words", [{"doc": "a"}, {"doc": "a b"}])] == [1, 2]
        with pytest.raises(clew.ExecutionFailed):
            await rt.execute("test.words", {"doc": "bad"})

        run = await rt.start(FLOW, {"doc": "a b"})
        assert await run.result(30) == 2
        assert await run == 2
        assert [step.status for step in await run.steps()] == ["completed"]
        assert (await run.events().__anext__()).seq == 1
        assert (await rt.run(run.id)) == run
        assert len(await rt.runs()) == 1
        assert len(await rt.traces(outcome="failure")) == 1
        assert await rt.sql("SELECT count(*) AS n FROM v_runs") == [{"n": 1}]
        assert await rt.verify() == []
        assert "count" in await run.graph()
    assert rt.closed
    with pytest.raises(clew.Closed):
        await rt.execute("test.words", {"doc": "a"})


async def test_the_session_stores_work_alike(clew_runtime: clew.Runtime) -> None:
    rt = clew.aio.Runtime.of(clew_runtime)
    session = rt.sessions.open("root")
    assert (await session.commit_runtime_state({"session_id": "root"})).head_revision == 1
    with pytest.raises(clew.Conflict):
        await session.commit_runtime_state({"session_id": "root"})
    loaded = await session.load_session()
    assert loaded is not None
    assert loaded == clew_runtime.sessions.open("root").load_session()
    ref = await rt.attachments.put("root", [b"a" * 300_000, b"b"], "text/plain")
    parts = [part async for part in await rt.attachments.open("root", ref.id)]
    assert b"".join(parts) == b"a" * 300_000 + b"b"
    assert len(parts) > 1
    assert await rt.triggers.list_subscriptions() == []
    assert await rt.artifacts.list() == []


async def test_a_refused_start_raises_its_error(clew_runtime: clew.Runtime) -> None:
    rt = clew.aio.Runtime.of(clew_runtime)
    with pytest.raises(clew.NotFound):
        await rt.start("no.such@^1", {})
    rt.register(words)
    await rt.start(FLOW, {"doc": ""}, id="one")
    with pytest.raises(clew.Conflict):
        await rt.start(FLOW, {"doc": "other"}, id="one")


async def test_cancelling_an_execute_cancels_the_call(clew_runtime: clew.Runtime) -> None:
    entered, ended = threading.Event(), threading.Event()

    @clew.capability("test.loop", version="1.0.0")
    def loop(ctx: clew.Context) -> None:
        entered.set()
        try:
            while True:
                ctx.check_cancelled()
                ended.wait(0.005)
        finally:
            ended.set()

    clew_runtime.register(loop)
    waiter = asyncio.ensure_future(clew.aio.Runtime.of(clew_runtime).execute("test.loop"))
    while not entered.is_set():
        await asyncio.sleep(0.001)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert await asyncio.to_thread(ended.wait, 30)


async def test_a_wait_for_a_run_times_out_and_the_run_goes_on(clew_runtime: clew.Runtime) -> None:
    go = threading.Event()

    @clew.capability("test.words", version="1.0.0")
    def slow(doc: str) -> int:
        assert go.wait(30)
        return 1

    rt = clew.aio.Runtime.of(clew_runtime)
    rt.register(slow)
    run = await rt.start(FLOW, {"doc": "a"})
    with pytest.raises(clew.Timeout):
        await run.result(0.01)
    waiter = asyncio.ensure_future(run.result())
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    go.set()
    assert await run.result("30s") == 1


async def test_a_thousand_waits_occupy_no_thread(clew_runtime: clew.Runtime) -> None:
    go = threading.Event()

    @clew.capability("test.gate", version="1.0.0", max_concurrency=1)
    def gate(n: int) -> int:
        assert go.wait(30)
        return n

    clew_runtime.register(gate)
    rt = clew.aio.Runtime.of(clew_runtime)
    waits = [asyncio.ensure_future(rt.execute("test.gate", {"n": n})) for n in range(1000)]
    await asyncio.sleep(0)
    before = threading.active_count()
    go.set()
    assert await asyncio.gather(*waits) == list(range(1000))
    assert threading.active_count() <= before


async def test_the_plain_runtime_is_an_async_context_manager_too(clew_no_leaks: None) -> None:
    async with clew.Runtime() as rt:
        rt.register(words)
        assert await rt.submit("test.words", {"doc": "a"}) == 1
    assert rt.closed
