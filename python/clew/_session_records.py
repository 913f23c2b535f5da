"""The records of sessions and their queues."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ._stores import Stored, from_us, reads, record, records, through, with_base64

__all__ = [
    "AgentFrame",
    "BytesPart",
    "Checkpoint",
    "CommitResult",
    "GcReport",
    "GraphDelta",
    "JsonPart",
    "MergeKey",
    "PersistedSession",
    "QueuedItem",
    "QueuedPayload",
    "QueuedWorkBatch",
    "QueuedWorkClaim",
    "QueuedWorkCompletion",
    "QueuedWorkDraft",
    "QueuedWorkReceipt",
    "ReadScope",
    "RuntimeCommit",
    "SessionConfig",
    "SessionGraph",
    "SessionMeta",
    "SessionNode",
    "TokenLedgerEntry",
    "TokenUsage",
    "TurnStamp",
    "VacuumReport",
]


@dataclass(frozen=True, repr=False, slots=True)
class TokenUsage(Stored):
    """Counted tokens."""

    _facts = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, repr=False, slots=True)
class TokenLedgerEntry(Stored):
    """Tokens by source and model. Entries of a commit are added to what the session has."""

    _facts = ("source", "model", "usage")
    _reads = reads(usage=record(TokenUsage))

    source: str
    model: str
    usage: TokenUsage = TokenUsage()


@dataclass(frozen=True, repr=False, slots=True)
class JsonPart(Stored):
    """A part of a checkpoint that is JSON. ``ref`` alone means: as stored before."""

    _facts = ("ref",)

    ref: str | None = None
    body: Any = field(default=None, hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class BytesPart(Stored):
    """The same for a part that is bytes."""

    _facts = ("ref",)
    _reads = reads(body=base64.b64decode)

    ref: str | None = None
    body: bytes | None = None

    def _plain(self, path: str) -> dict[str, Any]:
        return with_base64(Stored._plain(self, path))


@dataclass(frozen=True, repr=False, slots=True)
class Checkpoint(Stored):
    """The state of a session between two turns."""

    _facts = ("turn_index", "plugin_snapshot_revision")
    _reads = reads(
        token_usage=record(TokenUsage),
        tool_state=record(JsonPart),
        plugin_snapshot=record(JsonPart),
        execution_state=record(BytesPart),
    )

    turn_index: int = 0
    token_usage: TokenUsage = TokenUsage()
    last_prompt_usage: Any = field(default=None, hash=False)
    protocol_turn_options: Any = field(default=None, hash=False)
    tool_state: JsonPart | None = None
    plugin_snapshot: JsonPart | None = None
    plugin_snapshot_revision: int = 0
    execution_state: BytesPart | None = None


@dataclass(frozen=True, repr=False, slots=True)
class AgentFrame(Stored):
    """One frame of an agent. A commit has its current one active, and all others superseded."""

    _facts = ("frame_id", "session_id", "status", "reason")
    _reads = reads(created_at=from_us, execution_state=record(BytesPart))

    frame_id: str
    session_id: str
    reason: str = "initial"
    previous_frame_id: str | None = None
    status: Literal["active", "superseded"] = "active"
    caused_by: Any = field(default=None, hash=False)
    created_at: datetime | None = None
    assignment: Any = field(default=None, hash=False)
    protocol_turn_options: Any = field(default=None, hash=False)
    execution_state: BytesPart | None = None


@dataclass(frozen=True, repr=False, slots=True)
class SessionNode(Stored):
    """A node of the graph: an event of the conversation, or a plugin's."""

    _facts = ("node_id", "parent_node_id", "timestamp")
    _reads = reads(timestamp=from_us)

    node_id: str
    parent_node_id: str | None = None
    payload: Any = field(default=None, hash=False)
    caused_by: Any = field(default=None, hash=False)
    agent_frame_id: str | None = None
    timestamp: datetime | None = None


@dataclass(frozen=True, repr=False, slots=True)
class SessionGraph(Stored):
    """Nodes in the order in which they were inserted, and where the conversation stands."""

    _facts = ("leaf_node_id",)
    _reads = reads(nodes=records(SessionNode))

    nodes: tuple[SessionNode, ...] = ()
    leaf_node_id: str | None = None


