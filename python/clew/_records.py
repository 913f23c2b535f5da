"""The records that Clew hands out: frozen, comparable, safe to keep and to share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar, overload

from . import _core

__all__ = [
    "Candidate",
    "CapabilityInfo",
    "Descriptor",
    "EventType",
    "Hop",
    "Page",
    "Placement",
    "PlacementCandidate",
    "Problem",
    "Registration",
    "Retry",
    "RunEvent",
    "RunInfo",
    "Step",
    "Trace",
    "Violation",
]

T = TypeVar("T")


class _Shown:
    """One line for ``repr``, a small table in notebooks: facts, never payloads."""

    __slots__ = ()

    # The fields that are shown, in this order.
    _facts: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as a dict."""
        return asdict(self)  # type: ignore[call-overload, no-any-return] # each one is a dataclass

    def _shown(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._facts}

    def __repr__(self) -> str:
        shown = (f"{key}={_plain(value)}" for key, value in self._shown().items())
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_html_(self) -> str:
        from ._html import facts

        return facts(type(self).__name__, self._shown())


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)


@dataclass(frozen=True)
class Retry:
    """How often to try, and how long to wait between.

    The wait before try k+1 is ``initial × factor^(k−1)``, at most ``max``; ``jitter`` takes off up
    to that fraction by chance.

    Args:
        attempts: All tries, 1 to 1000.
        initial: A duration.
        factor: 1 to 100.
        max: A duration.
        jitter: 0 to 1.

    Raises:
        InvalidInput: A value is out of range; the path is ``retry.<name>``.
    """

    attempts: int = 1
    initial: float | timedelta | str = "1s"
    factor: float = 2.0
    max: float | timedelta | str = "1h"
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name in ("initial", "max"):
            value = getattr(self, name)
            if isinstance(value, timedelta):
                object.__setattr__(self, name, value.total_seconds())
        _core.check_contract({"id": "check.retry", "version": "1.0.0", "retry": self.to_dict()})

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as it stands in a contract."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True)
class Binding:
    """How calls reach a Python function: what a contract does not say. For the runtime."""

    function: Callable[..., Any]
    kind: str  # "python" or "async"
    context: str | None  # the parameter that takes the Context
    decode: Callable[[dict[str, Any]], dict[str, Any]] | None
    encode: Callable[[Any], Any] | None
    fingerprint: str


@dataclass(frozen=True, repr=False, slots=True)
class Descriptor(_Shown):
    """The contract of a capability, as its decorator wrote it."""

    _facts = ("id", "version", "effect", "summary")

    id: str
    version: str
    effect: str
    summary: str
    timeout: str | None
    retry: Retry | None
    max_concurrency: int | None
    inputs: Any = field(hash=False)
    outputs: Any = field(hash=False)
    emits: tuple[str, ...]
    tags: tuple[str, ...]
    permitted_targets: tuple[str, ...]
    executor: str | None
    lifecycle: str
    json: str = field(compare=False)

    @property
    def document(self) -> dict[str, Any]:
        """The contract document in its normal form; a fresh copy."""
        document: dict[str, Any] = _core.parse_json(self.json)
        return document

    @classmethod
    def of(cls, document: dict[str, Any]) -> Descriptor:
        """Read a contract document in its normal form."""
        retry = document.get("retry")
        return cls(
            id=document["id"],
            version=document["version"],
            effect=document["effect"],
            summary=document.get("summary", ""),
            timeout=document.get("timeout"),
            retry=None if retry is None else Retry(**retry),
            max_concurrency=document.get("max_concurrency"),
            inputs=document["inputs"],
            outputs=document["outputs"],
            emits=tuple(document.get("emits", ())),
            tags=tuple(document.get("tags", ())),
            permitted_targets=tuple(document["permitted_targets"]),
            executor=document.get("executor"),
            lifecycle=document.get("lifecycle", "active"),
            json=_core.to_json(document),
        )


@dataclass(frozen=True, repr=False, slots=True)
class Registration(_Shown):
    """What a registration did."""

    _facts = ("id", "version", "digest", "already_registered", "replaced")

    id: str
    version: str
    digest: str
    already_registered: bool
    replaced: bool = False


