"""What is paid once: imports, modules, the demonstration's memory, and what a sync takes.

Hypothesis: ``import clew`` costs less than 60 ms above a bare interpreter, and the demonstration
(1,000 files and more) stays below 150 MiB. The sync says what every durable number above rests on.
A small WebAssembly module is registered within 20 ms when it has to be compiled and within 5 ms
when the store has its compiled form, its first call included; the first of a runtime loads the
library as well.
"""

from __future__ import annotations

import logging
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import clew
from peers import ECHO
from report import Fact, timed

ROOT = Path(__file__).resolve().parents[1]


def facts(folder: Path, *, smoke: bool) -> list[Fact]:
    """Measure all in an empty folder."""
    times = 1 if smoke else 20
    compiled, stored = _wasm_ms(folder, "compiled", times), _wasm_ms(folder, "from_store", times)
    return [
        Fact("fdatasync of 4 KiB, median", _sync_us(folder, 5 if smoke else 200), "µs"),
        Fact("import clew, above a bare interpreter", _import_ms(1 if smoke else 15), "ms"),
        Fact("WebAssembly, compiled from bytes and called, median", compiled, "ms"),
        Fact("WebAssembly, loaded compiled from the store and called, median", stored, "ms"),
        Fact("demonstration, peak memory of the larger worker", _demo_mib(folder, smoke), "MiB"),
    ]


def _sync_us(folder: Path, times: int) -> float:
    page = b"x" * 4096
    with open(folder / "sync", "wb", buffering=0) as file:
        taken = []
        for _ in range(times):
            file.write(page)
            taken.append(timed(lambda: os.fdatasync(file.fileno())))
    return 1e6 * statistics.median(taken)


def _import_ms(rounds: int) -> float:
    """Return the median of the differences within a round."""

    def start(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - began

    return 1e3 * statistics.median(start("import clew") - start("pass") for _ in range(rounds))


def _wasm_ms(folder: Path, how: str, times: int) -> float:
    """Return the median of registering a module and its first call, in a runtime of its own.

    The first time, modules are compiled; the second time, they are in the store.
    """
    logging.getLogger("clew").setLevel(logging.ERROR)  # they are not signed
    taken = []
    with clew.Runtime(folder / "wasm.db") as rt:
        for number in range(times + 1):  # no two modules are equal

            def add(number: int = number) -> None:
                module = ECHO[:-1] + b"(global i32 (i32.const %d)))" % number
                rt.register_wasm(module, {"id": f"bench.echo{number}", "version": "1.0.0"})
                rt.execute(f"bench.echo{number}", {})

            taken.append(timed(add))
        assert rt.stats()["wasm"][how] == times + 1, rt.stats()["wasm"]
    return 1e3 * statistics.median(taken[1:])  # the first one starts the engine


def _demo_mib(folder: Path, smoke: bool) -> float:
    command = [sys.executable, str(ROOT / "examples/library_index/run.py")]
    command += ["--work", str(folder / "demo")]
    if smoke:
        command += ["--folder", str(Path(__file__).parent)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = re.search(r"^memory: +(\d+) MiB", said, flags=re.MULTILINE)
    if found is None:
        raise RuntimeError(f"the demonstration did not tell its memory:\n{said}")
    return float(found[1])
