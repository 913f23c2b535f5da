"""The asynchronous twins: every call of Clew that blocks, under the same name and signature.

    async with clew.aio.Runtime("work.db") as rt:
        rt.register(words)
        await rt.execute("text.words", {"doc": "a b c"})
        run = await rt.start("report.yaml", {"folder": "docs"})
        await run.result()

Waiting for calls, runs and maps occupies no thread. What reads the store (`traces`, `runs`, `sql`
and the like) and `close` do their work on a thread of asyncio's pool, so that the loop goes on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TextIO, TypeVar

from . import _core, _errors, _options, _runtime
from ._aio_stores import (
    Artifacts,
    AttachmentReader,
    Attachments,
    EffectController,
    Effects,
    Processes,
    Session,
    Sessions,
    Triggers,
)
from ._call import Call
from ._events import Event, Lifecycle, Types
from ._events import Events as BlockingEvents
from ._events import Subscription as BlockingSubscription
from ._loop import ended
from ._records import (
    EventType,
    Page,
    Problem,
    Registration,
    RunInfo,
    Step,
    Trace,
    Violation,
)
from ._registry import Registering
from ._run import Events as RunEvents
from ._run import Run as BlockingRun
from ._workflow import Source, Workflow, definition_of

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ._durable import DurableCall
    from ._traces import FrameKind, Tier, TraceFilter
    from ._workspace import Workspace

__all__ = [
    "Artifacts",
    "AttachmentReader",
    "Attachments",
    "EffectController",
    "Effects",
    "Events",
    "Processes",
    "Run",
    "Runtime",
    "Session",
    "Sessions",
    "Subscription",
    "Triggers",
]

Duration = float | timedelta | str
P = ParamSpec("P")
T = TypeVar("T")


async def _on_thread(function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    return await asyncio.to_thread(function, *args, **options)


class Run:
    """The twin of `clew.Run`. Awaiting it gives the output; cancelling that stops nothing."""

    __slots__ = ("__weakref__", "_core", "_run")

    def __init__(self, run: BlockingRun) -> None:
        self._run = run
        self._core = run._core

    @property
    def id(self) -> str:
        """Its id."""
        return self._run.id

    @property
    def status(self) -> str:
        """``pending running waiting completed failed cancelled unknown``."""
        return self._run.status

    @property
    def info(self) -> RunInfo:
        """Its row."""
        return self._run.info

    def done(self) -> bool:
        """Return whether it has ended."""
        return self._run.done()

    async def result(self, timeout: Duration | None = None) -> Any:
        """Wait for the output. Cancelling the wait leaves the run alone.

        Raises:
            ClewError: What the run failed with.
            Timeout: It has not ended within ``timeout`` (on the loop's clock). The run goes on.
        """
        if timeout is None:
            return await self._core
        seconds = _core.parse_duration(timeout, "timeout")
        try:
            await asyncio.wait_for(asyncio.shield(ended(self._core.on_ended)), seconds)
        except asyncio.TimeoutError:
            if not self._core.done():
                raise _errors.Timeout(f"run {self.id} has not ended in time") from None
        return self._core.result(0)

    async def steps(self) -> list[Step]:
        """Return its steps in the order of the definition."""
        return await _on_thread(self._run.steps)

    def events(self, after: int = 0, follow: bool = False) -> RunEvents:
        """Iterate over its events with ``async for``; with ``follow`` until it has ended."""
        return self._run.events(after, follow)

    async def cancel(self, reason: str = "cancelled by the user") -> None:
        """Stop it. Durable when it returns; cancelling the wait does not take it back."""
        await _on_thread(self._run.cancel, reason)

    async def graph(self) -> str:
        """Return its steps as a Mermaid flowchart, each with its status."""
        return await _on_thread(self._run.graph)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._core.__await__()

    def __eq__(self, other: object) -> bool:
        return self._run == other._run if isinstance(other, Run) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._run)

    def __repr__(self) -> str:
        return repr(self._run)

    def _repr_html_(self) -> str:
        return self._run._repr_html_()


class Events:
    """The twin of the catalog of event types: ``rt.events``."""

    __slots__ = ("_events",)

    def __init__(self, events: BlockingEvents) -> None:
        self._events = events

    async def define(
        self,
        type: str,  # noqa: A002 - the word of events
        *,
        schema: Any = True,
        lifecycle: Lifecycle = "active",
        summary: str = "",
    ) -> EventType:
        """Define a type of events; the same content again is fine."""
        return await _on_thread(
            self._events.define, type, schema=schema, lifecycle=lifecycle, summary=summary
        )

    async def set_lifecycle(self, type: str, lifecycle: Lifecycle) -> EventType:  # noqa: A002 - as above
        """Move a type on."""
        return await _on_thread(self._events.set_lifecycle, type, lifecycle)

    async def get(self, ref: str) -> EventType:
        """Return the type that a reference means."""
        return await _on_thread(self._events.get, ref)

    async def list(self) -> Types:
        """Return all types."""
        return await _on_thread(self._events.list)

    def __repr__(self) -> str:
        return repr(self._events)


class Subscription:
    """The twin of `clew.Subscription`; waiting occupies no thread."""

    __slots__ = ("__weakref__", "_subscription")

    def __init__(self, subscription: BlockingSubscription) -> None:
        self._subscription = subscription

    @property
    def cursor(self) -> int:
        """Everything up to here was read."""
        return self._subscription.cursor

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._subscription.cancelled

    async def poll(self, max: int = 100, timeout: Duration | None = None) -> list[Event]:  # noqa: A002 - API
        """Return the next events, waiting for the first one at most ``timeout`` (the loop's clock).

        Cancelling the wait loses no event.
        """
        loop = asyncio.get_running_loop()
        until = None
        if timeout is not None:
            until = loop.time() + _core.parse_duration(timeout, "timeout")
        while True:
            found = self._subscription.poll(max, 0)
            left = None if until is None else until - loop.time()
            if found or (left is not None and left <= 0):
                return found
            ready = ended(self._subscription._core.on_ready)
            await asyncio.wait([ready], timeout=left)

    async def ack(self, event: Event) -> None:
        """Say that the group is done with an event. Durable when it returns."""
        await _on_thread(self._subscription.ack, event)

    async def cancel(self) -> None:
        """End it, and every wait for it."""
        await _on_thread(self._subscription.cancel)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        return await self._subscription.__anext__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cancel()

    def __repr__(self) -> str:
        return repr(self._subscription)


class Runtime(Registering):
    """The twin of `clew.Runtime`, with the same arguments. Opening it blocks for the disk."""

    def __init__(
        self,
        store: str | os.PathLike[str] = ":memory:",
        *,
        workers: int | None = None,
        name: str | None = None,
        durability: Literal["sync", "relaxed"] = "sync",
        environment: Literal["development", "production"] = "development",
        limits: Mapping[str, Any] | None = None,
        clock: _core.ManualClock | None = None,
        start: bool = True,
        trusted_keys: Sequence[bytes | str] | None = None,
    ) -> None:
        self._runtime = _runtime.Runtime(
            store,
            workers=workers,
            name=name,
            durability=durability,
            environment=environment,
            limits=limits,
            clock=clock,
            start=start,
            trusted_keys=trusted_keys,
        )
        self._core = self._runtime._core

    @classmethod
    def of(cls, runtime: _runtime.Runtime) -> Runtime:
        """Return a twin of an open runtime: both are one runtime."""
        twin = cls.__new__(cls)
        twin._runtime = runtime
        twin._core = runtime._core
        return twin

    def workspace(self, name: str) -> Workspace:
        """Return a tenant's own capabilities; its calls and starts block, but for `submit`."""
        return self._runtime.workspace(name)

    def add_connector(
        self,
        name: str,
        connector: Any,
        *,
        version: str = "1.0.0",
        timeout: Duration | None = None,
    ) -> None:
        """Bind a resource of the host; see `clew.Runtime.add_connector`."""
        self._runtime.add_connector(name, connector, version=version, timeout=timeout)

    async def register_wasm(
        self,
        module: str | os.PathLike[str] | bytes,
        contract: Mapping[str, Any] | str | os.PathLike[str],
        *,
        digest: str | None = None,
        signature: bytes | str | os.PathLike[str] | None = None,
    ) -> Registration:
        """Register a WebAssembly module; it is compiled on a thread."""
        return await _on_thread(
            self._runtime.register_wasm, module, contract, digest=digest, signature=signature
        )

    # --- calls ---

    async def execute(
        self,
        ref: _core.Reference,
        input: Any = ...,  # noqa: A002 - the word of contracts
        *,
        timeout: Duration | None = None,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        target: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
        priority: int = 0,
    ) -> Any:
        """Run a call and return its output. Cancelling the wait cancels the call."""
        call = self._runtime.submit(
            ref,
            input,
            timeout=timeout,
            deadline=deadline,
            idempotency_key=idempotency_key,
            target=target,
            correlation_id=correlation_id,
            traceparent=traceparent,
            priority=priority,
        )
        try:
            return await call
        except asyncio.CancelledError:
            call.cancel("the wait was cancelled")
            raise

    def submit(
        self,
        ref: _core.Reference,
        input: Any = ...,  # noqa: A002 - the word of contracts
        *,
        timeout: Duration | None = None,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        target: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
        priority: int = 0,
        durable: bool = False,
    ) -> Call:
        """Start a call; never waits. Cancelling the wait for what it returns stops nothing."""
        return self._runtime.submit(
            ref,
            input,
            timeout=timeout,
            deadline=deadline,
            idempotency_key=idempotency_key,
            target=target,
            correlation_id=correlation_id,
            traceparent=traceparent,
            priority=priority,
            durable=durable,
        )

    async def call(self, id: str) -> DurableCall:  # noqa: A002 - the word of users
        """Return a durable call by its id."""
        return await _on_thread(self._runtime.call, id)

    def map(
        self,
        ref: _core.Reference,
        inputs: Iterable[Any],
        *,
        concurrency: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
    ) -> _core.Map:
        """Run a call for each input; iterate over the outputs with ``async for``."""
        return self._runtime.map(
            ref,
            inputs,
            concurrency=concurrency,
            ordered=ordered,
            return_exceptions=return_exceptions,
        )

    # --- workflows ---

    async def start(
        self,
        workflow: Workflow | Source,
        input: Any = ...,  # noqa: A002 - the word of contracts
        *,
        id: str | None = None,  # noqa: A002 - the word of users
        key: str | None = None,
        priority: int = 0,
        budget: None = None,
        tags: Sequence[str] | None = None,
        durability: Literal["sync", "relaxed"] | None = None,
    ) -> Run:
        """Start a run; it is durable when this returns.

        Occupies no thread. A run whose wait is cancelled may have started: give it an ``id``.
        """
        self._runtime._require_open()
        options = _options.of_start(id, key, priority, budget, tags, durability)
        definition = definition_of(workflow)
        core = self._runtime._core
        rings: list[_core._Ring] = []

        def begin(ring: _core._Ring) -> None:
            rings.append(ring)
            core._start_async(definition, {} if input is ... else input, ring, **options)

        await ended(begin)
        return Run(BlockingRun(core._started(rings[0])))

    async def publish_workflow(self, workflow: Workflow | Source) -> Workflow:
        """Keep a workflow under its name and version."""
        return await _on_thread(self._runtime.publish_workflow, workflow)

    async def find_workflow(self, ref: str) -> Workflow:
        """Return the published workflow that a reference means."""
        return await _on_thread(self._runtime.find_workflow, ref)

    async def run(self, id: str) -> Run:  # noqa: A002 - the word of users
        """Return the run of that id, of whatever process."""
        return Run(await _on_thread(self._runtime.run, id))

    async def runs(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        workspace: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[RunInfo]:
        """Return runs, newest first."""
        return await _on_thread(
            self._runtime.runs,
            status=status,
            workflow=workflow,
            tag=tag,
            workspace=workspace,
            limit=limit,
            cursor=cursor,
        )

    def _problems_of(self, definition: _core.Definition) -> list[Problem]:
        return self._runtime._problems_of(definition)

    # --- the session stores ---

    @property
    def sessions(self) -> Sessions:
        """Sessions: state, graph and queue."""
        return Sessions(self._runtime.sessions)

    @property
    def attachments(self) -> Attachments:
        """Attachments of sessions."""
        return Attachments(self._runtime.attachments)

    @property
    def triggers(self) -> Triggers:
        """Host events, and the triggers that wait for them."""
        return Triggers(self._runtime.triggers)

    @property
    def effects(self) -> Effects:
        """Effects: run once, recorded, and answered from the record."""
        return Effects(self._runtime.effects)

    @property
    def artifacts(self) -> Artifacts:
        """Program modules."""
        return Artifacts(self._runtime.artifacts)

    # --- events ---

    @property
    def events(self) -> Events:
        """The catalog of event types."""
        return Events(self._runtime.events)

    @property
    def processes(self) -> Processes:
        """The registry of processes."""
        return Processes(self._runtime.processes)

    async def publish(
        self,
        type: str,  # noqa: A002 - the word of events
        data: Any,
        *,
        subject: str | None = None,
        id: str | None = None,  # noqa: A002 - the word of events
        key: str | None = None,
        source: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        timeout: Duration | None = None,
    ) -> int:
        """Publish an event; return its cursor once it is durable.

        Occupies no thread, unless it has a ``timeout``. An event whose wait is cancelled may be
        stored: give it an ``id``.
        """
        options = {
            "subject": subject,
            "id": id,
            "key": key,
            "source": source,
            "correlation_id": correlation_id,
            "causation_id": causation_id,
        }
        if timeout is not None:
            return await _on_thread(self._runtime.publish, type, data, timeout=timeout, **options)
        core = self._runtime._core
        rings: list[_core._Ring] = []

        def begin(ring: _core._Ring) -> None:
            rings.append(ring)
            core._publish_async(ring, type, data, **options)

        await ended(begin)
        return core._published(rings[0])

    async def subscribe(
        self,
        pattern: str,
        *,
        from_: Literal["now", "start"] | int = "now",
        subject: str | None = None,
        group: str | None = None,
        queue_max: int | None = None,
        ack_timeout: Duration = "30s",
    ) -> Subscription:
        """Read events, in the order in which they were committed."""
        return Subscription(
            await _on_thread(
                self._runtime.subscribe,
                pattern,
                from_=from_,
                subject=subject,
                group=group,
                queue_max=queue_max,
                ack_timeout=ack_timeout,
            )
        )

    # --- looking ---

    async def traces(
        self,
        capability: str | None = None,
        *,
        version: str | None = None,
        outcome: str | None = None,
        code: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        run: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Trace]:
        """Return ended calls, newest first."""
        return await _on_thread(
            self._runtime.traces,
            capability,
            version=version,
            outcome=outcome,
            code=code,
            since=since,
            until=until,
            run=run,
            limit=limit,
            cursor=cursor,
        )

    async def trace(self, id: str) -> Trace:  # noqa: A002 - the word of users
        """Return the trace of that id."""
        return await _on_thread(self._runtime.trace, id)

    async def export_traces(
        self,
        to: str | os.PathLike[str] | TextIO,
        *,
        tier: Tier = "public",
        **which: Unpack[TraceFilter],
    ) -> int:
        """Write ended calls as JSON lines; return how many. ``to`` is written on a thread."""
        return await _on_thread(self._runtime.export_traces, to, tier=tier, **which)

    async def trace_frame(
        self, kind: FrameKind, *, tier: Tier = "public", **which: Unpack[TraceFilter]
    ) -> Any:
        """Return ended calls as a `pyarrow.Table` or a pandas or polars `DataFrame`."""
        return await _on_thread(self._runtime.trace_frame, kind, tier=tier, **which)

    async def sql(
        self,
        query: str,
        params: Sequence[Any] | Mapping[str, Any] = (),
        *,
        timeout: Duration | None = None,
    ) -> list[dict[str, Any]]:
        """Run one statement that reads; return rows as dicts. Cancelling the wait stops it."""
        stop = _core._QueryStop()
        try:
            return await _on_thread(self._runtime._sql, query, params, timeout, stop)
        finally:
            stop.set()

    async def stats(self) -> dict[str, Any]:
        """Return counters and gauges."""
        return await _on_thread(self._runtime.stats)

    async def health(self) -> dict[str, Any]:
        """Return ``status`` and ``problems``."""
        return await _on_thread(self._runtime.health)

    async def verify(self) -> list[Violation]:
        """Check the store's invariants; return those that do not hold."""
        return await _on_thread(self._runtime.verify)

    # --- the end ---

    @property
    def name(self) -> str:
        """What others see of it."""
        return self._runtime.name

    @property
    def store(self) -> str:
        """The path of its store, or ``":memory:"``."""
        return self._runtime.store

    @property
    def workers(self) -> int:
        """How many threads run capabilities."""
        return self._runtime.workers

    @property
    def closed(self) -> bool:
        """Whether closing has begun."""
        return self._runtime.closed

    async def close(self, drain: bool = True, timeout: Duration = 30.0) -> bool:
        """Stop everything, on a thread. Cancelling the wait does not stop the closing."""
        return await _on_thread(self._runtime.close, drain, timeout)

    async def __aenter__(self) -> Self:
        self._runtime._require_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close(drain=kind is None)

    def __repr__(self) -> str:
        return repr(self._runtime)
