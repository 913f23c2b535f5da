"""The demonstration: it ends well on a small folder, and its proof would see a repeated step."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import clew
import pytest
from clew import _postgres

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/library_index"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"library_index_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_example(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("place", ["file", "postgresql"])
def test_a_killed_worker_is_resumed_and_nothing_runs_twice(place: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        store: list[str] = []
        if place == "postgresql":
            store = ["--store", stack.enter_context(_postgres.fresh_schema())]
        check_demonstration(tmp_path, store)


def check_demonstration(tmp_path: Path, store: list[str]) -> None:
    folder = Path(clew.__file__).parent
    ended = run_example("run.py", "--folder", str(folder), "--work", str(tmp_path), *store)
    assert (tmp_path / "index.db").exists() == (not store)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = dict(line.split(":", 1) for line in ended.stdout.splitlines() if ":" in line)
    files = len(list(folder.rglob("*.py")))
    assert said["files"].split()[0] == str(files)
    assert said["repeated"].strip() == said["lost"].strip() == "0"
    before, after = (int(said["steps"].split()[at]) for at in (0, 4))
    assert before == max(1, int(0.4 * files))
    assert before + after == files + 4  # list, merge, rank and report
    report = Path(ended.stdout.splitlines()[-1].partition(":")[2].strip())
    assert report == tmp_path / "report.html"
    page = report.read_text()
    assert "<svg" in page
    assert "_runtime.py" in page

    journal = tmp_path / "journal.log"
    pids = {line.split()[3] for line in journal.read_text().splitlines()}
    assert len(pids) == 2, "the killed worker and the one that went on"
    assert run_example("journal.py", str(journal)).returncode == 0
    with journal.open("a") as log:
        log.write("ran measure 0 1 0\n")
    forged = run_example("journal.py", str(journal))
    assert forged.returncode == 1
    assert "repeated: 1" in forged.stdout


@pytest.mark.parametrize(
    ("text", "done", "repeated", "unexplained"),
    [
        ("", 0, 0, 0),
        ("ran a 1 1 0\ndone a 1 1 3\n", 1, 0, 0),
        # Interrupted before its completion was seen: it may run again, once or more often.
        ("ran a 1 1 0\nran a 1 2 0\ndone a 1 2 3\n", 1, 0, 0),
        ("ran a 1 1 0\ndone a 1 1 3\nran a 1 2 0\n", 1, 1, 0),
        ("ran a 1 1 0\ndone a 1 1 3\nran a 1 1 0\n", 1, 1, 0),  # in the same process
        ("ran a 1 1 0\ndone a 1 1 3\nran a 2 2 0\nran b 1 2 0\n", 1, 0, 0),  # other steps
        ("ran a 1 1 0\ndone a 1 1 3\ndone a 1 2 3\n", 1, 0, 0),  # seen twice, run once
        ("done a 1 1 3\n", 1, 0, 1),
    ],
)
def test_the_proof_follows_the_journal(
    tmp_path: Path, text: str, done: int, repeated: int, unexplained: int
) -> None:
    journal = load("journal")
    log = tmp_path / "journal.log"
    log.write_text(text)
    proof = journal.prove(journal.read(log))
    assert (proof.done, len(proof.repeated), len(proof.unexplained)) == (
        done,
        repeated,
        unexplained,
    )


def test_a_line_of_another_form_is_refused(tmp_path: Path) -> None:
    journal = load("journal")
    for text in ("runs a 1 1 0\n", "ran a 1\n", "ran a x 1 0\n"):
        (tmp_path / "journal.log").write_text(text)
        with pytest.raises(ValueError):  # noqa: PT011 - any will do
            journal.read(tmp_path / "journal.log")
    assert journal.read(tmp_path / "none.log") == []


def test_measures_count_what_is_there(tmp_path: Path) -> None:
    measure = load("measure")
    (tmp_path / "a.py").write_text(
        "# c\n\nclass A:\n    def f(self):\n        if 1:\n            pass\n"
        "        else:\n            for _ in ():\n                pass\n"
    )
    (tmp_path / "b.py").write_text("def (:\n")
    (tmp_path / "c.txt").write_text("x = 1\n")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/d.py").write_text("x = 1\n")
    assert measure.list_files(str(tmp_path)) == ["a.py", "b.py"]
    a, b = (measure.measure(str(tmp_path), name) for name in ("a.py", "b.py"))
    assert (a["lines"], a["code"], a["functions"], a["classes"]) == (9, 7, 1, 1)
    assert (a["nesting"], a["parsed"]) == (4, True)
    assert (b["lines"], b["functions"], b["parsed"]) == (1, 0, False)
    totals = measure.merge([a, b])
    assert (totals["files"], totals["unparsable"], totals["lines"]) == (2, 1, 10)
    assert [one["path"] for one in measure.rank([b, a], 1)["code"]] == ["a.py"]


def test_the_chart_escapes_names_and_takes_an_empty_list() -> None:
    report = load("report")
    assert "&lt;b&gt;" in report.chart([["<b>", 3], ["c", 0]])
    assert report.chart([]).startswith("<svg")
