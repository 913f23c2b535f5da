"""Processes as Python sees them; the core's conformance cases have their laws."""

from __future__ import annotations

import dataclasses
import random
import string
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import clew
import clew.aio
import clew.stores
import pytest
from clew.stores import (
    EffectScope,
    ProcessEventAppendRequest,
    ProcessEventSemantics,
    ProcessEventType,
    ProcessHandleDescriptor,
    ProcessProvenance,
    ProcessRegistration,
    ProcessScope,
    ProcessTerminalSpec,
    ProcessWakeSpec,
)

LINE = ProcessEventType(
    "producer.line",
    {"type": "object", "required": ["line"], "properties": {"line": {"type": "string"}}},
    ProcessEventSemantics(wake=ProcessWakeSpec({"pointer": "/wake"}, when={"present": "/wake"})),
)
SUCCESS = {"type": "success", "value": {"ok": True}}


@pytest.fixture
def rt(clew_runtime: clew.Runtime) -> clew.Runtime:
    return clew_runtime


def test_a_registration_comes_back_as_it_was_given(rt: clew.Runtime) -> None:
    given = ProcessRegistration(
        "indexer",
        {"type": "external", "metadata": [1, 2.5, None]},
        (
            LINE,
            ProcessEventType(
                "producer.done",
                semantics=ProcessEventSemantics(
                    ProcessTerminalSpec("failed", await_output={"pointer": "/why"})
                ),
            ),
        ),
        ProcessProvenance(
            ProcessScope("s", "f"), "profile", {"type": "turn", "session_id": "s", "turn_id": "t"}
        ),
        "owner_bound",
    )
    record = rt.processes.register_process(given)
    assert (record.id, record.input, record.provenance) == (
        given.id,
        given.input,
        given.provenance,
    )
    assert record.disposition == "owner_bound"
    assert [each.name for each in record.event_types] == [
        "producer.line",
        "producer.done",
        "process.cancel_requested",
        "process.completed",
        "process.failed",
        "process.cancelled",
        "process.abandoned",
    ]
    wake = record.event_types[0].semantics
    assert isinstance(wake, ProcessEventSemantics)
    assert wake.wake is not None
    assert (wake.wake.when, wake.wake.dedupe_key) == ({"present": "/wake"}, "event_identity")
    assert rt.processes.register_process(given) == record
    assert rt.processes.get_process("indexer") == record
    assert rt.processes.list_processes() == [record]
    assert rt.processes.get_process("none") is None
    assert record.created_at.tzinfo == timezone.utc
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, "status", "failed")  # noqa: B010 - what the type checker refuses


def test_another_registration_is_refused_by_its_first_difference(rt: clew.Runtime) -> None:
    rt.processes.register_process("p", {"n": 1})
    with pytest.raises(clew.Conflict) as caught:
        rt.processes.register_process("p", {"n": 2})
    assert caught.value.context["path"] == "input.n"


@pytest.mark.parametrize(
    ("registration", "path"),
    [
        (ProcessRegistration(" "), "registration.id"),
        (ProcessRegistration("a", event_types=({"nme": "x"},)), "registration.event_types[0].nme"),
        (ProcessRegistration("a", {1}), "registration.input"),
        (
            ProcessRegistration("a", provenance={"caused_by": {"type": "luck"}}),
            "registration.provenance.caused_by",
        ),
    ],
)
def test_bad_registrations_name_their_path(
    rt: clew.Runtime, registration: ProcessRegistration, path: str
) -> None:
    with pytest.raises(clew.InvalidInput) as caught:
        rt.processes.register_process(registration)
    assert caught.value.context["path"] == path
    assert rt.processes.list_processes() == []


