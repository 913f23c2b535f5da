"""The asyncio side: the loop on which ``async def`` capabilities run, and waiting for handles.

The extension module calls everything in here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from inspect import isawaitable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from . import _core

__all__: list[str] = []

T = TypeVar("T")

# --- running async capabilities -----------------------------------------------------------------


def serve(inbox: _core._AsyncInbox) -> None:
    """Run the jobs of an inbox until it is closed. Blocks its thread."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_serve(inbox))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def _serve(inbox: _core._AsyncInbox) -> None:
    loop = asyncio.get_running_loop()
    closed = loop.create_future()
    tasks: dict[_core._AsyncJob, asyncio.Task[None]] = {}

    def look() -> None:
        jobs, cancelled = inbox.take()
        for job in jobs:
            tasks[job] = loop.create_task(_run(job))
            tasks[job].add_done_callback(partial(_forget, tasks, job))
        for job in cancelled:
            if job in tasks:
                tasks[job].cancel()
        if inbox.closed and not closed.done():
            closed.set_result(None)

    loop.add_reader(inbox.fileno(), look)
    look()
    await closed
    await asyncio.sleep(0)  # a task that is cancelled before its first step never answers
    loop.remove_reader(inbox.fileno())
    # A task may hold on to its life for a while; every one is told again until it has ended.
    while tasks:
        for task in list(tasks.values()):
            task.cancel()
        await asyncio.wait(list(tasks.values()), timeout=0.1)


def _forget(tasks: dict[_core._AsyncJob, asyncio.Task[None]], job: _core._AsyncJob, _: Any) -> None:
    tasks.pop(job, None)


async def _run(job: _core._AsyncJob) -> None:
    try:
        coroutine: Any = job.begin()  # a handler may also answer at once
        if coroutine is None:
            return
        value = await coroutine if isawaitable(coroutine) else coroutine
    except BaseException as error:  # noqa: BLE001 - exits too fail the call, never the loop
        job.fail(error)
    else:
        job.finish(value)


# --- waiting for calls, runs and maps -----------------------------------------------------------


class _Bridge:
    """Wakes one loop for everything of ours that it waits for: many ends, one wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._bell = _core._Bell()
        loop.add_reader(self._bell.fileno(), self._settle)

    def future(
        self, loop: asyncio.AbstractEventLoop, subscribe: Callable[[_core._Ring], Any]
    ) -> asyncio.Future[None]:
        """Return a future that is done once the ring was called, from any thread."""
        future: asyncio.Future[None] = loop.create_future()
        subscribe(self._bell.ring(future))
        return future

    def _settle(self) -> None:
        for future in self._bell.take():
            if not future.done():
                future.set_result(None)


_bridges: WeakKeyDictionary[asyncio.AbstractEventLoop, _Bridge] = WeakKeyDictionary()


def ended(subscribe: Callable[[_core._Ring], Any]) -> asyncio.Future[None]:
    """Return a future of the running loop that is done once the ring was called."""
    loop = asyncio.get_running_loop()
    bridge = _bridges.get(loop)
    if bridge is None:
        bridge = _bridges[loop] = _Bridge(loop)
    return bridge.future(loop, subscribe)


def heard(listen: Callable[[_core._Ring], T]) -> tuple[asyncio.Future[None], T]:
    """The same as `ended`, with what ``listen`` returned."""
    kept: list[T] = []
    future = ended(lambda ring: kept.append(listen(ring)))
    return future, kept[0]


def wait_for_call(call: _core.Call) -> Generator[Any, None, Any]:
    """Be the ``__await__`` of a call. Cancelling the wait cancels the call."""
    if not call.done():
        try:
            yield from ended(call.add_done_callback)
        except asyncio.CancelledError:
            call.cancel("the wait was cancelled")
            raise
    return call.result(0)


def wait_for_run(run: _core.Run) -> Generator[Any, None, Any]:
    """Be the ``__await__`` of a run. Cancelling the wait leaves the run alone."""
    if not run.done():
        yield from ended(run.on_ended)
    return run.result(0)


async def next_of(results: _core.Map) -> Any:
    """Be the ``__anext__`` of a map."""
    while True:
        try:
            ready, value = results._take()
        except StopIteration:
            raise StopAsyncIteration from None
        if ready:
            return value
        await ended(results._on_ready)
