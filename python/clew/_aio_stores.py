"""The asynchronous twins of the session stores; each call does its work on a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from ._artifacts import Artifacts as BlockingArtifacts
from ._artifacts import ModuleArtifact, ModuleRefs
from ._attachments import AttachmentReader as BlockingReader
from ._attachments import (
    AttachmentRef,
    AttachmentSweep,
    ManifestEntry,
    Refs,
    StoredAttachment,
)
from ._attachments import Attachments as BlockingAttachments
from ._sessions import (
    Boundary,
    CommitResult,
    GcReport,
    Ids,
    PersistedSession,
    QueuedWorkBatch,
    QueuedWorkClaim,
    QueuedWorkCompletion,
    QueuedWorkDraft,
    QueuedWorkReceipt,
    ReadScope,
    RuntimeCommit,
    SessionMeta,
    SessionNode,
    VacuumReport,
)
from ._sessions import Session as BlockingSession
from ._sessions import Sessions as BlockingSessions
from ._stores import Duration
from ._triggers import (
    HostEvent,
    Subscriptions,
    TriggerDelivery,
    TriggerDraft,
    TriggerSubscription,
)
from ._triggers import Triggers as BlockingTriggers

__all__ = ["Artifacts", "AttachmentReader", "Attachments", "Session", "Sessions", "Triggers"]

P = ParamSpec("P")
T = TypeVar("T")


async def _on_thread(function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    return await asyncio.to_thread(function, *args, **options)


class Session:
    """The twin of a handle on one session."""

    __slots__ = ("_session",)

    def __init__(self, session: BlockingSession) -> None:
        self._session = session

    @property
    def id(self) -> str:
        """Its id."""
        return self._session.id

    async def commit(self, commit: RuntimeCommit | Mapping[str, Any]) -> CommitResult:
        """Apply a new state. The same turn again gives its first result and does nothing else."""
        return await _on_thread(self._session.commit, commit)

    async def load(
        self,
        scope: ReadScope | Mapping[str, Any] | None = None,
    ) -> PersistedSession | None:
        """Return its state; None before the first commit and after its end."""
        return await _on_thread(self._session.load, scope)

    async def load_node(self, node_id: str) -> SessionNode | None:
        """Return a node of the graph, or None."""
        return await _on_thread(self._session.load_node, node_id)

    async def tombstone_node(self, node_id: str) -> bool:
        """Take a node out of the graph; False when it is not there."""
        return await _on_thread(self._session.tombstone_node, node_id)

    async def vacuum(self) -> VacuumReport:
        """Remove the rows of nodes that were taken out."""
        return await _on_thread(self._session.vacuum)

    async def save_meta(self, meta: SessionMeta | Mapping[str, Any]) -> None:
        """Keep its name and the like; also before the first commit."""
        return await _on_thread(self._session.save_meta, meta)

    async def load_meta(self) -> SessionMeta | None:
        """Return what `save_meta` kept, or None."""
        return await _on_thread(self._session.load_meta)

    async def delete(self) -> bool:
        """Forget the session with all that it has, and its id for ever. False: it was before."""
        return await _on_thread(self._session.delete)

    async def enqueue(
        self,
        draft: QueuedWorkDraft | Mapping[str, Any],
        *,
        strict: bool = False,
    ) -> QueuedWorkReceipt:
        """Enqueue a batch, once for each source key, also after it is done."""
        return await _on_thread(self._session.enqueue, draft, strict=strict)

    async def enqueue_wake(self, wake: Mapping[str, Any]) -> QueuedWorkReceipt:
        """Enqueue a process"s wake, once for each ``wake_id``."""
        return await _on_thread(self._session.enqueue_wake, wake)

    async def list_queued(self) -> list[QueuedWorkBatch]:
        """Return all batches, in their order."""
        return await _on_thread(self._session.list_queued)

    async def list_pending(self) -> list[QueuedWorkBatch]:
        """Return the batches that no live claim holds."""
        return await _on_thread(self._session.list_pending)

    async def cancel_queued(self, batch_id: str) -> QueuedWorkBatch | None:
        """Take out a batch that no live claim holds; None when there is none."""
        return await _on_thread(self._session.cancel_queued, batch_id)

    async def claim(
        self,
        owner_id: str,
        *,
        boundary: Boundary = "idle",
        ttl: Duration = "15m",
        max: int = 100,  # noqa: A002 - as in its blocking twin
    ) -> QueuedWorkClaim | None:
        """Claim what may enter now: the first batch that is due, and those that join it."""
        return await _on_thread(self._session.claim, owner_id, boundary=boundary, ttl=ttl, max=max)

    async def claim_batches(
        self,
        owner_id: str,
        batch_ids: Sequence[str],
        *,
        boundary: Boundary = "idle",
        ttl: Duration = "15m",
    ) -> QueuedWorkClaim | None:
        """Claim exactly these batches; None when `claim` would not give just them."""
        return await _on_thread(
            self._session.claim_batches, owner_id, batch_ids, boundary=boundary, ttl=ttl
        )

    async def renew(self, claim: QueuedWorkClaim, ttl: Duration = "15m") -> QueuedWorkClaim:
        """Hold a claim for longer. `StaleLease`: it was stolen."""
        return await _on_thread(self._session.renew, claim, ttl)

    async def abandon(self, claim: QueuedWorkClaim) -> None:
        """Give the batches back. `StaleLease` likewise."""
        return await _on_thread(self._session.abandon, claim)

    async def complete(self, completion: QueuedWorkCompletion | Mapping[str, Any]) -> None:
        """Say that a claim"s batches are done, outside of a commit. `StaleLease` likewise."""
        return await _on_thread(self._session.complete, completion)

    def __repr__(self) -> str:
        return repr(self._session)