def test_events_wake_are_acknowledged_and_end_a_process(rt: clew.Runtime) -> None:
    processes = rt.processes
    processes.register_process("p", event_types=[LINE])
    plain = processes.append_event("p", "producer.line", {"line": "a"})
    assert (plain.event.sequence, plain.wake_delivery, plain.is_replay) == (1, None, False)
    with pytest.raises(clew.InvalidInput, match="without a wake target scope"):
        processes.append_event("p", "producer.line", {"line": "b", "wake": "up"})
    with pytest.raises(clew.InvalidInput) as caught:
        processes.append_event("p", "producer.line", {})
    assert caught.value.context["path"] == "payload.line"
    woken = processes.append_event(
        "p",
        "producer.line",
        {"line": "b", "wake": "up"},
        replay_key="k",
        wake_target_scope=ProcessScope("s", "f"),
    )
    assert woken.event.sequence == 2
    assert woken.wake_delivery is not None
    assert (woken.wake_delivery.input, woken.wake_delivery.target_scope_id) == (
        "up",
        "session:s/frame:f",
    )
    assert [event.sequence for event in processes.wake_events_after("p")] == [2]
    processes.ack_wake("p", 2)
    assert processes.wake_events_after("p") == []
    end = processes.complete_process("p", SUCCESS)
    assert end.event.event_type == "process.completed"
    assert processes.complete_process("p", SUCCESS).is_replay
    assert processes.await_process("p") == SUCCESS
    record = processes.get_process("p")
    assert record is not None
    assert record.is_terminal
    assert (record.status, record.await_output, record.last_sequence) == ("completed", SUCCESS, 3)
    assert [event.sequence for event in processes.events_after("p", 1)] == [2, 3]
    assert processes.list_non_terminal() == []
    assert rt.verify() == []


def test_a_wake_becomes_work_of_its_session(rt: clew.Runtime) -> None:
    rt.processes.register_process("p", event_types=[LINE])
    append = rt.processes.append_event(
        "p", "producer.line", {"line": "b", "wake": "up"}, wake_target_scope="s"
    )
    assert append.wake_delivery is not None
    session = rt.sessions.open("s")
    for _ in range(1000):  # the outbox delivers behind
        queued = session.list_queued_work()
        if queued:
            break
        threading.Event().wait(0.005)
    (batch,) = queued
    assert batch.source_key == append.wake_delivery.wake_id
    assert batch.items[0].payload.kind == "process_wake"


def test_waiting_ends_with_the_event_the_timeout_or_the_runtime(rt: clew.Runtime) -> None:
    processes = rt.processes
    processes.register_process("p", event_types=[LINE])
    with pytest.raises(clew.Timeout):
        processes.wait_event_after("p", "producer.line", timeout=0.01)
    with pytest.raises(clew.Timeout):
        processes.await_process("p", timeout="10ms")
    with pytest.raises(clew.NotFound):
        processes.await_process("none", timeout=1)
    waiter = threading.Thread(
        target=lambda: processes.append_event("p", "producer.line", {"line": "a"})
    )
    waiter.start()
    assert processes.wait_event_after("p", "producer.line").sequence == 1
    waiter.join()


def test_a_lease_fences_and_its_end_needs_it(rt: clew.Runtime) -> None:
    processes = rt.processes
    processes.register_process("p")
    lease = processes.claim_process_lease("p", "a", "1m")
    assert (lease.fencing_token, lease.expires_at - lease.claimed_at) == (1, timedelta(minutes=1))
    with pytest.raises(clew.Conflict, match="already leased"):
        processes.claim_process_lease("p", "b", 60)
    with pytest.raises(clew.StaleLease):
        processes.complete_process("p", SUCCESS)
    again = processes.renew_process_lease(lease, timedelta(minutes=2))
    assert (again.lease_token, again.fencing_token) == (lease.lease_token, 1)
    processes.complete_process_lease(lease)
    processes.complete_process_lease(lease)
    other = processes.claim_process_lease("p", "b", 60, token="mine")
    assert (other.fencing_token, other.lease_token) == (2, "mine")
    with pytest.raises(clew.StaleLease, match="missing or expired"):
        processes.renew_process_lease(lease, 1)
    with pytest.raises(clew.StaleLease):
        processes.complete_process("p", SUCCESS, lease_token=lease.lease_token)
    processes.complete_process("p", SUCCESS, lease_token="mine")
    with pytest.raises(clew.Conflict):
        processes.claim_process_lease("p", "c", 60)
    with pytest.raises(clew.InvalidInput):
        processes.claim_process_lease("p", "c", "-1s")


