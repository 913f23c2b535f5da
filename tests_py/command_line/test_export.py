"""``clew export``: a whole store moves, and is the same afterwards."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import clew as package
import pytest
from clew import _postgres
from command_line.commands import Done, clew
from command_line.full_store import DONE, LARGE, SMALL, Journal

# What attachments that move from files into the database change there.
MOVED = {"attachments", "attachment_files", "blobs", "blob_chunks", "blob_pins"}


@pytest.fixture
def server() -> Iterator[str]:
    """An empty schema."""
    with _postgres.fresh_schema() as url:
        yield url


def export(store: object, to: object, *, fault: str = "") -> Done:
    return clew("export", "--store", store, "--to", to, "--json", fault=fault)


def tables_of(done: Done) -> dict[str, tuple[int, str]]:
    assert done.code == 0, done.err
    return {one["table"]: (one["rows"], one["sha256"]) for one in done.json["tables"]}


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of a file, sorted."""
    with sqlite3.connect(path) as db:
        db.text_factory = bytes
        names = [
            row[0].decode()
            for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if not row[0].startswith(b"sqlite_stat")
        ]
        return {name: sorted(map(repr, db.execute(f'SELECT * FROM "{name}"'))) for name in names}


def bytes_of(folder: Path) -> dict[str, str]:
    """The files of a store that holds still, but for what opening it to read may touch."""
    return {
        str(one.relative_to(folder)): hashlib.sha256(one.read_bytes()).hexdigest()
        for one in folder.rglob("*")
        if one.is_file() and not one.name.endswith(("-wal", "-shm"))
    }


def check_content(store: str | Path) -> None:
    with package.Runtime(store, start=False) as rt:
        assert rt.verify() == []
        assert {run.id for run in rt.runs()} >= {"done", "later", "waiting"}
        assert rt.run("done").result(timeout=10) == 42
        sizes = {ref.label: ref.byte_len for ref in rt.attachments.list("root")}
        assert sizes == {"small": len(SMALL), "large": len(LARGE)}
        for ref in rt.attachments.list("root"):
            assert rt.attachments.get("root", ref.id).data in (SMALL, LARGE)
        (other,) = rt.attachments.list("other")
        assert rt.attachments.get("other", other.id).data == LARGE
        assert rt.sessions.open("root").load_session().head_revision == 1
        assert len(rt.triggers.unregistered()) == 1
        assert len(rt.artifacts.list()) == 1


def test_a_file_becomes_another_file_with_all_that_belongs_to_it(
    full: Path, tmp_path: Path
) -> None:
    before = bytes_of(full.parent)
    copy = tmp_path / "copy.db"
    done = export(full, copy)
    tables = tables_of(done)
    assert dump(copy) == dump(full)
    assert {name: rows for name, (rows, _) in tables.items()} == {
        name: len(rows) for name, rows in dump(full).items() if name in tables
    }
    assert done.json["attachments"] == {"count": 1, "bytes": len(LARGE), "place": "folder"}
    assert tables_of(export(copy, tmp_path / "again.db")) == tables
    assert bytes_of(full.parent) == before
    check_content(copy)


def test_the_report_is_also_for_people(full: Path, tmp_path: Path) -> None:
    done = clew("export", "--store", full, "--to", tmp_path / "copy.db")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["table", "rows", "sha256"]
    assert any(line.startswith("runs ") for line in lines)
    assert "1 attachments" in lines[-2]
    assert lines[-1].endswith("the same as they were")


def test_a_file_goes_to_postgresql_and_back(full: Path, server: str, tmp_path: Path) -> None:
    there = export(full, server)
    assert there.json["attachments"] == {"count": 1, "bytes": len(LARGE), "place": "database"}
    back = tmp_path / "back.db"
    again = export(server, back)
    here, moved = tables_of(there), tables_of(again)
    changed = {name for name in here if here[name] != moved[name]}
    assert changed == MOVED
    rows, rows_back = dump(full), dump(back)
    assert {name for name in rows if rows[name] != rows_back[name]} == MOVED
    third = tmp_path / "third.db"
    assert tables_of(export(back, third)) == moved
    assert dump(third) == rows_back
    assert not back.with_name("back.db.attachments").exists()
    check_content(back)
    check_content(server)


