"""Stores that somebody damaged: typed errors, nothing skipped, nothing rewritten."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import clew
import pytest
from support import stored_run

NO_TEXT = "CAST(x'61ff' AS TEXT)"


def change(file: Path, sql: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute(sql)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a file with one run that has completed."""
    file = tmp_path_factory.mktemp("damage") / "whole.db"
    with clew.Runtime(file, workers=2) as rt:
        stored_run.complete(rt)
        assert len(rt.traces()) == 1
    return file.read_bytes()


@pytest.fixture
def file(tmp_path: Path, whole: bytes) -> Path:
    copy = tmp_path / "work.db"
    copy.write_bytes(whole)
    return copy


Read = Callable[[clew.Runtime], Any]
READERS: dict[str, Read] = {
    "runs": lambda rt: rt.runs(),
    "run": lambda rt: rt.run("the-run"),
    "steps": lambda rt: rt.run("the-run").steps(),
    "events": lambda rt: list(rt.run("the-run").events()),
    "result": lambda rt: rt.run("the-run").result(timeout=10),
    "traces": lambda rt: rt.traces(),
    "trace": lambda rt: rt.trace(rt.sql("SELECT id FROM v_traces")[0]["id"]),
}
RUN = ("runs", "run", "result")
EVENT = ("steps", "events")
TRACE = ("traces", "trace")


@pytest.mark.parametrize(
    ("table", "change_it", "readers"),
    [
        ("runs", "status = 'resting'", RUN),
        ("runs", f"workflow = {NO_TEXT}", RUN),
        ("runs", "input = '{'", RUN),
        ("runs", "output = 'x'", RUN),
        ("runs", "output = NULL, status = 'failed', error = '{}'", RUN),
        ("runs", "tags = 'x'", RUN),
        ("runs", "created_us = 9000000000000000000", RUN),
        ("runs", "priority = -9000000000000000000", RUN),
        ("workflows", "document = '{'", ("run", "result")),
        ("workflows", f"document = {NO_TEXT}", ("run", "result")),
        ("events", "data = 'x' WHERE seq = 2", EVENT),
        ("events", f"subject = {NO_TEXT} WHERE seq = 2", EVENT),
        ("events", "type = 'step.pondered' WHERE seq = 2", EVENT),
        ("events", "at_us = -1 WHERE seq = 2", EVENT),
        ("events", "seq = -1 WHERE seq = 2", EVENT),
        ("traces", "outcome = 'fine'", TRACE),
        ("traces", "code = 'oops'", TRACE),
        ("traces", "started_us = -1", TRACE),
        ("traces", "run_us = -1", TRACE),
        ("traces", f"step = {NO_TEXT}", TRACE),
    ],
)
def test_a_damaged_row_is_corrupt_wherever_it_is_read(
    file: Path, table: str, change_it: str, readers: tuple[str, ...]
) -> None:
    change(file, f"UPDATE {table} SET {change_it}")
    with clew.Runtime(file, workers=1, start=False) as rt:
        for reader in readers:
            with pytest.raises(clew.Corrupt) as caught:
                READERS[reader](rt)
            assert caught.value.context["table"] == table, reader
            assert caught.value.context["key"], reader
        assert f"{table}.readable" in {violation.invariant for violation in rt.verify()}


def test_sql_shows_no_text_that_is_none(file: Path) -> None:
    change(file, f"UPDATE runs SET workflow = {NO_TEXT}")
    with clew.Runtime(file, workers=1) as rt, pytest.raises(clew.Corrupt):
        rt.sql("SELECT workflow FROM v_runs")


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        ("DROP TABLE events", "table events"),
        ("DROP TABLE traces", "traces"),
        ("DROP VIEW v_runs", "view v_runs"),
        ("DROP INDEX runs_start_key", "index runs_start_key"),
        ("PRAGMA user_version = 0", "version 0"),
        ("PRAGMA user_version = 1", "version 1"),
    ],
)
def test_a_file_that_lacks_what_its_version_promises_is_left_as_it_was(
    file: Path, damage: str, names: str
) -> None:
    change(file, damage)
    before = file.read_bytes()
    with pytest.raises(clew.Corrupt, match=names):
        clew.Runtime(file, workers=1)
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.iterdir()] == [file.name]


KILLED = """\
import os, signal, sys, clew

@clew.capability("damage.hang", version="1.0.0")
def hang() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

rt = clew.Runtime(sys.argv[1], workers=1)
rt.register(hang)
wf = {"workflow": "damage.hang", "version": "1.0.0", "steps": {"only": {"call": "damage.hang"}}}
rt.start(wf, {}, id="the-run").result(timeout=30)
"""


def test_who_waits_for_a_killed_run_with_a_damaged_history_learns_of_it(tmp_path: Path) -> None:
    file = tmp_path / "work.db"
    done = subprocess.run([sys.executable, "-c", KILLED, os.fspath(file)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    change(file, "UPDATE events SET data = 'x' WHERE seq = 1")
    with closing(sqlite3.connect(file)) as db:
        before = db.execute("SELECT * FROM runs").fetchall()
        history = db.execute("SELECT * FROM events").fetchall()

    async def wait(run: clew.Run) -> None:
        await run

    for _ in range(2):  # and again for the next process
        with clew.Runtime(file, workers=1) as rt:
            for run in (rt.run("the-run"), rt.run("the-run")):
                with pytest.raises(clew.Corrupt) as caught:
                    run.result()
                assert caught.value.context["table"] == "events"
                with pytest.raises(clew.Corrupt):
                    asyncio.run(asyncio.wait_for(wait(run), 30))
                assert run.status == "running"
                assert "the-run" in repr(run)
            assert [run.id for run in rt.runs()] == ["the-run"]
            assert "runs.fold" in {violation.invariant for violation in rt.verify()}
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT * FROM runs").fetchall() == before
        assert db.execute("SELECT * FROM events").fetchall() == history


def test_traces_expire_in_memory_and_in_a_file(tmp_path: Path) -> None:
    for store in (":memory:", tmp_path / "work.db"):
        clock = clew.testing.ManualClock()
        with clew.Runtime(store, workers=1, clock=clock, limits={"traces_age": "1h"}) as rt:
            rt.register(stored_run.echo)
            rt.execute("stored.echo", {"x": 1})
            clock.advance("59m59s")
            (trace,) = rt.traces()
            clock.advance("1s")
            assert list(rt.traces()) == []
            with pytest.raises(clew.NotFound):
                rt.trace(trace.id)
            assert rt.sql("SELECT * FROM v_traces") == []


def test_commit_us_says_how_long_the_row_took(tmp_path: Path) -> None:
    for store in (":memory:", tmp_path / "work.db"):
        with clew.Runtime(store, workers=2) as rt:
            rt.register(stored_run.echo)
            rt.execute("stored.echo", {"x": 1})
            rt.start(clew.load(stored_run.ONE_STEP), {"x": 1}).result(timeout=30)
            for trace in rt.traces():
                assert (trace.commit_us > 0) is (store != ":memory:")
                assert trace.commit_us < 30_000_000