@dataclass(frozen=True, repr=False, slots=True)
class Candidate(_Shown):
    """A version that was considered for a reference."""

    _facts = ("version", "scope", "lifecycle", "rejected")

    version: str
    scope: str
    lifecycle: str
    rejected: str | None  #: Why it was not taken; None for the one that was.


@dataclass(frozen=True, repr=False, slots=True)
class PlacementCandidate(_Shown):
    """An executor that was considered for a call."""

    _facts = ("executor", "target", "load", "rejected")

    executor: str
    target: str | None
    load: float | None  #: Running and queued calls over its capacity; None: not asked.
    rejected: str | None  #: Why it does not run the call; None for the one that does.


@dataclass(frozen=True, repr=False, slots=True)
class Placement(_Shown):
    """Where a call would run now, and why.

    ``reason`` is ``"only_candidate"``, ``"target_requested"`` (only one serves it),
    ``"preferred_target"``, ``"least_load"`` or ``"tie_by_name"``; ``confidence`` is ``"high"``
    below half of the executor's load, ``"medium"`` below three quarters, else ``"low"``.
    """

    _facts = ("target", "executor", "reason", "confidence")

    target: str
    executor: str
    reason: str
    confidence: str
    candidates: tuple[PlacementCandidate, ...]

    @classmethod
    def of(cls, found: dict[str, Any]) -> Placement:
        """Read what the core says of a placement."""
        candidates = tuple(PlacementCandidate(**one) for one in found.pop("candidates"))
        return cls(**found, candidates=candidates)


