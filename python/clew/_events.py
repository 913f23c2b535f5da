"""Events: the envelope, the catalog of types, and subscriptions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from . import _check, _core, _errors
from ._records import EventType, _Shown

__all__ = ["Event", "Events", "Subscription"]

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
        _require_open(self._core)
        return EventType(
            **self._core.define_event(type, schema=schema, lifecycle=lifecycle, summary=summary)
        )

    def set_lifecycle(self, type: str, lifecycle: Lifecycle) -> EventType:  # noqa: A002 - as above
        """Move a type on: draft to active, active to deprecated and back, any to retired.

        Raises:
            Conflict: From where it is it cannot become that.
            NotFound: No such type.
        """
        _require_open(self._core)
        return EventType(**self._core.set_event_lifecycle(_check.text("type", type), lifecycle))

    def get(self, ref: str) -> EventType:
        """Return the type that a reference means. `NotFound`, `Ambiguous`."""
        _require_open(self._core)
        return EventType(**self._core.event_type(_check.text("ref", ref)))

    def list(self) -> Types:
        """Return all types, by id, highest version first."""
        _require_open(self._core)
        return [EventType(**one) for one in self._core.event_types()]

    def __repr__(self) -> str:
        return f"<Events of {self._core.name}>"


def _require_open(core: _core.Runtime) -> None:
    if core.closed:
        raise _errors.Closed("the runtime is closed")


class Subscription(Iterator[Event], AsyncIterator[Event]):
    """A position in the log of events. Thread-safe; two threads share its events out.

    Iterating waits for events for ever and ends when it is cancelled; asynchronous iteration
    occupies no thread. A context manager that cancels at its end.
    """

    __slots__ = ("__weakref__", "_core", "_page")

    def __init__(self, core: _core.Subscription, is_group: bool) -> None:
        self._core = core
        # What an iterator has fetched and not given yet. A group's members fetch one at a time:
        # what is fetched is claimed.
        self._page: list[Event] | None = None if is_group else []

    @property
    def cursor(self) -> int:
        """Everything up to here was read: ``from_=`` for whoever goes on later."""
        page = self._page
        return page[-1].cursor - 1 if page else self._core.cursor

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
        taken = page[-most:][::-1]
        del page[-most:]
        return taken

    def _next(self, timeout: Duration | None) -> Event | None:
        if self._page is None:
            found = self._core.poll(1, timeout)
            return self._event(found[0]) if found else None
        if not self._page:
            found = self._core.poll(_PAGE, timeout)
            self._page[:] = [self._event(one) for one in reversed(found)]
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
