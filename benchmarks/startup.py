"""What is paid once: the import, the demonstration's memory, and what the disk takes for a sync.

Hypothesis: ``import clew`` costs less than 60 ms above a bare interpreter, and the demonstration
(1,000 files and more) stays below 150 MiB. The sync says what every durable number above rests on.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from report import Fact, timed

ROOT = Path(__file__).resolve().parents[1]


def facts(folder: Path, *, smoke: bool) -> list[Fact]:
    """Measure all three in an empty folder."""
    return [
        Fact("fdatasync of 4 KiB, median", _sync_us(folder, 5 if smoke else 200), "µs"),
        Fact("import clew, above a bare interpreter", _import_ms(1 if smoke else 15), "ms"),
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
