"""The records of processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ._records import _Shown

__all__ = [
    "ProcessEvent",
    "ProcessEventAppendRequest",
    "ProcessEventAppendResult",
    "ProcessEventSemantics",
    "ProcessEventType",
    "ProcessExternalRef",
    "ProcessHandleDescriptor",
    "ProcessHandleGrant",
    "ProcessLease",
    "ProcessLeaseCompletion",
    "ProcessProvenance",
    "ProcessRecord",
    "ProcessRecovery",
    "ProcessRegistration",
    "ProcessScope",
    "ProcessSessionDeleteReport",
    "ProcessTerminalSpec",
    "ProcessWakeDelivery",
    "ProcessWakeSpec",
]

Status = Literal["running", "completed", "failed", "cancelled", "abandoned"]
Disposition = Literal["rerunnable", "owner_bound", "externally_owned"]
# "payload", {"pointer": "/a"}, {"const": value}, {"template": text, "fields": {…}},
# {"present": "/a"}
Selector = str | Mapping[str, Any]


@dataclass(frozen=True, repr=False, slots=True)
class ProcessScope(_Shown):
    """A session, or one agent frame of it: whom a process belongs to, or is woken for."""

    _facts = ("session_id", "agent_frame_id")

    session_id: str
    agent_frame_id: str | None = None

    @property
    def id(self) -> str:
        """``session:<id>``, or ``session:<id>/frame:<id>``."""
        frame = "" if self.agent_frame_id is None else f"/frame:{self.agent_frame_id}"
        return f"session:{self.session_id}{frame}"


@dataclass(frozen=True, repr=False, slots=True)
class ProcessWakeSpec(_Shown):
    """When an event wakes somebody, with which text, and by which key equal wakes are known.

    ``dedupe_key`` is ``"event_identity"``, ``{"selector": selector}`` or ``{"const": text}``.
    """

    _facts = ("input", "when", "dedupe_key")

    input: Selector = field(hash=False)
    when: Selector | None = field(default=None, hash=False)
    dedupe_key: str | Mapping[str, Any] = field(default="event_identity", hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class ProcessTerminalSpec(_Shown):
    """An event that ends its process, and where in its payload the output stands."""

    _facts = ("state", "await_output")

    state: Literal["completed", "failed", "cancelled", "abandoned"]
    await_output: Selector | None = field(default=None, hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class ProcessEventSemantics(_Shown):
    """What a declared type of events means: an end, a wake, both or neither."""

    _facts = ("terminal", "wake")

    terminal: ProcessTerminalSpec | None = None
    wake: ProcessWakeSpec | None = None


@dataclass(frozen=True, repr=False, slots=True)
class ProcessEventType(_Shown):
    """A type of events that a process declares. The schema is JSON Schema; ``{}``: anything."""

    _facts = ("name",)

    name: str
    payload_schema: Mapping[str, Any] | bool = field(default_factory=dict, hash=False)
    semantics: ProcessEventSemantics | Mapping[str, Any] = field(
        default=ProcessEventSemantics(), hash=False
    )


@dataclass(frozen=True, repr=False, slots=True)
class ProcessProvenance(_Shown):
    """Who a process belongs to, and what caused it."""

    _facts = ("owner_scope", "host_profile_id")

    owner_scope: ProcessScope | str = ProcessScope("root")
    host_profile_id: str = "default"
    caused_by: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class ProcessRegistration(_Shown):
    """How a process is made known.

    ``disposition`` says what becomes of it when its runner dies: another runs it again
    (``"rerunnable"``), it is abandoned (``"owner_bound"``), or nobody here decides
    (``"externally_owned"``).
    """

    _facts = ("id", "disposition")

    id: str
    input: Any = field(default=None, hash=False)
    event_types: Sequence[ProcessEventType | Mapping[str, Any]] = field(default=(), hash=False)
    provenance: ProcessProvenance | Mapping[str, Any] = field(
        default=ProcessProvenance(), hash=False
    )
    disposition: Disposition = "rerunnable"


@dataclass(frozen=True, repr=False, slots=True)
class ProcessExternalRef(_Shown):
    """Where a process runs when that is not here."""

    _facts = ("backend", "id")

    backend: str
    id: str
    metadata: Any = field(default=None, hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class ProcessRecord(_Shown):
    """A process as it stands. ``await_output`` is its tagged output once it has ended."""

    _facts = ("id", "status", "disposition", "created_at", "updated_at", "last_sequence")

    id: str
    input: Any = field(hash=False)
    event_types: tuple[ProcessEventType, ...] = field(hash=False)
    provenance: ProcessProvenance = field(hash=False)
    disposition: Disposition
    registration_hash: str
    created_at: datetime
    updated_at: datetime
    external_ref: ProcessExternalRef | None = field(hash=False)
    status: Status
    await_output: Mapping[str, Any] | None = field(hash=False)
    last_sequence: int

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.status != "running"


@dataclass(frozen=True, repr=False, slots=True)
class ProcessEvent(_Shown):
    """One event of a process. ``semantics`` is what it turned out to mean."""

    _facts = ("process_id", "sequence", "event_type", "occurred_at")

    process_id: str
    sequence: int
    event_type: str
    payload: Any = field(hash=False)
    invocation: Mapping[str, Any] = field(hash=False)
    semantics: Mapping[str, Any] = field(hash=False)
    occurred_at: datetime


@dataclass(frozen=True, repr=False, slots=True)
class ProcessWakeDelivery(_Shown):
    """A wake on its way to a session. The same target and dedupe key make the same ``wake_id``."""

    _facts = ("wake_id", "target_scope_id", "process_id", "sequence", "event_type", "dedupe_key")

    wake_id: str
    target_session_id: str
    target_scope_id: str
    process_id: str
    sequence: int
    event_type: str
    event_invocation: Mapping[str, Any] = field(hash=False)
    process_caused_by: Mapping[str, Any] | None = field(hash=False)
    dedupe_key: str
    input: str
    created_at: datetime


@dataclass(frozen=True, repr=False, slots=True)
class ProcessEventAppendRequest(_Shown):
    """What `Processes.append_event` takes, as one record."""

    _facts = ("event_type", "replay_key")

    event_type: str
    payload: Any = field(default=None, hash=False)
    replay_key: str | None = None
    wake_target_scope: ProcessScope | str | Mapping[str, Any] | None = field(
        default=None, hash=False
    )
    lease_token: str | None = None
    authority: str | None = None


@dataclass(frozen=True, repr=False, slots=True)
class ProcessEventAppendResult(_Shown):
    """An event that was appended, or was there already, and its wake if it wakes somebody."""

    _facts = ("event", "wake_delivery", "is_replay")

    event: ProcessEvent
    wake_delivery: ProcessWakeDelivery | None
    is_replay: bool


@dataclass(frozen=True, repr=False, slots=True)
class ProcessHandleDescriptor(_Shown):
    """What a handle is for."""

    _facts = ("kind", "label")

    kind: str | None = None
    label: str | None = None


@dataclass(frozen=True, repr=False, slots=True)
class ProcessHandleGrant(_Shown):
    """The right of a scope to address a process. It owns nothing."""

    _facts = ("scope", "process_id", "kind", "label")

    scope: ProcessScope
    process_id: str
    kind: str | None
    label: str | None

    @property
    def session_id(self) -> str:
        """The session that has it."""
        return self.scope.session_id

    @property
    def descriptor(self) -> ProcessHandleDescriptor:
        """What it is for."""
        return ProcessHandleDescriptor(self.kind, self.label)


@dataclass(frozen=True, repr=False, slots=True)
class ProcessSessionDeleteReport(_Shown):
    """What a deleted session leaves: live processes that nobody, or somebody else, can address."""

    _facts = (
        "session_id",
        "revoked_handle_count",
        "deleted_wake_count",
        "cancel_process_ids",
        "preserved_process_ids",
    )

    session_id: str
    revoked_handle_count: int
    deleted_wake_count: int
    cancel_process_ids: tuple[str, ...]
    preserved_process_ids: tuple[str, ...]


@dataclass(frozen=True, repr=False, slots=True)
class ProcessLeaseCompletion(_Shown):
    """What gives a lease back."""

    _facts = ("process_id",)

    process_id: str
    lease_token: str


@dataclass(frozen=True, repr=False, slots=True)
class ProcessLease(_Shown):
    """The right to run a process. ``fencing_token`` rises with each claim, for ever."""

    _facts = ("process_id", "owner_id", "fencing_token", "expires_at")

    process_id: str
    owner_id: str
    lease_token: str
    fencing_token: int
    claimed_at: datetime
    expires_at: datetime

    def completion(self) -> ProcessLeaseCompletion:
        """Return what gives it back."""
        return ProcessLeaseCompletion(self.process_id, self.lease_token)


@dataclass(frozen=True, repr=False, slots=True)
class ProcessRecovery(_Shown):
    """Processes whose runner is gone: to be run again, and ended as abandoned."""

    _facts = ("rerunnable", "abandoned")

    rerunnable: tuple[str, ...]
    abandoned: tuple[str, ...]