def test_a_run_goes_on_on_postgresql_and_repeats_nothing(
    full: Path, journal: Journal, server: str
) -> None:
    assert journal.lines().count("1") == 1
    assert export(full, server).code == 0
    done_before = journal.lines()
    with package.Runtime(server, workers=2) as rt:
        journal.register(rt)
        assert journal.lines() == done_before
        later, waiting = rt.run("later"), rt.run("waiting")
        rt.publish("move.approved", {"n": 10}, correlation_id="waiting")
        assert waiting.result(timeout=60) == 11
        assert [step.status for step in later.steps()] == ["waiting"]
        assert rt.execute("move.once", {"n": 7}, idempotency_key="key-7") == 8
        new = rt.start(DONE, {}, id="new")
        assert new.result(timeout=60) == 42
        assert rt.verify() == []
    assert journal.lines() == [*done_before, "10", "41"]


def test_numbers_go_on_where_they_were(full: Path, tmp_path: Path) -> None:
    with sqlite3.connect(full) as db:
        db.execute("UPDATE sqlite_sequence SET seq = 900 WHERE name = 'owners'")
    copy = tmp_path / "copy.db"
    assert export(full, copy).code == 0
    with sqlite3.connect(copy) as db:
        assert db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'owners'").fetchall() == [
            (900,)
        ]


def test_numbers_go_on_on_postgresql_and_back(full: Path, server: str, tmp_path: Path) -> None:
    with sqlite3.connect(full) as db:
        db.execute("UPDATE sqlite_sequence SET seq = 900 WHERE name = 'owners'")
    assert export(full, server).code == 0
    copy = tmp_path / "copy.db"
    assert export(server, copy).code == 0
    with sqlite3.connect(copy) as db:
        sequences = dict(db.execute("SELECT name, seq FROM sqlite_sequence"))
    assert sequences["owners"] == 900
    with package.Runtime(server) as rt:  # its owner is 901, its process the second
        rt.processes.register_process("second", {"type": "external"})
        rows = rt.sql("SELECT (SELECT MAX(id) FROM owners) AS owner")
        assert rows == [{"owner": 901}]


def test_numbers_and_bytes_of_every_kind_arrive(full: Path, server: str, tmp_path: Path) -> None:
    with sqlite3.connect(full) as db:
        db.execute("INSERT INTO requests VALUES ('k', '', '', 'é☃\U0001f600', '', ?)", (2**63 - 1,))
        db.execute("INSERT INTO requests VALUES ('k', 's', '', '', '', ?)", (-(2**63),))
        db.execute("INSERT INTO blobs VALUES ('e', 0, x'', NULL, 0), ('z', 2, x'00ff', NULL, 0)")
    assert export(full, server).code == 0
    copy = tmp_path / "copy.db"
    assert export(server, copy).code == 0
    assert dump(copy)["requests"] == dump(full)["requests"]
    with sqlite3.connect(copy) as db:
        found = db.execute("SELECT hash, data FROM blobs WHERE hash IN ('e', 'z') ORDER BY hash")
        assert found.fetchall() == [("e", b""), ("z", b"\0\xff")]


@pytest.mark.parametrize(
    ("text", "why"),
    [("CAST(x'610062' AS TEXT)", "zero character"), ("CAST(x'ff' AS TEXT)", "UTF-8")],
)
def test_text_that_postgresql_cannot_keep_is_named_first(
    full: Path, server: str, tmp_path: Path, text: str, why: str
) -> None:
    with sqlite3.connect(full) as db:
        db.execute(f"INSERT INTO requests VALUES ('k', 's', 'key', {text}, '', 1)")
    done = export(full, server)
    assert done.code == 3
    error = json.loads(done.err)["error"]
    assert error["code"] == "unsupported"
    assert why in error["message"]
    facts = error["context"]
    assert (facts["table"], facts["key"], facts["column"]) == ("requests", "k/s/key", "content")
    with pytest.raises(RuntimeError, match="does not exist"):
        _postgres.ask(server, "SELECT * FROM runs")
    assert export(full, tmp_path / "copy.db").code == 0  # a file keeps it
    assert dump(tmp_path / "copy.db") == dump(full)


