"""The asynchronous twins of the stores: the same methods, each on a thread of asyncio's pool.

Waiting for a process occupies no thread of it, nor does an effect, so that those who are waited for
find one.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future, wait
from datetime import timedelta
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar

from . import _core
from ._artifacts import Artifacts as BlockingArtifacts
from ._attachments import AttachmentReader as BlockingReader
from ._attachments import AttachmentRef
from ._attachments import Attachments as BlockingAttachments
from ._effects import EffectController as BlockingController
from ._effects import Effects as BlockingEffects
from ._effects import EffectScope, Executor, RuntimeEffectEnvelope
from ._errors import Cancelled, Timeout
from ._loop import ended, heard
from ._processes import Processes as BlockingProcesses
from ._sessions import Session as BlockingSession
from ._sessions import Sessions as BlockingSessions
from ._triggers import Triggers as BlockingTriggers

__all__ = [
    "Artifacts",
    "AttachmentReader",
    "Attachments",
    "EffectController",
    "Effects",
    "Processes",
    "Session",
    "Sessions",
    "Triggers",
]

_LOOK_SELDOM = 0.5  # seconds: should a notice be missed

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B")


class _Twin(Generic[B]):
    __slots__ = ("_blocking",)

    def __init__(self, blocking: B) -> None:
        self._blocking = blocking

    @property
    def durability_tier(self) -> Literal["inline", "durable"]:
        """Whether what it keeps outlives the process: ``"durable"``, or ``"inline"`` in memory."""
        blocking: Any = self._blocking
        return "inline" if blocking.durability_tier == "inline" else "durable"

    def __repr__(self) -> str:
        return repr(self._blocking)


def _on_thread(
    method: Callable[Concatenate[B, P], T],
) -> Callable[Concatenate[_Twin[B], P], Coroutine[Any, Any, T]]:
    """Return the method that does the same on a thread; signature and documentation are its."""

    @functools.wraps(method)
    async def call(self: _Twin[B], /, *args: P.args, **options: P.kwargs) -> T:
        return await asyncio.to_thread(method, self._blocking, *args, **options)

    return call


def _waiting(
    method: Callable[Concatenate[BlockingProcesses, P], T],
) -> Callable[Concatenate[_Twin[BlockingProcesses], P], Coroutine[Any, Any, T]]:
    """Return the method that does the same: it looks on a thread, and waits without one."""

    async def call(self: _Twin[BlockingProcesses], /, *args: P.args, **options: P.kwargs) -> T:
        core = self._blocking._open()
        given: Any = options.get("timeout")
        loop = asyncio.get_running_loop()
        until = None if given is None else loop.time() + _patience(given)
        at_once: Any = {**options, "timeout": 0}
        while True:
            changed, _listening = heard(core.listen)
            try:
                return await asyncio.to_thread(method, self._blocking, *args, **at_once)
            except Timeout as late:
                left = None if until is None else until - loop.time()
                if left is not None and left <= 0:
                    late.context["timeout"] = str(given)
                    raise
            pause = _LOOK_SELDOM if left is None else min(left, _LOOK_SELDOM)
            await asyncio.wait([changed], timeout=pause)

    functools.update_wrapper(call, method)
    return call


def _patience(timeout: Any) -> float:
    """Return seconds: what is negative means not to wait."""
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and timeout < 0:
        return 0.0
    if isinstance(timeout, timedelta) and timeout < timedelta(0):
        return 0.0
    return _core.parse_duration(timeout, "timeout")


class Processes(_Twin[BlockingProcesses]):
    """The twin of ``rt.processes``."""

    __slots__ = ()

    register_process = _on_thread(BlockingProcesses.register_process)
    get_process = _on_thread(BlockingProcesses.get_process)
    list_processes = _on_thread(BlockingProcesses.list_processes)
    list_non_terminal = _on_thread(BlockingProcesses.list_non_terminal)
    set_external_ref = _on_thread(BlockingProcesses.set_external_ref)
    append_event = _on_thread(BlockingProcesses.append_event)
    complete_process = _on_thread(BlockingProcesses.complete_process)
    request_cancel = _on_thread(BlockingProcesses.request_cancel)
    events_after = _on_thread(BlockingProcesses.events_after)
    wake_events_after = _on_thread(BlockingProcesses.wake_events_after)
    ack_wake = _on_thread(BlockingProcesses.ack_wake)
    wait_event_after = _waiting(BlockingProcesses.wait_event_after)
    await_process = _waiting(BlockingProcesses.await_process)
    grant_handle = _on_thread(BlockingProcesses.grant_handle)
    revoke_handle = _on_thread(BlockingProcesses.revoke_handle)
    has_handle_grant = _on_thread(BlockingProcesses.has_handle_grant)
    list_handle_grants = _on_thread(BlockingProcesses.list_handle_grants)
    list_live_handle_grants = _on_thread(BlockingProcesses.list_live_handle_grants)
    handle_grants_for_process = _on_thread(BlockingProcesses.handle_grants_for_process)
    transfer_handle_grants = _on_thread(BlockingProcesses.transfer_handle_grants)
    delete_session_process_state = _on_thread(BlockingProcesses.delete_session_process_state)
    claim_process_lease = _on_thread(BlockingProcesses.claim_process_lease)
    renew_process_lease = _on_thread(BlockingProcesses.renew_process_lease)
    complete_process_lease = _on_thread(BlockingProcesses.complete_process_lease)
    recover_processes = _on_thread(BlockingProcesses.recover_processes)
    prune_processes = _on_thread(BlockingProcesses.prune_processes)


class Session(_Twin[BlockingSession]):
    """The twin of a handle on one session."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """Its id."""
        return self._blocking.id

    commit_runtime_state = _on_thread(BlockingSession.commit_runtime_state)
    load_session = _on_thread(BlockingSession.load_session)
    load_node = _on_thread(BlockingSession.load_node)
    tombstone_node = _on_thread(BlockingSession.tombstone_node)
    tombstone_nodes = _on_thread(BlockingSession.tombstone_nodes)
    vacuum = _on_thread(BlockingSession.vacuum)
    save_session_meta = _on_thread(BlockingSession.save_session_meta)
    load_session_meta = _on_thread(BlockingSession.load_session_meta)
    delete = _on_thread(BlockingSession.delete)
    enqueue_queued_work = _on_thread(BlockingSession.enqueue_queued_work)
    enqueue_wake = _on_thread(BlockingSession.enqueue_wake)
    list_queued_work = _on_thread(BlockingSession.list_queued_work)
    list_pending_queued_work = _on_thread(BlockingSession.list_pending_queued_work)
    cancel_queued_work_batch = _on_thread(BlockingSession.cancel_queued_work_batch)
    claim_ready_queued_work = _on_thread(BlockingSession.claim_ready_queued_work)
    claim_ready_queued_work_by_batch_ids = _on_thread(
        BlockingSession.claim_ready_queued_work_by_batch_ids
    )
    renew_queued_work_claim = _on_thread(BlockingSession.renew_queued_work_claim)
    abandon_queued_work_claim = _on_thread(BlockingSession.abandon_queued_work_claim)
    complete_queued_work_claim = _on_thread(BlockingSession.complete_queued_work_claim)


class Sessions(_Twin[BlockingSessions]):
    """The twin of ``rt.sessions``."""

    __slots__ = ()

    def open(self, session_id: str) -> Session:
        """Return a handle on a session, which need not exist yet."""
        return Session(self._blocking.open(session_id))

    commit_runtime_state = _on_thread(BlockingSessions.commit_runtime_state)
    save_session_meta = _on_thread(BlockingSessions.save_session_meta)
    enqueue_queued_work = _on_thread(BlockingSessions.enqueue_queued_work)
    renew_queued_work_claim = _on_thread(BlockingSessions.renew_queued_work_claim)
    abandon_queued_work_claim = _on_thread(BlockingSessions.abandon_queued_work_claim)
    complete_queued_work_claim = _on_thread(BlockingSessions.complete_queued_work_claim)
    load_session = _on_thread(BlockingSessions.load_session)
    load_node = _on_thread(BlockingSessions.load_node)
    tombstone_node = _on_thread(BlockingSessions.tombstone_node)
    tombstone_nodes = _on_thread(BlockingSessions.tombstone_nodes)
    vacuum = _on_thread(BlockingSessions.vacuum)
    load_session_meta = _on_thread(BlockingSessions.load_session_meta)
    list_queued_work = _on_thread(BlockingSessions.list_queued_work)
    list_pending_queued_work = _on_thread(BlockingSessions.list_pending_queued_work)
    cancel_queued_work_batch = _on_thread(BlockingSessions.cancel_queued_work_batch)
    claim_ready_queued_work = _on_thread(BlockingSessions.claim_ready_queued_work)
    claim_ready_queued_work_by_batch_ids = _on_thread(
        BlockingSessions.claim_ready_queued_work_by_batch_ids
    )
    enqueue_wake = _on_thread(BlockingSessions.enqueue_wake)
    delete_session = _on_thread(BlockingSessions.delete_session)

    list = _on_thread(BlockingSessions.list)
    gc_unreachable = _on_thread(BlockingSessions.gc_unreachable)
    forget_sources = _on_thread(BlockingSessions.forget_sources)
    turn_commit_hash = _on_thread(BlockingSessions.turn_commit_hash)


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
        part = await asyncio.to_thread(self._reader._source.next)
        if not part:
            raise StopAsyncIteration
        return part

    def __repr__(self) -> str:
        return repr(self._reader)


class Attachments(_Twin[BlockingAttachments]):
    """The twin of ``rt.attachments``."""

    __slots__ = ()

    async def open(self, session_id: str, id: str) -> AttachmentReader:  # noqa: A002 - as in its twin
        """Return an iterator over its parts. Raises what `get` does."""
        return AttachmentReader(await asyncio.to_thread(self._blocking.open, session_id, id))

    put = _on_thread(BlockingAttachments.put)
    get = _on_thread(BlockingAttachments.get)
    stat = _on_thread(BlockingAttachments.stat)
    list = _on_thread(BlockingAttachments.list)
    record_intent = _on_thread(BlockingAttachments.record_intent)
    commit_refs = _on_thread(BlockingAttachments.commit_refs)
    list_uncommitted = _on_thread(BlockingAttachments.list_uncommitted)
    forget = _on_thread(BlockingAttachments.forget)
    sweep = _on_thread(BlockingAttachments.sweep)


class Triggers(_Twin[BlockingTriggers]):
    """The twin of ``rt.triggers``."""

    __slots__ = ()

    register_subscription = _on_thread(BlockingTriggers.register_subscription)
    list_subscriptions = _on_thread(BlockingTriggers.list_subscriptions)
    cancel_subscription = _on_thread(BlockingTriggers.cancel_subscription)
    record_occurrence = _on_thread(BlockingTriggers.record_occurrence)
    reserve_matching_deliveries = _on_thread(BlockingTriggers.reserve_matching_deliveries)
    unregistered = _on_thread(BlockingTriggers.unregistered)
    mark_registered = _on_thread(BlockingTriggers.mark_registered)
    prune = _on_thread(BlockingTriggers.prune)
    source_key_for_subscription = _on_thread(BlockingTriggers.source_key_for_subscription)


class Artifacts(_Twin[BlockingArtifacts]):
    """The twin of ``rt.artifacts``."""

    __slots__ = ()

    seal = _on_thread(BlockingArtifacts.seal)
    put_module_artifact = _on_thread(BlockingArtifacts.put_module_artifact)
    get_module_artifact = _on_thread(BlockingArtifacts.get_module_artifact)
    list = _on_thread(BlockingArtifacts.list)
    remove = _on_thread(BlockingArtifacts.remove)


async def _on_own_thread(method: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
    """Return what ``method`` does on a new thread.

    What runs long, and may itself wait for the pool, would otherwise keep the pool's few threads.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # whoever stops waiting does not stop the thread

    def run() -> None:
        try:
            future.set_result(method(*args, **options))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            future.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="clew-effect").start()
    return await asyncio.wrap_future(future)


