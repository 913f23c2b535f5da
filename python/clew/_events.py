"""Events: the envelope, the catalog of types, and subscriptions."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from . import _check, _core, _errors
from ._records import EventType, _Shown

__all__ = ["Event", "Events", "Publishing", "Subscription"]

Duration = float | timedelta | str
Types = list[EventType]  # within the class, "list" is its method
Lifecycle = Literal["draft", "active", "deprecated", "retired"]

_PAGE = 256  # events that an iterator fetches at once


@dataclass(frozen=True, repr=False, slots=True)
class Event(_Shown):
    """A published event: the envelope of CloudEvents and what Clew adds to it.

    ``cursor`` is its place in the log; ``delivery`` counts how often a consumer group has been
    given it (from 1), and is 0 for subscriptions of their own.
    """

    _facts = ("cursor", "type", "version", "time", "subject", "id")

    cursor: int
    id: str
    source: str
    type: str
    version: str
    time: datetime
    subject: str | None
    correlation_id: str | None
    causation_id: str | None
    key: str | None
    data: Any = field(hash=False)
    datacontenttype: str = "application/json"
    delivery: int = 0
    _from: _core.Subscription | None = field(default=None, compare=False)

    def ack(self) -> None:
        """Say that the group is done with it; see `Subscription.ack`."""
        if self._from is None:
            raise _errors.InvalidInput(
                "only events of a group are acknowledged", {"path": "group", "value": None}
            )
        self._from.ack(self.cursor, self.delivery)

    def to_dict(self) -> dict[str, Any]:
        """Return the envelope as a dict."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "_from"}


class Events:
    """The catalog of event types of a runtime: ``rt.events``. Kept in its store."""

    __slots__ = ("_core",)

    def __init__(self, core: _core.Runtime) -> None:
        self._core = core

    def define(
        self,
        type: str,  # noqa: A002 - the word of events
        *,
        schema: Any = True,
        lifecycle: Lifecycle = "active",
        summary: str = "",
    ) -> EventType:
        """Define a type of events; the same content again is fine. Durable when it returns.

        Args:
            type: Its id and exact version, such as ``"text.counted@1.0.0"``.
            schema: A JSON Schema of the data. Default: anything.
            lifecycle: Only events of ``"active"`` types may be published.
            summary: What it says, in a sentence.

        Raises:
            Conflict: The version is defined with other content; the first difference is named.
            InvalidInput: No exact version, or no schema.
        """
        _check.require_open(self._core)
        return EventType(
            **self._core.define_event(type, schema=schema, lifecycle=lifecycle, summary=summary)
        )

    def set_lifecycle(self, type: str, lifecycle: Lifecycle) -> EventType:  # noqa: A002 - as above
        """Move a type on: draft to active, active to deprecated and back, any to retired.

        Raises:
            Conflict: From where it is it cannot become that.
            NotFound: No such type.
        """
        _check.require_open(self._core)
        return EventType(**self._core.set_event_lifecycle(_check.text("type", type), lifecycle))

    def get(self, ref: str) -> EventType:
        """Return the type that a reference means. `NotFound`, `Ambiguous`."""
        _check.require_open(self._core)
        return EventType(**self._core.event_type(_check.text("ref", ref)))

    def list(self) -> Types:
        """Return all types, by id, highest version first."""
        _check.require_open(self._core)
        return [EventType(**one) for one in self._core.event_types()]

    def __repr__(self) -> str:
        return f"<Events of {self._core.name}>"


class Subscription(Iterator[Event], AsyncIterator[Event]):
    """A position in the log of events. Thread-safe; two threads share its events out.

    Iterating waits for events for ever and ends when it is cancelled; asynchronous iteration
    occupies no thread. A context manager that cancels at its end.
    """

    __slots__ = ("__weakref__", "_core", "_lock", "_page")

    def __init__(self, core: _core.Subscription, is_group: bool) -> None:
        self._core = core
        # What an iterator has fetched and not given yet, newest first. A group's members fetch one
        # at a time: what is fetched is claimed.
        self._page: list[Event] | None = None if is_group else []
        self._lock = threading.Lock()  # for the page; nobody waits in it

    @property
    def cursor(self) -> int:
        """Everything up to here was read: ``from_=`` for whoever goes on later."""
        with self._lock:
            return self._page[-1].cursor - 1 if self._page else self._core.cursor

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._core.cancelled

    def poll(self, max: int = 100, timeout: Duration | None = None) -> list[Event]:  # noqa: A002 - API
        """Return the next events, waiting for the first one.

        Args:
            max: Most to return.
            timeout: How long to wait, by the runtime's clock; then the list is empty. 0 does not
                wait. Default: until there is one.

        Raises:
            NotFound: Once, at the first read, when the cursor it starts from is too old:
                ``context["oldest"]`` is the oldest that can be used, and the next poll goes on
                from there.
            Closed: It was cancelled, or the runtime is closed.
        """
        page = self._take_page(_check.integer("max", max, 1, 100_000))
        return page or [self._event(one) for one in self._core.poll(max, timeout)]

    def ack(self, event: Event) -> None:
        """Say that the group is done with an event: nobody gets it again. Durable; repeatable.

        Raises:
            StaleLease: It was not acknowledged in time and given to somebody again.
            InvalidInput: This is no member of a group.
        """
        if not isinstance(event, Event):
            raise _check.invalid("event", event, "an Event of this subscription")
        self._core.ack(event.cursor, event.delivery)

    def cancel(self) -> None:
        """End it, and every wait for it. A group's other members get what it holds. Idempotent."""
        self._core.cancel()

    def _event(self, fields: dict[str, Any]) -> Event:
        return Event(**fields, _from=self._core if fields["delivery"] else None)

    def _take_page(self, most: int) -> list[Event]:
        """Take what an iterator has fetched and left."""
        page = self._page
        if not page:
            return []
        with self._lock:
            taken = page[-most:][::-1]
            del page[-most:]
        return taken

    def _next(self, timeout: Duration | None) -> Event | None:
        if self._page is None:
            found = self._core.poll(1, timeout)
            return self._event(found[0]) if found else None
        if not self._page:
            page = [self._event(one) for one in self._core.poll(_PAGE, timeout)]
            with self._lock:  # other threads may have fetched meanwhile
                self._page += reversed(page)
                self._page.sort(key=lambda event: -event.cursor)
        with self._lock:
            return self._page.pop() if self._page else None

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Event:
        while True:
            try:
                event = self._next(None)
            except _errors.Closed:
                if self.cancelled:
                    raise StopIteration from None
                raise
            if event is not None:
                return event

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        from ._loop import ended

        while True:
            try:
                event = self._next(0)
            except _errors.Closed:
                if self.cancelled:
                    raise StopAsyncIteration from None
                raise
            if event is not None:
                return event
            await ended(self._core.on_ready)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        state = " cancelled" if self.cancelled else ""
        return f"<Subscription at {self.cursor}{state}>"


