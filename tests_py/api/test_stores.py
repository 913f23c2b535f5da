"""Sessions, attachments, triggers and artifacts as Python sees them; the core has their laws."""

from __future__ import annotations

import dataclasses
import pickle
import random
import string
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import clew
import clew.stores
import pytest
from clew import testing
from clew.stores import (
    AgentFrame,
    BytesPart,
    Checkpoint,
    GraphDelta,
    HostEventOccurrenceRequest,
    JsonPart,
    MergeKey,
    ProcessEventSemantics,
    ProcessEventType,
    ProcessWakeSpec,
    QueuedPayload,
    QueuedWorkDraft,
    ReadScope,
    RuntimeCommit,
    SessionMeta,
    SessionNode,
    TokenLedgerEntry,
    TokenUsage,
    TriggerDraft,
    TriggerInput,
    TurnStamp,
)

AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)


@pytest.fixture
def rt(clew_runtime: clew.Runtime) -> clew.Runtime:
    return clew_runtime


def full_commit() -> RuntimeCommit:
    state = BytesPart(body=b"\x00\xffstate")
    return RuntimeCommit(
        "root",
        agent_frames=(
            AgentFrame("first", "root", status="superseded", created_at=AT),
            AgentFrame("second", "root", "plan_mode", "first", execution_state=state),
        ),
        current_agent_frame_id="second",
        graph=GraphDelta(
            "append",
            (SessionNode("a", timestamp=AT), SessionNode("b", "a", {"text": "hi", "at": [1]})),
            "b",
        ),
        checkpoint=Checkpoint(
            turn_index=3, tool_state=JsonPart(body={"generation": 9}), execution_state=state
        ),
        usage_deltas=(TokenLedgerEntry("turn", "m", TokenUsage(11, 7, 3, 5)),),
    )


def test_a_commit_comes_back_as_it_was_given(rt: clew.Runtime) -> None:
    session = rt.sessions.open("root")
    assert session.load_session() is None
    result = session.commit_runtime_state(full_commit())
    assert result.head_revision == 1
    loaded = session.load_session()
    assert loaded is not None
    assert (loaded.session_id, loaded.checkpoint_ref) == ("root", result.checkpoint_ref)
    assert [frame.frame_id for frame in loaded.agent_frames] == ["first", "second"]
    assert loaded.agent_frames[0].created_at == AT
    second = loaded.agent_frames[1].execution_state
    assert second is not None
    assert second.body == b"\x00\xffstate"
    assert loaded.graph.nodes[0].timestamp == AT
    assert loaded.graph.nodes[1].payload == {"text": "hi", "at": [1]}
    assert loaded.checkpoint.tool_state is not None
    assert loaded.checkpoint.tool_state.body == {"generation": 9}
    assert loaded.token_ledger == (TokenLedgerEntry("turn", "m", TokenUsage(11, 7, 3, 5)),)
    path = session.load_session(ReadScope("active_path", "a"))
    assert path is not None
    assert [node.node_id for node in path.graph.nodes] == ["a"]
    # What was read can be committed: a part by its ref alone.
    again = session.commit_runtime_state(
        dataclasses.replace(
            full_commit(),
            expected_head_revision=1,
            checkpoint=Checkpoint(execution_state=BytesPart(ref=second.ref)),
            graph=GraphDelta(),
        )
    )
    assert again.head_revision == 2


def test_dicts_do_as_well_as_records(rt: clew.Runtime) -> None:
    session = rt.sessions.open("root")
    session.commit_runtime_state(full_commit().to_dict())
    loaded = session.load_session({"kind": "full_graph"})
    assert loaded is not None
    assert loaded.graph.nodes[0].timestamp == AT


