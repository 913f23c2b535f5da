"""The runtime: what runs capabilities and workflows over one store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from . import _check, _connectors, _core, _options, _wasm
from ._call import Call
from ._check import invalid
from ._events import Publishing
from ._named import by_position
from ._records import (
    Page,
    Problem,
    Registration,
    RunInfo,
    Violation,
)
from ._registry import Registering
from ._run import Run
from ._storing import Storing
from ._traces import Tracing
from ._workflow import Source, Workflow, definition_of

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ._durable import DurableCall
    from ._workspace import Workspace

__all__ = ["Runtime"]

Duration = float | timedelta | str

_STATUSES = ("pending", "running", "waiting", "completed", "failed", "cancelled", "unknown")


class Runtime(Registering, Publishing, Tracing, Storing):
    """One runtime over one store. Thread-safe. A context manager, also an asynchronous one.

    Args:
        store: ``":memory:"``, the path of a SQLite file, made when it is not there, or the
            URL of a PostgreSQL database, ``"postgresql://user@host/name"``, in the first schema of
            whose search path the tables are made.
        workers: Threads, 1 to 256. Default: twice the cores, at least 4.
        name: What others see of it. Default: ``clew-`` and the process id, as in ``clew-4711``.
        durability: ``"sync"``: acknowledged when it is on the disk. ``"relaxed"``: when it is
            written; a power cut may lose the last ``relaxed_ms``, a killed process loses nothing.
        environment: In ``"production"`` a changed function never replaces a registered one.
        limits: ``queue_max`` (calls), ``traces_max`` (kept), ``traces_age`` (a duration),
            ``events_max`` and ``events_age`` (likewise of events), ``relaxed_ms`` (at most a day),
            ``lease_ttl`` (a duration), ``idempotency_ttl`` (how long a key answers with its
            result, by default a day), ``keys_age`` (how long stores remember that something was
            done, by default 30 days), ``processes_age`` (how long ended processes are kept, by
            default for ever).
        clock: A `ManualClock`, for tests.
        start: False to leave alone the runs that others have left behind.
        trusted_keys: Ed25519 public keys (32 bytes, or hexadecimal) of those who may sign
            WebAssembly modules. In ``"production"`` no other module runs.

    Raises:
        InvalidInput: An argument is not as it must be; the context names path, value, expectation.
        Corrupt: The file is damaged, or no database at all; it is left as it was.
        Unsupported: The file is another program's database or of a newer version, and left as it
            was; or the store is of a kind that is not offered.
        Unavailable: The file cannot be opened.

    After `close` every call raises `Closed`.

    Example:
        >>> with clew.Runtime(":memory:", workers=2) as rt:
        ...     _ = rt.register(words)
        ...     rt.execute("text.words", {"doc": "a b c"})
        3
    """

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
        if clock is not None and not isinstance(clock, _core.ManualClock):
            raise invalid("clock", clock, "a clew.testing.ManualClock")
        self._core = core = _core.Runtime(
            _options.store_path(store),
            workers=None if workers is None else _check.integer("workers", workers, 1, 256),
            name=_check.optional_text("name", name),
            durability=_check.word("durability", durability, ("sync", "relaxed")),  # type: ignore[arg-type]  # just checked
            environment=_check.word("environment", environment, ("development", "production")),  # type: ignore[arg-type]  # just checked
            clock=clock,
            start=_check.flag("start", start),
            trusted_keys=_wasm.keys_of(trusted_keys),
            **_options.of_limits(limits),
        )
        # The hot paths go straight to the core, unless a subclass has its own.
        if type(self).execute is Runtime.execute:
            self.execute = core.execute  # type: ignore[method-assign]  # the same signature
        if type(self).submit is Runtime.submit:
            self.submit = core.submit_future  # type: ignore[method-assign]  # the same signature

    def workspace(self, name: str) -> Workspace:
        """Return a tenant's own capabilities; see `Workspace`.

        Raises:
            InvalidInput: The name is not as an id must be.
        """
        from ._workspace import Workspace

        self._require_open()
        _core.check_id(_check.text("name", name), "name")
        return Workspace(self._core, name)

    def register_wasm(
        self,
        module: str | os.PathLike[str] | bytes,
        contract: Mapping[str, Any] | str | os.PathLike[str],
        *,
        digest: str | None = None,
        signature: bytes | str | os.PathLike[str] | None = None,
    ) -> Registration:
        """Register a WebAssembly module: a WASI command that reads and writes JSON.

        It is read, verified, compiled and checked; none of its code runs. See ``docs/wasm.md``.

        Args:
            module: Path or content, binary or text (WAT).
            contract: The contract document, or the path of one in JSON or YAML.
            digest: The SHA-256 that the binary must have, in hexadecimal.
            signature: What `clew.signing.sign` made: bytes, hexadecimal, or a path.

        Raises:
            InvalidInput: It is no module, or has an ``import`` that is not offered.
            NotFound, Corrupt: There is no such file; its digest is another one.
            Rejected: In production, without a trusted signature; ``reason`` says why.
            Unsupported: ``clew[wasm]`` is not installed.
        """
        self._require_open()
        return _wasm.register(self._core, module, contract, digest, signature)

    def add_connector(
        self,
        name: str,
        connector: Any,
        *,
        version: str = "1.0.0",
        timeout: Duration | None = None,
    ) -> None:
        """Bind a resource of the host, which capabilities reach that name it in ``connectors``.

        Args:
            name: Dotted words, such as ``"db"``.
            connector: A callable, or anything with ``invoke``: a request goes in, a response comes
                out, both JSON. See `clew.connectors`.
            version: What ranges in contracts are compared with.
            timeout: How long a request may take.

        Raises:
            Conflict: That name and version are bound already.
        """
        self._require_open()
        _connectors.add(self._core, name, connector, version, timeout)

    # --- calls ---

    def execute(
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
        """Run a call and return its output. It leaves one trace, however it ends.

        Arguments of which no request can be made (their types, input that is no JSON, a timeout
        that is not above zero) raise before there is a call, and leave no trace. What a request
        asks for in vain (a reference to nothing, input that does not fit the contract, a target
        that nobody serves) is a call: its trace says ``rejected``.

        Args:
            ref: ``"text.words@^1"``, ``"text.words@1.2.0"``, ``"text.words"``, or the function.
            input: The input object; absent, it is empty. Later changes to it are not seen.
            timeout: How long it may take, waiting included: above zero.
            deadline: The same as an aware datetime; the earlier of both counts.
            idempotency_key: The call happens once under it: its success is kept in the store, and
                answers the same input, also from others who call meanwhile and after a restart.
                After a failure the key is free again. The handler sees it as
                ``ctx.idempotency_key``.
            target: Run there and nowhere else.
            correlation_id: A word of yours for its trace.
            traceparent: Of a caller in another process, as W3C Trace Context has it: the call and
                those within it belong to that trace.
            priority: Higher goes first; 32 bits.

        Raises:
            Closed: The runtime is closed; said before anything about the arguments.
            Conflict: The idempotency key belongs to another input; the first difference is named.
            UnknownOutcome: A ``once`` capability was interrupted under that key.
            Conflict: Called in an `async def` handler, where waiting would block the loop that has
                to run the call: await ``ctx.call`` there.
            ClewError: Bad input, a refusal, or what the handler raised (as `ExecutionFailed`, whose
                ``__cause__`` is the original exception when it happened in this process).

        Example:
            >>> rt.execute("text.words@^1", {"doc": "a b c"}, timeout="5s")
            3
            >>> rt.execute(words, {"doc": 7})
            Traceback (most recent call last):
            clew.InvalidInput: input.doc: expected a string, got 7
        """
        return self._core.execute(
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
        """Start a call; the arguments are those of `execute`. Never blocks.

        A refusal (a full queue, an unknown capability) is the outcome of the call; arguments of
        which no request can be made raise here, as does a closed runtime.

        Args:
            durable: True to have the call accepted for good: it will run, also if this process
                dies, and ``rt.call(id)`` finds it again, with its result. Blocks until that is on
                the disk. It may be tried more than once, as its contract's ``effect`` and ``retry``
                allow; ``idempotency_key`` makes a second submission give the first call.

        Example:
            >>> calls = [rt.submit(words, {"doc": doc}) for doc in ("a b", "c")]
            >>> [call.result() for call in calls]
            [2, 1]
            >>> calls[0].trace.outcome
            'success'
        """
        return self._core.submit_future(
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

    def call(self, id: str) -> DurableCall:  # noqa: A002 - the word of users
        """Return a durable call by its id, whichever process has submitted it. `NotFound`.

        Example:
            >>> call = rt.submit(words, {"doc": "a b"}, durable=True)
            >>> rt.call(call.id).result()
            2
        """
        from ._durable import open_call

        self._require_open()
        return open_call(self._core, id)

    def map(
        self,
        ref: _core.Reference,
        inputs: Iterable[Any],
        *,
        concurrency: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
    ) -> _core.Map:
        """Run a call for each input; iterate over the outputs, asynchronously too.

        Inputs are taken lazily, on the thread that iterates: none before it asks for the first
        output, and then a bounded number ahead of it. Leaving early cancels what has not begun.
        Nothing of it is refused by a full queue: its own bound holds instead.

        Args:
            ref: As for `execute`; looked up now.
            inputs: Any iterable of input objects.
            concurrency: Most inputs that are taken and have not come out yet, so most calls at one
                time too. Default: up to 1024 are taken ahead (twice the workers when the calls
                have a timeout), of which as many run as there are workers.
            ordered: False to get outputs as they come.
            return_exceptions: True to get errors as results instead of the first one raised.

        Example:
            >>> list(rt.map("text.words@^1", ({"doc": doc} for doc in ("a b", "c", ""))))
            [2, 1, 0]
        """
        self._require_open()
        if isinstance(inputs, (str, bytes, Mapping)) or not isinstance(inputs, Iterable):
            raise invalid("inputs", inputs, "an iterable of input objects")
        if concurrency is not None:
            _check.integer("concurrency", concurrency, 1, 1_000_000)
        return self._core.map(
            ref,
            inputs,
            concurrency=concurrency,
            ordered=_check.flag("ordered", ordered),
            return_exceptions=_check.flag("return_exceptions", return_exceptions),
        )

    # --- workflows ---

    def start(
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
        """Start a run; it is durable when this returns. Blocks for the disk.

        Args:
            workflow: A workflow, the path of one, its text, a dict, or the reference of a published
                one such as ``"library.index@^1"``.
            input: The input object; absent, it is empty.
            id: Its id. The same id with the same input gives the same run. Default: a new one.
            key: The same for a key of the workflow's, such as an order's number; the id is new.
            priority: Higher goes first.
            budget: Not offered yet: only None.
            tags: Words to find it by.
            durability: Default: the runtime's.

        Raises:
            Conflict: A run of that id or key has another input or workflow.
            InvalidInput: The workflow has problems, or the input does not fit its schema.
            NotFound: No such file or published workflow.

        Example:
            >>> run = rt.start(report, {"docs": ["a b", "c d e"]}, id="report-1")
            >>> run.result()
            {'words': 5}
            >>> rt.start(report, {"docs": ["a b", "c d e"]}, id="report-1") == run
            True
        """
        self._require_open()
        options = _options.of_start(id, key, priority, budget, tags, durability)
        return Run(self._core.start(definition_of(workflow), input, **options))

    def publish_workflow(self, workflow: Workflow | Source) -> Workflow:
        """Keep a workflow under its name and version; the same content again is fine.

        Raises:
            Conflict: Other content is published under that version.
            InvalidInput: It has problems.
        """
        self._require_open()
        definition = definition_of(workflow)
        if isinstance(definition, str):
            raise invalid("workflow", workflow, "a workflow, its path, text, or a dict")
        self._core.publish_workflow(definition)
        return workflow if isinstance(workflow, Workflow) else Workflow(definition, (), "")

    def find_workflow(self, ref: str) -> Workflow:
        """Return the published workflow that a reference means. `NotFound`, `Ambiguous`.

        Example:
            >>> rt.publish_workflow(report) is report
            True
            >>> rt.find_workflow("text.report@^1") == report
            True
        """
        self._require_open()
        return Workflow(self._core.find_workflow(_check.text("ref", ref)), (), "")

    def run(self, id: str) -> Run:  # noqa: A002 - the word of users
        """Return the run of that id, of whatever process. `NotFound`."""
        self._require_open()
        return Run(self._core.run(_check.text("id", id)))

    def runs(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        workspace: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[RunInfo]:
        """Return runs, newest first; the arguments choose, ``limit`` is 1 to 10_000.

        Those of every workspace, unless one is named.

        Example:
            >>> rt.start(report, {"docs": ["a b"]}, tags=["nightly"]).result()
            {'words': 2}
            >>> [(info.workflow, info.status) for info in rt.runs(tag="nightly")]
            [('text.report', 'completed')]
        """
        self._require_open()
        return runs_of(
            self._core,
            status=status,
            workflow=workflow,
            tag=tag,
            workspace=workspace,
            limit=limit,
            cursor=cursor,
        )

    def _problems_of(self, definition: _core.Definition) -> list[Problem]:
        return [Problem(**one) for one in self._core.check(definition)]

    # --- looking ---

    def sql(
        self,
        query: str,
        params: Sequence[Any] | Mapping[str, Any] = (),
        *,
        timeout: Duration | None = None,
    ) -> list[dict[str, Any]]:
        """Run one statement that reads; return rows as dicts, at most 100_000.

        Heeds Ctrl-C. Closing the runtime ends it.

        Args:
            query: SQL over the documented views, such as ``v_runs`` and ``v_traces``.
            params: What its ``?`` stand for, by position, or its ``:name`` by name: None, bool,
                int, float or str.
            timeout: How long it may take, waiting for its turn included. Default: as long as it
                takes.

        Raises:
            InvalidInput: It is not one statement that reads, or goes wrong as it runs (an overflow,
                say): the path is ``query``. Or ``params`` are not what it asks for.
            Timeout: It was not done within ``timeout``.
            Closed: The runtime was closed meanwhile.
            ResourceExhausted: It gives more than 100_000 rows.
            Corrupt: A column of text holds bytes that are no UTF-8.

        Example:
            >>> rt.start(report, {"docs": ["a b"]}, id="report-2").result()
            {'words': 2}
            >>> rt.sql("SELECT step, status FROM v_steps WHERE run = ? ORDER BY step", ["report-2"])
            [{'step': 'count', 'status': 'completed'}, {'step': 'sum', 'status': 'completed'}]
        """
        return self._sql(query, params, timeout)

    def _sql(
        self,
        query: Any,
        params: Any,
        timeout: Duration | None,
        stop: _core._QueryStop | None = None,
    ) -> list[dict[str, Any]]:
        self._require_open()
        _check.text("query", query)
        if isinstance(params, Mapping):
            query, params = by_position(query, params)
        if not isinstance(params, (list, tuple)):
            raise invalid("params", params, "a list, or a dict for :names")
        return self._core.sql(query, params, timeout, stop)

    def stats(self) -> dict[str, Any]:
        """Return counters and gauges."""
        return self._core.stats()

    def health(self) -> dict[str, Any]:
        """Return ``status`` (``"ok"`` or ``"failing"``) and ``problems``."""
        return self._core.health()

    def verify(self) -> list[Violation]:
        """Check the store's invariants; return those that do not hold. Blocks for the disk.

        Example:
            >>> rt.verify()
            []
        """
        return [Violation(**one) for one in self._core.verify()]

    # --- the end ---

    @property
    def name(self) -> str:
        """What others see of it."""
        return self._core.name

    @property
    def store(self) -> str:
        """The path of its store, its URL, or ``":memory:"``."""
        return self._core.store

    @property
    def workers(self) -> int:
        """How many threads run capabilities."""
        return self._core.workers

    @property
    def closed(self) -> bool:
        """Whether closing has begun."""
        return self._core.closed

    def close(self, drain: bool = True, timeout: Duration = 30.0) -> bool:
        """Admit nothing more, let calls end (or cancel them), stop all threads, close the store.

        Idempotent; later calls wait for the first, and with ``drain=False`` end its draining. Runs
        that have not ended go on in the next runtime on that store.

        Args:
            drain: False to cancel the calls that run.
            timeout: After it what still runs is told to stop, and waited for: 5 s at most, since
                user code may not heed it. The closing then ends behind, with that code.

        Returns:
            False when the time was up before all had ended.
        """
        return self._core.close(drain=_check.flag("drain", drain), timeout=timeout)

    def __enter__(self) -> Self:
        self._require_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(drain=kind is None)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close on a thread, so that the loop goes on."""
        import asyncio

        await asyncio.to_thread(self.close, drain=kind is None)

    def __repr__(self) -> str:
        state = "closed" if self._core.closed else f"{self._core.workers} workers"
        return f"<Runtime {self._core.name} {_options.shown_store(self._core.store)} {state}>"


def runs_of(
    core: _core.Runtime,
    *,
    status: str | None,
    workflow: str | None,
    tag: str | None,
    workspace: str | None,
    limit: int,
    cursor: str | None,
) -> Page[RunInfo]:
    """Return what `Runtime.runs` and `Workspace.runs` do."""
    if status is not None:
        _check.word("status", status, _STATUSES)
    found, following = core.runs(
        status=status,
        workflow=_check.optional_text("workflow", workflow),
        tag=_check.optional_text("tag", tag),
        workspace=_check.optional_text("workspace", workspace),
        limit=_check.integer("limit", limit, 1, 10_000),
        cursor=_check.optional_text("cursor", cursor),
    )
    return Page([RunInfo.of(one) for one in found], following)