class _CarriedOut:
    """Carries an effect out on its thread, and on the loop what is awaitable."""

    def __init__(self, execute: Executor) -> None:
        self._execute = execute
        self._loop = asyncio.get_running_loop()
        self._unwanted = threading.Event()
        self._task: asyncio.Future[Any] | None = None

    def __call__(self, run: _core.EffectRun) -> Any:
        if self._unwanted.is_set():
            raise _cancelled()
        made = self._execute(run)
        if not inspect.isawaitable(made):
            return made
        outcome: Future[Any] = Future()
        try:
            self._loop.call_soon_threadsafe(self._begin, run, made, outcome)
        except RuntimeError:  # the loop is closed: nobody waits
            raise _cancelled() from None
        while not wait([outcome], timeout=1).done:
            if self._loop.is_closed():  # before it came to that: nobody waits
                raise _cancelled()
        return outcome.result()

    def _begin(self, run: _core.EffectRun, made: Awaitable[Any], outcome: Future[Any]) -> None:
        if self._unwanted.is_set():
            if inspect.iscoroutine(made):
                made.close()
            outcome.set_exception(_cancelled())
            return
        task = self._task = asyncio.ensure_future(made)
        lost = ended(run._on_cancelled)
        lost.add_done_callback(lambda _: task.cancel())

        def settle(task: asyncio.Future[Any]) -> None:
            lost.cancel()
            error = _cancelled() if task.cancelled() else task.exception()
            if error is None:
                outcome.set_result(task.result())
            else:
                outcome.set_exception(error)

        task.add_done_callback(settle)

    def cancel(self) -> None:
        """Let nobody run it any more. On the loop."""
        self._unwanted.set()
        if self._task is not None:
            self._task.cancel()