def test_a_turn_is_committed_once_and_its_hash_is_checked(rt: clew.Runtime) -> None:
    session = rt.sessions.open("root")
    commit = full_commit()
    digest = rt.sessions.turn_commit_hash(commit)
    stamped = dataclasses.replace(commit, turn_commit=TurnStamp("root", "turn", digest))
    first = session.commit_runtime_state(stamped)
    assert session.commit_runtime_state(stamped) == first
    with pytest.raises(clew.InvalidInput) as wrong:
        session.commit_runtime_state(
            dataclasses.replace(stamped, checkpoint=Checkpoint(turn_index=4))
        )
    assert wrong.value.context["path"] == "turn_commit.turn_commit_hash"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"session_id": " "}, "session_id"),
        ({"session_id": 3}, "session_id"),
        ({"no_such": 1}, "no_such"),
        ({"agent_frames": [{"frame_id": "a"}]}, "agent_frames[0].session_id"),
        ({"graph": {"kind": "more"}}, "graph.kind"),
        ({"graph": {"kind": "append", "nodes": [{"node_id": "a", "x": 1}]}}, "graph.nodes[0].x"),
        ({"usage_deltas": [{"source": "s", "model": "m", "usage": {"input_tokens": -1}}]},
         "usage_deltas[0].usage.input_tokens"),
        ({"checkpoint": {"turn_index": 1.5}}, "checkpoint.turn_index"),
        ({"checkpoint": {"execution_state": {"body": "no base64"}}},
         "checkpoint.execution_state.body"),
        ({"checkpoint": {"last_prompt_usage": {1, 2}}}, "commit.checkpoint.last_prompt_usage"),
        ({"graph": {"kind": "append", "nodes": [{"node_id": "a", "timestamp": AT.replace(
            tzinfo=None)}]}}, "commit.graph.nodes[0].timestamp"),
    ],
)  # fmt: skip
def test_bad_commits_name_their_path(rt: clew.Runtime, change: dict[str, Any], path: str) -> None:
    with pytest.raises(clew.InvalidInput) as wrong:
        rt.sessions.open("root").commit_runtime_state({"session_id": "root", **change})
    assert wrong.value.context["path"] == path
    assert rt.sessions.list() == []


def test_a_handle_refuses_another_session(rt: clew.Runtime) -> None:
    with pytest.raises(clew.Conflict) as wrong:
        rt.sessions.open("a").commit_runtime_state({"session_id": "b"})
    assert (wrong.value.context["bound"], wrong.value.context["attempted"]) == ("a", "b")