def test_only_an_empty_store_is_filled(full: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with package.Runtime(other) as rt:
        rt.events.define("a.b@1.0.0")
        rt.publish("a.b", {})
    before = dump(other)
    done = export(full, other)
    assert done.code == 1
    error = json.loads(done.err)["error"]
    assert error["code"] == "conflict"
    assert error["context"]["found"] == "event_head (1), event_log (1), event_types (1)"
    assert dump(other) == before
    assert export(full, full).code == 1


def test_a_store_that_was_opened_and_not_used_is_empty(full: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    package.Runtime(other).close()
    assert export(full, other).code == 0
    check_content(other)


HOLD = """
import sys, clew
with clew.Runtime(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.readline()
"""


def test_a_store_that_somebody_has_open_stays_until_he_is_gone(full: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(full)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    done = export(full, copy)
    assert done.code == 1
    error = json.loads(done.err)["error"]
    assert (error["code"], error["context"]["pid"]) == ("conflict", child.pid)
    assert not copy.exists()
    child.kill()  # it left its row behind
    child.communicate()
    assert export(full, copy).code == 0
    check_content(copy)


@pytest.mark.parametrize("point", ["transfer.batch", "transfer.commit.before"])
def test_a_killed_export_leaves_the_source_and_an_empty_store(
    full: Path, tmp_path: Path, point: str
) -> None:
    before = bytes_of(full.parent)
    copy = tmp_path / "copy.db"
    assert export(full, copy, fault=f"{point}=kill").code == -signal.SIGKILL
    assert bytes_of(full.parent) == before
    with package.Runtime(copy) as rt:
        assert list(rt.runs()) == []
        assert rt.attachments.list("root") == []
    assert export(full, copy).code == 0
    assert bytes_of(full.parent) == before
    check_content(copy)


@pytest.mark.parametrize("point", ["transfer.batch", "transfer.commit.before"])
def test_a_killed_export_leaves_postgresql_empty(full: Path, server: str, point: str) -> None:
    assert export(full, server, fault=f"{point}=kill").code == -signal.SIGKILL
    with package.Runtime(server) as rt:
        assert list(rt.runs()) == []
    assert export(full, server).code == 0
    check_content(server)


def test_a_row_that_is_lost_on_the_way_is_found(full: Path, server: str, tmp_path: Path) -> None:
    for to in (server, tmp_path / "copy.db"):
        done = export(full, to, fault="transfer.row=error@5")
        assert done.code == 3
        error = json.loads(done.err)["error"]
        assert error["code"] == "corrupt"
        assert error["context"]["rows_copied"] == error["context"]["rows"] - 1
        with package.Runtime(to) as rt:
            assert list(rt.runs()) == []
        assert export(full, to).code == 0


def test_an_attachment_that_is_damaged_stops_it(full: Path, tmp_path: Path) -> None:
    (large,) = [
        one for one in full.parent.rglob("*") if one.is_file() and one.stat().st_size == len(LARGE)
    ]
    large.write_bytes(LARGE[:-1])
    done = export(full, tmp_path / "copy.db")
    assert done.code == 3
    error = json.loads(done.err)["error"]
    assert error["code"] == "corrupt"
    assert error["context"]["path"] == str(large)
    with package.Runtime(tmp_path / "copy.db") as rt:
        assert list(rt.runs()) == []


def test_a_store_of_a_newer_version_is_refused(full: Path, tmp_path: Path) -> None:
    with sqlite3.connect(full) as db:
        db.execute("PRAGMA user_version = 99")
    done = export(full, tmp_path / "copy.db")
    assert done.code == 3
    assert "newer" in done.err
    assert not (tmp_path / "copy.db").exists()
