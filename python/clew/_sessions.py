"""Sessions: their state, their graph, and the queue of what waits to enter them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from . import _check, _core
from ._stores import Duration, Front, Stored, duration_us, from_us, reads, record, records

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
    "Session",
    "SessionConfig",
    "SessionGraph",
    "SessionMeta",
    "SessionNode",
    "Sessions",
    "TokenLedgerEntry",
    "TokenUsage",
    "TurnStamp",
    "VacuumReport",
]

Boundary = Literal["active_turn_checkpoint", "idle"]
Ids: TypeAlias = "list[str]"  # within the class, "list" is its method


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
    """One frame of an agent. The last one that was appended is active."""

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

    ``expected_head_revision`` None means that there must be no head yet.
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
    completed_queue_claims: tuple[QueuedWorkCompletion, ...] = ()
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
    merge_key: MergeKey = MergeKey()
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


class Session(Front):
    """A handle on one session, which need not exist yet. Thread-safe. Every method blocks.

    It refuses records of another session with `Conflict`, as it does all changes of a session that
    was deleted. Records may be given as dicts of their fields; `InvalidInput` names the path of
    what is wrong.
    """

    __slots__ = ("_id",)

    def __init__(self, core: _core.Runtime, session_id: str) -> None:
        super().__init__(core)
        self._id = session_id

    @property
    def id(self) -> str:
        """Its id."""
        return self._id

    def commit_runtime_state(self, commit: RuntimeCommit | Mapping[str, Any]) -> CommitResult:
        """Apply a new state. The same turn again gives its first result and does nothing else.

        Raises:
            Conflict: Another head than expected (``expected``, ``actual``), or the turn was
                committed with other content.
            StaleLease: A completed claim does not hold its batches any more.
            NotFound: A ref without its body, or an attachment, is not stored.
            ResourceExhausted: It is too large.
        """
        return CommitResult._from(self._do("session.commit", session_id=self._id, commit=commit))

    def load_session(
        self, scope: ReadScope | Mapping[str, Any] | None = None
    ) -> PersistedSession | None:
        """Return its state; None before the first commit and after its end.

        Raises:
            NotFound: The scope's leaf is not in the graph.
        """
        found = self._do("session.load", session_id=self._id, scope=scope)
        return found and PersistedSession._from(found)

    def load_node(self, node_id: str) -> SessionNode | None:
        """Return a node of the graph, or None."""
        found = self._do("session.load_node", session_id=self._id, node_id=node_id)
        return found and SessionNode._from(found)

    def tombstone_node(self, node_id: str) -> bool:
        """Take a node out of the graph; False when it is not there.

        Raises:
            Conflict: It has a ``child``: nodes go from the leaves inwards.
        """
        done = self._do("session.tombstone_node", session_id=self._id, node_id=node_id)
        return bool(done)

    def vacuum(self) -> VacuumReport:
        """Remove the rows of nodes that were taken out."""
        return VacuumReport._from(self._do("session.vacuum", session_id=self._id))

    def save_session_meta(self, meta: SessionMeta | Mapping[str, Any]) -> None:
        """Keep its name and the like; also before the first commit."""
        self._do("session.save_meta", session_id=self._id, meta=meta)

    def load_session_meta(self) -> SessionMeta | None:
        """Return what `save_session_meta` kept, or None."""
        found = self._do("session.load_meta", session_id=self._id)
        return found and SessionMeta._from(found)

    def delete(self) -> bool:
        """Forget the session with all that it has, and its id for ever. False: it was before.

        Processes that nobody else can address are asked to stop; what its effects have recorded
        goes too. One transaction.
        """
        _check.require_open(self._core)
        return self._core.delete_session(self._id)

    def enqueue_queued_work(
        self, draft: QueuedWorkDraft | Mapping[str, Any], *, strict: bool = False
    ) -> QueuedWorkReceipt:
        """Enqueue a batch, once for each source key, also after it is done.

        Args:
            draft: The batch.
            strict: Refuse other content under a known key with `Conflict`.
        """
        return QueuedWorkReceipt._from(
            self._do("session.enqueue", session_id=self._id, draft=draft, strict=strict)
        )

    def enqueue_wake(self, wake: Mapping[str, Any]) -> QueuedWorkReceipt:
        """Enqueue a process's wake, once for each ``wake_id``."""
        return QueuedWorkReceipt._from(
            self._do("session.enqueue_wake", session_id=self._id, wake=wake)
        )

    def list_queued_work(self) -> list[QueuedWorkBatch]:
        """Return all batches, in their order."""
        found = self._do("session.list_queued", session_id=self._id)
        return [QueuedWorkBatch._from(one) for one in found]

    def list_pending_queued_work(self) -> list[QueuedWorkBatch]:
        """Return the batches that no live claim holds."""
        found = self._do("session.list_pending", session_id=self._id)
        return [QueuedWorkBatch._from(one) for one in found]

    def cancel_queued_work_batch(self, batch_id: str) -> QueuedWorkBatch | None:
        """Take out a batch that no live claim holds; None when there is none."""
        found = self._do("session.cancel_queued", session_id=self._id, batch_id=batch_id)
        return found and QueuedWorkBatch._from(found)

    def claim_ready_queued_work(
        self,
        owner_id: str,
        *,
        boundary: Boundary = "idle",
        ttl: Duration = "15m",
        max: int = 100,  # noqa: A002 - API
    ) -> QueuedWorkClaim | None:
        """Claim what may enter now: the first batch that is due, and those that join it.

        Args:
            owner_id: Who claims.
            boundary: Between turns, or at a checkpoint inside one.
            ttl: After it anyone may take the batches.
            max: Most batches.
        """
        found = self._do(
            "session.claim",
            session_id=self._id,
            owner_id=owner_id,
            boundary=boundary,
            ttl=duration_us(ttl, "ttl"),
            max=max,
        )
        return found and QueuedWorkClaim._from(found)

    def claim_ready_queued_work_by_batch_ids(
        self,
        owner_id: str,
        batch_ids: Sequence[str],
        *,
        boundary: Boundary = "idle",
        ttl: Duration = "15m",
    ) -> QueuedWorkClaim | None:
        """Claim exactly these batches; None when the claim of what is ready would be another."""
        found = self._do(
            "session.claim_batches",
            session_id=self._id,
            owner_id=owner_id,
            boundary=boundary,
            ttl=duration_us(ttl, "ttl"),
            batch_ids=list(batch_ids),
        )
        return found and QueuedWorkClaim._from(found)

    def renew_queued_work_claim(
        self, claim: QueuedWorkClaim, ttl: Duration = "15m"
    ) -> QueuedWorkClaim:
        """Hold a claim for longer. `StaleLease`: it was stolen."""
        return QueuedWorkClaim._from(
            self._do("session.renew", session_id=self._id, claim=claim, ttl=duration_us(ttl, "ttl"))
        )

    def abandon_queued_work_claim(self, claim: QueuedWorkClaim) -> None:
        """Give the batches back. `StaleLease` likewise."""
        self._do("session.abandon", session_id=self._id, claim=claim)

    def complete_queued_work_claim(
        self, completion: QueuedWorkCompletion | Mapping[str, Any]
    ) -> None:
        """Say that a claim's batches are done, outside of a commit. `StaleLease` likewise."""
        self._do("session.complete", session_id=self._id, completion=completion)

    def __repr__(self) -> str:
        return f"<Session {self._id}>"