def test_the_head_is_compared_and_set(rt: clew.Runtime) -> None:
    session = rt.sessions.open("root")
    outcomes: list[str] = []

    def commit() -> None:
        try:
            session.commit_runtime_state({"session_id": "root"})
            outcomes.append("won")
        except clew.Conflict as lost:
            outcomes.append(f"{lost.context['expected']} {lost.context['actual']}")

    threads = [threading.Thread(target=commit) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["0 1"] * 15 + ["won"]


def test_meta_nodes_and_the_end_of_a_session(rt: clew.Runtime) -> None:
    session = rt.sessions.open("root")
    meta = SessionMeta("root", "name", AT, "m", "/tmp", "child", "parent", {"turn": 1})
    session.save_session_meta(meta)
    assert session.load_session_meta() == meta
    session.commit_runtime_state(full_commit())
    assert session.load_node("b") == SessionNode("b", "a", {"text": "hi", "at": [1]})
    with pytest.raises(clew.Conflict):
        session.tombstone_node("a")
    assert session.tombstone_node("b") is True
    assert session.load_node("b") is None
    assert session.vacuum().removed_node_count == 1
    assert rt.sessions.list() == ["root"]
    assert session.delete() is True
    assert session.delete() is False
    assert rt.sessions.list() == []
    assert session.load_session() is None
    with pytest.raises(clew.Conflict) as gone:
        session.commit_runtime_state(full_commit())
    assert gone.value.context["deleted"] is True


def draft(text: str, **options: Any) -> QueuedWorkDraft:
    return QueuedWorkDraft("root", (QueuedPayload("turn_input", {"text": text}),), **options)


def test_queued_work_is_claimed_renewed_and_completed() -> None:
    clock = clew.ManualClock()
    with clew.Runtime(clock=clock) as rt:
        session = rt.sessions.open("root")
        group: dict[str, Any] = {"slot_policy": "join", "merge_key": MergeKey("group", "g")}
        first = session.enqueue_queued_work(draft("1", source_key="k", **group))
        assert session.enqueue_queued_work(draft("other", source_key="k")).batch == first.batch
        with pytest.raises(clew.Conflict):
            session.enqueue_queued_work(draft("other", source_key="k"), strict=True)
        session.enqueue_queued_work(draft("2", **group))
        session.enqueue_queued_work(draft("later", available_at=rt._core.now() + timedelta(days=1)))
        claim = session.claim_ready_queued_work("me", ttl="1m")
        assert claim is not None
        assert [one.items[0].payload.body for one in claim.batches] == [
            {"text": "1"},
            {"text": "2"},
        ]
        assert session.claim_ready_queued_work("you") is None
        assert len(session.list_pending_queued_work()) == 1
        clock.advance(90)
        claim = session.renew_queued_work_claim(claim, "1m")  # over, and not stolen
        assert session.claim_ready_queued_work("you") is None
        clock.advance(60)
        stolen = session.claim_ready_queued_work("you", max=1)
        assert stolen is not None
        assert stolen.fencing_token > claim.fencing_token
        with pytest.raises(clew.StaleLease):
            session.renew_queued_work_claim(claim)
        with pytest.raises(clew.StaleLease):
            session.commit_runtime_state(
                {"session_id": "root", "completed_queue_claims": [claim.completion()]}
            )
        session.commit_runtime_state(
            {"session_id": "root", "completed_queue_claims": [stolen.completion()]}
        )
        assert len(session.list_queued_work()) == 2
        assert session.enqueue_queued_work(draft("1", source_key="k")).is_done
        found = session.claim_ready_queued_work_by_batch_ids(
            "me", [session.list_queued_work()[0].batch_id]
        )
        assert found is not None
        session.abandon_queued_work_claim(found)
        assert session.cancel_queued_work_batch(found.batches[0].batch_id) == found.batches[0]
        clock.advance(3600 * 24)
        last = session.claim_ready_queued_work("me")
        assert last is not None
        session.complete_queued_work_claim(last.completion())
        assert session.list_queued_work() == []
        assert rt.sessions.forget_sources("2d") == 0
        assert rt.sessions.forget_sources("1h") == 1


def test_a_wake_is_enqueued_once(rt: clew.Runtime) -> None:
    session = rt.sessions.open("root")
    wake = {"wake_id": "wake:1", "target_session_id": "root", "input": "done"}
    assert session.enqueue_wake(wake).is_new
    assert not session.enqueue_wake({**wake, "input": "again"}).is_new
    with pytest.raises(clew.InvalidInput) as wrong:
        session.enqueue_wake({"wake_id": "wake:1"})
    assert wrong.value.context["path"] == "wake.target_session_id"


def test_attachments_are_files_when_they_are_large(tmp_path: Path) -> None:
    clock = clew.ManualClock()
    with clew.Runtime(tmp_path / "work.db", clock=clock) as rt:
        small = rt.attachments.put("root", b"small", "image/png", width=7, height=11, label="pixel")
        large = rt.attachments.put("root", (b"x" * 100_000 for _ in range(5)), "text/plain")
        files = [one for one in (tmp_path / "work.db.attachments").rglob("*") if one.is_file()]
        assert [one.parent.name + one.name for one in files] == [large.id]
        assert (small.byte_len, small.width, small.height, small.label) == (5, 7, 11, "pixel")
        assert rt.attachments.get("root", small.id).data == b"small"
        parts = list(rt.attachments.open("root", large.id))
        assert b"".join(parts) == b"x" * 500_000
        assert len(parts) > 1
        assert rt.attachments.stat("root", large.id) == large
        assert {one.id for one in rt.attachments.list("root")} == {small.id, large.id}
        assert len(rt.attachments.list_uncommitted()) == 2
        rt.attachments.commit_refs("root", [small.id])
        assert [one.attachment_id for one in rt.attachments.list_uncommitted()] == [large.id]
        with pytest.raises(clew.NotFound):
            rt.attachments.get("other", small.id)
        with pytest.raises(clew.InvalidInput, match="media_type"):
            rt.attachments.put("root", b"x", "")
        with pytest.raises(clew.InvalidInput, match=r"data\[1\]"):
            rt.attachments.put("root", [b"x", "y"], "text/plain")  # type: ignore[list-item]  # on purpose
        assert rt.attachments.forget("root", large.id)
        assert rt.attachments.sweep("1h").deleted_files == 0
        clock.advance("2h")
        assert rt.attachments.sweep("1h").deleted_files == 1
        assert not files[0].exists()
    with clew.Runtime(tmp_path / "work.db") as rt:
        assert rt.attachments.get("root", small.id).ref == small
        assert rt.verify() == []


def test_an_unfinished_attachment_leaves_nothing(tmp_path: Path) -> None:
    def breaks() -> Any:
        yield b"x" * 500_000
        raise ZeroDivisionError

    with clew.Runtime(tmp_path / "work.db") as rt:
        with pytest.raises(ZeroDivisionError):
            rt.attachments.put("root", breaks(), "text/plain")
        assert rt.attachments.list_uncommitted() == ()
        folder = tmp_path / "work.db.attachments"
        assert [one for one in folder.rglob("*") if one.is_file()] == []


def test_triggers_deliver_each_event_once(rt: clew.Runtime) -> None:
    made = rt.triggers.register_subscription(
        TriggerDraft(
            "root",
            "ui.pressed",
            "on_press",
            {"button": "Blue"},
            input_template=(TriggerInput("event"), TriggerInput("color", "fixed", "blue")),
        )
    )
    assert made.draft.source_key == rt.triggers.source_key_for_subscription(
        "ui.pressed", {"button": "Blue"}
    )
    assert made.draft.input_template[1].value == "blue"
    assert rt.triggers.list_subscriptions(session_id="root", enabled=True) == [made]
    assert rt.triggers.list_subscriptions(handle="trigger:99") == []
    event = rt.triggers.record_occurrence("ui.pressed", made.draft.source_key, {"n": 1}, key="1")
    assert (
        rt.triggers.record_occurrence("ui.pressed", made.draft.source_key, {"n": 1}, key="1")
        == event
    )
    with pytest.raises(clew.Conflict) as other:
        rt.triggers.record_occurrence("ui.pressed", made.draft.source_key, {"n": 2}, key="1")
    assert other.value.context["path"] == "payload.n"
    (delivery,) = rt.triggers.reserve_matching_deliveries(event.occurrence_id)
    assert (delivery.subscription, delivery.occurrence) == (made, event)
    assert rt.triggers.reserve_matching_deliveries(event.occurrence_id) == ()
    assert rt.triggers.unregistered() == (delivery,)
    assert rt.triggers.mark_registered(delivery.process_id) is True
    assert rt.triggers.mark_registered(delivery.process_id) is False
    assert rt.triggers.unregistered() == ()
    assert rt.triggers.cancel_subscription("other", made.handle) is False
    assert rt.triggers.cancel_subscription("root", made.handle) is True
    with pytest.raises(clew.NotFound):
        rt.triggers.reserve_matching_deliveries("host_event:none")
    with pytest.raises(clew.InvalidInput) as wrong:
        rt.triggers.register_subscription({"session_id": "root", "source_type": "x"})
    assert wrong.value.context["path"] == "process_name"


def test_modules_are_what_their_refs_say(rt: clew.Runtime) -> None:
    module = rt.artifacts.seal(
        {"exports": {"echo": {"component": "c"}}, "canonical_ir": {"body": [1, 1.0, "x"]}}
        | {"required_surface": {"abilities": []}}
    )
    assert rt.artifacts.get_module_artifact(module.module_ref) is None
    assert rt.artifacts.put_module_artifact(module) == module.module_ref
    assert rt.artifacts.get_module_artifact(module.module_ref) == module
    assert rt.artifacts.list() == [module.module_ref]
    with pytest.raises(clew.InvalidInput) as wrong:
        rt.artifacts.put_module_artifact(dataclasses.replace(module, canonical_ir={"body": []}))
    assert wrong.value.context["path"] == "module_ref"
    assert rt.artifacts.remove(module.module_ref)
    assert rt.artifacts.get_module_artifact(module.module_ref) is None
    assert rt.artifacts.seal({"canonical_ir": 1}) == rt.artifacts.seal(
        {"exports": {}, "canonical_ir": 1, "dependencies": []}
    )


def test_damage_is_named_and_found_by_verify(rt: clew.Runtime, tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "work.db"
    with clew.Runtime(path) as rt:
        rt.sessions.open("root").commit_runtime_state(full_commit())
        assert rt.verify() == []
    with sqlite3.connect(path) as db:
        db.execute("UPDATE session_nodes SET node = '{}'")
    with clew.Runtime(path) as rt:
        with pytest.raises(clew.Corrupt) as wrong:
            rt.sessions.open("root").load_session()
        assert wrong.value.context["table"] == "session_nodes"
        assert [one.invariant for one in rt.verify()] == ["sessions.readable"]


def test_records_are_frozen_shown_briefly_and_pickled(rt: clew.Runtime) -> None:
    session = rt.sessions.open("root")
    secret = draft("secret")
    receipt = session.enqueue_queued_work(secret)
    for one in (secret, receipt, full_commit()):
        assert "secret" not in repr(one)
        assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(dataclasses.FrozenInstanceError):
        receipt.is_new = False  # type: ignore[misc]  # on purpose
    for handle in (session, rt.sessions, rt.attachments, rt.triggers, rt.artifacts):
        assert "secret" not in repr(handle)


def test_a_session_is_named_by_its_id_or_by_a_record(clew_store: str, rt: clew.Runtime) -> None:
    sessions = rt.sessions
    assert sessions.load_session("root") is None
    assert sessions.commit_runtime_state(full_commit()).head_revision == 1
    loaded = sessions.load_session("root", "active_path")
    assert loaded is not None
    assert loaded == sessions.open("root").load_session({"kind": "active_path"})
    sessions.save_session_meta(meta={"session_id": "root", "session_name": "name"})
    found = sessions.load_session_meta(session_id="root")
    assert found is not None
    assert found.session_name == "name"
    receipt = sessions.enqueue_queued_work(draft("1"), strict=True)
    assert (receipt.batch_id, receipt.items) == (receipt.batch.batch_id, receipt.batch.items)
    assert sessions.list_queued_work("root") == [receipt.batch]
    assert sessions.list_pending_queued_work("other") == []
    claim = sessions.claim_ready_queued_work("root", "me", "idle", "1m", 10)
    assert claim is not None
    claim = sessions.renew_queued_work_claim(claim, "2m")
    assert sessions.cancel_queued_work_batch("root", receipt.batch_id) is None
    sessions.abandon_queued_work_claim(dataclasses.asdict(claim))
    again = sessions.claim_ready_queued_work_by_batch_ids("root", "me", [receipt.batch_id])
    assert again is not None
    sessions.complete_queued_work_claim(again.completion())
    assert sessions.load_node("root", "b") is not None
    assert sessions.tombstone_nodes("root", ["a", "b"]) == 2
    assert sessions.vacuum("root").removed_node_count == 2
    assert sessions.delete_session("root") is True
    for call in (lambda: sessions.commit_runtime_state(3), lambda: sessions.load_session("")):  # type: ignore[arg-type]  # on purpose
        with pytest.raises(clew.InvalidInput) as wrong:
            call()
        assert wrong.value.context["path"] in ("commit", "session_id")


def test_nodes_are_taken_out_all_or_none_in_any_order(clew_store: str, rt: clew.Runtime) -> None:
    session = rt.sessions.open("root")
    nodes = ("a", None), ("b", "a"), ("c", "b"), ("d", "b"), ("e", "a")
    session.commit_runtime_state(
        RuntimeCommit(
            "root", graph=GraphDelta("append", tuple(SessionNode(*one) for one in nodes), "c")
        )
    )
    with pytest.raises(clew.Conflict) as wrong:
        session.tombstone_nodes(["b", "d", "none"])
    assert (wrong.value.context["node_id"], wrong.value.context["child"]) == ("b", "c")
    assert session.load_node("d") is not None
    assert session.tombstone_nodes(["c", "none", "b", "d"]) == 3
    left = session.load_session()
    assert left is not None
    assert [node.node_id for node in left.graph.nodes] == ["a", "e"]
    assert left.graph.leaf_node_id == "a"
    assert session.tombstone_nodes([]) == 0
    for ids in ("ab", None, 3, {"a": 1}):
        with pytest.raises(clew.InvalidInput) as refused:
            session.tombstone_nodes(ids)  # type: ignore[arg-type]  # on purpose
        assert refused.value.context["path"] == "node_ids"
    assert rt.verify() == []


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda rt: rt.sessions.list(after=b"x"), "after"),
        (lambda rt: rt.sessions.open("  "), "session_id"),
        (lambda rt: rt.sessions.open("a\0b"), "session_id"),
        (lambda rt: rt.sessions.open("x" * 769), "session_id"),
        (lambda rt: rt.sessions.open("root").load_node(b"x"), "node_id"),
        (lambda rt: rt.sessions.open("root").claim_ready_queued_work("me", max=AT), "max"),
        (lambda rt: rt.sessions.open("root").claim_ready_queued_work("a\0b"), "owner_id"),
        (lambda rt: rt.sessions.open("root").claim_ready_queued_work_by_batch_ids("me", "x"),
         "batch_ids"),
        (lambda rt: rt.sessions.open("root").enqueue_queued_work(
            draft("1", available_at=4_102_444_800_000)), "draft.available_at"),
        (lambda rt: rt.sessions.open("root").enqueue_queued_work(
            draft("1", available_at=datetime(2100, 1, 1))), "draft.available_at"),
        (lambda rt: rt.sessions.open("root").enqueue_queued_work(
            QueuedWorkDraft("root", (QueuedPayload("turn_input", b"x"),))),
         "draft.payloads[0].body"),
        (lambda rt: rt.sessions.open("root").save_session_meta(SessionMeta("root", "a\0b")),
         "session_name"),
        (lambda rt: rt.attachments.stat("root", b"x"), "attachment_id"),
        (lambda rt: rt.attachments.get("a\0b", "x"), "session_id"),
        (lambda rt: rt.attachments.put("root", None, "text/plain"), "data"),
        (lambda rt: rt.attachments.put("root", "text", "text/plain"), "data"),
        (lambda rt: rt.attachments.put("root", b"x", "text/plain", label="a\0b"), "label"),
        (lambda rt: rt.attachments.commit_refs("root", "abc"), "ids"),
        (lambda rt: rt.triggers.list_subscriptions(session_id=b"x"), "filter.session_id"),
        (lambda rt: rt.triggers.source_key_for_subscription("ui", b"x"), "source"),
        (lambda rt: rt.triggers.record_occurrence("ui", "a\0b", key="k"), "source_key"),
        (lambda rt: rt.triggers.record_occurrence("ui", "k"), "idempotency_key"),
    ],
)  # fmt: skip
def test_bad_arguments_name_their_path_on_every_store(
    clew_store: str, rt: clew.Runtime, call: Any, path: str
) -> None:
    with pytest.raises(clew.InvalidInput) as wrong:
        call(rt)
    assert wrong.value.context["path"] == path
    assert {"value", "expected"} <= wrong.value.context.keys()
    assert rt.sessions.open("root").list_queued_work() == []


