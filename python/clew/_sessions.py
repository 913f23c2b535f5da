"""Sessions: their state, their graph, and the queue of what waits to enter them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, TypeAlias, TypeVar, cast

from . import _check, _core
from ._process_records import ProcessWakeDelivery
from ._session_records import (
    CommitResult,
    GcReport,
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
from ._stores import Duration, Front, duration_us, to_us

__all__ = ["Session", "Sessions"]

Boundary = Literal["active_turn_checkpoint", "idle"]
Ids: TypeAlias = "list[str]"  # within the class, "list" is its method
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


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
        self, scope: ReadScope | Mapping[str, Any] | str | None = None
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

    def tombstone_nodes(self, node_ids: Sequence[str]) -> int:
        """Take out all or none of these, in whatever order they are named: how many were there.

        Raises:
            Conflict: One has a ``child`` that would stay.
        """
        _check.require_open(self._core)
        nodes = _check.texts("node_ids", node_ids)
        return int(self._do("session.tombstone_nodes", session_id=self._id, node_ids=nodes))

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

    def enqueue_wake(self, wake: ProcessWakeDelivery | Mapping[str, Any]) -> QueuedWorkReceipt:
        """Enqueue a process's wake, once for each ``wake_id``. A runtime does it by itself."""
        if isinstance(wake, ProcessWakeDelivery):
            facts = {name: getattr(wake, name) for name in wake.__slots__ if name != "created_at"}
            wake = {**facts, "created_at_us": to_us("wake.created_at", wake.created_at)}
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
        _check.require_open(self._core)
        found = self._do(
            "session.claim_batches",
            session_id=self._id,
            owner_id=owner_id,
            boundary=boundary,
            ttl=duration_us(ttl, "ttl"),
            batch_ids=_check.texts("batch_ids", batch_ids),
        )
        return found and QueuedWorkClaim._from(found)

    def renew_queued_work_claim(
        self, claim: QueuedWorkClaim | Mapping[str, Any], ttl: Duration = "15m"
    ) -> QueuedWorkClaim:
        """Hold a claim for longer. `StaleLease`: it was stolen."""
        return QueuedWorkClaim._from(
            self._do("session.renew", session_id=self._id, claim=claim, ttl=duration_us(ttl, "ttl"))
        )

    def abandon_queued_work_claim(self, claim: QueuedWorkClaim | Mapping[str, Any]) -> None:
        """Give the batches back. `StaleLease` likewise."""
        self._do("session.abandon", session_id=self._id, claim=claim)

    def complete_queued_work_claim(
        self, completion: QueuedWorkCompletion | QueuedWorkClaim | Mapping[str, Any]
    ) -> None:
        """Say that a claim's batches are done, outside of a commit. `StaleLease` likewise."""
        self._do("session.complete", session_id=self._id, completion=completion)

    def __repr__(self) -> str:
        return f"<Session {self._id}>"


def _by_id(
    method: Callable[Concatenate[Session, P], T],
) -> Callable[Concatenate[Sessions, str, P], T]:
    """Return the method that does the same for a session that is named first."""

    def call(self: Sessions, session_id: str, *args: P.args, **options: P.kwargs) -> T:
        return method(self.open(session_id), *args, **options)

    whole = inspect.signature(method)
    first, *others = whole.parameters.values()
    named = inspect.Parameter("session_id", first.kind, annotation="str")
    functools.update_wrapper(call, method)
    vars(call)["__signature__"] = whole.replace(parameters=[first, named, *others])
    return cast("Callable[Concatenate[Sessions, str, P], T]", call)


def _by_record(
    method: Callable[Concatenate[Session, R, P], T],
) -> Callable[Concatenate[Sessions, R, P], T]:
    """Return the method that does the same for the session that its record names."""
    name = list(inspect.signature(method).parameters)[1]

    def call(self: Sessions, /, *args: Any, **options: Any) -> T:
        _check.require_open(self._core)
        given: Any = args[0] if args else options.get(name)
        if isinstance(given, Mapping):
            session_id: Any = given.get("session_id")
        elif hasattr(given, "session_id"):
            session_id = given.session_id
        else:
            raise _check.invalid(name, given, "a record, or a dict of its fields")
        whole: Any = method
        answer: T = whole(self.open(session_id), *args, **options)
        return answer

    functools.update_wrapper(call, method)
    return call


class Sessions(Front):
    """The sessions of a runtime's store: ``rt.sessions``. Every method but `open` blocks.

    The operations of `Session` are here as well: with the session's id before all else, or with a
    record that names it.
    """

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
        return Session(self._core, _check.key("session_id", session_id))

    commit_runtime_state = _by_record(Session.commit_runtime_state)
    save_session_meta = _by_record(Session.save_session_meta)
    enqueue_queued_work = _by_record(Session.enqueue_queued_work)
    renew_queued_work_claim = _by_record(Session.renew_queued_work_claim)
    abandon_queued_work_claim = _by_record(Session.abandon_queued_work_claim)
    complete_queued_work_claim = _by_record(Session.complete_queued_work_claim)
    load_session = _by_id(Session.load_session)
    load_node = _by_id(Session.load_node)
    tombstone_node = _by_id(Session.tombstone_node)
    tombstone_nodes = _by_id(Session.tombstone_nodes)
    vacuum = _by_id(Session.vacuum)
    load_session_meta = _by_id(Session.load_session_meta)
    list_queued_work = _by_id(Session.list_queued_work)
    list_pending_queued_work = _by_id(Session.list_pending_queued_work)
    cancel_queued_work_batch = _by_id(Session.cancel_queued_work_batch)
    claim_ready_queued_work = _by_id(Session.claim_ready_queued_work)
    claim_ready_queued_work_by_batch_ids = _by_id(Session.claim_ready_queued_work_by_batch_ids)
    enqueue_wake = _by_id(Session.enqueue_wake)
    delete_session = _by_id(Session.delete)

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