class Sessions:
    """The twin of ``rt.sessions``."""

    __slots__ = ("_sessions",)

    def __init__(self, sessions: BlockingSessions) -> None:
        self._sessions = sessions

    def open(self, session_id: str) -> Session:
        """Return a handle on a session, which need not exist yet."""
        return Session(self._sessions.open(session_id))

    async def list(self, after: str = "", *, limit: int = 1000) -> Ids:
        """Return the ids of sessions that have a state, sorted, after ``after``."""
        return await _on_thread(self._sessions.list, after, limit=limit)

    async def gc(self, older_than: Duration = "1h") -> GcReport:
        """Delete the parts that no session has needed for that long."""
        return await _on_thread(self._sessions.gc, older_than)

    async def forget_sources(self, older_than: Duration) -> int:
        """Forget the source keys of work that was done longer ago: how many."""
        return await _on_thread(self._sessions.forget_sources, older_than)

    async def turn_commit_hash(self, commit: RuntimeCommit | Mapping[str, Any]) -> str:
        """Return the hash that a stamp of this commit carries."""
        return await _on_thread(self._sessions.turn_commit_hash, commit)

    def __repr__(self) -> str:
        return repr(self._sessions)


class AttachmentReader(AsyncIterator[bytes]):
    """The twin of a reader of attachments."""

    __slots__ = ("_reader",)

    def __init__(self, reader: BlockingReader) -> None:
        self._reader = reader

    @property
    def ref(self) -> AttachmentRef:
        """What is known of it."""
        return self._reader.ref

    def __aiter__(self) -> AttachmentReader:
        return self

    async def __anext__(self) -> bytes:
        """Return the next part."""
        part = await _on_thread(self._reader._source.next)
        if not part:
            raise StopAsyncIteration
        return part

    def __repr__(self) -> str:
        return repr(self._reader)


class Attachments:
    """The twin of ``rt.attachments``."""

    __slots__ = ("_attachments",)

    def __init__(self, attachments: BlockingAttachments) -> None:
        self._attachments = attachments

    async def put(
        self,
        session_id: str,
        data: bytes | Iterable[bytes],
        media_type: str,
        *,
        width: int | None = None,
        height: int | None = None,
        label: str | None = None,
    ) -> AttachmentRef:
        """Store bytes, or parts of them as they come. The same bytes are the same attachment."""
        return await _on_thread(
            self._attachments.put,
            session_id,
            data,
            media_type,
            width=width,
            height=height,
            label=label,
        )

    async def get(
        self,
        session_id: str,
        id: str,  # noqa: A002 - as in its blocking twin
    ) -> StoredAttachment:
        """Return an attachment with its bytes."""
        return await _on_thread(self._attachments.get, session_id, id)

    async def open(
        self,
        session_id: str,
        id: str,  # noqa: A002 - as in its blocking twin
    ) -> AttachmentReader:
        """Return an iterator over its parts. Raises what `get` does."""
        return AttachmentReader(await _on_thread(self._attachments.open, session_id, id))

    async def stat(
        self,
        session_id: str,
        id: str,  # noqa: A002 - as in its blocking twin
    ) -> AttachmentRef:
        """Return what is known of it. `NotFound`."""
        return await _on_thread(self._attachments.stat, session_id, id)

    async def list(self, session_id: str) -> Refs:
        """Return what the session has stored, by id."""
        return await _on_thread(self._attachments.list, session_id)

    async def record_intent(
        self,
        session_id: str,
        id: str,  # noqa: A002 - as in its blocking twin
        canonical_uri: str = "",
    ) -> None:
        """Say that an attachment is about to be stored; `put` does it by itself."""
        return await _on_thread(self._attachments.record_intent, session_id, id, canonical_uri)

    async def commit_refs(self, session_id: str, ids: Sequence[str]) -> None:
        """Say that something refers to these; a commit does it by itself. `NotFound`."""
        return await _on_thread(self._attachments.commit_refs, session_id, ids)

    async def list_uncommitted(self, until: datetime | None = None) -> tuple[ManifestEntry, ...]:
        """Return what nothing refers to, whose intent is not after ``until``, earliest first."""
        return await _on_thread(self._attachments.list_uncommitted, until)

    async def forget(
        self,
        session_id: str,
        id: str,  # noqa: A002 - as in its blocking twin
    ) -> bool:
        """Say that the session needs it no more; a sweep removes what nobody needs."""
        return await _on_thread(self._attachments.forget, session_id, id)

    async def sweep(self, older_than: Duration = "1h") -> AttachmentSweep:
        """Remove the files that nobody has needed for that long; small ones are `Sessions.gc`"s."""
        return await _on_thread(self._attachments.sweep, older_than)

    def __repr__(self) -> str:
        return repr(self._attachments)