def test_the_wake_of_an_append_can_be_enqueued(clew_store: str, rt: clew.Runtime) -> None:
    woken = ProcessEventType("up", semantics=ProcessEventSemantics(wake=ProcessWakeSpec("payload")))
    rt.processes.register_process("p", event_types=[woken])
    wake = rt.processes.append_event("p", "up", "now", wake_target_scope="root").wake_delivery
    assert wake is not None
    receipt = rt.sessions.enqueue_wake("root", wake)
    assert (receipt.source_key, receipt.items[0].payload.kind) == (wake.wake_id, "process_wake")
    assert rt.sessions.open("root").enqueue_wake(wake).batch == receipt.batch


def test_a_delivery_whose_process_is_registered_is_not_lost(
    clew_store: str, clew_clock: clew.ManualClock, rt: clew.Runtime
) -> None:
    triggers = rt.triggers
    made = triggers.register_subscription(TriggerDraft("root", "ui", "on_press"))
    assert (made.session_id, made.source_key) == ("root", made.draft.source_key)
    request = HostEventOccurrenceRequest("ui", made.source_key, {"n": 1}, "press-1")
    event = triggers.record_occurrence(request)
    assert triggers.record_occurrence(dataclasses.asdict(request)) == event
    assert event == triggers.record_occurrence(
        "ui", made.source_key, {"n": 1}, idempotency_key="press-1"
    )
    (delivery,) = triggers.reserve_matching_deliveries(event.occurrence_id)
    clew_clock.advance(1)
    assert triggers.prune(0) == 0
    assert triggers.unregistered() == (delivery,)
    rt.processes.register_process(delivery.process_id)
    assert triggers.unregistered() == ()
    assert triggers.mark_registered(delivery.process_id) is True
    assert triggers.mark_registered(delivery.process_id) is False
    assert triggers.prune(0) == 1
    assert rt.verify() == []


