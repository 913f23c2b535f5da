"""Effects as Python sees them; the core's conformance cases have their laws."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any

import clew
import clew.aio
import pytest
from clew.stores import EffectScope, RuntimeEffectEnvelope

TURN = EffectScope.turn("session-1", "turn-1")


@pytest.fixture
def rt(clew_runtime: clew.Runtime) -> clew.Runtime:
    return clew_runtime


def envelope(key: str, kind: str = "exec_code", **command: Any) -> RuntimeEffectEnvelope:
    subject = {"type": "effect", "effect_id": key, "kind": kind}
    invocation = {"scope": {"session_id": "session-1"}, "subject": subject, "replay": {"key": key}}
    return RuntimeEffectEnvelope(invocation, {"type": kind, **command})


def never(_: Any) -> Any:
    raise AssertionError("recorded outcomes need no run")


@pytest.mark.parametrize(
    ("scope", "innermost", "turn"),
    [
        (TURN, "turn-1", "turn-1"),
        (EffectScope.process("p"), "p", None),
        (EffectScope.queue_drain("session-1", "drain-1"), "drain-1", None),
        (EffectScope.session_delete("session-1"), "session-1", None),
        (EffectScope.runtime_operation("op"), "op", None),
    ],
)
def test_a_scope_keeps_what_it_is(
    rt: clew.Runtime, scope: EffectScope, innermost: str, turn: str | None
) -> None:
    scoped = rt.effects.scoped(scope)
    assert (scoped.effect_scope, scoped.scope_id, scoped.turn_id) == (scope, innermost, turn)
    said = {name: value for name, value in scope.to_dict().items() if value is not None}
    assert rt.effects.scoped(said).effect_scope == scope


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        (EffectScope.turn("", "turn"), "scope.session_id"),
        (EffectScope.turn("session", " "), "scope.turn_id"),
        (EffectScope.process(""), "scope.process_id"),
        (EffectScope.process("\u00a0"), "scope.process_id"),
        (EffectScope.queue_drain("session", ""), "scope.drain_id"),
        (EffectScope.session_delete(""), "scope.session_id"),
        (EffectScope.runtime_operation(""), "scope.operation_id"),
        (EffectScope.process("a\0b"), "scope.process_id"),
        (EffectScope.turn("x" * 769, "turn"), "scope.session_id"),
        ({"type": "luck"}, "scope.type"),
        ({"type": "process", "proces_id": "p"}, "scope.proces_id"),
        ({"process_id": "p"}, "scope.type"),
        (3, "scope"),
    ],
)
def test_a_scope_without_its_ids_is_refused(rt: clew.Runtime, scope: Any, path: str) -> None:
    with pytest.raises(clew.InvalidInput) as caught:
        rt.effects.scoped(scope)
    assert caught.value.context["path"] == path
    if isinstance(scope, EffectScope) and not scope.id.strip():
        assert caught.value.context["reason"] == "missing_effect_scope_id"


def test_outcomes_are_answered_by_key_from_what_was_recorded(
    clew_store: str, rt: clew.Runtime
) -> None:
    scoped = rt.effects.scoped(TURN)
    runs = []

    def carry_out(run: Any) -> Any:
        runs.append((run.cancelled, run.fence))
        return {"n": [1, 2.5, None, "\0"]}

    asked = envelope("a")
    assert scoped.execute_effect(asked, carry_out) == {"n": [1, 2.5, None, "\0"]}
    assert runs == [(False, 1)]
    again = rt.effects.scoped(TURN)
    assert again.execute_effect(asked.to_dict(), never) == {"n": [1, 2.5, None, "\0"]}
    other = rt.effects.scoped(EffectScope.turn("session-2", "turn-1"))
    assert other.execute_effect(asked, lambda _: "other") == "other"
    with pytest.raises(clew.Conflict) as differs:
        scoped.execute_effect(envelope("a", code="x"), never)
    assert differs.value.context["path"] == "command.code"
    with pytest.raises(clew.Unsupported):
        scoped.execute_effect(envelope("b"))
    scoped.start_replay()
    with pytest.raises(clew.NotFound):
        scoped.execute_effect(envelope("b"), never)
    assert scoped.execute_effect(asked) == {"n": [1, 2.5, None, "\0"]}
    assert rt.verify() == []


def test_two_at_once_end_in_their_own_order(clew_store: str, rt: clew.Runtime) -> None:
    scoped = rt.effects.scoped(TURN)
    both, fast_is_done = threading.Barrier(2), threading.Event()
    ended: list[str] = []

    def run(name: str) -> Any:
        both.wait(30)
        if name == "slow":
            assert fast_is_done.wait(30)
        ended.append(name)
        fast_is_done.set()
        return name

    def ask(name: str) -> None:
        scoped.execute_effect(envelope(name), lambda _: run(name))

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("slow", "fast")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == ["fast", "slow"]
    scoped.start_replay()
    assert [scoped.execute_effect(envelope(name), never) for name in ("fast", "slow")] == [
        "fast",
        "slow",
    ]


def test_a_failure_is_recorded_and_an_interruption_is_not(
    clew_store: str, rt: clew.Runtime
) -> None:
    scoped = rt.effects.scoped(TURN)

    def fail(error: BaseException) -> Any:
        def run(_: Any) -> Any:
            raise error

        return run

    for _ in range(2):
        with pytest.raises(clew.ExecutionFailed, match="boom"):
            scoped.execute_effect(envelope("a"), fail(ZeroDivisionError("boom")))
    for _ in range(2):
        with pytest.raises(clew.NotFound, match="no such page"):
            scoped.execute_effect(envelope("b"), fail(clew.NotFound("no such page")))
    with pytest.raises(clew.Unavailable):
        scoped.execute_effect(envelope("c"), fail(clew.Unavailable("busy", retryable=True)))
    for interruption in (KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit):
        with pytest.raises(interruption):
            scoped.execute_effect(envelope("c"), fail(interruption()))
    assert scoped.execute_effect(envelope("c"), lambda run: run.fence) == 6
    with pytest.raises(clew.InvalidInput) as caught:
        scoped.execute_effect(envelope("d"), lambda _: {1, 2})
    assert caught.value.context["path"] == "outcome"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"invocation": {}, "command": {}}, "runtime_effect_invocation_subject"),
        (
            {**envelope("a").to_dict(), "command": {"type": "direct"}},
            "runtime_effect_invocation_kind",
        ),
        (
            {
                "invocation": {
                    "subject": {"type": "effect", "effect_id": "a", "kind": "exec_code"}
                },
                "command": {"type": "exec_code"},
            },
            "runtime_effect_replay_required",
        ),
    ],
)
def test_bad_envelopes_say_what_is_wrong(rt: clew.Runtime, asked: Any, reason: str) -> None:
    with pytest.raises(clew.InvalidInput) as caught:
        rt.effects.scoped(TURN).execute_effect(asked, never)
    assert caught.value.context["reason"] == reason

    async def asynchronous(_: Any) -> None:
        raise AssertionError("refused before it is called")

    for executor in (3, "x", asynchronous):
        with pytest.raises(clew.InvalidInput) as refused:
            rt.effects.scoped(TURN).execute_effect(envelope("a"), executor)  # type: ignore[arg-type]  # on purpose
        assert refused.value.context["path"] == "execute"


def test_a_sleep_needs_nobody_and_ends_when_it_was_said(
    clew_clock: clew.ManualClock, rt: clew.Runtime
) -> None:
    scoped = rt.effects.scoped(TURN)
    assert scoped.execute_effect(envelope("now", "sleep", duration_ms=0)) is None
    sleeper = threading.Thread(
        target=scoped.execute_effect, args=(envelope("long", "sleep", duration_ms=60_000),)
    )
    sleeper.start()
    while sleeper.is_alive():
        clew_clock.advance(1)
        sleeper.join(0.001)
    assert scoped.execute_effect(envelope("long", "sleep", duration_ms=60_000)) is None


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    store = tmp_path / "work.db"
    asked = envelope("a")
    with clew.Runtime(store) as first:
        assert first.effects.durability_tier == "durable"
        assert first.effects.scoped(TURN).execute_effect(asked, lambda _: asked.stable_hash())
    with clew.Runtime(store) as second:
        scoped = second.effects.scoped(TURN)
        assert scoped.execute_effect(asked, never) == asked.stable_hash()
    for call in (scoped.start_replay, lambda: scoped.execute_effect(asked, never)):
        with pytest.raises(clew.Closed):
            call()


def test_ctrl_c_ends_a_wait_for_an_effect_that_another_runs(rt: clew.Runtime) -> None:
    scoped = rt.effects.scoped(TURN)
    entered, go = threading.Event(), threading.Event()

    def run(_: Any) -> str:
        entered.set()
        assert go.wait(30)
        return "done"

    runner = threading.Thread(target=scoped.execute_effect, args=(envelope("a"), run))
    runner.start()
    assert entered.wait(30)

    def be_interrupted() -> None:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        scoped.execute_effect(envelope("a"), never)

    with pytest.raises(KeyboardInterrupt):
        be_interrupted()
    go.set()
    runner.join()
    assert scoped.execute_effect(envelope("a"), never) == "done"


async def test_the_asynchronous_twin_does_the_same(rt: clew.Runtime) -> None:
    scoped = clew.aio.Runtime.of(rt).effects.scoped(TURN)
    asked = [envelope(str(n)) for n in range(20)]
    made = await asyncio.gather(
        *(scoped.execute_effect(one, lambda _, n=n: n) for n, one in enumerate(asked))
    )
    assert made == list(range(20))
    scoped.start_replay()
    assert await scoped.execute_effect(asked[3], never) == 3


async def test_async_functions_carry_effects_out_on_the_loop_that_asks(
    clew_store: str, rt: clew.Runtime
) -> None:
    art = clew.aio.Runtime.of(rt)
    scoped = art.effects.scoped(TURN)
    loop = asyncio.get_running_loop()
    count, entered, go = 60, 0, asyncio.Event()  # more than the threads that asyncio keeps

    async def carry_out(run: Any) -> Any:
        nonlocal entered
        assert asyncio.get_running_loop() is loop
        entered += 1
        if entered == count:
            go.set()
        await go.wait()  # all of them are under way at once, and the pool is free for this:
        await art.processes.list_processes()
        return run.fence

    asked = [envelope(str(n)) for n in range(count)]
    all_of_them = asyncio.gather(*(scoped.execute_effect(one, carry_out) for one in asked))
    made = await asyncio.wait_for(all_of_them, 60)
    assert made == [1] * count
    assert await scoped.execute_effect(asked[0], never) == 1

    async def fail(_: Any) -> Any:
        raise clew.NotFound("no such page")

    for _ in range(2):
        with pytest.raises(clew.NotFound, match="no such page"):
            await scoped.execute_effect(envelope("failing"), fail)
    with pytest.raises(clew.InvalidInput):
        await scoped.execute_effect(envelope("a"), 3)  # type: ignore[arg-type]  # on purpose


async def test_a_cancelled_wait_cancels_the_effect_and_records_nothing(
    clew_store: str, rt: clew.Runtime
) -> None:
    scoped = clew.aio.Runtime.of(rt).effects.scoped(TURN)
    entered, may_end = asyncio.Event(), asyncio.Event()
    has_ended = False

    async def carry_out(_: Any) -> Any:
        nonlocal has_ended
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()
            has_ended = True

    waiting = asyncio.ensure_future(scoped.execute_effect(envelope("a"), carry_out))
    await entered.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    again = asyncio.ensure_future(
        scoped.execute_effect(envelope("a"), lambda run: (has_ended, run.fence))
    )
    await asyncio.wait([again], timeout=0.05)  # it would run by now, if it did not wait
    may_end.set()
    assert await again == [True, 2]


async def test_an_async_effect_is_cancelled_when_its_lease_is_lost(
    clew_clock: clew.ManualClock, clew_store: str, rt: clew.Runtime
) -> None:
    art = clew.aio.Runtime.of(rt)
    scoped = art.effects.scoped(TURN)
    entered = asyncio.Event()
    cancelled = False

    async def carry_out(run: Any) -> Any:
        nonlocal cancelled
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = run.cancelled
            raise

    waiting = asyncio.ensure_future(scoped.execute_effect(envelope("a"), carry_out))
    await entered.wait()
    await art.sessions.open("session-1").delete()  # and with it what its effects have recorded
    while not waiting.done():  # until the lease is to be renewed
        clew_clock.advance("1s")
        await asyncio.wait([waiting], timeout=0.001)
    with pytest.raises(clew.StaleLease):
        await waiting
    assert cancelled
