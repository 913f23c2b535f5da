"""How rows are measured and shown.

Hypothesis: on a shared machine two programs can be compared only side by side. Each round runs
every side once, in turn (A B C, A B C, …); a ratio is taken within its round, and the median of the
rounds counts, so that a slow minute of the machine strikes both sides alike.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Run = Callable[[int], float]  # does so many units; returns the seconds they took
Side = Callable[[Path], AbstractContextManager[Run]]  # sets up in an empty folder, and takes down

START = "<!-- benchmarks -->"
END = "<!-- /benchmarks -->"


@dataclass(frozen=True)
class Peer:
    """What a row compares Clew with, and by what factor Clew should be faster."""

    name: str
    side: Side
    floor: float | None = None  # below it something is broken
    aim: float | None = None
    module: str = "sqlite3"  # what must be importable


@dataclass(frozen=True)
class Row:
    """One kind of work, done by Clew and by its peers."""

    name: str
    unit: str
    count: int  # units a round
    smoke: int  # the same for a smoke test
    clew: Side
    peers: tuple[Peer, ...]


@dataclass(frozen=True)
class Result:
    """A row against one peer. Rates are units a second; None: the peer is not installed."""

    row: str
    unit: str
    clew: float
    peer: str
    peer_rate: float | None
    ratio: float | None
    floor: float | None
    aim: float | None

    @property
    def verdict(self) -> str:
        """Where the ratio lies."""
        if self.ratio is None:
            return "not installed"
        if self.floor is None or self.aim is None:
            return ""
        if self.ratio >= self.aim:
            return "aim reached"
        return "above the floor" if self.ratio >= self.floor else "BELOW THE FLOOR"


@dataclass(frozen=True)
class Fact:
    """A single number."""

    name: str
    value: float
    unit: str


def timed(work: Callable[[], Any]) -> float:
    """Return how many seconds it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def installed(peer: Peer) -> bool:
    """Return whether a peer can be imported."""
    try:
        return importlib.util.find_spec(peer.module) is not None
    except ModuleNotFoundError:  # the package above it is missing
        return False


def measure(row: Row, folder: Path, rounds: int, *, smoke: bool) -> list[Result]:
    """Run a row. A smoke test does it once, against peers of the standard library only."""
    count = row.smoke if smoke else row.count
    standard = {"sqlite3", "concurrent.futures"}
    peers = [one for one in row.peers if not smoke or one.module in standard]
    present = [one for one in peers if installed(one)]
    seconds: list[list[float]] = []
    with ExitStack() as stack:
        runs = []
        for number, side in enumerate((row.clew, *(one.side for one in present))):
            own = folder / f"{number}"
            own.mkdir(parents=True)
            runs.append(stack.enter_context(side(own)))
        if not smoke:
            for run in runs:
                run(max(1, count // 10))
        for _ in range(rounds):
            seconds.append([run(count) for run in runs])
    return _results(row, count, peers, present, seconds)


def _results(
    row: Row, count: int, peers: list[Peer], present: list[Peer], seconds: list[list[float]]
) -> list[Result]:
    rate = count / statistics.median(one[0] for one in seconds)
    results = []
    for peer in peers:
        peer_rate = ratio = None
        if peer in present:
            at = present.index(peer) + 1
            peer_rate = count / statistics.median(one[at] for one in seconds)
            ratio = statistics.median(one[at] / one[0] for one in seconds)
        results.append(
            Result(row.name, row.unit, rate, peer.name, peer_rate, ratio, peer.floor, peer.aim)
        )
    return results


def machine() -> str:
    """Return what the numbers were measured on."""
    cores = os.cpu_count()
    python = platform.python_version()
    return f"{cores} cores, Python {python}, the peers' SQLite {sqlite3.sqlite_version}"


def table(results: Sequence[Result], facts: Sequence[Fact]) -> str:
    """Return Markdown."""
    lines = [
        "| Work | Clew | Peer | Its rate | Ratio | Floor / aim | |",
        "|---|--:|---|--:|--:|--:|---|",
    ]
    for one in results:
        rate = "" if one.peer_rate is None else f"{one.peer_rate:,.0f}/s"
        ratio = "" if one.ratio is None else f"{_short(one.ratio)}×"
        goal = "" if one.floor is None or one.aim is None else f"{one.floor:g}× / {one.aim:g}×"
        lines.append(
            f"| {one.row} | {one.clew:,.0f} {one.unit}/s | {one.peer} | {rate} | {ratio} "
            f"| {goal} | {one.verdict} |"
        )
    lines += ["", *(f"- {one.name}: {_short(one.value)} {one.unit}" for one in facts)]
    lines.append(f"- machine: {machine()}")
    return "\n".join(lines)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def to_json(results: Sequence[Result], facts: Sequence[Fact]) -> dict[str, Any]:
    """Return the same as data."""
    return {
        "machine": machine(),
        "rows": [{**asdict(one), "verdict": one.verdict} for one in results],
        "facts": [asdict(one) for one in facts],
    }


def write_readme(path: Path, text: str) -> None:
    """Put the table between the markers. ValueError: they are not there, once and in order."""
    page = path.read_text(encoding="utf-8")
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end or START in rest or END in after:
        raise ValueError(f"{path} must have {START} and then {END}, once each")
    path.write_text(f"{before}{START}\n{text}\n{END}{after}", encoding="utf-8")
