"""Processes as Python sees them; the core's conformance cases have their laws."""

from __future__ import annotations

import dataclasses
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import clew
import clew.aio
import clew.stores
import pytest
from clew.stores import (
    ProcessEventSemantics,
    ProcessEventType,
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