def test_handles_are_granted_moved_and_revoked(rt: clew.Runtime) -> None:
    processes = rt.processes
    processes.register_process("p")
    scope = ProcessScope("one", "frame")
    processes.grant_handle(scope, "p", kind="tool", label="the tool")
    (grant,) = processes.list_handle_grants(scope)
    assert (grant.scope, grant.kind, grant.label, grant.session_id) == (
        scope,
        "tool",
        "the tool",
        "one",
    )
    assert processes.list_handle_grants("one") == []
    processes.transfer_handle_grants(scope, "two", ["p"])
    assert [each.session_id for each in processes.handle_grants_for_process("p")] == ["two"]
    with pytest.raises(clew.NotFound):
        processes.transfer_handle_grants(scope, "two", ["p"])
    assert processes.has_handle_grant({"session_id": "two"}, "p")
    report = processes.delete_session_process_state("two")
    assert (report.revoked_handle_count, report.cancel_process_ids) == (1, ("p",))
    assert not processes.revoke_handle("two", "p")


def test_a_deleted_session_lets_go_of_its_processes(rt: clew.Runtime) -> None:
    processes = rt.processes
    for each in ("sole", "shared", "ended"):
        processes.register_process(each)
        processes.grant_handle("gone", each)
    processes.grant_handle("stays", "shared")
    processes.complete_process("ended", SUCCESS)
    assert rt.sessions.open("gone").delete()
    assert not rt.sessions.open("gone").delete()
    assert processes.list_handle_grants("gone") == []
    (asked,) = processes.events_after("sole")
    assert asked.event_type == "process.cancel_requested"
    assert processes.events_after("shared") == []
    assert [each.id for each in processes.list_non_terminal()] == ["shared", "sole"]
    assert rt.verify() == []


def test_recovery_and_pruning(rt: clew.Runtime) -> None:
    processes = rt.processes
    processes.register_process("bound", disposition="owner_bound")
    processes.register_process("free")
    for each in ("bound", "free"):
        processes.claim_process_lease(each, "gone", 0)
    recovery = processes.recover_processes()
    assert (recovery.rerunnable, recovery.abandoned) == (("free",), ("bound",))
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    assert processes.prune_processes(later) == ["bound"]
    assert processes.get_process("bound") is None
    with pytest.raises(clew.Conflict):
        processes.register_process("bound", disposition="owner_bound")


def test_those_that_nobody_takes_up_hide_none_behind_them(rt: clew.Runtime) -> None:
    processes = rt.processes
    dispositions: dict[str, Any] = {
        "elsewhere": "externally_owned",
        "free": "rerunnable",
        "bound": "owner_bound",
    }
    for each in ("a-elsewhere", "b-free", "c-free", "d-bound", "e-bound"):
        processes.register_process(each, disposition=dispositions[each[2:]])
        processes.claim_process_lease(each, "gone", 0)
    first, second, third = (processes.recover_processes(limit=1) for _ in range(3))
    assert (first.rerunnable, first.abandoned) == (("b-free",), ("d-bound",))
    assert (second.rerunnable, second.abandoned) == (("b-free",), ("e-bound",))
    assert (third.rerunnable, third.abandoned) == (("b-free",), ())


def test_what_its_effects_recorded_goes_with_a_process(rt: clew.Runtime) -> None:
    rt.processes.register_process("p")
    subject = {"type": "effect", "effect_id": "ask", "kind": "exec_code"}
    asked = {
        "invocation": {"subject": subject, "replay": {"key": "ask"}},
        "command": {"type": "exec_code"},
    }
    scope = EffectScope.process("p")
    assert rt.effects.scoped(scope).execute_effect(asked, lambda _: 7) == 7
    rt.processes.complete_process("p", SUCCESS)
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    assert rt.processes.prune_processes(later) == ["p"]
    later_on = rt.effects.scoped(scope)
    later_on.start_replay()
    with pytest.raises(clew.NotFound):
        later_on.execute_effect(asked)


