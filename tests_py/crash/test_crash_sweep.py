"""A run whose process is killed at any commit: the next runtime finishes it, and repeats nothing.

A child counts its commits. Then one child after another gets SIGKILL before, inside and after the
first of them, the second, and so on, from the opening of the store to its closing. What a child
left behind is read from a copy of its files; then a new runtime goes on with the originals.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import clew
import pytest
from crash import child

pytestmark = pytest.mark.slow

CHILD = Path(child.__file__)
LEAST_COMMITS = 9  # owner, start, list, items (two at a time), sum, note, its retry, end, owner
CALLS = {("list", None), ("sum", None), ("note", None), *(("each", item) for item in range(4))}

Key = tuple[str, int | None]


class Event(NamedTuple):
    seq: int
    type: str
    step: str | None
    item: int | None

    @property
    def call(self) -> Key | None:
        """The call it is about; None for those of the run and of the list as a whole."""
        about_call = self.step is not None and (self.step != "each" or self.item is not None)
        return (str(self.step), self.item) if about_call else None

    @property
    def word(self) -> str:
        return self.type.partition(".")[2]


class Entered(NamedTuple):
    """A handler was entered."""

    step: str
    item: int | None
    attempt: int
    pid: int


class Left(NamedTuple):
    """What a killed process left in its store and journal."""

    events: list[Event]
    seen: list[Event]
    entered: list[Entered]

    @property
    def completed(self) -> set[Key]:
        return {one.call for one in self.events if one.call and one.word == "completed"}

    @property
    def interrupted(self) -> set[Key]:
        """The calls whose attempt has begun and not ended."""
        last = {one.call: one.word for one in self.events if one.call}
        return {call for call, word in last.items() if word == "started"}


def run_child(folder: Path, effect: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "CLEW_FAULT"}
    return subprocess.run(
        [sys.executable, str(CHILD), str(folder), effect],
        env=env | ({"CLEW_FAULT": fault} if fault else {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def journal_lines(folder: Path) -> list[list[Any]]:
    journal = folder / child.JOURNAL
    return [json.loads(line) for line in journal.read_text().splitlines()]


def entered(folder: Path) -> list[Entered]:
    return [Entered(*rest) for word, *rest in journal_lines(folder) if word == "ran"]


def seen_events(folder: Path) -> list[Event]:
    seen = [Event(*rest) for word, *rest in journal_lines(folder) if word == "seen"]
    return [event for event in seen if not event.type.startswith("run.")]


def stored_events(folder: Path, copy: Path) -> list[Event]:
    """Read a copy: whoever opens the originals would repair them before the runtime does."""
    copy.mkdir()
    for file in folder.glob(f"{child.STORE}*"):
        shutil.copy(file, copy)
    with closing(sqlite3.connect(copy / child.STORE)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'v_events'").fetchone():
            return []  # killed before the tables were made
        rows = db.execute("SELECT seq, type, step, data FROM v_events ORDER BY seq").fetchall()
    return [
        Event(seq, kind, step or None, json.loads(data).get("item"))
        for seq, kind, step, data in rows
        if not kind.startswith("run.")
    ]


def left_by(folder: Path, copy: Path) -> Left:
    events = stored_events(folder, copy)
    assert events or ["started"] not in journal_lines(folder), "an acknowledged start is lost"
    return Left(events, seen_events(folder), entered(folder))


class Finished(NamedTuple):
    """How the next runtime ended the run."""

    status: str
    output: Any
    error: clew.ClewError | None
    failed_step: str | None
    events: list[Event]
    succeeded: Counter[Key]  # traces of calls that succeeded


def finish(folder: Path, effect: str) -> Finished:
    journal = child.Journal(folder)
    with clew.Runtime(folder / child.STORE, workers=2) as rt:
        child.register(rt, journal, effect)
        run = rt.start(child.WORKFLOW, child.INPUT, id=child.RUN)
        output, error = None, None
        try:
            output = run.result(30)
        except clew.ClewError as raised:
            error = raised
        events = list(run.events())
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert rt.verify() == []
        assert [one.id for one in rt.runs()] == [child.RUN]
        traces = rt.traces(outcome="success", limit=1000)
        done = Finished(
            run.status,
            output,
            error,
            run.info.failed_step,
            [Event(one.seq, one.type, one.step, one.item) for one in events],
            Counter((str(trace.step), trace.item) for trace in traces),
        )
    journal.close()
    return done


def check_history(left: Left, done: Finished) -> None:
    """What was acknowledged is in the store, and what was in the store still is."""
    assert left.seen == left.events[: len(left.seen)]
    assert set(left.events) <= set(done.events)
    # A handler is entered only after the intent to run it was committed.
    begun = {one.call for one in left.events if one.word == "started"}
    assert {(one.step, one.item) for one in left.entered} <= begun


def check_repeats(left: Left, ran: list[Entered], effect: str) -> None:
    new = ran[len(left.entered) :]
    assert {one.pid for one in new} <= {os.getpid()}
    repeated = {(one.step, one.item) for one in new} & left.completed
    assert not repeated, "completed, and ran again"
    # An attempt that was under way is made again by idempotent steps only, and once.
    for attempt, times in Counter(one[:3] for one in ran).items():
        again = effect == "idempotent" and attempt[:2] in left.interrupted
        assert times == 1 or (again and times == 2), attempt


def check_end(left: Left, done: Finished, effect: str) -> None:
    if effect == "once" and left.interrupted:
        assert (done.status, done.output) == ("unknown", None)
        assert isinstance(done.error, clew.UnknownOutcome)
        assert done.failed_step in {step for step, _ in left.interrupted}
        return
    assert done.error is None
    assert (done.status, done.output) == ("completed", child.OUTPUT)
    # Each step is done by one call that succeeded: none got lost, none was done twice.
    assert done.succeeded == Counter(CALLS)


def commits(folder: Path, effect: str, point: str) -> int:
    """Count the hits of a point by a child that nobody kills."""
    folder.mkdir()
    ended = run_child(folder, effect)
    assert ended.returncode == 0, ended.stderr
    assert finish(folder, effect).output == child.OUTPUT
    return int(json.loads(ended.stdout.splitlines()[-1])[point])


@pytest.mark.parametrize("effect", ["idempotent", "once"])
@pytest.mark.parametrize("point", child.POINTS)
def test_a_run_killed_at_any_commit_is_finished_and_repeats_nothing(
    tmp_path: Path, clew_no_leaks: None, point: str, effect: str
) -> None:
    most = commits(tmp_path / "count", effect, point)
    assert most >= LEAST_COMMITS
    killed = 0
    ends: Counter[str] = Counter()
    for hit in range(1, most + 1):
        folder = tmp_path / str(hit)
        folder.mkdir()
        ended = run_child(folder, effect, f"{point}=kill@{hit}")
        if ended.returncode == 0:
            break  # writers that met shared a commit: this time there were fewer
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        killed += 1

        left = left_by(folder, tmp_path / f"copy{hit}")
        done = finish(folder, effect)

        check_history(left, done)
        check_repeats(left, entered(folder), effect)
        check_end(left, done, effect)
        ends[done.status] += 1
    # The sweep must have swept, and seen both ends of a `once` step.
    assert killed >= LEAST_COMMITS
    assert ends["completed"] >= 1
    assert (ends["unknown"] >= 1) == (effect == "once")
