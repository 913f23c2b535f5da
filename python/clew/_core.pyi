"""The extension module: the C++ core as plain classes. ``clew`` wraps it; users import ``clew``.

Values cross as JSON: None, bool, int (64 bits), float (finite), str, list, tuple, dict with str keys,
dataclass instances, enum members (their value) and pydantic models. Anything else is `InvalidInput`
naming its path and type. Instants are aware datetimes in UTC both ways. A *duration* is a number of
seconds, a timedelta, or a string such as ``"1h30m"``.

Every call that may block releases the GIL and heeds Ctrl-C on the main thread. A method of a closed
runtime, or of one that belongs to the process this one was forked from, raises `Closed`.
Errors are the classes of ``clew._errors``.
"""

from asyncio import Future
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, final

from . import _call

Json: TypeAlias = Any
Duration: TypeAlias = float | timedelta | str
Reference: TypeAlias = Any
"""A str such as ``"text.words@^1"``, or an object whose ``__clew_ref__`` is one."""

__version__: str

# --- values -------------------------------------------------------------------------------------

def roundtrip(value: Any) -> Json:
    """Return ``value`` as it arrives on the other side: converted to the core's form and back."""

def canonical_json(value: Any) -> str:
    """Return the RFC 8785 text, of which digests are taken."""

def to_json(value: Any) -> str:
    """Return compact JSON text; members keep their order."""

def parse_json(text: str) -> Json:
    """Return the value of a JSON text; duplicate keys and integers beyond 64 bits are errors."""

def digest(value: Any) -> str:
    """Return the hex SHA-256 of the canonical text."""

def parse_duration(value: Duration, path: str = "duration") -> float:
    """Return seconds. `InvalidInput` naming ``path``."""

def check_schema(schema: Any, path: str = "schema") -> None:
    """Compile a JSON Schema and forget it. `InvalidInput` or `Unsupported` with the path inside."""