def test_a_kind_alone_is_a_word(clew_store: str, rt: clew.Runtime) -> None:
    session = rt.sessions.open("root")
    made = session.enqueue_queued_work(draft("1", merge_key="payload_default")).batch
    assert made.merge_key == MergeKey("payload_default")
    for word, path in (("group", "merge_key.group"), ("always", "merge_key.kind")):
        with pytest.raises(clew.InvalidInput) as wrong:
            session.enqueue_queued_work(draft("1", merge_key=word))
        assert wrong.value.context["path"] == path


def test_attachments_have_the_words_of_their_parts(clew_store: str, rt: clew.Runtime) -> None:
    ref = rt.attachments.put("root", memoryview(b"hello"), "text/plain")
    stored = rt.attachments.get("root", ref.id)
    assert (stored.bytes, stored.meta) == (stored.data, stored.ref) == (b"hello", ref)


def test_records_have_their_longer_names_too() -> None:
    assert clew.stores.QueuedWorkBatchDraft is QueuedWorkDraft
    assert clew.stores.SessionNodeRecord is SessionNode
    assert clew.stores.TriggerSubscriptionDraft is TriggerDraft


def test_every_store_keeps_keys_of_the_same_length(clew_store: str, rt: clew.Runtime) -> None:
    draw = random.Random(1)
    whole, long = ("".join(draw.choices(string.ascii_letters, k=k)) for k in (768, 769))
    session = rt.sessions.open(whole)
    usage = (TokenLedgerEntry(whole, whole, TokenUsage(1)),)
    nodes = GraphDelta("append", (SessionNode(whole), SessionNode("b", whole)), whole)
    session.commit_runtime_state(RuntimeCommit(whole, usage_deltas=usage, graph=nodes))
    made = QueuedWorkDraft(whole, (QueuedPayload("turn_input"),), whole, slot_policy="join")
    assert session.enqueue_queued_work(made).is_new
    assert not session.enqueue_queued_work(made).is_new
    assert session.claim_ready_queued_work(whole) is not None
    event = rt.triggers.record_occurrence(whole, whole, whole, key=whole)
    assert rt.triggers.record_occurrence(whole, whole, whole, key=whole) == event
    rt.attachments.record_intent(whole, whole)
    assert [one.attachment_id for one in rt.attachments.list_uncommitted()] == [whole]
    refused: list[Callable[[], object]] = [
        lambda: rt.sessions.open(long),
        lambda: session.load_node(long),
        lambda: session.enqueue_queued_work(dataclasses.replace(made, source_key=long)),
        lambda: rt.triggers.record_occurrence(whole, whole, key=long),
        lambda: rt.attachments.record_intent("root", long),
    ]
    for call in refused:
        with pytest.raises(clew.InvalidInput):
            call()
    assert rt.verify() == []