def test_an_authority_is_somebody(rt: clew.Runtime) -> None:
    rt.processes.register_process("p")
    rt.processes.claim_process_lease("p", "me", 60)
    with pytest.raises(clew.InvalidInput, match="authority"):
        rt.processes.complete_process("p", SUCCESS, authority=" ")
    assert rt.processes.events_after("p") == []


@pytest.mark.parametrize("wait", ["await_process", "wait_event_after"])
def test_who_waits_learns_that_the_runtime_was_closed(clew_store: str, wait: str) -> None:
    rt = clew.Runtime(clew_store)
    rt.processes.register_process("p", event_types=[LINE])
    arguments = ("p",) if wait == "await_process" else ("p", "producer.line")
    met: list[BaseException] = []

    def ask() -> None:
        try:
            getattr(rt.processes, wait)(*arguments)
        except clew.ClewError as error:
            met.append(error)

    waiter = threading.Thread(target=ask, daemon=True)
    waiter.start()
    waiter.join(0.05)
    rt.close()
    waiter.join(30)
    assert [type(each) for each in met] == [clew.Closed]


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    store = str(tmp_path / "work.db")
    with clew.Runtime(store) as first:
        first.processes.register_process("p", event_types=[LINE])
        first.processes.append_event("p", "producer.line", {"line": "a"}, replay_key="k")
    with clew.Runtime(store) as second:
        again = second.processes.append_event("p", "producer.line", {"line": "a"}, replay_key="k")
        assert (again.event.sequence, again.is_replay) == (1, True)
        assert second.sql("SELECT process_id, seq, type FROM v_process_events") == [
            {"process_id": "p", "seq": 1, "type": "producer.line"}
        ]


async def test_the_asynchronous_twin_waits_without_holding_the_loop(rt: clew.Runtime) -> None:
    import asyncio

    twin = clew.aio.Runtime.of(rt)
    await twin.processes.register_process("p")
    waiting = asyncio.ensure_future(twin.processes.await_process("p", timeout=30))
    await asyncio.sleep(0)
    await twin.processes.complete_process("p", SUCCESS)
    assert await waiting == SUCCESS


# A process's id and whatever else names something: each method with one bad argument in its place.
BAD_KEYS = [None, 3, True, b"p", "", "  ", "a\0b", "a\ud800b", "x" * 769, ["p"], object()]
BAD_CURSORS = [None, -1, True, 1.5, 2**63, "1"]
CALLS: dict[str, dict[str, Any]] = {
    "get_process": {"process_id": "p"},
    "set_external_ref": {"process_id": "p", "external_ref": {"backend": "b", "id": "i"}},
    "append_event": {"process_id": "p", "event_type": "producer.line"},
    "complete_process": {"process_id": "p", "output": SUCCESS},
    "request_cancel": {"process_id": "p"},
    "events_after": {"process_id": "p", "after": 0},
    "wake_events_after": {"process_id": "p", "after": 0},
    "ack_wake": {"process_id": "p", "sequence": 1},
    "wait_event_after": {
        "process_id": "p",
        "event_type": "producer.line",
        "after": 0,
        "timeout": 0,
    },
    "await_process": {"process_id": "p", "timeout": 0},
    "grant_handle": {"scope": "s", "process_id": "p"},
    "revoke_handle": {"scope": "s", "process_id": "p"},
    "has_handle_grant": {"scope": "s", "process_id": "p"},
    "list_handle_grants": {"scope": "s"},
    "handle_grants_for_process": {"process_id": "p"},
    "delete_session_process_state": {"session_id": "s"},
    "claim_process_lease": {"process_id": "p", "owner_id": "me", "ttl": 1},
    "renew_process_lease": {"lease": None, "ttl": 1},
    "complete_process_lease": {"lease": None},
    "transfer_handle_grants": {"from_scope": "s", "to_scope": "t", "process_ids": "p"},
}
KEYS = {"process_id", "event_type", "session_id", "owner_id", "scope"}
CURSORS = {"after", "sequence"}


