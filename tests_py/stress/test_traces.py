"""What many calls leave behind is bounded, and what is asked for is found by an index."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import clew
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


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_page_is_found_as_fast_as_the_first_whatever_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import traces  # type: ignore[import-not-found]  # on that path

    calls = 300_000
    with clew.Runtime(tmp_path / "calls.db", limits={"traces_max": calls}) as rt:
        traces.fill(rt, calls)
        times = {name: median for name, (median, _) in traces.query_times(rt, 11).items()}
    # A look at all of them takes some hundred times as long.
    slow = {name: time for name, time in times.items() if time > 20 * times["first page"] + 0.002}
    assert slow == {}
