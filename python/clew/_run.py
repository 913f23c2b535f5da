"""A durable run as its starter holds it: wait for it, look at it, stop it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from datetime import timedelta
from typing import Any

from . import _core
from ._check import flag, integer, text
from ._records import RunEvent, RunInfo, Step

__all__ = ["Run"]

Duration = float | timedelta | str

_PAGE = 1000
_SEQ_MAX = 2**62


class Run:
    """One durable run. Thread-safe; it need not run in this process.

    Awaiting it gives the output; cancelling that wait leaves the run alone.

    Example:
        >>> run = rt.start(report, {"docs": ["a b", "c d e"]})
        >>> run.result(timeout="10s")
        {'words': 5}
        >>> [(step.id, step.status, step.output) for step in run.steps()]
        [('count', 'completed', [2, 3]), ('sum', 'completed', 5)]
        >>> [event.type for event in run.events()][-1]
        'run.completed'
    """

    __slots__ = ("__weakref__", "_core")

    def __init__(self, core: _core.Run) -> None:
        self._core = core

    @property
    def id(self) -> str:
        """Its id: ``runtime.run(id)`` finds it again."""
        return self._core.id

    @property
    def status(self) -> str:
        """``pending running waiting completed failed cancelled unknown``."""
        return self._core.status

    @property
    def info(self) -> RunInfo:
        """Its row: workflow, input, output, error, tags, times."""
        return RunInfo.of(self._core.info())

    def done(self) -> bool:
        """Return whether it has ended."""
        return self._core.done()

    def result(self, timeout: Duration | None = None) -> Any:
        """Wait for the output. Shows progress on a terminal or in a notebook meanwhile.

        The bar goes to standard error, and only when that is a terminal; ``CLEW_PROGRESS=0`` turns
        it off.

        Raises:
            ClewError: What the run failed with.
            Timeout: It has not ended within ``timeout``. The run goes on.
        """
        if timeout is None and not self._core.done():
            self._watch()
        return self._core.result(timeout)

    def _watch(self) -> None:
        """Draw until it has ended. Without somebody who looks: nothing."""
        from ._progress import SLICE, make_bar

        bar = make_bar()
        if bar is None:
            return
        try:
            while not self._core.wait(SLICE):
                bar.show(self._core.info())
        finally:
            bar.close()

    def steps(self) -> list[Step]:
        """Return its steps in the order of the definition."""
        return [Step(**step) for step in self._core.steps()]

    def events(self, after: int = 0, follow: bool = False) -> Events:
        """Iterate over its events with ``seq > after``; with ``follow`` until it has ended.

        Asynchronous too: that way it occupies no thread while it waits.
        """
        integer("after", after, 0, _SEQ_MAX)
        return Events(self._core, after, flag("follow", follow))

    def cancel(self, reason: str = "cancelled by the user") -> None:
        """Stop it: what runs is told so, what waits never starts. Durable when it returns.

        Raises:
            Conflict: It has ended already.
        """
        self._core.cancel(text("reason", reason))

    def graph(self) -> str:
        """Return its steps as a Mermaid flowchart, each with its status."""
        status = {step["id"]: step["status"] for step in self._core.steps()}
        lines = ["flowchart LR"]
        steps = self._core.definition().steps()
        number = {step["name"]: index for index, step in enumerate(steps)}
        for step in steps:
            name = step["name"]
            lines.append(f'  s{number[name]}["{name}: {status.get(name, "pending")}"]')
        for step in steps:
            lines += [f"  s{number[other]} --> s{number[step['name']]}" for other in step["after"]]
        return "\n".join(lines)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._core.__await__()

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Run) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        try:
            info = self._core.info()
        except Exception:  # noqa: BLE001 - a closed runtime, say: what is known is shown
            return f"<Run {self.id}>"
        what = f"{info['workflow']}@{info['version']} {info['status']}"
        return f"<Run {self.id} {what} {info['steps_done']}/{info['steps_total']}>"

    def _repr_html_(self) -> str:
        from html import escape

        from ._html import facts, graph, timeline

        try:
            info, steps = RunInfo.of(self._core.info()), self._core.steps()
            drawn = graph(
                self._core.definition().steps(), {step["id"]: step["status"] for step in steps}
            )
        except Exception:  # noqa: BLE001 - as above
            return f"<p>{escape(repr(self))}</p>"
        return (
            facts("Run", info._shown())
            + f"<div>{drawn}</div><div>{timeline(steps, info.ended)}</div>"
        )


class Events(Iterator[RunEvent], AsyncIterator[RunEvent]):
    """The events of a run, in their order. For one consumer at a time."""

    __slots__ = ("_after", "_core", "_follow", "_page")

    def __init__(self, core: _core.Run, after: int, follow: bool) -> None:
        self._core = core
        self._after = after
        self._follow = follow
        self._page: list[dict[str, Any]] = []  # what is left of the last page, last first

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> RunEvent:
        while not self._page:
            if self._fetch():
                break
            self._core.wait_events(self._after)
        return self._take()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> RunEvent:
        wait = _FIRST_LOOK
        while not self._page:
            try:
                if self._fetch():
                    break
            except StopIteration:
                raise StopAsyncIteration from None
            await _end_or(self._core, wait)
            wait = min(2 * wait, _LAST_LOOK)
        return self._take()

    def _fetch(self) -> bool:
        """Fetch the next page; False: nothing yet. StopIteration: nor will there be."""
        ended = self._core.done()  # asked first: what comes after it is in the page
        self._page = self._core.events(self._after, _PAGE)[::-1]
        if not self._page and (ended or not self._follow):
            raise StopIteration
        return bool(self._page)

    def _take(self) -> RunEvent:
        event = RunEvent(**self._page.pop())
        self._after = event.seq
        return event


# Seconds between two looks of an asynchronous follower: from the first to the last it doubles.
_FIRST_LOOK = 0.005
_LAST_LOOK = 0.1


async def _end_or(core: _core.Run, seconds: float) -> None:
    """Wait until the run has ended, at most so long."""
    import asyncio

    await asyncio.sleep(0 if core.done() else seconds)