def test_what_was_not_said_comes_back_unsaid(clew_store: str) -> None:
    with clew.Runtime(clew_store) as rt:
        rt.sessions.save_session_meta(SessionMeta("root", "n"))
        assert rt.sessions.load_session_meta("root") == SessionMeta("root", "n")
        frame, node = AgentFrame("f", "root"), SessionNode("a", payload={"x": 1})
        rt.sessions.commit_runtime_state(
            RuntimeCommit(
                "root",
                agent_frames=(frame,),
                current_agent_frame_id="f",
                graph=GraphDelta("append", (node,), "a"),
            )
        )
        read = rt.sessions.load_session("root")
        assert read is not None
        assert (read.agent_frames, read.graph.nodes) == ((frame,), (node,))


def test_only_the_current_frame_is_active(rt: clew.Runtime) -> None:
    first, second = AgentFrame("first", "root"), AgentFrame("second", "root", "more", "first")
    rt.sessions.commit_runtime_state(
        RuntimeCommit("root", agent_frames=(first, second), current_agent_frame_id="second")
    )
    read = rt.sessions.load_session("root")
    assert read is not None
    assert [frame.status for frame in read.agent_frames] == ["superseded", "active"]


def test_a_claim_says_what_it_completes(rt: clew.Runtime) -> None:
    session = rt.sessions.open("root")
    session.enqueue_queued_work(draft("one"))
    claim = session.claim_ready_queued_work("me")
    assert claim is not None
    rt.sessions.complete_queued_work_claim(claim)
    session.enqueue_queued_work(draft("two"))
    claim = session.claim_ready_queued_work("me")
    assert claim is not None
    session.commit_runtime_state({"session_id": "root", "completed_queue_claims": [claim]})
    session.enqueue_queued_work(draft("three"))
    claim = session.claim_ready_queued_work("me")
    assert claim is not None
    session.commit_runtime_state(
        RuntimeCommit("root", expected_head_revision=1, completed_queue_claims=(claim,))
    )
    assert session.list_queued_work() == []