@dataclass(frozen=True, repr=False, slots=True)
class CapabilityInfo(_Shown):
    """A registered capability.

    ``kind`` is what carries it out (``"python"``, ``"async"``, ``"native"``, …), ``"unbound"``
    while only its contract is known. ``candidates`` is filled by `Runtime.resolve`.
    """

    _facts = ("id", "version", "kind", "lifecycle", "effect", "tags", "summary")

    id: str
    version: str
    digest: str
    kind: str
    lifecycle: str
    scope: str
    workspace: str | None
    contract: dict[str, Any] = field(hash=False)
    candidates: tuple[Candidate, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, found: dict[str, Any]) -> CapabilityInfo:
        """Read what the core says of a capability."""
        candidates = tuple(Candidate(**one) for one in found.pop("candidates", ()))
        return cls(**found, candidates=candidates)

    @property
    def effect(self) -> str:
        """``"pure"``, ``"idempotent"`` or ``"once"``."""
        return str(self.contract["effect"])

    @property
    def summary(self) -> str:
        """What it does, in one sentence; possibly empty."""
        return str(self.contract.get("summary", ""))

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return tuple(self.contract.get("tags", ()))

    @property
    def __clew_ref__(self) -> str:
        return f"{self.id}@{self.version}"


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop on the way of a call: where it came, why, and when, as far as that was measured."""

    stage: str
    reason: str | None
    at: datetime | None


@dataclass(frozen=True, repr=False, slots=True)
class Trace(_Shown):
    """One ended call: what ran where, when, how it ended. No payloads, only their digests.

    ``hops`` is the way of the call from ``received`` to its outcome. ``versions`` and ``executors``
    are what was considered for it, with the reasons; empty where there was no choice.
    ``traceparent`` is what the call hands to other processes (W3C Trace Context), ``remote_parent``
    the span of another process that asked for it.
    """

    _facts = ("id", "capability", "version", "outcome", "code", "started", "queue_us", "run_us")
    #: The private tier: the digest of a payload that has few possible values gives it away.
    PRIVATE: ClassVar[tuple[str, ...]] = ("input_sha256", "output_sha256")

    id: str
    parent: str | None
    capability: str
    version: str | None
    target: str | None
    executor: str | None
    outcome: str
    code: str | None
    started: datetime
    queue_us: int
    run_us: int
    commit_us: int
    input_sha256: str | None
    output_sha256: str | None
    attempt: int
    run: str | None
    step: str | None
    item: int | None
    correlation_id: str | None
    traceparent: str
    remote_parent: str | None
    hops: tuple[Hop, ...]
    versions: tuple[Candidate, ...]
    executors: tuple[PlacementCandidate, ...]

    @classmethod
    def of(cls, found: dict[str, Any]) -> Trace:
        """Read what the core says of a trace."""
        found["hops"] = tuple(Hop(*hop) for hop in found["hops"])
        found["versions"] = tuple(Candidate(**one) for one in found["versions"] or ())
        found["executors"] = tuple(PlacementCandidate(**one) for one in found["executors"] or ())
        return cls(**found)

    def public(self) -> dict[str, Any]:
        """Return what may leave the house: all but what `PRIVATE` names."""
        return {key: value for key, value in self.to_dict().items() if key not in self.PRIVATE}


@dataclass(frozen=True, repr=False, slots=True)
class Step(_Shown):
    """One step of a run."""

    _facts = ("id", "status", "attempts", "started", "ended", "items", "items_done", "reason")

    id: str
    status: str
    attempts: int
    output: Any = field(hash=False)
    error: dict[str, Any] | None = field(hash=False)
    started: datetime | None
    ended: datetime | None
    items: int | None
    items_done: int
    reason: str | None


@dataclass(frozen=True, repr=False, slots=True)
class RunEvent(_Shown):
    """One event of a run; ``seq`` counts from 1 without gaps."""

    _facts = ("seq", "at", "type", "step", "item")

    seq: int
    at: datetime
    type: str
    step: str | None
    item: int | None
    data: Any = field(hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class EventType(_Shown):
    """One version of an event type, as the catalog has it."""

    _facts = ("id", "version", "lifecycle", "summary")

    id: str
    version: str
    lifecycle: str
    summary: str
    schema: Any = field(hash=False)
    defined: datetime

    def __str__(self) -> str:
        return f"{self.id}@{self.version}"


@dataclass(frozen=True, repr=False, slots=True)
class RunInfo(_Shown):
    """A run as lists show it."""

    _facts = (
        "id",
        "workflow",
        "version",
        "status",
        "created",
        "ended",
        "steps_done",
        "steps_total",
    )

    id: str
    workflow: str
    version: str
    status: str
    input: Any = field(hash=False)
    output: Any = field(hash=False)
    error: dict[str, Any] | None = field(hash=False)
    failed_step: str | None
    tags: tuple[str, ...]
    key: str | None
    workspace: str | None
    priority: int
    waiting_for: str | None
    created: datetime
    ended: datetime | None
    steps_done: int
    steps_total: int

    @classmethod
    def of(cls, info: dict[str, Any]) -> RunInfo:
        """Read the core's dict."""
        return cls(**{**info, "tags": tuple(info["tags"])})


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a workflow. ``line`` is 0 when it did not come from text."""

    path: str
    line: int
    message: str
    suggestion: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        where = f"{self.path}: " if self.path else ""
        hint = f" (did you mean {self.suggestion}?)" if self.suggestion else ""
        return f"{place}{where}{self.message}{hint}"


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold."""

    invariant: str
    detail: str


class Page(Sequence[T], Generic[T]):
    """One page of a list. Immutable.

    Attributes:
        next_cursor: Give it as ``cursor=`` for the next page; None on the last one.
    """

    __slots__ = ("_items", "next_cursor")

    next_cursor: str | None

    def __init__(self, items: Sequence[T], next_cursor: str | None) -> None:
        self._items = tuple(items)
        self.next_cursor = next_cursor

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Page):
            return NotImplemented
        return (self._items, self.next_cursor) == (other._items, other.next_cursor)

    def __hash__(self) -> int:
        return hash((self._items, self.next_cursor))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the records as dicts, such as for a data frame."""
        return [item.to_dict() for item in self._items]  # type: ignore[attr-defined] # records have it

    def __repr__(self) -> str:
        kind = type(self._items[0]).__name__ if self._items else "nothing"
        more = ", more to come" if self.next_cursor else ""
        return f"Page({len(self)} × {kind}{more})"

    def _repr_html_(self) -> str:
        from ._html import table

        return table([item._shown() for item in self._items])  # type: ignore[attr-defined] # the same
