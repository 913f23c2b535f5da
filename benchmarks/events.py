"""Durable events, against one commit an event.

Hypothesis: publishers that wait at the same time share a sync, so that 64 of them publish 8 times
as fast as naive code at least, 20 the aim.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clew import aio
from report import Peer, Row, Run, timed

# Parity: throughput
PUBLISHERS = 64
DATA = {"doc": "a.txt", "words": 3}


@contextmanager
def clew_events(folder: Path) -> Iterator[Run]:
    """`PUBLISHERS` publish; each waits until its event is on the disk."""
    loop = asyncio.new_event_loop()
    rt = aio.Runtime(folder / "clew.db")
    loop.run_until_complete(rt.events.define("bench.counted@1.0.0"))

    async def publisher(numbers: Iterator[int]) -> None:
        for _ in numbers:
            await rt.publish("bench.counted@1.0.0", DATA)

    async def work(count: int) -> None:
        numbers = iter(range(count))
        await asyncio.gather(*[publisher(numbers) for _ in range(PUBLISHERS)])

    try:
        yield lambda count: timed(lambda: loop.run_until_complete(work(count)))
    finally:
        loop.run_until_complete(rt.close())
        loop.close()


@contextmanager
def naive(folder: Path) -> Iterator[Run]:
    """One connection, WAL, ``synchronous=FULL``; a row for each event, committed by itself."""
    database = sqlite3.connect(folder / "naive.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, type TEXT, data TEXT)")

    def work(count: int) -> None:
        for _ in range(count):
            row = ("bench.counted", '{"doc": "a.txt", "words": 3}')
            database.execute("INSERT INTO events (type, data) VALUES (?, ?)", row)

    try:
        yield lambda count: timed(lambda: work(count))
    finally:
        database.close()


# Parity: throughput
ROWS = (
    Row("durable events, 64 publishers", "events", 6400, 64, clew_events,
        (Peer("sqlite3, a commit an event", naive, 8, 20),)),
)  # fmt: skip
