"""A million calls: what memory they leave behind, and how soon their traces are found.

Hypothesis: once the store keeps as many traces as it may, memory stands still: between 200,000 and
1,000,000 calls it grows by less than 32 MiB. In a file of a million traces a page takes less than
20 ms, whatever is asked for.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import clew
from report import Fact

CALLS = 1_000_000
CALLS_SMOKE = 2_000
RARE = 1_000  # one call in so many fails
SHARES = (1, 9, 90)  # of each capability, in a hundred
GROWTH = """
import sys; sys.path[:0] = [sys.argv[1]]
import traces; traces.print_growth(sys.argv[2], int(sys.argv[3]))
"""


def facts(folder: Path, *, smoke: bool) -> list[Fact]:
    """Measure in an empty folder; memory in processes of their own."""
    calls = CALLS_SMOKE if smoke else CALLS
    found = []
    for name, store in (("in memory", ":memory:"), ("file", str(folder / "growth.db"))):
        what = f"memory between {calls // 5:,} and {calls:,} calls, {name}"
        found.append(Fact(what, _growth(store, calls), "MiB"))
    with clew.Runtime(folder / "traces.db", limits={"traces_max": calls}) as rt:
        fill(rt, calls)
        times = query_times(rt, 5 if smoke else 100)
    kind = max(times, key=lambda name: times[name][1])
    median, slowest = (1e3 * each for each in times[kind])
    what = f"a page of {calls:,} traces, the slowest of {len(times)} kinds ({kind})"
    found.append(Fact(f"{what}, median", median, "ms"))
    found.append(Fact(f"{what}, p99", slowest, "ms"))
    return found


def fill(rt: clew.Runtime, calls: int) -> None:
    """Make so many calls of three capabilities."""
    _register(rt)
    _call(rt, calls)


def print_growth(store: str, calls: int, kept: int = 100_000) -> None:
    """Print by how many bytes the process grows after the first fifth of the calls."""
    with clew.Runtime(store, limits={"traces_max": kept}) as rt:
        _register(rt)
        _call(rt, calls // 5)
        rt.traces(limit=1)  # what is pending is written
        before = resident_bytes()
        _call(rt, calls - calls // 5)
        rt.traces(limit=1)
        print(resident_bytes() - before)


def resident_bytes() -> int:
    """Return the memory that this process occupies now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def query_times(rt: clew.Runtime, times: int) -> dict[str, tuple[float, float]]:
    """Return median and 99th percentile of the seconds that each kind of page takes."""
    newest = rt.traces(limit=1)[0].started
    oldest = rt.sql("SELECT min(started_us) AS us FROM v_traces")[0]["us"]
    middle = newest - timedelta(microseconds=(int(newest.timestamp() * 1e6) - int(oldest)) // 2)
    a_while = timedelta(milliseconds=100)
    deep = None
    for _ in range(20):
        deep = rt.traces(limit=10_000, cursor=deep).next_cursor or deep
    kinds: dict[str, dict[str, Any]] = {
        "first page": {},
        "of a rare capability": {"capability": "bench.traced_0"},
        "of a common capability": {"capability": "bench.traced_2"},
        "of one that is not there": {"capability": "bench.none"},
        "failures": {"outcome": "failure"},
        "timeouts, of which there are none": {"outcome": "timeout"},
        "by code": {"code": "execution_failed"},
        "failures of a rare capability": {"capability": "bench.traced_0", "outcome": "failure"},
        "since a moment ago": {"since": newest - a_while},
        "until a moment after the first": {"until": middle - (newest - middle) + a_while},
        "a while in the middle": {"since": middle, "until": middle + a_while},
        "before the first": {"until": middle - (newest - middle) - a_while},
        "of a run that is not there": {"run": "none"},
        "deep": {"cursor": deep},
    }
    return {name: _times(rt, wanted, times) for name, wanted in kinds.items()}


def _times(rt: clew.Runtime, wanted: dict[str, Any], times: int) -> tuple[float, float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        rt.traces(limit=100, **wanted)
        taken.append(time.perf_counter() - began)
    taken.sort()
    return taken[len(taken) // 2], taken[len(taken) * 99 // 100]


def _growth(store: str, calls: int) -> float:
    command = [sys.executable, "-c", GROWTH, str(Path(__file__).parent), store, str(calls)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return int(said) / 2**20


def _register(rt: clew.Runtime) -> None:
    for number in range(len(SHARES)):

        @clew.capability(f"bench.traced_{number}", version="1.0.0", effect="pure")
        def traced(n: int) -> int:
            if n % RARE == 0:
                raise ArithmeticError(n)
            return n

        rt.register(traced)


def _call(rt: clew.Runtime, calls: int) -> None:
    for number, share in enumerate(SHARES):
        inputs: Iterator[dict[str, int]] = ({"n": n} for n in range(calls * share // 100))
        for _ in rt.map(f"bench.traced_{number}", inputs, return_exceptions=True):
            pass
