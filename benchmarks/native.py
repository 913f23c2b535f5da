"""What the core does without Python, measured by its own benchmarks in tests_cpp/bench.

Hypothesis: a call from C++ costs well under a microsecond where its caller stands, so that four
callers make five times as many, at least, as four callers of a router in Rust that writes a trace
(ten times is the aim); the same where calls are handed to a pool of four. An event in memory costs
at most half of what its broker needs, a sixth the aim. A look-up among 10,000 capabilities takes at
most 200 ns, half of it the aim. Guests of WebAssembly share nothing that is written to, so that a
second core adds half its worth at least, nine tenths the aim.

What is *recorded* was measured once, on a machine of this kind: the executor, router and trace
sources of Traverse 0.9.1, release build, made 140,000 to 267,000 native calls a second with four
callers, and 48,000 to 108,000 on a pool of four; its broker took 6 µs for an event in memory. The
upper ends count.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import clew
from calls import NATIVE, WORKERS
from clew import _wasm
from report import Peer, Row, Run, Side, timed

BINARIES: list[Path] = []  # the folder of the programs; run.py puts it there
CALLERS = 4
INLINE = 267_000
POOLED = 108_000
PUBLISHED = 1 / 6e-6
LOOK_UP = 1 / 200e-9


def program(name: str, case: str) -> Side:
    """Return the side that one case of a program is. It decides itself how many units it does.

    A count of 1,000 stands for a second of it; its rate is what comes out.
    """

    @contextmanager
    def side(folder: Path) -> Iterator[Run]:
        path = (BINARIES[-1] / f"bench_{name}").resolve()
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: make bench builds it")

        def run(count: int) -> float:
            out = folder / "out.json"
            command = [str(path), f"--benchmark_filter=^{case}$", f"--benchmark_out={out}"]
            command.append(f"--benchmark_min_time={count / 1000}")
            environment = os.environ | {"CLEW_WASMTIME": _wasm.library()}
            subprocess.run(command, check=True, env=environment, capture_output=True, cwd=folder)
            (told,) = json.loads(out.read_text())["benchmarks"]
            if told.get("error_occurred"):
                raise RuntimeError(f"{path} {case}: {told['error_message']}")
            return float(count / told["items_per_second"])

        yield run

    return side


def recorded(rate: float) -> Side:
    """Return the side that always has this rate."""

    @contextmanager
    def side(_folder: Path) -> Iterator[Run]:
        yield lambda count: count / rate

    return side


@contextmanager
def python_callers(_folder: Path) -> Iterator[Run]:
    """`CALLERS` threads of Python, each waits for each of its calls."""
    with clew.Runtime(":memory:", workers=WORKERS) as rt, ThreadPoolExecutor(CALLERS) as callers:
        rt.register_native("echo")

        def caller(count: int) -> None:
            for _ in range(count):
                rt.execute(NATIVE, {})

        def work(count: int) -> None:
            list(callers.map(caller, [count // CALLERS] * CALLERS))

        yield lambda count: timed(lambda: work(count))


def _router(rate: float, floor: float = 5, aim: float = 10) -> Peer:
    return Peer("Traverse 0.9.1, recorded", recorded(rate), floor, aim)


def _look_up(kind: str) -> Row:
    side = program("capability_registry_bench", f"look_up/{kind}")
    peer = Peer("200 ns each", recorded(LOOK_UP), 1, 2)
    return Row(f"look-up among 10,000, {kind}", "look-ups", 500, 10, side, (peer,))


def _guests(callers: int) -> Side:
    return program("wasm_bench", f"warm_call/real_time/threads:{callers}")


ROWS = (
    Row("C++ calls, 4 callers, inline", "calls", 1000, 10,
        program("runtime_bench", "native_inline/real_time/threads:4"), (_router(INLINE),)),
    Row("C++ calls, 4 callers, on the pool", "calls", 1000, 10,
        program("runtime_bench", "native_on_the_pool/real_time/threads:4"), (_router(POOLED),)),
    Row("C++ calls, 4 callers, pipelined", "calls", 1000, 10,
        program("runtime_bench", "native_pipelined/real_time/threads:4"), (_router(POOLED),)),
    Row("native calls, 4 callers in Python", "calls", 40_000, 40, python_callers,
        (_router(INLINE),)),
    Row("C++ events in memory, one publisher", "events", 500, 10,
        program("capability_bench", "publish_in_memory"), (_router(PUBLISHED, 2, 6),)),
    _look_up("exact"), _look_up("range"), _look_up("bare"),
    Row("WebAssembly calls, both cores", "calls", 1000, 10, _guests(2),
        (Peer("one core", _guests(1), 1.5, 1.9),)),
)  # fmt: skip
