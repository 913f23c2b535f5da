"""Durable steps and starts, against one commit a row.

Hypothesis: what a durable step costs is its sync. One run that goes step by step pays one for
each, as naive code does: 0.8 times its speed at least, 1.1 the aim. Runs side by side share theirs,
and 64 commits in one sync cost a fraction each: 5 and 12 times as fast with 64 runs, 10 and 25 with
256, and 3 and 6 for starts that 64 callers wait for. DBOS, which does this work on SQLite with a
transaction for each step, is 20 times slower at least, 80 the aim; only where a run goes step by
step it cannot be, since the sync alone takes longer than a twentieth of what it needs.

Who waits for Clew does so on an event loop: 256 threads would measure the interpreter's lock. The
peers are called in the way that is theirs.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import clew
from clew import aio
from peers import (
    CHAIN,
    dbos_runs,
    dbos_sequential,
    dbos_starts,
    huey_starts,
    langgraph_runs,
    langgraph_sequential,
)
from report import Peer, Row, Run, Side, timed

CALLERS = 64


@clew.capability("bench.step", version="1.0.0", effect="pure")
def step(number: int) -> int:
    """Return its number."""
    return number


@cache
def chain(length: int, call: str) -> clew.Workflow:
    """Return a workflow of so many steps, each after the one before."""
    steps = {}
    for number in range(length):
        steps[f"s{number}"] = {"call": call, "with": {"number": number}}
        if number:
            steps[f"s{number}"]["after"] = f"s{number - 1}"
    return clew.load({"workflow": "bench.chain", "version": f"1.0.{length}", "steps": steps})


@contextmanager
def clew_sequential(folder: Path) -> Iterator[Run]:
    """One run of as many native steps as there are units."""
    with clew.Runtime(folder / "clew.db") as rt:
        rt.register_native("echo")

        def work(count: int) -> float:
            workflow = chain(count, "native.echo@1.0.0")
            return timed(lambda: rt.start(workflow).result())

        yield work


@contextmanager
def clew_callers(
    store: Path | str,
) -> Iterator[tuple[aio.Runtime, Callable[[Coroutine[Any, Any, Any]], Any]]]:
    """A runtime and the function that runs a coroutine on the callers' loop."""
    loop = asyncio.new_event_loop()
    rt = aio.Runtime(store)
    rt.register(step)
    try:
        yield rt, loop.run_until_complete
    finally:
        loop.run_until_complete(rt.close())
        loop.close()


@contextmanager
def clew_runs_at(store: Path | str, in_flight: int) -> Iterator[Run]:
    """So many runs of `CHAIN` Python steps in flight, in that store."""
    workflow = chain(CHAIN, "bench.step@1.0.0")
    with clew_callers(store) as (rt, on_loop):

        async def caller(numbers: Iterator[int]) -> None:
            for _ in numbers:
                await (await rt.start(workflow))

        async def work(runs: int) -> None:
            numbers = iter(range(runs))
            await asyncio.gather(*[caller(numbers) for _ in range(in_flight)])

        yield lambda count: timed(lambda: on_loop(work(-(-count // CHAIN))))


def clew_runs(in_flight: int) -> Side:
    """Return the side that has so many runs in flight, in a file."""
    return lambda folder: clew_runs_at(folder / "clew.db", in_flight)


@contextmanager
def clew_starts(folder: Path) -> Iterator[Run]:
    """`CALLERS` callers start runs; each waits until its start is on the disk.

    The runs are worked off meanwhile; what is left of them afterwards is not counted.
    """
    workflow = chain(1, "bench.step@1.0.0")
    with clew_callers(folder / "clew.db") as (rt, on_loop):
        runs: list[aio.Run] = []

        async def caller(numbers: Iterator[int]) -> None:
            for _ in numbers:
                runs.append(await rt.start(workflow))

        async def start(count: int) -> None:
            numbers = iter(range(count))
            await asyncio.gather(*[caller(numbers) for _ in range(CALLERS)])

        async def end() -> None:
            while runs:
                await runs.pop()

        def work(count: int) -> float:
            seconds = timed(lambda: on_loop(start(count)))
            on_loop(end())
            return seconds

        yield work


@contextmanager
def naive(folder: Path) -> Iterator[Run]:
    """One connection, WAL, ``synchronous=FULL``; a row for each step, committed by itself."""
    database = sqlite3.connect(folder / "naive.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE steps (id INTEGER PRIMARY KEY, name TEXT, output TEXT)")
    act: Callable[[int], int] = step

    def work(count: int) -> None:
        for number in range(count):
            row = (f"s{number}", f'{{"number": {act(number)}}}')
            database.execute("INSERT INTO steps (name, output) VALUES (?, ?)", row)

    try:
        yield lambda count: timed(lambda: work(count))
    finally:
        database.close()


def _naive(floor: float, aim: float) -> Peer:
    return Peer("sqlite3, a commit a row", naive, floor, aim)


def _dbos(side: Side) -> Peer:
    return Peer("DBOS on SQLite", side, 20, 80, "dbos")


def _langgraph(side: Side) -> Peer:
    return Peer("LangGraph, SQLite saver", side, module="langgraph.checkpoint.sqlite")


ROWS = (
    Row("durable steps, one run", "steps", 100, 5, clew_sequential,
        (_naive(0.8, 1.1), _dbos(dbos_sequential), _langgraph(langgraph_sequential))),
    Row("durable Python steps, 64 runs × 10", "steps", 640, 40, clew_runs(64),
        (_naive(5, 12), _dbos(dbos_runs), _langgraph(langgraph_runs))),
    Row("durable Python steps, 256 runs in flight", "steps", 2560, 40, clew_runs(256),
        (_naive(10, 25),)),
    Row("durable starts, 64 callers", "starts", 640, 16, clew_starts,
        (_naive(3, 6), _dbos(dbos_starts),
         Peer("Huey on SQLite, enqueued", huey_starts, module="huey"))),
)  # fmt: skip
