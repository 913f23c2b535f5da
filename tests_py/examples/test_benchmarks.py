"""What the benchmarks make of their measurements: ratios within a round, and no peer left out."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks/report.py"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks_report", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmarks_report", module)
    spec.loader.exec_module(module)
    return module


Side = Callable[[Path], AbstractContextManager[Callable[[int], float]]]


def side(seconds: list[float], log: list[str], name: str) -> Side:
    @contextmanager
    def opened(folder: Path) -> Iterator[Callable[[int], float]]:
        assert list(folder.iterdir()) == []
        left = iter(seconds)

        def run(count: int) -> float:
            log.append(name)
            return next(left)

        yield run
        log.append(f"{name} closed")

    return opened


def test_rounds_take_turns_and_the_median_of_their_ratios_counts(
    report: ModuleType, tmp_path: Path
) -> None:
    log: list[str] = []
    # The first of each is the warm-up. The second round is slow for both; its ratio is not.
    row = report.Row("r", "calls", 10, 2, side([9, 1, 8, 1], log, "a"), (
        report.Peer("b", side([9, 2, 16, 40], log, "b"), 1.5, 3.0),
        report.Peer("gone", side([], log, "c"), 2.0, 3.0, "no_such_package.inner"),
    ))  # fmt: skip
    present, gone = report.measure(row, tmp_path, 3, smoke=False)
    assert log == [*"abababab", "b closed", "a closed"]
    assert (present.ratio, present.clew, present.peer_rate) == (2.0, 10.0, 10 / 16)
    assert present.verdict == "above the floor"
    assert (gone.ratio, gone.peer_rate, gone.verdict) == (None, None, "not installed")
    shown = report.table([present, gone], [report.Fact("f", 1234.5, "µs")])
    assert "not installed" in shown
    assert "2×" in shown
    assert "f: 1,234 µs" in shown


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(1.99, "BELOW THE FLOOR"), (2, "above the floor"), (4, "above the floor"), (5, "aim reached")],
)  # fmt: skip
def test_floor_and_aim_are_reached_at_their_number(
    report: ModuleType, ratio: float, verdict: str
) -> None:
    assert report.Result("r", "calls", 1.0, "p", 1.0, ratio, 2.0, 5.0).verdict == verdict


def test_a_smoke_test_runs_each_side_once_and_only_those_of_the_standard_library(
    report: ModuleType, tmp_path: Path
) -> None:
    log: list[str] = []
    row = report.Row("r", "calls", 10, 2, side([1], log, "a"), (
        report.Peer("b", side([1], log, "b")),
        report.Peer("c", side([1], log, "c"), module="pytest"),
    ))  # fmt: skip
    assert [one.peer for one in report.measure(row, tmp_path, 1, smoke=True)] == ["b"]
    assert log == ["a", "b", "b closed", "a closed"]


def test_the_table_goes_between_the_markers_and_nowhere_else(
    report: ModuleType, tmp_path: Path
) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{report.START}\nold\n{report.END}\nafter\n")
    for text in ("one", "two"):
        report.write_readme(page, text)
        assert page.read_text() == f"before\n{report.START}\n{text}\n{report.END}\nafter\n"
    for bad in ("", report.START, f"{report.END}{report.START}", page.read_text() * 2):
        page.write_text(bad)
        with pytest.raises(ValueError, match="must have"):
            report.write_readme(page, "x")
        assert page.read_text() == bad
