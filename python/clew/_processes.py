"""Processes: long-lived things with an identity, a stream of events, a lease and one end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from . import _check, _core, _errors
from ._process_records import (
    Disposition,
    ProcessEvent,
    ProcessEventAppendRequest,
    ProcessEventAppendResult,
    ProcessEventSemantics,
    ProcessEventType,
    ProcessExternalRef,
    ProcessHandleDescriptor,
    ProcessHandleGrant,
    ProcessLease,
    ProcessLeaseCompletion,
    ProcessProvenance,
    ProcessRecord,
    ProcessRecovery,
    ProcessRegistration,
    ProcessScope,
    ProcessSessionDeleteReport,
    ProcessTerminalSpec,
    ProcessWakeDelivery,
    ProcessWakeSpec,
)
from ._stores import from_us, tier_of

__all__ = ["Processes"]

Duration = float | timedelta | str

_LIMIT = 1000


def _event_type(raw: Mapping[str, Any]) -> ProcessEventType:
    semantics = raw["semantics"]
    terminal, wake = semantics.get("terminal"), semantics.get("wake")
    return ProcessEventType(
        raw["name"],
        raw["payload_schema"],
        ProcessEventSemantics(
            None if terminal is None else ProcessTerminalSpec(**terminal),
            None if wake is None else ProcessWakeSpec(**wake),
        ),
    )


def _record(raw: Mapping[str, Any]) -> ProcessRecord:
    registration = raw["registration"]
    provenance, ref = registration["provenance"], raw["external_ref"]
    return ProcessRecord(
        id=registration["id"],
        input=registration["input"],
        event_types=tuple(_event_type(each) for each in registration["event_types"]),
        provenance=ProcessProvenance(
            ProcessScope(**provenance["owner_scope"]),
            provenance["host_profile_id"],
            provenance.get("caused_by"),
        ),
        disposition=registration["disposition"],
        registration_hash=raw["registration_hash"],
        created_at=from_us(raw["created_at_us"]),
        updated_at=from_us(raw["updated_at_us"]),
        external_ref=None if ref is None else ProcessExternalRef(**ref),
        status=raw["status"],
        await_output=raw["await_output"],
        last_sequence=raw["last_sequence"],
    )


def _event(raw: Mapping[str, Any]) -> ProcessEvent:
    rest = {name: value for name, value in raw.items() if name != "occurred_at_us"}
    return ProcessEvent(**rest, occurred_at=from_us(raw["occurred_at_us"]))


def _appended(raw: Mapping[str, Any]) -> ProcessEventAppendResult:
    wake = raw["wake_delivery"]
    delivery = None
    if wake is not None:
        rest = {name: value for name, value in wake.items() if name != "created_at_us"}
        delivery = ProcessWakeDelivery(**rest, created_at=from_us(wake["created_at_us"]))
    return ProcessEventAppendResult(_event(raw["event"]), delivery, raw["is_replay"])


def _grant(raw: Mapping[str, Any]) -> ProcessHandleGrant:
    return ProcessHandleGrant(
        ProcessScope(**raw["scope"]), raw["process_id"], raw["kind"], raw["label"]
    )


def _lease(raw: Mapping[str, Any]) -> ProcessLease:
    rest = {name: value for name, value in raw.items() if not name.endswith("_us")}
    return ProcessLease(
        **rest,
        claimed_at=from_us(raw["claimed_at_us"]),
        expires_at=from_us(raw["expires_at_us"]),
    )


def _held(lease: Any) -> tuple[Any, Any]:
    """Return the process of a lease and its token."""
    if isinstance(lease, (ProcessLease, ProcessLeaseCompletion)):
        return lease.process_id, lease.lease_token
    if isinstance(lease, Mapping) and {"process_id", "lease_token"} <= lease.keys():
        return lease["process_id"], lease["lease_token"]
    raise _check.invalid("lease", lease, "a lease, or a dict with process_id and lease_token")


class Processes:
    """The registry of processes of a runtime: ``rt.processes``. Kept in its store.

    Every method blocks for the disk, and what changes something is durable when it returns. A
    process that is not there is `NotFound`.
    """

    __slots__ = ("_core", "_runtime")

    def __init__(self, core: _core.Runtime) -> None:
        self._runtime = core
        self._core = core.processes

    @property
    def durability_tier(self) -> Literal["inline", "durable"]:
        """Whether what it keeps outlives the process: ``"durable"``, or ``"inline"`` in memory."""
        return tier_of(self._runtime)

    def _open(self) -> _core.Processes:
        _check.require_open(self._runtime)
        return self._core

    def register_process(
        self,
        registration: ProcessRegistration | Mapping[str, Any] | str,
        input: Any = None,  # noqa: A002 - the word of processes
        *,
        event_types: Sequence[ProcessEventType | Mapping[str, Any]] = (),
        provenance: ProcessProvenance | Mapping[str, Any] | None = None,
        disposition: Disposition = "rerunnable",
    ) -> ProcessRecord:
        """Register a process, or return what the same registration made before.

        Args:
            registration: A registration, or the id of a process that the other arguments describe.
            input: What it is to do.
            event_types: The events that it may tell of, beside those that all have.
            provenance: Who it belongs to, and what caused it.
            disposition: What becomes of it when its runner dies.

        Raises:
            Conflict: The id stands for another registration, whose first difference is named, or
                for a process that was pruned.
            InvalidInput: A blank id, an event type that is named twice, a schema that is none.
        """
        core = self._open()
        if isinstance(registration, str):
            whose = ProcessProvenance() if provenance is None else provenance
            registration = ProcessRegistration(registration, input, event_types, whose, disposition)
        return _record(core.register_process(registration))

    def get_process(self, process_id: str) -> ProcessRecord | None:
        """Return a process as it stands; None when there is none."""
        raw = self._open().get_process(process_id)
        return None if raw is None else _record(raw)

    def list_processes(self) -> list[ProcessRecord]:
        """Return all processes, by id."""
        return [_record(raw) for raw in self._open().list_processes()]

    def list_non_terminal(self) -> list[ProcessRecord]:
        """Return those that have not ended, by id."""
        return [_record(raw) for raw in self._open().list_non_terminal()]

    def set_external_ref(
        self, process_id: str, external_ref: ProcessExternalRef | Mapping[str, Any]
    ) -> ProcessRecord:
        """Say where a process runs when that is not here."""
        return _record(self._open().set_external_ref(process_id, external_ref))

    def append_event(
        self,
        process_id: str,
        event_type: ProcessEventAppendRequest | Mapping[str, Any] | str,
        payload: Any = None,
        *,
        replay_key: str | None = None,
        wake_target_scope: ProcessScope | str | Mapping[str, Any] | None = None,
        lease_token: str | None = None,
        authority: str | None = None,
    ) -> ProcessEventAppendResult:
        """Append an event of a declared type; its sequence is dense from 1.

        Args:
            process_id: Whose event it is.
            event_type: A type that the process declares; or a whole request, instead of the rest.
            payload: Fits the type's schema.
            replay_key: The same key with the same content is the same event, appended once.
                Terminal events and cancel requests need one.
            wake_target_scope: Whom it wakes; needed when it does.
            lease_token: Append only while this is the newest lease on the process.
            authority: Who ends a leased process without its lease; kept in the event.

        Raises:
            Conflict: The key stands for other content, or the process has ended.
            InvalidInput: An undeclared type, a payload that does not fit, a key or target that is
                missing. Nothing was appended, and no sequence is burned.
            StaleLease: The lease was lost, or the end of a leased process lacks its token.
        """
        if isinstance(event_type, (ProcessEventAppendRequest, Mapping)):
            return _appended(self._open().append_event(process_id, event_type))
        request = {
            "event_type": event_type,
            "payload": payload,
            "replay_key": replay_key,
            "wake_target_scope": wake_target_scope,
            "lease_token": lease_token,
            "authority": authority,
        }
        return _appended(self._open().append_event(process_id, request))

    def complete_process(
        self,
        process_id: str,
        output: Mapping[str, Any],
        *,
        lease_token: str | None = None,
        authority: str | None = None,
    ) -> ProcessEventAppendResult:
        """End a process; the same output again changes nothing.

        Args:
            process_id: The process.
            output: ``{"type": "success", "value": …}``, ``{"type": "failure", "class": …, "code":
                …, "message": …}``, ``{"type": "cancelled", "message": …}`` or ``{"type":
                "abandoned", "message": …}``.
            lease_token: The lease under which it ran: checked in the same transaction.
            authority: Who ends a leased process without its lease.

        Raises:
            Conflict: It has ended otherwise.
            StaleLease: It is leased by another.
        """
        return _appended(self._open().complete_process(process_id, output, lease_token, authority))

    def request_cancel(
        self, process_id: str, reason: str | None = None
    ) -> ProcessEventAppendResult:
        """Ask whoever runs it to stop. The process itself goes on until it ends."""
        return _appended(self._open().request_cancel(process_id, reason))

    def events_after(
        self, process_id: str, after: int = 0, *, limit: int = _LIMIT
    ) -> list[ProcessEvent]:
        """Return its events after that sequence, in order."""
        return [_event(raw) for raw in self._open().events_after(process_id, after, limit)]

    def wake_events_after(
        self, process_id: str, after: int = 0, *, limit: int = _LIMIT
    ) -> list[ProcessEvent]:
        """Return those of its events that wake somebody and were not acknowledged."""
        return [_event(raw) for raw in self._open().wake_events_after(process_id, after, limit)]

    def ack_wake(self, process_id: str, sequence: int) -> None:
        """Say that a wake has done its work. Nothing happens when it had already."""
        self._open().ack_wake(process_id, sequence)

    def wait_event_after(
        self,
        process_id: str,
        event_type: str,
        after: int = 0,
        *,
        timeout: Duration | None = None,
    ) -> ProcessEvent:
        """Return the first event of that type after that sequence, as soon as there is one.

        Raises:
            Timeout: There was none in time.
        """
        raw = self._open().wait_event_after(process_id, event_type, after, timeout)
        if raw is None:
            raise _errors.Timeout(
                f"process {process_id!r} has no event {event_type} after {after} yet",
                {"process_id": process_id, "timeout": str(timeout)},
                retryable=True,
            )
        return _event(raw)

    def await_process(
        self, process_id: str, *, timeout: Duration | None = None
    ) -> Mapping[str, Any]:
        """Return the output of a process as soon as it has ended.

        Raises:
            Timeout: It has not ended in time.
        """
        output = self._open().await_process(process_id, timeout)
        if output is None:
            raise _errors.Timeout(
                f"process {process_id!r} has not ended in time",
                {"process_id": process_id, "timeout": str(timeout)},
                retryable=True,
            )
        return output

    def grant_handle(
        self,
        scope: ProcessScope | str | Mapping[str, Any],
        process_id: str,
        descriptor: ProcessHandleDescriptor | Mapping[str, Any] | None = None,
        *,
        kind: str | None = None,
        label: str | None = None,
    ) -> None:
        """Let a scope address a process. Granting again changes the description.

        Args:
            scope: Whom.
            process_id: The process.
            descriptor: What the handle is for; or `kind` and `label`, its parts.
            kind: Of the handle.
            label: For people.
        """
        core = self._open()
        if isinstance(descriptor, Mapping):
            _check.known("descriptor", descriptor, ("kind", "label"))
            descriptor = ProcessHandleDescriptor(**descriptor)
        if isinstance(descriptor, ProcessHandleDescriptor):
            kind, label = descriptor.kind, descriptor.label
        elif descriptor is not None:
            raise _check.invalid("descriptor", descriptor, "a ProcessHandleDescriptor")
        core.grant_handle(scope, process_id, kind, label)

    def revoke_handle(self, scope: ProcessScope | str | Mapping[str, Any], process_id: str) -> bool:
        """Take a grant back; whether there was one."""
        return self._open().revoke_handle(scope, process_id)

    def has_handle_grant(
        self, scope: ProcessScope | str | Mapping[str, Any], process_id: str
    ) -> bool:
        """Tell whether a scope may address a process."""
        return self._open().has_handle_grant(scope, process_id)

    def list_handle_grants(
        self, scope: ProcessScope | str | Mapping[str, Any]
    ) -> list[ProcessHandleGrant]:
        """Return the grants of a scope, by process."""
        return [_grant(raw) for raw in self._open().list_handle_grants(scope, False)]

    def list_live_handle_grants(
        self, scope: ProcessScope | str | Mapping[str, Any]
    ) -> list[ProcessHandleGrant]:
        """Return its grants of processes that have not ended."""
        return [_grant(raw) for raw in self._open().list_handle_grants(scope, True)]

    def handle_grants_for_process(self, process_id: str) -> list[ProcessHandleGrant]:
        """Return who may address a process, by session."""
        return [_grant(raw) for raw in self._open().handle_grants_for_process(process_id)]

    def transfer_handle_grants(
        self,
        from_scope: ProcessScope | str | Mapping[str, Any],
        to_scope: ProcessScope | str | Mapping[str, Any],
        process_ids: Iterable[str],
    ) -> None:
        """Hand grants on, all or none. No event tells of it.

        Raises:
            NotFound: ``from_scope`` has no grant of one of them.
        """
        core = self._open()
        core.transfer_handle_grants(from_scope, to_scope, _check.texts("process_ids", process_ids))

    def delete_session_process_state(self, session_id: str) -> ProcessSessionDeleteReport:
        """Revoke all grants of a session and its frames. Cancels nothing by itself."""
        raw = self._open().delete_session_process_state(session_id)
        return ProcessSessionDeleteReport(
            raw["session_id"],
            raw["revoked_handle_count"],
            raw["deleted_wake_count"],
            tuple(raw["cancel_process_ids"]),
            tuple(raw["preserved_process_ids"]),
        )

    def claim_process_lease(
        self, process_id: str, owner_id: str, ttl: Duration, *, token: str | None = None
    ) -> ProcessLease:
        """Take the right to run a process that nobody has, or whose lease is over.

        Args:
            process_id: The process.
            owner_id: Who takes it. A new claim of the same owner replaces its older one.
            ttl: How long it is live without `renew_process_lease`.
            token: Names the claim: repeated with the same token it returns the same lease.

        Raises:
            Conflict: Another has it, or the process has ended.
        """
        return _lease(self._open().claim_process_lease(process_id, owner_id, ttl, token))

    def renew_process_lease(
        self, lease: ProcessLease | Mapping[str, Any], ttl: Duration
    ) -> ProcessLease:
        """Make a lease last until now and ``ttl``, also one that is over but was not taken.

        Raises:
            StaleLease: Another has taken it, or it was given back.
        """
        core = self._open()
        process_id, token = _held(lease)
        return _lease(core.renew_process_lease(process_id, token, ttl))

    def complete_process_lease(
        self, lease: ProcessLease | ProcessLeaseCompletion | Mapping[str, Any]
    ) -> None:
        """Give a lease back. Nothing happens when it was lost."""
        core = self._open()
        process_id, token = _held(lease)
        core.complete_process_lease(process_id, token)

    def recover_processes(self, *, limit: int = _LIMIT) -> ProcessRecovery:
        """Look for live processes whose runner is gone; owner-bound ones end as abandoned.

        Args:
            limit: How many of each kind at most.
        """
        raw = self._open().recover_processes(limit)
        return ProcessRecovery(tuple(raw["rerunnable"]), tuple(raw["abandoned"]))

    def prune_processes(self, before: datetime, *, limit: int = _LIMIT) -> list[str]:
        """Remove processes that ended before an instant; their ids are never used again."""
        return self._open().prune_processes(before, limit)
