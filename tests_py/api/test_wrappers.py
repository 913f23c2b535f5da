"""Stores that misbehave, or look closely: ``clew.testing``."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import clew
import pytest
from clew import aio
from clew.stores import EffectScope, ProcessEventType
from clew.testing import Checked, Faulty, Recording, Slow, conformance

BEAT = [ProcessEventType("beat")]


@pytest.fixture
def rt(clew_store: str) -> Iterator[clew.Runtime]:
    with clew.Runtime(clew_store) as runtime:
        yield runtime


def test_faulty_fails_the_planned_call_before_its_effect_and_no_other(rt: clew.Runtime) -> None:
    faulty = Faulty(rt, at=2)
    faulty.processes.register_process("p", event_types=BEAT)
    with pytest.raises(clew.Unavailable) as failed:
        faulty.processes.append_event("p", "beat")
    assert failed.value.retryable
    assert rt.processes.events_after("p") == []
    assert faulty.processes.append_event("p", "beat").event.sequence == 1
    assert faulty.calls == 3


def test_faulty_fails_the_planned_call_after_its_effect(rt: clew.Runtime) -> None:
    lost = clew.UnknownOutcome("the answer is lost")
    faulty = Faulty(rt.processes, at=1, when="after", error=lost)
    with pytest.raises(clew.UnknownOutcome, match="the answer is lost"):
        faulty.register_process("p")
    assert rt.processes.get_process("p") is not None
    with pytest.raises(clew.InvalidInput, match="when"):
        Faulty(rt, when="never")  # type: ignore[arg-type]  # the mistake that is tried


def test_an_error_of_the_planned_call_itself_comes_through(rt: clew.Runtime) -> None:
    faulty = Faulty(rt, at=1, when="after")
    with pytest.raises(clew.NotFound):
        faulty.processes.append_event("nobody", "beat")


def test_recording_keeps_calls_with_their_errors(rt: clew.Runtime) -> None:
    recording = Recording(rt)
    recording.processes.register_process("p", event_types=BEAT)
    with pytest.raises(clew.NotFound):
        recording.processes.append_event("q", "beat", {"n": 1})
    assert recording.stats()["runs"]["live"] == 0
    names = [(each.name, type(each.error)) for each in recording.calls]
    assert names == [
        ("processes.register_process", type(None)),
        ("processes.append_event", clew.NotFound),
        ("stats", type(None)),
    ]
    assert recording.calls[1].args == ("q", "beat", {"n": 1})


def test_checked_names_the_call_after_which_an_invariant_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    with clew.Runtime(path) as rt:
        checked = Checked(rt)
        checked.processes.register_process("p", event_types=BEAT)
        checked.processes.append_event("p", "beat")
        with sqlite3.connect(path) as by_hand:
            by_hand.execute("UPDATE events SET seq = 7")
        by_hand.close()
        with pytest.raises(AssertionError, match=r"after processes\.get_process: .*events"):
            checked.processes.get_process("p")
        with pytest.raises(clew.InvalidInput, match="verify"):
            Checked(rt.processes)


def test_slow_passes_on_what_it_is_given(rt: clew.Runtime) -> None:
    slow = Slow(rt, 0.001)
    slow.processes.register_process("p")
    assert slow.processes.get_process("p") == rt.processes.get_process("p")


def test_asynchronous_stores_are_wrapped_too(clew_store: str) -> None:
    async def main() -> None:
        async with aio.Runtime(clew_store) as rt:
            recording = Recording(rt)
            faulty = Faulty(recording, at=2, when="after")
            await faulty.processes.register_process("p", event_types=BEAT)
            with pytest.raises(clew.Unavailable):
                await faulty.processes.append_event("p", "beat")
            assert len(await rt.processes.events_after("p")) == 1
            with pytest.raises(clew.NotFound):
                await faulty.processes.append_event("q", "beat")
            assert [type(each.error) for each in recording.calls] == [
                type(None),
                type(None),
                clew.NotFound,
            ]

    asyncio.run(main())


def test_what_a_backend_declares_is_listed(clew_store: str) -> None:
    declared = conformance.declared(clew_store)
    assert declared.tier == ("inline" if clew_store == ":memory:" else "durable")
    assert declared.time_precision.microseconds == 1


def test_the_adapter_runs_a_test_with_each_case() -> None:
    @conformance.each_case
    def test(case: object) -> None:
        del case

    (mark,) = test.pytestmark
    assert list(mark.args[1]) == conformance.conformance_cases()
    assert conformance.suites()[0] == "effects"


def test_handles_that_stores_give_out_are_wrapped_too(rt: clew.Runtime) -> None:
    recording = Recording(rt)
    faulty = Faulty(recording, at=2)
    session = faulty.sessions.open("session-1")
    with pytest.raises(clew.Unavailable):
        session.load_session()
    assert session.load_session() is None
    effects = faulty.effects.scoped(EffectScope.turn("session-1", "turn-1"))
    assert effects.scope_id == "turn-1"
    subject = {"type": "effect", "effect_id": "ask", "kind": "exec_code"}
    asked = {
        "invocation": {"subject": subject, "replay": {"key": "ask"}},
        "command": {"type": "exec_code"},
    }
    assert effects.execute_effect(asked, lambda _: 7) == 7
    assert [each.name for each in recording.calls] == [
        "sessions.open",
        "sessions.load_session",
        "effects.scoped",
        "effects.execute_effect",
    ]
    assert faulty.calls == 5


def test_wrappers_refuse_what_they_cannot_do(rt: clew.Runtime) -> None:
    for at in (-1, 1.5, "2", True):
        with pytest.raises(clew.InvalidInput, match="at: "):
            Faulty(rt, at=at)  # type: ignore[arg-type]  # the mistake that is tried
    with pytest.raises(clew.InvalidInput, match="error: "):
        Faulty(rt, error="text")  # type: ignore[arg-type]  # the mistake that is tried
    for delay in (-1, "soon", None, float("nan")):
        with pytest.raises(clew.InvalidInput, match="delay: "):
            Slow(rt, delay)  # type: ignore[arg-type]  # the mistake that is tried
    assert Slow(rt, "1ms").processes.list_processes() == []