class Sessions(Front):
    """The sessions of a runtime's store: ``rt.sessions``. Every method but `open` blocks."""

    __slots__ = ()

    def open(self, session_id: str) -> Session:
        """Return a handle on a session, which need not exist yet.

        Example:
            >>> session = rt.sessions.open("demo")
            >>> session.commit_runtime_state({"session_id": "demo"}).head_revision
            1
            >>> session.load_session().head_revision
            1
        """
        _check.require_open(self._core)
        return Session(self._core, _check.text("session_id", session_id))

    def list(self, after: str = "", *, limit: int = 1000) -> Ids:
        """Return the ids of sessions that have a state, sorted, after ``after``."""
        found = self._do("session.list", after=after, limit=limit)
        return list(found)

    def gc_unreachable(self, older_than: Duration = "1h") -> GcReport:
        """Delete the parts that no session has needed for that long.

        Raises:
            Corrupt: A part that is needed is missing.
        """
        _check.require_open(self._core)
        return GcReport._from(self._do("session.gc", before=self._before(older_than)))

    def forget_sources(self, older_than: Duration) -> int:
        """Forget the source keys of work that was done longer ago: how many."""
        _check.require_open(self._core)
        done = self._do("session.forget_sources", before=self._before(older_than))
        return int(done)

    def turn_commit_hash(self, commit: RuntimeCommit | Mapping[str, Any]) -> str:
        """Return the hash that a stamp of this commit carries."""
        return str(self._do("session.commit_hash", commit=commit))

    def __repr__(self) -> str:
        return f"<Sessions of {self._core.name}>"