@pytest.mark.parametrize("method", sorted(CALLS))
def test_bad_arguments_name_their_path_on_every_store(
    clew_store: str, rt: clew.Runtime, method: str
) -> None:
    rt.processes.register_process("p", event_types=[LINE])
    before = rt.processes.get_process("p")
    good = CALLS[method]
    for name in good:
        bad = BAD_KEYS if name in KEYS else BAD_CURSORS if name in CURSORS else []
        if name in ("lease", "process_ids"):
            bad = [None, 3, "p", b"p", {"process_id": "p"}, object()]
        for value in bad:
            with pytest.raises(clew.InvalidInput) as caught:
                getattr(rt.processes, method)(**{**good, name: value})
            context = caught.value.context
            assert context["path"].removeprefix("event.").startswith(name), value
            assert {"value", "expected"} <= context.keys()
    assert rt.processes.get_process("p") == before


def test_every_store_keeps_ids_of_the_same_length(clew_store: str, rt: clew.Runtime) -> None:
    processes, draw = rt.processes, random.Random(1)
    whole, long = ("".join(draw.choices(string.ascii_letters, k=k)) for k in (768, 769))
    processes.register_process(whole, event_types=[ProcessEventType(whole), LINE])
    processes.append_event(whole, whole, replay_key=whole)
    assert processes.append_event(whole, whole, replay_key=whole).is_replay
    processes.grant_handle(ProcessScope(whole, whole), whole)
    processes.append_event(
        whole, "producer.line", {"line": "", "wake": "up"}, wake_target_scope=whole
    )
    lease = processes.claim_process_lease(whole, whole, 1, token=whole)
    assert processes.complete_process(whole, SUCCESS, lease_token=lease.lease_token)
    refused: list[Callable[[], object]] = [
        lambda: processes.register_process(long),
        lambda: processes.register_process("p", event_types=[ProcessEventType(long)]),
        lambda: processes.register_process("p", provenance=ProcessProvenance(long)),
        lambda: processes.append_event(whole, whole, replay_key=long),
        lambda: processes.append_event(whole, whole, replay_key="a\0b"),
        lambda: processes.append_event(whole, whole, wake_target_scope=ProcessScope("s", long)),
        lambda: processes.claim_process_lease(whole, "me", 1, token=long),
        lambda: processes.grant_handle("s", whole, label="a\0b"),
    ]
    for call in refused:
        with pytest.raises(clew.InvalidInput):
            call()
    assert [each.id for each in processes.list_processes()] == [whole]


def test_a_lease_is_given_back_by_any_of_its_forms(clew_store: str, rt: clew.Runtime) -> None:
    processes = rt.processes
    processes.register_process("p")
    for number in (1, 2, 3):
        lease = processes.claim_process_lease("p", f"owner-{number}", "1m")
        assert lease.fencing_token == number
        forms = (lease, lease.completion(), dataclasses.asdict(lease))
        again = processes.renew_process_lease((lease, forms[2])[number % 2], "1m")
        assert again.fencing_token == number
        processes.complete_process_lease(forms[number - 1])
    for ttl in (-1, "400d", timedelta(days=-1)):
        with pytest.raises(clew.InvalidInput) as caught:
            processes.claim_process_lease("p", "me", ttl)
        assert caught.value.context["path"] == "ttl"
    held = processes.claim_process_lease("p", "me", "366d", token="mine")
    assert processes.claim_process_lease("p", "me", 1, token="mine") == held
    with pytest.raises(clew.Conflict, match="already leased"):
        processes.claim_process_lease("p", "you", 1, token="mine")