@dataclass(frozen=True, repr=False, slots=True)
class GraphDelta(Stored):
    """What a commit does to the graph."""

    _facts = ("kind", "leaf_node_id")
    _reads = reads(nodes=records(SessionNode))

    kind: Literal["unchanged", "append", "replace_full"] = "unchanged"
    nodes: tuple[SessionNode, ...] = ()
    leaf_node_id: str | None = None


@dataclass(frozen=True, repr=False, slots=True)
class SessionConfig(Stored):
    """Which model a session talks to."""

    _facts = ("provider_id", "model")

    provider_id: str = ""
    model: str = ""


@dataclass(frozen=True, repr=False, slots=True)
class TurnStamp(Stored):
    """Says which turn a commit is of; its hash is that of `Sessions.turn_commit_hash`."""

    _facts = ("session_id", "turn_id")

    session_id: str
    turn_id: str
    turn_commit_hash: str


@dataclass(frozen=True, repr=False, slots=True)
class QueuedWorkCompletion(Stored):
    """What a claim's owner shows when all of its batches are done."""

    _facts = ("session_id", "claim_id", "batch_ids")
    _reads = reads(batch_ids=tuple)

    session_id: str
    claim_id: str
    lease_token: str
    batch_ids: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False, slots=True)
class RuntimeCommit(Stored):
    """The new state of a session, applied whole or not at all.

    ``expected_head_revision`` None means that there must be no head yet. A claim completes what its
    `QueuedWorkClaim.completion` names.
    """

    _facts = ("session_id", "expected_head_revision", "current_agent_frame_id")
    _reads = reads(
        config=record(SessionConfig),
        agent_frames=records(AgentFrame),
        graph=record(GraphDelta),
        checkpoint=record(Checkpoint),
        usage_deltas=records(TokenLedgerEntry),
        turn_commit=record(TurnStamp),
        completed_queue_claims=records(QueuedWorkCompletion),
        committed_attachment_ids=tuple,
    )

    session_id: str
    expected_head_revision: int | None = None
    config: SessionConfig = SessionConfig()
    agent_frames: tuple[AgentFrame, ...] = ()
    current_agent_frame_id: str | None = None
    graph: GraphDelta = GraphDelta()
    checkpoint: Checkpoint = Checkpoint()
    usage_deltas: tuple[TokenLedgerEntry, ...] = ()
    turn_commit: TurnStamp | None = None
    completed_queue_claims: tuple[QueuedWorkCompletion | QueuedWorkClaim, ...] = ()
    committed_attachment_ids: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False, slots=True)