class Triggers:
    """The twin of ``rt.triggers``."""

    __slots__ = ("_triggers",)

    def __init__(self, triggers: BlockingTriggers) -> None:
        self._triggers = triggers

    async def subscribe(self, draft: TriggerDraft | Mapping[str, Any]) -> TriggerSubscription:
        """Subscribe a process to a source. `Conflict`: the session was deleted."""
        return await _on_thread(self._triggers.subscribe, draft)

    async def list(
        self,
        *,
        session_id: str | None = None,
        handle: str | None = None,
        name: str | None = None,
        source_type: str | None = None,
        source_key: str | None = None,
        target: str | None = None,
        enabled: bool | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> Subscriptions:
        """Return subscriptions in the order of creation; all that is given must hold."""
        return await _on_thread(
            self._triggers.list,
            session_id=session_id,
            handle=handle,
            name=name,
            source_type=source_type,
            source_key=source_key,
            target=target,
            enabled=enabled,
            after=after,
            limit=limit,
        )

    async def cancel(self, session_id: str, handle: str) -> bool:
        """End a session"s subscription, which stays listed. False: it has none that is enabled."""
        return await _on_thread(self._triggers.cancel, session_id, handle)

    async def record(
        self,
        source_type: str,
        source_key: str,
        payload: Any = None,
        *,
        key: str,
        source: Any = None,
    ) -> HostEvent:
        """Say that something happened. The same key of a source is the same event."""
        return await _on_thread(
            self._triggers.record, source_type, source_key, payload, key=key, source=source
        )

    async def reserve(self, occurrence_id: str) -> tuple[TriggerDelivery, ...]:
        """Reserve the deliveries of an event; each one is given once ever. `NotFound`."""
        return await _on_thread(self._triggers.reserve, occurrence_id)

    async def unregistered(
        self,
        until: datetime | None = None,
        *,
        limit: int = 1000,
    ) -> tuple[TriggerDelivery, ...]:
        """Return deliveries whose process is not registered: what a crash may have lost."""
        return await _on_thread(self._triggers.unregistered, until, limit=limit)

    async def mark_registered(self, process_id: str) -> bool:
        """Say that a delivery"s process is registered; False when it was. `NotFound`."""
        return await _on_thread(self._triggers.mark_registered, process_id)

    async def prune(self, older_than: Duration) -> int:
        """Forget older events whose deliveries are all registered: how many."""
        return await _on_thread(self._triggers.prune, older_than)

    async def source_key(self, source_type: str, source: Any = None) -> str:
        """Return the key of a source: the same for the same type and content."""
        return await _on_thread(self._triggers.source_key, source_type, source)

    def __repr__(self) -> str:
        return repr(self._triggers)


class Artifacts:
    """The twin of ``rt.artifacts``."""

    __slots__ = ("_artifacts",)

    def __init__(self, artifacts: BlockingArtifacts) -> None:
        self._artifacts = artifacts

    async def seal(self, artifact: Mapping[str, Any]) -> ModuleArtifact:
        """Return a module of this content with the refs that follow from it."""
        return await _on_thread(self._artifacts.seal, artifact)

    async def put(self, artifact: ModuleArtifact | Mapping[str, Any]) -> str:
        """Store a module; return its ref. `InvalidInput`: a ref is not that of the content."""
        return await _on_thread(self._artifacts.put, artifact)

    async def get(self, module_ref: str) -> ModuleArtifact | None:
        """Return a module, or None. `Corrupt`: it is not what its ref says."""
        return await _on_thread(self._artifacts.get, module_ref)

    async def list(self, after: str = "", *, limit: int = 1000) -> ModuleRefs:
        """Return the refs of all modules, sorted, after ``after``."""
        return await _on_thread(self._artifacts.list, after, limit=limit)

    async def remove(self, module_ref: str) -> bool:
        """Say that a module is needed no more; `Sessions.gc` removes its bytes."""
        return await _on_thread(self._artifacts.remove, module_ref)

    def __repr__(self) -> str:
        return repr(self._artifacts)