def check_contract(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contract in its normal form. `InvalidInput` whose context lists all problems."""

def load_contract(text: str) -> dict[str, Any]:
    """The same for the text of a JSON or YAML document; problems know their lines."""

def check_id(id: str, path: str = "id") -> None:
    """`InvalidInput` naming ``path`` unless it is the id of a capability."""

# --- faults, for tests ------------------------------------------------------------------------

def fault_points() -> list[str]:
    """Return the names of all fault points, sorted."""

def arm_fault(
    name: str,
    action: Literal["error", "kill"] | Callable[[], None] = "error",
    *,
    at: int = 1,
    code: str = "unavailable",
) -> None:
    """Make a fault point act at its ``at``-th hit from now (a callable: at each hit from there on).

    ``"error"`` fails that hit with ``code``; ``"kill"`` ends the process with SIGKILL; a callable
    fails it when it raises. `NotFound` for an unknown name, with near ones.
    """

def fault_hits(name: str) -> int:
    """Return how often an armed point was hit since it was armed; 0 when it is not armed."""

def disarm_faults() -> None:
    """Turn all points off."""

# --- clocks -------------------------------------------------------------------------------------

@final
class ManualClock:
    """Virtual time: stands still until moved. Give it to a Runtime as ``clock``."""

    def __init__(self, start: datetime | None = None) -> None: ...
    def now(self) -> datetime: ...
    def advance(self, by: Duration) -> None:
        """Move on and wake every waiter whose deadline has come."""
    def next_deadline(self) -> datetime | None:
        """Return the earliest instant that somebody waits for."""
    def await_waiters(self, count: int = 1) -> bool:
        """Block until ``count`` timed waits are pending; False after ten real seconds."""

# --- workflows as data ----------------------------------------------------------------------------

@final
class Definition:
    """A checked workflow. Immutable."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def document(self) -> dict[str, Any]: ...
    def steps(self) -> list[dict[str, Any]]:
        """Return the steps: ``name, call, after`` (names of all dependencies), ``for_each`` (bool), ``line``."""

Problem: TypeAlias = dict[str, Any]
"""``path, line, message, suggestion``; line 0 when unknown, suggestion possibly empty."""

def load_text(text: str) -> tuple[Definition | None, list[Problem]]:
    """Read YAML or JSON. The definition is None exactly when there are problems."""

def load_value(document: Mapping[str, Any]) -> tuple[Definition | None, list[Problem]]:
    """Read a workflow given as data."""

def parse_yaml(text: str) -> Json:
    """Return YAML 1.2 text as a value. `InvalidInput` with the line."""

# --- calls ------------------------------------------------------------------------------------

class Call:
    """One call. Thread-safe. `clew.Call` makes a `concurrent.futures.Future` of it."""

    @property
    def id(self) -> str:
        """The id of its trace."""
    @property
    def capability(self) -> str | None:
        """``id@version``, or None when none was found."""
    def done(self) -> bool: ...
    def running(self) -> bool: ...
    def cancelled(self) -> bool:
        """True when it ended as cancelled."""
    def cancel(self, reason: str = "cancelled by the caller") -> bool:
        """Ask it to stop. True when it had not begun and is now cancelled.

        One that runs sees ``ctx.cancelled`` and goes on until it heeds it; then False.
        """
    def result(self, timeout: Duration | None = None) -> Json:
        """Wait for the output, or raise the call's error. `Timeout` when it has not ended in time."""
    def exception(self, timeout: Duration | None = None) -> BaseException | None:
        """Wait for the end; return the error or None."""
    def wait(self, timeout: Duration | None = None) -> bool:
        """Wait for the end; False when the time was up first."""
    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Call ``fn(call)`` once it has ended: at once if it has, else on the thread that ends it."""
    @property
    def outcome(self) -> Literal["success", "failure", "timeout", "cancelled", "rejected"] | None:
        """How it ended; None while it has not."""
    @property
    def progress(self) -> tuple[int, int]:
        """``(done, total)`` as the handler reported last; ``(0, 0)`` before."""
    @property
    def trace(self) -> dict[str, Any] | None:
        """The trace as of `Runtime.trace`; None while the call has not ended."""
    def __await__(self) -> Generator[Any, None, Json]:
        """Wait in asyncio. Cancelling the wait cancels the call."""

@final
class Map:
    """The results of `Runtime.map`: an iterator, asynchronous too. For one consumer at a time.

    Ordered or as they come. Leaving it early (``close`` or dropping it) cancels what has not begun.
    """

    def __iter__(self) -> Iterator[Json]: ...
    def __next__(self) -> Json: ...
    def __aiter__(self) -> Map: ...
    def __anext__(self) -> Awaitable[Json]: ...
    def close(self) -> None:
        """Take no more input, cancel what is in flight, drop what is ready."""

    def _take(self) -> tuple[bool, Json]:
        """Return whether there is a next result, and it. Never blocks. StopIteration at the end."""

    def _on_ready(self, callback: Callable[[None], object]) -> None:
        """Call back once there is a next result: at once, or on another thread."""

# --- the context of a handler -------------------------------------------------------------------

@final
class Context:
    """What a handler may ask about its call. Valid while the handler runs, from any thread."""

    def call(self, ref: Reference, input: Any = ..., **options: Any) -> Any:
        """Make a call within this one: the output. In an ``async def`` handler: an awaitable of it.

        ``options`` are those of `Runtime.execute`. The nested call's deadline is at most this one's,
        and it is cancelled with this one.
        """
    def submit(self, ref: Reference, input: Any = ..., **options: Any) -> _call.Call:
        """Start a call within this one."""
    def _connect(self, name: str, request: Any) -> Any:
        """Send a request to a connector; its response. Blocks."""

    def emit(
        self, event: str, data: Any = None, *, subject: str | None = None, key: str | None = None
    ) -> None:
        """Publish an event that ``emits`` names if the call succeeds, before its caller hears of it."""
    @property
    def deadline(self) -> datetime | None: ...
    @property
    def remaining(self) -> float | None:
        """Seconds to the deadline, not below 0; None without one."""
    @property
    def cancelled(self) -> bool:
        """Whether the call was asked to stop, or nobody waits for it any more."""
    def check_cancelled(self) -> None:
        """Raise `Cancelled` when ``cancelled``."""
    @property
    def idempotency_key(self) -> str | None: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def attempt(self) -> int: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def traceparent(self) -> str:
        """What to hand to other processes, as W3C Trace Context has it."""
    @property
    def run_id(self) -> str | None: ...
    @property
    def step(self) -> str | None: ...
    @property
    def item(self) -> int | None:
        """Index within a for_each."""
    @property
    def capability(self) -> str:
        """``id@version``."""
    def progress(self, done: int, total: int) -> None: ...
    def heartbeat(self, details: Any = None) -> None:
        """Say that the work goes on: raises `Cancelled` when it should not. ``details`` is JSON."""

# --- the event loop of async handlers: for clew._loop alone ---

@final
class _AsyncJob:
    """One call on its way through the loop."""

    def begin(self) -> Awaitable[Any] | None:
        """Return what to await, or None when there is nothing to do."""

    def finish(self, value: Any) -> None: ...
    def fail(self, exception: BaseException) -> None: ...

@final
class _QueryStop:
    """Told from another thread that nobody waits for a query any more."""

    def __init__(self) -> None: ...
    def set(self) -> None: ...

@final
class _AsyncInbox:
    """What a loop has to look at next."""

    def fileno(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def take(self) -> tuple[list[_AsyncJob], list[_AsyncJob]]:
        """Return the jobs to run and the jobs to cancel since the last time."""

@final
class _Ring:
    """What one future waits for. Instead of a callback it costs no GIL. Called once."""

    def __call__(self, ended: object) -> None: ...

@final
class _Bell:
    """What a loop sleeps on. Thread-safe."""

    def __init__(self) -> None: ...
    def fileno(self) -> int: ...
    def ring(self, future: Future[None]) -> _Ring: ...
    def take(self) -> list[Future[None]]:
        """Return the futures whose rings were called since the last time."""

# --- runs -------------------------------------------------------------------------------------

@final
class Run:
    """One durable run. Thread-safe."""

    @property
    def id(self) -> str: ...
    @property
    def status(
        self,
    ) -> Literal[
        "pending", "running", "waiting", "completed", "failed", "cancelled", "unknown"
    ]: ...
    def info(self) -> dict[str, Any]:
        """Return ``id, workflow, version, status, input, output, error, failed_step, tags, key,
        priority, waiting_for, created, ended, steps_done, steps_total``.

        ``error`` is None or a dict of ``code, message, context, retryable``; ``failed_step``, ``key``
        and ``waiting_for`` are None when there is nothing to say.
        """
    def steps(self) -> list[dict[str, Any]]:
        """Return ``id, status, attempts, output, error, started, ended, items, items_done, reason``
        of each step, in the order of the definition. ``items`` is None but for a for_each."""
    def events(self, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Return events with ``seq > after``: ``seq, at, type, step, item, data``."""
    def wait_events(self, after: int, timeout: Duration | None = None) -> bool:
        """Wait for events beyond ``after`` or the end of the run; False when the time was up first."""
    def wait(self, timeout: Duration | None = None) -> bool:
        """Wait for the end; False when the time was up first."""
    def done(self) -> bool: ...
    def result(self, timeout: Duration | None = None) -> Json:
        """Wait for the output, or raise the run's error. `Timeout` when it has not ended in time."""
    def cancel(self, reason: str = "cancelled by the user") -> None: ...
    def on_ended(self, callback: Callable[[Run], object]) -> None:
        """Call back once when it has ended: at once if it has, else on another thread."""
    def definition(self) -> Definition: ...
    def __await__(self) -> Generator[Any, None, Json]:
        """Wait in asyncio. Cancelling the wait leaves the run alone."""

# --- the runtime --------------------------------------------------------------------------------

class Subscription:
    """A position in the log of events. Thread-safe."""

    def poll(self, max: int = 100, timeout: Duration | None = None) -> list[dict[str, Any]]:
        """Return the next events: ``cursor, id, source, type, version, time, subject, key,
        correlation_id, causation_id, data, delivery``. Waits for the first one."""
    def on_ready(self, callback: Callable[[], Any] | _Ring) -> None: ...
    def ack(self, cursor: int, delivery: int) -> None: ...
    def cancel(self) -> None: ...
    @property
    def cancelled(self) -> bool: ...
    @property
    def cursor(self) -> int: ...

class Runtime:
    """One runtime over one store. Thread-safe. May be subclassed; weak references work.

    Dropping it without `close` cancels what runs and closes it.
    """

    def __init__(
        self,
        store: str = ":memory:",
        *,
        workers: int | None = None,
        name: str | None = None,
        durability: Literal["sync", "relaxed"] = "sync",
        environment: Literal["development", "production"] = "development",
        clock: ManualClock | None = None,
        start: bool = True,
        queue_max: int | None = None,
        relaxed_window: Duration | None = None,
        traces_max: int | None = None,
        traces_age: Duration | None = None,
        lease_ttl: Duration | None = None,
        idempotency_ttl: Duration | None = None,
        trusted_keys: Sequence[bytes] | None = None,
        events_max: int | None = None,
        events_age: Duration | None = None,
    ) -> None:
        """Open the store and start. Blocks for the disk. None means the default."""

    @property
    def name(self) -> str: ...
    @property
    def store(self) -> str: ...
    @property
    def workers(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def close(self, drain: bool = True, timeout: Duration = 30.0) -> bool:
        """Stop admitting, drain or cancel, join threads, flush, close the store.

        Idempotent; later calls wait for the first. False when the time was up first: what still ran
        was told to stop. In a forked child it does nothing and returns True.
        """

    # capabilities

    def register(
        self,
        contract: Mapping[str, Any],
        handler: Callable[..., Any],
        *,
        kind: Literal["python", "async"] = "python",
        context: str | None = None,
        decode: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        encode: Callable[[Any], Any] | None = None,
        fingerprint: str = "",
        scope: str = "public",
        workspace: str = "",
    ) -> dict[str, Any]:
        """Register a Python function under a contract document.

        The function is called with the members of the input as keyword arguments. ``context`` names
        the parameter that takes a `Context`. ``decode`` turns the input into keyword arguments
        (dataclasses and the like), ``encode`` the result into JSON; None: nothing to do.
        ``fingerprint`` tells a changed function from an unchanged one.

        Returns ``id, version, digest, already_registered, replaced``.
        """

    def add_connector(
        self,
        name: str,
        function: Callable[..., Any],
        version: str,
        timeout: Duration | None = None,
        context: str = "",
    ) -> None:
        """Bind a connector: ``function(request=…)`` returns the response."""

    def register_wasm(
        self,
        contract: Mapping[str, Any],
        *,
        path: str | None = None,
        module: bytes | None = None,
        digest: str | None = None,
        signature: bytes | None = None,
        library: str = "",
    ) -> tuple[dict[str, Any], str]:
        """Register a WebAssembly module; the registration and a warning, or an empty text."""
    def register_contract(
        self, contract: Mapping[str, Any], *, scope: str = "public", workspace: str = ""
    ) -> dict[str, Any]:
        """Register a contract document without a handler."""

    def register_native(
        self,
        contract: Mapping[str, Any],
        function: str,
        *,
        scope: str = "public",
        workspace: str = "",
    ) -> dict[str, Any]:
        """Register one of the functions of `native_functions` under a contract document."""

    def set_lifecycle(
        self, ref: Reference, lifecycle: str, *, scope: str = "public", workspace: str = ""
    ) -> None:
        """Move an exact version on. `NotFound`, `Conflict`, `InvalidInput`."""

    def capabilities(self, workspace: str = "") -> list[dict[str, Any]]:
        """Return what `clew.CapabilityInfo` holds of all, by id, highest version first."""

    def resolve(
        self, ref: Reference, *, public_only: bool = False, workspace: str = ""
    ) -> dict[str, Any]:
        """Return the same for what a reference means, and the candidates for it."""

    def dependencies(self, ref: Reference, workspace: str = "") -> list[dict[str, Any]]:
        """Return what a capability needs, transitively, deepest first."""

    def placement(self, ref: Reference, target: str = "", workspace: str = "") -> dict[str, Any]:
        """Return what `clew.Placement` holds. `NoEligibleTarget`."""

    def add_executor(
        self,
        name: str,
        executor: Executor,
        targets: Sequence[str],
        *,
        capacity: int | None = None,
    ) -> None:
        """Let any `concurrent.futures.Executor` serve targets. It stays the caller's to shut down.

        It runs Python functions that take no context; a process pool must be able to import them.
        """

    # calls

    def execute(
        self,
        ref: Reference,
        input: Any = ...,
        *,
        timeout: Duration | None = None,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        target: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
        priority: int = 0,
        workspace: str | None = None,
    ) -> Json:
        """Run a call and return its output, or raise its error. ``input`` absent: ``{}``."""

    def submit(
        self,
        ref: Reference,
        input: Any = ...,
        *,
        timeout: Duration | None = None,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        target: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
        priority: int = 0,
        workspace: str | None = None,
    ) -> Call:
        """Start a call. A refusal is the call's outcome; bad arguments raise."""

    def submit_future(
        self,
        ref: Reference,
        input: Any = ...,
        *,
        timeout: Duration | None = None,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        target: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
        priority: int = 0,
        workspace: str | None = None,
        durable: bool = False,
    ) -> _call.Call:
        """As `submit`, but what it returns is a future of the standard library too."""

    def map(
        self,
        ref: Reference,
        inputs: Iterable[Any],
        *,
        concurrency: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        workspace: str = "",
    ) -> Map:
        """Run a call for each input, taken lazily on the thread that iterates."""

    # runs

    def start(
        self,
        workflow: Definition | str,
        input: Any = ...,
        *,
        id: str | None = None,
        key: str | None = None,
        priority: int = 0,
        tags: Sequence[str] = (),
        durability: Literal["sync", "relaxed"] | None = None,
    ) -> Run:
        """Start a durable run of a definition or of a published workflow (a reference)."""

    def _start_async(
        self,
        workflow: Definition | str,
        input: Any,
        ring: _Ring,
        *,
        id: str | None = None,
        key: str | None = None,
        priority: int = 0,
        tags: Sequence[str] = (),
        durability: Literal["sync", "relaxed"] | None = None,
    ) -> None:
        """The same without blocking: calls the ring when `_started` has the answer."""
    def _started(self, ring: _Ring) -> Run:
        """Return the run whose start rang, or raise why there is none."""

    def run(self, id: str) -> Run:
        """Return the run of that id, of whatever process. `NotFound`."""

    def runs(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return dicts as of `Run.info`, newest first, and the cursor of the next page."""

    def publish_workflow(self, definition: Definition) -> None: ...
    def find_workflow(self, ref: str) -> Definition: ...
    def check(self, definition: Definition) -> list[Problem]:
        """Return what is wrong with a definition in this runtime, such as unknown capabilities."""

    # events

    def publish(
        self,
        type: str,
        data: Any,
        *,
        subject: str | None = None,
        id: str | None = None,
        key: str | None = None,
        source: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        timeout: Duration | None = None,
    ) -> int: ...
    def _publish_async(
        self,
        ring: _Ring,
        type: str,
        data: Any,
        *,
        subject: str | None = None,
        id: str | None = None,
        key: str | None = None,
        source: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
    ) -> None: ...
    def _published(self, ring: _Ring) -> int: ...
    def subscribe(
        self,
        pattern: str,
        *,
        from_: str | int = "now",
        subject: str | None = None,
        group: str | None = None,
        queue_max: int | None = None,
        ack_timeout: Duration | None = None,
    ) -> Subscription: ...
    def define_event(
        self, type: str, *, schema: Any = True, lifecycle: str = "active", summary: str = ""
    ) -> dict[str, Any]:
        """Define a type: ``id, version, lifecycle, summary, schema, defined``."""
    def set_event_lifecycle(self, type: str, lifecycle: str) -> dict[str, Any]: ...
    def event_type(self, ref: str) -> dict[str, Any]: ...
    def event_types(self) -> list[dict[str, Any]]: ...

    # inspection

    def traces(
        self,
        *,
        capability: str | None = None,
        version: str | None = None,
        outcome: str | None = None,
        code: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        run: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return traces, newest first, and the cursor of the next page.

        A trace has ``id, parent, capability, version, target, executor, outcome, code, started,
        queue_us, run_us, commit_us, input_sha256, output_sha256, attempt, run, step, item,
        correlation_id``; what does not apply is None.
        """

    def trace(self, id: str) -> dict[str, Any]: ...
    def sql(
        self,
        query: str,
        params: Sequence[Any] | Mapping[str, Any] = (),
        timeout: Duration | None = None,
        stop: _QueryStop | None = None,
    ) -> list[dict[str, Any]]:
        """Run one reading statement. Parameters by position; a mapping is refused for now."""

    def stats(self) -> dict[str, Any]: ...
    def health(self) -> dict[str, Any]: ...
    def verify(self) -> list[dict[str, str]]:
        """Return violated invariants: ``invariant, detail``. Empty when all hold."""

    def now(self) -> datetime:
        """Return the time of the runtime's clock."""

def public_key(secret: bytes) -> bytes:
    """Return the Ed25519 public key of a secret seed of 32 bytes."""

def sign_digest(digest: bytes, secret: bytes) -> bytes:
    """Sign a SHA-256 digest: the public key, then the Ed25519 signature; 96 bytes."""

def native_functions() -> list[str]:
    """``echo`` (its input), ``nothing``, ``sleep`` (``{"for"}``), ``fail`` (``{"code", "message"}``)."""

def live_runtimes() -> int:
    """Return how many runtimes of this process are open."""

def close_all(timeout: Duration = 5.0) -> None:
    """Close every open runtime without draining; what the interpreter's exit does."""

def _at_exit() -> None:
    """Close all, then wait until no thread is inside any more. Registered by the module itself."""