@pytest.mark.parametrize("made", [bytearray, memoryview])
def test_bytes_of_any_kind_are_a_state(rt: clew.Runtime, made: Callable[[bytes], Any]) -> None:
    state = BytesPart(body=made(b"\x00\xff"))
    rt.sessions.commit_runtime_state(
        RuntimeCommit("root", checkpoint=Checkpoint(execution_state=state))
    )
    read = rt.sessions.load_session("root")
    assert read is not None
    assert read.checkpoint.execution_state is not None
    assert read.checkpoint.execution_state.body == b"\x00\xff"


def test_a_sweep_fails_no_put_of_bytes(clew_store: str) -> None:
    data = random.Random(1).randbytes(1_500_000)  # some parts, so that they are staged
    swept = []
    with clew.Runtime(clew_store) as rt:

        def sweep() -> None:
            if len(swept) < 3:
                swept.append(rt.attachments.sweep(0))
                rt.sessions.gc_unreachable(0)

        with testing.fault("attachment.intent.after", sweep):
            ref = rt.attachments.put("root", data, "image/png")
        assert len(swept) == 3
        assert rt.attachments.get("root", ref.id).data == data
        assert rt.verify() == []

        def parts() -> Iterator[bytes]:
            yield data[:1_200_000]
            swept.clear()
            yield b"more"

        with testing.fault("attachment.intent.after", sweep), pytest.raises(clew.Conflict):
            rt.attachments.put("root", parts(), "image/png")
        assert len(rt.attachments.list("root")) == 1


def test_what_is_said_twice_must_be_the_same(rt: clew.Runtime) -> None:
    record = rt.triggers.record_occurrence
    first = record("t", "s", 1, key="a", idempotency_key="a")
    with pytest.raises(clew.InvalidInput, match="idempotency_key"):
        record("t", "s", 1, key="a", idempotency_key="b")
    request = HostEventOccurrenceRequest("t", "s", 1, "a")
    assert record(request).occurrence_id == first.occurrence_id
    for name, rest in {"payload": 2, "source_key": "s", "key": "b", "source": {}}.items():
        with pytest.raises(clew.InvalidInput, match=name):
            record(request, **{name: rest})
