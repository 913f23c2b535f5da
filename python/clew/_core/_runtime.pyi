"""The runtime, and what is to be said of all of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from typing import Any, Literal

from .. import _call
from ._calls import Call, Map
from ._loop import _QueryStop, _Ring
from ._runs import Definition, Problem, Run
from ._stores import EffectController, Processes
from ._values import Duration, Json, ManualClock, Reference

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

class AttachmentSink:
    """Takes an attachment part by part. Thread-safe."""

    def append(self, part: bytes) -> None: ...
    def finish(self) -> dict[str, Any]:
        """Store it: ``id, byte_len, media_type, width, height, label``."""

class AttachmentSource:
    """Gives an attachment part by part. Thread-safe."""

    def next(self) -> bytes:
        """Return the next part; empty at the end."""
    @property
    def ref(self) -> dict[str, Any]: ...

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
        keys_age: Duration | None = None,
        processes_age: Duration | None = None,
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
    def processes(self) -> Processes: ...
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
        self,
        contract: Mapping[str, Any],
        workflow: Definition | None = None,
        *,
        scope: str = "public",
        workspace: str = "",
    ) -> dict[str, Any]:
        """Register a contract document that a workflow carries out, or one without a handler."""

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
        workspace: str = "",
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
        workspace: str = "",
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
        workspace: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return dicts as of `Run.info`, newest first, and the cursor of the next page."""

    def publish_workflow(self, definition: Definition) -> None: ...
    def find_workflow(self, ref: str) -> Definition: ...
    def check(self, definition: Definition, workspace: str = "") -> list[Problem]:
        """Return what is wrong with a definition here: unknown capabilities and event types."""

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

    # the session stores

    def effects_of(self, scope: Json) -> EffectController: ...
    def store_operation(self, operation: str, arguments: Json) -> Any:
        """Carry out an operation of the session stores, such as ``"session.load"``."""
    def delete_session(self, session_id: str) -> bool: ...
    def write_attachment(self, session_id: str, meta: Json) -> AttachmentSink: ...
    def read_attachment(self, session_id: str, id: str) -> AttachmentSource: ...

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

def native_functions() -> list[str]:
    """``echo`` (its input), ``nothing``, ``sleep`` (``{"for"}``), ``fail`` (``{"code", "message"}``)."""

def live_runtimes() -> int:
    """Return how many runtimes of this process are open."""

def close_all(timeout: Duration = 5.0) -> None:
    """Close every open runtime without draining; what the interpreter's exit does."""

def _at_exit() -> None:
    """Close all, then wait until no thread is inside any more. Registered by the module itself."""