class Publishing:
    """What a runtime does with events: a part of `clew.Runtime`."""

    _core: _core.Runtime

    @property
    def events(self) -> Events:
        """The catalog of event types: ``define``, ``get``, ``list``, ``set_lifecycle``."""
        return Events(self._core)

    def publish(
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
        """Publish an event; return its cursor once it is durable. Blocks for the disk.

        In a handler it is published whatever becomes of the call: ``ctx.emit`` waits for success.

        Args:
            type: ``"text.counted@1.0.0"``, a range, or the id alone when one version is active.
            data: JSON that fits the type's schema.
            subject: What it is about; subscribers can ask for one subject.
            id: Its id. The same again, while it is retained, publishes nothing and returns the
                first cursor. Default: a new one.
            key: Events of one key belong in one order.
            source: Who says so. Default: the runtime's name.
            correlation_id: What it belongs to. Default: that of the call around this one.
            causation_id: What made it. Default: the trace of the call around this one.
            timeout: After it an event that still waits for its turn is withdrawn.

        Raises:
            NotFound: No such type is defined.
            Rejected: It is not active; ``context["lifecycle"]`` says what it is.
            InvalidInput: The data do not fit; the context names the path.
            Conflict: That id stands for an event with other content.
            Timeout: It was withdrawn and will never be stored.
            UnknownOutcome: The timeout came while it was being written.

        Example:
            >>> _ = rt.events.define("text.counted@1.0.0", schema={"type": "object"})
            >>> rt.publish("text.counted", {"words": 3}, subject="a.txt")
            1
        """
        return self._core.publish(
            type,
            data,
            subject=subject,
            id=id,
            key=key,
            source=source,
            correlation_id=correlation_id,
            causation_id=causation_id,
            timeout=timeout,
        )

    def subscribe(
        self,
        pattern: str,
        *,
        from_: Literal["now", "start"] | int = "now",
        subject: str | None = None,
        group: str | None = None,
        queue_max: int | None = None,
        ack_timeout: Duration = "30s",
    ) -> Subscription:
        """Read events, in the order in which they were committed.

        Args:
            pattern: A type; ``*`` is one segment, ``>`` or ``**`` the rest; a version or range may
                follow: ``"text.counted@^1"``, ``"text.*"``, ``">"``.
            from_: ``"now"``: what comes after this; ``"start"``: all that is retained; a cursor:
                what comes after it.
            subject: Only events of exactly this subject.
            group: Share the work with the other members of that group: each event goes to one of
                them, again after ``ack_timeout`` unless it was acknowledged. A group keeps its
                position in the store; ``from_`` is for its first member.
            queue_max: Most events it may be behind; the oldest beyond that are dropped, and the
                stream says so. Default: as many as are retained.
            ack_timeout: See ``group``.

        Raises:
            InvalidInput: The pattern is none, or the cursor lies above the newest.
            Conflict: The group reads another pattern or subject.

        Example:
            >>> _ = rt.events.define("text.counted@1.0.0")
            >>> sub = rt.subscribe("text.*")
            >>> _ = rt.publish("text.counted", {"words": 3})
            >>> [(event.cursor, event.data) for event in sub.poll(timeout=5)]
            [(1, {'words': 3})]
        """
        _check.require_open(self._core)
        core = self._core.subscribe(
            pattern,
            from_=from_,
            subject=subject,
            group=group,
            queue_max=queue_max,
            ack_timeout=ack_timeout,
        )
        return Subscription(core, group is not None)