class CommitResult(Stored):
    """Where the head is after a commit, and by which ids its parts are stored."""

    _facts = ("head_revision", "checkpoint_ref")

    head_revision: int
    checkpoint_ref: str
    manifest: dict[str, Any] = field(hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class SessionMeta(Stored):
    """A session's name and the like; a child names its parent."""

    _facts = ("session_id", "session_name", "created_at", "model", "relation")
    _reads = reads(created_at=from_us)

    session_id: str
    session_name: str = ""
    created_at: datetime | None = None
    model: str = ""
    cwd: str | None = None
    relation: Literal["root", "child"] = "root"
    parent_session_id: str | None = None
    caused_by: Any = field(default=None, hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class ReadScope(Stored):
    """Which part of the graph is read: all, or the way to a leaf (None: the session's own)."""

    _facts = ("kind", "leaf_node_id")

    kind: Literal["full_graph", "active_path"] = "full_graph"
    leaf_node_id: str | None = None


@dataclass(frozen=True, repr=False, slots=True)
class PersistedSession(Stored):
    """A session as its last commit left it."""

    _facts = ("session_id", "head_revision", "current_agent_frame_id", "checkpoint_ref")
    _reads = reads(
        config=record(SessionConfig),
        agent_frames=records(AgentFrame),
        graph=record(SessionGraph),
        checkpoint=record(Checkpoint),
        token_ledger=records(TokenLedgerEntry),
    )

    session_id: str
    head_revision: int
    config: SessionConfig
    agent_frames: tuple[AgentFrame, ...]
    current_agent_frame_id: str | None
    graph: SessionGraph
    checkpoint_ref: str
    checkpoint: Checkpoint
    token_ledger: tuple[TokenLedgerEntry, ...]


@dataclass(frozen=True, repr=False, slots=True)
class GcReport(Stored):
    """What a collection did."""

    _facts = ("root_count", "retained_blob_count", "deleted_blob_count")

    root_count: int
    retained_blob_count: int
    deleted_blob_count: int


@dataclass(frozen=True, repr=False, slots=True)
class VacuumReport(Stored):
    """What a vacuum removed."""

    _facts = ("removed_node_count",)

    removed_node_count: int


@dataclass(frozen=True, repr=False, slots=True)
class MergeKey(Stored):
    """Neighbours join when their keys are equal; ``"never"`` is equal to nothing."""

    _facts = ("kind", "group")

    kind: Literal["never", "payload_default", "group"] = "never"
    group: str | None = None


@dataclass(frozen=True, repr=False, slots=True)
class QueuedPayload(Stored):
    """What enters the session. A command is "refresh_tool_surface" or "reset_session"."""

    _facts = ("kind",)

    kind: Literal["turn_input", "process_wake", "session_command"]
    body: Any = field(default=None, hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class QueuedWorkDraft(Stored):
    """A batch to be enqueued. The same ``source_key`` again finds the first."""

    _facts = ("session_id", "source_key", "delivery_policy", "slot_policy")
    _reads = reads(
        payloads=records(QueuedPayload),
        merge_key=record(MergeKey),
        available_at=from_us,
    )

    session_id: str
    payloads: tuple[QueuedPayload, ...] = ()
    source_key: str | None = None
    delivery_policy: Literal["earliest_safe_boundary", "after_current_turn_commit"] = (
        "earliest_safe_boundary"
    )
    slot_policy: Literal["join", "exclusive"] = "exclusive"
    merge_key: MergeKey | Literal["never", "payload_default"] = MergeKey()
    available_at: datetime | None = None


@dataclass(frozen=True, repr=False, slots=True)
class QueuedItem(Stored):
    """One payload of a batch."""

    _facts = ("item_id",)
    _reads = reads(payload=record(QueuedPayload))

    item_id: str
    payload: QueuedPayload


@dataclass(frozen=True, repr=False, slots=True)
class QueuedWorkBatch(Stored):
    """A batch in the queue."""

    _facts = ("batch_id", "enqueue_seq", "session_id", "source_key")
    _reads = reads(
        enqueued_at=from_us,
        merge_key=record(MergeKey),
        available_at=from_us,
        items=records(QueuedItem),
    )

    batch_id: str
    enqueue_seq: int
    enqueued_at: datetime
    session_id: str = ""
    source_key: str | None = None
    delivery_policy: str = "earliest_safe_boundary"
    slot_policy: str = "exclusive"
    merge_key: MergeKey = MergeKey()
    available_at: datetime | None = None
    items: tuple[QueuedItem, ...] = ()


@dataclass(frozen=True, repr=False, slots=True)
class QueuedWorkReceipt(Stored):
    """What became of a draft: its batch, or the first of its source key."""

    _facts = ("batch", "is_new", "is_done")
    _reads = reads(batch=record(QueuedWorkBatch))

    batch: QueuedWorkBatch
    is_new: bool
    is_done: bool

    batch_id = through("batch", "batch_id")
    enqueue_seq = through("batch", "enqueue_seq")
    enqueued_at = through("batch", "enqueued_at")
    session_id = through("batch", "session_id")
    source_key = through("batch", "source_key")
    items = through("batch", "items")


@dataclass(frozen=True, repr=False, slots=True)
class QueuedWorkClaim(Stored):
    """Batches that one owner holds. Over at ``expires_at``, and its owner's until it is stolen."""

    _facts = ("session_id", "claim_id", "owner_id", "fencing_token", "expires_at")
    _reads = reads(claimed_at=from_us, expires_at=from_us, batches=records(QueuedWorkBatch))

    session_id: str
    claim_id: str
    owner_id: str
    lease_token: str
    fencing_token: int
    claimed_at: datetime
    expires_at: datetime
    batches: tuple[QueuedWorkBatch, ...]

    def completion(self) -> QueuedWorkCompletion:
        """Return what a commit names to complete it."""
        ids = tuple(batch.batch_id for batch in self.batches)
        return QueuedWorkCompletion(self.session_id, self.claim_id, self.lease_token, ids)
