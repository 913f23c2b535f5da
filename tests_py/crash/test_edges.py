"""Waits for events and runs within runs, killed at any commit: nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import clew
import pytest
from crash import edge_child as child

pytestmark = pytest.mark.slow

CHILD = Path(child.__file__)
LEAST_COMMITS = 8


def run_child(folder: Path, fault: str = "") -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "CLEW_FAULT"}
    return subprocess.run(
        [sys.executable, str(CHILD), str(folder)],
        env=env | ({"CLEW_FAULT": fault} if fault else {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def finish(folder: Path) -> None:
    with clew.Runtime(folder / child.STORE, workers=2) as rt:
        child.register(rt)
        run = rt.start(child.OUTER, id=child.RUN)
        assert run.result(30) == child.OUTPUT
        consumed = [e for e in run.events() if e.type == "step.event"]
        assert sorted((e.step, e.data["event"]["data"]) for e in consumed) == [
            ("again", 4),
            ("sum", 4),
        ]
        # The step's one attempt had one run, whoever made it.
        assert [info.id for info in rt.runs(workflow="edge.inner")] == [f"{child.RUN}/sum#1"]
        inner = rt.run(f"{child.RUN}/sum#1")
        done = [e.step for e in inner.events() if e.type == "step.completed"]
        assert done == ["first", "second"]
        told = rt.subscribe("edge.told", from_="start").poll(20, 0)
        assert [event.data for event in told] == list(range(6))
        assert rt.verify() == []


@pytest.mark.parametrize("point", child.POINTS)
def test_a_killed_wait_and_a_killed_inner_run_are_met_again(
    tmp_path: Path, clew_no_leaks: None, point: str
) -> None:
    (tmp_path / "count").mkdir()
    calm = run_child(tmp_path / "count")
    assert calm.returncode == 0, calm.stderr
    most = int(json.loads(calm.stdout.splitlines()[-1])[point])
    killed = 0
    for hit in range(1, most + 1):
        folder = tmp_path / str(hit)
        folder.mkdir()
        ended = run_child(folder, f"{point}=kill@{hit}")
        if ended.returncode == 0:
            break  # writers that met shared a commit: this time there were fewer
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        killed += 1
        finish(folder)
    assert killed >= LEAST_COMMITS
