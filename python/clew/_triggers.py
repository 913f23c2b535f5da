"""Host events, and the triggers that wait for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from . import _check
from ._stores import Duration, Front, Stored, from_us, reads, record, records, through, to_us

__all__ = [
    "HostEvent",
    "HostEventOccurrenceRequest",
    "TriggerDelivery",
    "TriggerDraft",
    "TriggerInput",
    "TriggerSubscription",
    "Triggers",
]


@dataclass(frozen=True, repr=False, slots=True)
class TriggerInput(Stored):
    """What a parameter of the started process gets: the event, or a fixed value."""

    _facts = ("parameter", "kind")

    parameter: str
    kind: Literal["event", "fixed"] = "event"
    value: Any = field(default=None, hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class TriggerDraft(Stored):
    """When this source says something, start that process."""

    _facts = ("session_id", "name", "source_type", "source_key", "process_name")
    _reads = reads(input_template=records(TriggerInput))

    session_id: str
    source_type: str
    process_name: str
    source: Any = field(default=None, hash=False)
    source_key: str | None = None  # None: follows from type and source
    name: str | None = None
    event_type: str = ""
    module_ref: str = ""
    required_surface_ref: str = ""
    process_ref: str = ""
    input_template: tuple[TriggerInput, ...] = ()


@dataclass(frozen=True, repr=False, slots=True)
class TriggerSubscription(Stored):
    """A subscription. Handles are numbered in the order of creation."""

    _facts = ("handle", "enabled", "subscription_id", "created_at")
    _reads = reads(created_at=from_us, updated_at=from_us, draft=record(TriggerDraft))

    subscription_id: str
    number: int
    handle: str
    enabled: bool
    created_at: datetime
    updated_at: datetime
    draft: TriggerDraft

    session_id = through("draft", "session_id")
    name = through("draft", "name")
    source_type = through("draft", "source_type")
    source_key = through("draft", "source_key")
    source = through("draft", "source")
    process_name = through("draft", "process_name")
    input_template = through("draft", "input_template")


@dataclass(frozen=True, repr=False, slots=True)
class HostEventOccurrenceRequest(Stored):
    """What `Triggers.record_occurrence` takes, as one record."""

    _facts = ("source_type", "source_key", "idempotency_key")

    source_type: str
    source_key: str
    payload: Any = field(default=None, hash=False)
    idempotency_key: str = ""
    source: Any = field(default=None, hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class HostEvent(Stored):
    """Something that happened at the host."""

    _facts = ("occurrence_id", "source_type", "source_key", "idempotency_key", "occurred_at")
    _reads = reads(occurred_at=from_us)

    occurrence_id: str
    source_type: str
    source_key: str
    idempotency_key: str
    occurred_at: datetime
    payload: Any = field(default=None, hash=False)
    source: Any = field(default=None, hash=False)


@dataclass(frozen=True, repr=False, slots=True)
class TriggerDelivery(Stored):
    """One start of a process that follows from an event; its process id is always the same."""

    _facts = ("process_id", "reserved_at")
    _reads = reads(
        occurrence=record(HostEvent),
        subscription=record(TriggerSubscription),
        reserved_at=from_us,
    )

    occurrence: HostEvent
    subscription: TriggerSubscription
    process_id: str
    reserved_at: datetime


Subscriptions: TypeAlias = "list[TriggerSubscription]"  # within the class, "list" is its method


class Triggers(Front):
    """Host events and triggers: ``rt.triggers``. Thread-safe.

    Every method but `source_key_for_subscription` blocks.

    Example:
        >>> made = rt.triggers.register_subscription(
        ...     {"session_id": "demo", "source_type": "ui.pressed", "process_name": "on_press"}
        ... )
        >>> key = made.draft.source_key
        >>> event = rt.triggers.record_occurrence("ui.pressed", key, {"n": 1}, key="press-1")
        >>> deliveries = rt.triggers.reserve_matching_deliveries(event.occurrence_id)
        >>> [one.subscription.handle for one in deliveries]
        ['trigger:1']
    """

    __slots__ = ()

    def register_subscription(self, draft: TriggerDraft | Mapping[str, Any]) -> TriggerSubscription:
        """Subscribe a process to a source. `Conflict`: the session was deleted."""
        return TriggerSubscription._from(self._do("trigger.subscribe", draft=draft))

    def list_subscriptions(
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
        """Return subscriptions in the order of creation; all that is given must hold.

        Args:
            session_id: Whose.
            handle: Such as ``"trigger:1"``.
            name: Its name.
            source_type: The type of its source.
            source_key: The key of its source.
            target: The name of its process.
            enabled: Whether it was not cancelled.
            after: Only those with a higher number.
            limit: Most to return, up to 10_000.
        """
        given = {
            "session_id": session_id,
            "handle": handle,
            "name": name,
            "source_type": source_type,
            "source_key": source_key,
            "target": target,
            "enabled": enabled,
        }
        wanted = {key: one for key, one in given.items() if one is not None}
        found = self._do("trigger.list", filter=wanted, after=after, limit=limit)
        return [TriggerSubscription._from(one) for one in found]

    def cancel_subscription(self, session_id: str, handle: str) -> bool:
        """End a session's subscription, which stays listed. False: it has none that is enabled."""
        return bool(self._do("trigger.cancel", session_id=session_id, handle=handle))

    def record_occurrence(
        self,
        source_type: HostEventOccurrenceRequest | Mapping[str, Any] | str,
        source_key: str | None = None,
        payload: Any = None,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        source: Any = None,
    ) -> HostEvent:
        """Say that something happened. The same key of a source is the same event.

        Args:
            source_type: The type of the source; or a whole request, instead of the rest.
            source_key: Which source.
            payload: What happened.
            key: Names the event among those of its source.
            idempotency_key: Another name of ``key``.
            source: The source itself.

        Raises:
            Conflict: The key stands for another payload; the first difference is named.
        """
        event: Any = source_type
        if key is not None and idempotency_key not in (None, key):
            raise _check.invalid("idempotency_key", idempotency_key, "the same as key, or nothing")
        if isinstance(source_type, (HostEventOccurrenceRequest, Mapping)):
            rest = {"source_key": source_key, "payload": payload, "key": key or idempotency_key}
            for name, given in {**rest, "source": source}.items():
                if given is not None:
                    raise _check.invalid(name, given, "nothing beside a whole request")
        else:
            event = {
                "source_type": source_type,
                "source_key": source_key,
                "payload": payload,
                "idempotency_key": idempotency_key if key is None else key,
                "source": source,
            }
        return HostEvent._from(self._do("trigger.record", event=event))

    def reserve_matching_deliveries(self, occurrence_id: str) -> tuple[TriggerDelivery, ...]:
        """Reserve the deliveries of an event; each one is given once ever. `NotFound`."""
        found = self._do("trigger.reserve", occurrence_id=occurrence_id)
        return tuple(TriggerDelivery._from(one) for one in found)

    def unregistered(
        self, until: datetime | None = None, *, limit: int = 1000
    ) -> tuple[TriggerDelivery, ...]:
        """Return deliveries whose process is not registered: what a crash may have lost."""
        _check.require_open(self._core)
        bound = None if until is None else to_us("until", until)
        found = self._do("trigger.unregistered", until=bound, limit=limit)
        return tuple(TriggerDelivery._from(one) for one in found)

    def mark_registered(self, process_id: str) -> bool:
        """Say that a delivery's process is registered; False when it was. `NotFound`."""
        return bool(self._do("trigger.mark_registered", process_id=process_id))

    def prune(self, older_than: Duration) -> int:
        """Forget older events whose deliveries are all registered: how many."""
        _check.require_open(self._core)
        done = self._do("trigger.prune", before=self._before(older_than))
        return int(done)

    def source_key_for_subscription(self, source_type: str, source: Any = None) -> str:
        """Return the key of a source: the same for the same type and content."""
        return str(self._do("trigger.source_key", source_type=source_type, source=source))

    def __repr__(self) -> str:
        return f"<Triggers of {self._core.name}>"
