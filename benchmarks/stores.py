"""The stores that agents stand on, beside one commit a row, and PostgreSQL beside DBOS on it.

Hypothesis: what commits at the same time shares a sync, so that a row a commit, which makes 4,000 a
second on a disk of this kind, is beaten by whatever has 64 in flight: 15 times by events (30 the
aim), nearly 4 by the three commits of a queue's row (10), and a session's commit of ten nodes with
a checkpoint is as fast as three rows (8). What an effect has recorded is answered from memory.
On PostgreSQL a group is one transaction and one round trip to the disk, where DBOS has one for each
step: 20 times as fast, 50 the aim. Who waits for what another process commits is woken by it, not
by a clock: within 2 ms of the append, its commit included. 100,000 runs that wait are known within
5 seconds after opening, 2 the aim.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import clew
from clew import _postgres, aio
from clew.stores import ProcessEventType
from durable import clew_runs_at
from native import program, recorded
from peers import dbos_runs_at
from report import Fact, Peer, Row, Run, Side

_NAIVE = program("runtime_stores_bench", "naive_commit_a_row/real_time")
_IN_FLIGHT = 64
_SUSPENDED = 100_000
_numbers = itertools.count()
_WAITING = {
    "workflow": "bench.waiting",
    "version": "1.0.0",
    "steps": {"wait": {"on_event": {"type": "bench.never", "correlation": "any"}}},
}


def _fresh_database() -> str:
    """Return the URL of an empty schema in a server that this process starts once."""
    return _postgres.in_schema(_postgres.test_server(), f"bench_{next(_numbers)}")


def _on_postgresql(side: str) -> Side:
    """Return the side of the same work for Clew or DBOS, in a fresh database."""

    @contextmanager
    def made(_folder: Path) -> Iterator[Run]:
        url = _fresh_database()
        with clew_runs_at(url, _IN_FLIGHT) if side == "clew" else dbos_runs_at(url) as run:
            yield run

    return made


def _store(case: str, threads: int) -> Side:
    return program("runtime_stores_bench", f"{case}/real_time/threads:{threads}")


def _naive(floor: float, aim: float) -> Peer:
    return Peer("sqlite3, a commit a row", _NAIVE, floor, aim)


def facts(folder: Path, *, smoke: bool) -> list[Fact]:
    """Measure how long it takes until all runs that wait are known again."""
    count = 100 if smoke else _SUSPENDED
    store = folder / "waiting.db"
    asyncio.run(_start_waiting(store, count))
    began = time.perf_counter()
    with clew.Runtime(store) as rt:
        while rt.stats()["runs"]["live"] < count:
            time.sleep(0.005)
        seconds = time.perf_counter() - began
    hops = 10 if smoke else 500
    return [
        Fact(f"{count:,} waiting runs are known after opening", seconds, "s (floor 5, aim 2)"),
        Fact("a hop between two processes on a file, p50", _hop_ms(folder / "h.db", hops), _HOP),
        Fact("a hop on PostgreSQL, p50", _hop_ms(_fresh_database(), hops), _HOP),
    ]


# Answers each event of "there" with one of "back".
_ECHO = """
import sys
import clew

with clew.Runtime(sys.argv[1]) as rt:
    print("ready", flush=True)
    for n in range(int(sys.argv[2])):
        rt.processes.wait_event_after("there", "beat", n)
        rt.processes.append_event("back", "beat", n)
"""
_HOP = "ms (floor 2)"


def _hop_ms(store: Path | str, hops: int) -> float:
    """Return half of what a beat takes to another process and back, with both its commits."""
    taken = []
    with clew.Runtime(store) as rt:
        for process in ("there", "back"):
            rt.processes.register_process(process, event_types=[ProcessEventType("beat")])
        command = [sys.executable, "-c", _ECHO, str(store), str(hops)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as echo:
            assert echo.stdout is not None
            assert echo.stdout.readline() == "ready\n"
            for n in range(hops):
                began = time.perf_counter()
                rt.processes.append_event("there", "beat", n)
                rt.processes.wait_event_after("back", "beat", n, timeout="10s")
                taken.append(time.perf_counter() - began)
        assert echo.returncode == 0
    return 1e3 * statistics.median(taken) / 2


async def _start_waiting(store: Path, count: int) -> None:
    async with aio.Runtime(store) as rt:
        await rt.events.define("bench.never@1.0.0")
        numbers = iter(range(count))

        async def caller() -> None:
            for _ in numbers:
                await rt.start(_WAITING)

        await asyncio.gather(*[caller() for _ in range(256)])


ROWS = (
    Row("C++ durable events, 64 publishers", "events", 1000, 10,
        program("capability_bench", "publish_durably/64/real_time"), (_naive(15, 30),)),
    Row("C++ events of 64 processes, 64 threads", "events", 1000, 10,
        _store("process_append", 64), (_naive(15, 30),)),
    Row("queued work, 64 in flight", "cycles", 1000, 10, _store("queue_cycle", 64),
        (_naive(3.75, 10),)),
    Row("session commits, 10 nodes and a checkpoint", "commits", 1000, 10,
        _store("session_commit", 64), (_naive(0.75, 2),)),
    Row("effects, a recorded outcome", "replays", 1000, 10, _store("effect_replay", 1),
        (Peer("300,000 a second", recorded(300_000), 1, 3.3),)),
    Row("durable Python steps on PostgreSQL, 64 runs × 10", "steps", 3200, 40,
        _on_postgresql("clew"),
        (Peer("DBOS on the same server", _on_postgresql("dbos"), 20, 50, "dbos"),)),
)  # fmt: skip
