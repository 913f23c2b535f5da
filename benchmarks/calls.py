"""Calls that leave a trace, against a bare thread pool that leaves none.

Hypothesis: most of what a call through `ThreadPoolExecutor` costs is the hand-over between threads
and the interpreter's lock. A native call that one caller waits for needs neither (it runs where the
caller stands): 10 times as fast at least, 40 the aim; pipelined through four workers 5 and 20. A
Python handler keeps the lock's cost and saves the future's: 4 and 8, `map` of 10,000 4 and 10.
A WebAssembly module gets an instance for each call, as a WASI command does anywhere; what differs
is how memory and streams are made for it: 20 and 100.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import clew
from peers import ECHO, joblib_map, wasmtime_commands
from report import Peer, Row, Run, Side, timed

WORKERS = 4
BATCH = 1000  # submitted before the first is waited for: below every queue's bound
NATIVE = "native.echo@1.0.0"


@clew.capability("bench.nothing", version="1.0.0", inputs={"type": "object"}, outputs=True)
def nothing() -> None:
    """Do nothing."""


def nothing_at_all() -> None:
    """Do nothing, for the pool."""


@contextmanager
def _runtime() -> Iterator[clew.Runtime]:
    with clew.Runtime(":memory:", workers=WORKERS) as rt:
        rt.register(nothing)
        rt.register_native("echo")
        yield rt


@contextmanager
def native_blocking(_folder: Path) -> Iterator[Run]:
    """One caller waits for each call."""
    with _runtime() as rt:
        yield lambda count: timed(lambda: [rt.execute(NATIVE, {}) for _ in range(count)])


@contextmanager
def native_pipelined(_folder: Path) -> Iterator[Run]:
    """Calls are submitted in batches, then waited for."""
    with _runtime() as rt:

        def work(count: int) -> None:
            for size in _batches(count):
                for call in [rt.submit(NATIVE, {}) for _ in range(size)]:
                    call.result()

        yield lambda count: timed(lambda: work(count))


@contextmanager
def python_blocking(_folder: Path) -> Iterator[Run]:
    """The same as `native_blocking`, of a Python function."""
    with _runtime() as rt:
        yield lambda count: timed(lambda: [rt.execute(nothing, {}) for _ in range(count)])


@contextmanager
def python_map(_folder: Path) -> Iterator[Run]:
    """One map over so many inputs."""
    with _runtime() as rt:
        yield lambda count: timed(lambda: list(rt.map(nothing, ({} for _ in range(count)))))


@contextmanager
def wasm_blocking(_folder: Path) -> Iterator[Run]:
    """The same, of a WebAssembly module that echoes: an instance for each call."""
    with clew.Runtime(":memory:", workers=WORKERS) as rt:
        logging.getLogger("clew").setLevel(logging.ERROR)  # it is not signed
        rt.register_wasm(ECHO, {"id": "bench.echo", "version": "1.0.0"})
        yield lambda count: timed(lambda: [rt.execute("bench.echo", {}) for _ in range(count)])


@contextmanager
def pool_blocking(_folder: Path) -> Iterator[Run]:
    """``submit().result()``, one by one."""
    with ThreadPoolExecutor(WORKERS) as pool:
        yield lambda count: timed(
            lambda: [pool.submit(nothing_at_all).result() for _ in range(count)]
        )


@contextmanager
def pool_pipelined(_folder: Path) -> Iterator[Run]:
    """Batches, as `native_pipelined`."""
    with ThreadPoolExecutor(WORKERS) as pool:

        def work(count: int) -> None:
            for size in _batches(count):
                for future in [pool.submit(nothing_at_all) for _ in range(size)]:
                    future.result()

        yield lambda count: timed(lambda: work(count))


def _batches(count: int) -> list[int]:
    return [min(BATCH, count - at) for at in range(0, count, BATCH)]


def _pool(side: Side, floor: float, aim: float) -> Peer:
    name = "ThreadPoolExecutor" + (", pipelined" if side is pool_pipelined else "")
    return Peer(name, side, floor, aim, "concurrent.futures")


ROWS = (
    Row("native call, one caller", "calls", 20_000, 50, native_blocking,
        (_pool(pool_blocking, 10, 40),)),
    Row("native calls, pipelined", "calls", 20_000, 50, native_pipelined,
        (_pool(pool_pipelined, 5, 20),)),
    Row("Python call, one caller", "calls", 20_000, 50, python_blocking,
        (_pool(pool_blocking, 4, 8),)),
    Row("WebAssembly call, one caller", "calls", 5_000, 20, wasm_blocking,
        (Peer("wasmtime for Python", wasmtime_commands, 20, 100, "wasmtime"),)),
    Row("Python map of 10,000", "calls", 10_000, 50, python_map,
        (_pool(pool_pipelined, 4, 10), Peer("joblib, threads", joblib_map, module="joblib"))),
)  # fmt: skip