def _cancelled() -> Cancelled:
    return Cancelled("the effect was cancelled: nobody waits for it any more")


class EffectController(_Twin[BlockingController]):
    """The twin of what carries out the effects of a scope."""

    __slots__ = ()

    @property
    def effect_scope(self) -> EffectScope:
        """The scope that was given."""
        return self._blocking.effect_scope

    @property
    def scope_id(self) -> str:
        """Its innermost id."""
        return self._blocking.scope_id

    @property
    def turn_id(self) -> str | None:
        """The id of its turn, if it is one's."""
        return self._blocking.turn_id

    async def execute_effect(
        self,
        envelope: RuntimeEffectEnvelope | Mapping[str, Any],
        execute: Executor | None = None,
    ) -> Any:
        """Return the outcome: the recorded one, or that of a run which is recorded first.

        As the blocking one, with ``execute`` on a thread of its own. It may be an async function:
        that runs on this loop, and is cancelled when the lease is lost or this wait is cancelled,
        in which case nothing is recorded.
        """
        carried = execute if not callable(execute) else _CarriedOut(execute)
        try:
            return await _on_own_thread(self._blocking.execute_effect, envelope, carried)
        finally:
            if isinstance(carried, _CarriedOut):
                carried.cancel()

    def start_replay(self) -> None:
        """Run nothing from now on: what is not recorded is `NotFound`."""
        self._blocking.start_replay()


class Effects(_Twin[BlockingEffects]):
    """The twin of ``rt.effects``."""

    __slots__ = ()

    def scoped(self, scope: EffectScope | Mapping[str, Any]) -> EffectController:
        """Return what carries out the effects of a scope."""
        return EffectController(self._blocking.scoped(scope))
