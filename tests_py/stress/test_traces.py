"""What many calls leave behind is bounded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
STRESS = os.environ.get("CLEW_STRESS") == "1"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", [":memory:", "calls.db"])
def test_memory_stands_still_once_the_store_keeps_as_many_traces_as_it_may(
    store: str, tmp_path: Path
) -> None:
    calls = 1_000_000 if STRESS else 300_000
    script = (
        f"import sys; sys.path[:0] = [{str(BENCHMARKS)!r}]; import traces; "
        f"traces.print_growth({store!r}, {calls}, kept=20_000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True
    )
    assert int(done.stdout) < 32 * 2**20