def test_a_token_belongs_to_its_owner_also_when_it_is_over(
    clew_store: str, clew_clock: clew.ManualClock, rt: clew.Runtime
) -> None:
    rt.processes.register_process("p")
    held = rt.processes.claim_process_lease("p", "me", 1, token="mine")
    clew_clock.advance(1)
    with pytest.raises(clew.Conflict):
        rt.processes.claim_process_lease("p", "you", 1, token="mine")
    assert rt.processes.claim_process_lease("p", "you", 1).fencing_token == held.fencing_token + 1


def test_records_do_where_their_parts_do(clew_store: str, rt: clew.Runtime) -> None:
    processes = rt.processes
    processes.register_process({"id": "p", "event_types": [LINE]})
    request = ProcessEventAppendRequest("producer.line", {"line": "a"}, replay_key="k")
    first = processes.append_event("p", request)
    assert processes.append_event("p", dataclasses.asdict(request)).event == first.event
    assert processes.append_event("p", "producer.line", {"line": "a"}, replay_key="k").is_replay
    described = ProcessHandleDescriptor("tool", "the tool")
    processes.grant_handle("s", "p", described)
    assert processes.list_handle_grants("s")[0].descriptor == described
    processes.grant_handle("s", "p", {"label": "other"})
    assert processes.list_handle_grants("s")[0].descriptor == ProcessHandleDescriptor(None, "other")
    with pytest.raises(clew.InvalidInput) as caught:
        processes.grant_handle("s", "p", {"lable": "x"})
    assert caught.value.context["path"] == "descriptor.lable"
    assert processes.durability_tier == ("inline" if clew_store == ":memory:" else "durable")


async def test_many_who_wait_leave_room_for_whom_they_wait_for(
    clew_store: str, rt: clew.Runtime
) -> None:
    import asyncio

    twin = clew.aio.Runtime.of(rt).processes
    await twin.register_process("p", event_types=[LINE])
    waits = [asyncio.ensure_future(twin.await_process("p")) for _ in range(100)]
    lines = [asyncio.ensure_future(twin.wait_event_after("p", "producer.line")) for _ in range(100)]
    late = asyncio.ensure_future(twin.wait_event_after("p", "producer.line", 5, timeout=0.05))
    given_up = asyncio.ensure_future(twin.await_process("p"))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    with pytest.raises(clew.Timeout):
        await late
    await twin.append_event("p", "producer.line", {"line": "a"})
    assert {line.sequence for line in await asyncio.gather(*lines)} == {1}
    assert not any(wait.done() for wait in waits)
    await twin.complete_process("p", SUCCESS)
    assert await asyncio.gather(*waits) == [SUCCESS] * 100
    with pytest.raises(clew.NotFound):
        await twin.await_process("none")
    with pytest.raises(clew.InvalidInput, match="timeout"):
        await twin.await_process("p", timeout="soon")


def test_a_wait_that_is_cancelled_does_not_keep_the_loop(rt: clew.Runtime) -> None:
    import asyncio

    rt.processes.register_process("p")

    async def wait() -> None:
        waiting = asyncio.ensure_future(clew.aio.Runtime.of(rt).processes.await_process("p"))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(wait())  # waits for the threads of its pool


async def test_a_wait_hears_of_another_handle_and_of_the_end(tmp_path: Path) -> None:
    import asyncio

    store = tmp_path / "work.db"
    with clew.Runtime(store) as rt, clew.Runtime(store) as other:
        twin = clew.aio.Runtime.of(rt).processes
        for each in ("p", "q"):
            await twin.register_process(each)
        waiting = asyncio.ensure_future(twin.await_process("p", timeout=30))
        await asyncio.sleep(0)
        await asyncio.to_thread(other.processes.complete_process, "p", SUCCESS)
        assert await waiting == SUCCESS
        waiting = asyncio.ensure_future(twin.await_process("q", timeout=30))
        await asyncio.sleep(0)
        await asyncio.to_thread(rt.close)
        with pytest.raises(clew.Closed):
            await waiting
