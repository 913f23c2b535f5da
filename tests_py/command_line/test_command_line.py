"""``clew``: what it takes, what it says, and how it ends."""

from __future__ import annotations

import json
import sqlite3
from importlib.metadata import entry_points
from pathlib import Path

import clew as package
import pytest
from clew import _command
from command_line.commands import clew


def test_the_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="clew")
    assert command.load() is _command.run


@pytest.mark.parametrize("command", [(), ("verify",), ("sql",), ("export",)])
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    done = clew(*command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("usage: clew")
    assert max(map(len, done.out.splitlines())) <= 100


def test_the_version_is_that_of_the_package() -> None:
    assert clew("--version").out == f"clew {package.__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("dance",),
        ("verify",),
        ("sql", "--store", "x"),
        ("export", "--store", "x"),
        ("verify", "--store", "x", "--more"),
        ("verify", "--store", ":memory:"),
        ("verify", "--store", "http://x"),
        ("export", "--store", "x", "--to", ":memory:"),
    ],
)
def test_what_is_said_wrongly_ends_with_2(command: tuple[str, ...]) -> None:
    done = clew(*command)
    assert done.code == 2
    assert done.out == ""
    assert done.err


@pytest.mark.parametrize("command", [("verify",), ("sql", "SELECT 1"), ("export", "--to", "b.db")])
def test_a_store_that_is_not_there_ends_with_3(command: tuple[str, ...], tmp_path: Path) -> None:
    done = clew(*command, "--store", tmp_path / "none.db")
    assert done.code == 3
    assert done.err.startswith("clew: unavailable: ")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_store_ends_with_3_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 100)
    for command in (("verify",), ("sql", "SELECT 1"), ("export", "--to", tmp_path / "b.db")):
        done = clew(*command, "--store", path, "--json")
        assert done.code == 3
        assert json.loads(done.err)["error"]["code"] == "corrupt"
    assert path.read_text() == "Dear reader, " * 100
    assert list(tmp_path.iterdir()) == [path]


def test_a_password_is_never_printed(tmp_path: Path) -> None:
    url = "postgresql://me:s3cret@127.0.0.1:1/none"
    for command in (("verify", "--store", url), ("export", "--store", url, "--to", tmp_path / "x")):
        done = clew(*command)
        assert done.code == 3
        assert "s3cret" not in done.out + done.err


def test_verify_lists_what_holds_and_starts_nothing(full: Path) -> None:
    before = full.read_bytes()
    done = clew("verify", "--store", full)
    assert (done.code, done.err) == (0, "")
    assert "ok      runs.ended_once" in done.out
    assert done.out.splitlines()[-1].endswith("invariants hold")
    assert clew("verify", "--store", full, "--quiet").out == ""
    report = clew("verify", "--store", full, "--json").json
    assert report["ok"] is True
    assert all(one["ok"] and one["rule"] for one in report["invariants"])
    assert full.read_bytes() == before


def test_verify_names_what_is_broken_and_ends_with_1(full: Path) -> None:
    with sqlite3.connect(full) as db:
        db.execute("UPDATE runs SET status = 'completed', ended_us = 5 WHERE id = 'waiting'")
        db.execute("UPDATE session_nodes SET node = '{'")
    done = clew("verify", "--store", full)
    assert done.code == 1
    broken = [line for line in done.out.splitlines() if line.startswith("BROKEN")]
    assert any("runs.ended_once" in line and "waiting" in line for line in broken)
    assert any("sessions.readable" in line and "session_nodes" in line for line in broken)
    report = clew("verify", "--store", full, "--json")
    assert report.code == 1
    names = {one["name"] for one in report.json["invariants"] if not one["ok"]}
    assert {"runs.ended_once", "sessions.readable"} <= names


def test_verify_looks_into_a_store_that_is_in_use(tmp_path: Path) -> None:
    store = tmp_path / "work.db"
    with package.Runtime(store) as rt:
        rt.events.define("a.b@1.0.0")
        rt.publish("a.b", {})
        assert clew("verify", "--store", store).code == 0
        assert clew("sql", "--store", store, "--json", "SELECT type FROM v_published").json == {
            "type": "a.b"
        }


def test_sql_prints_rows_as_a_table_or_as_lines(full: Path) -> None:
    query = "SELECT id, status, length(id) AS n, NULL AS other FROM v_runs ORDER BY id"
    assert clew("sql", "--store", full, query).out.splitlines() == [
        "id       status     n  other",
        "-------  ---------  -  -----",
        "done     completed  4",
        "later    running    5",
        "waiting  running    7",
        "(3 rows)",
    ]
    lines = clew("sql", "--store", full, "--json", query).out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["done", "later", "waiting"]
    assert json.loads(lines[0]) == {"id": "done", "status": "completed", "n": 4, "other": None}


def test_sql_takes_parameters_and_a_query_from_its_input(full: Path) -> None:
    done = clew(
        "sql", "--store", full, "--json", "-", "done", "4", "1.5", "null", "[1]",
        stdin="SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e",
    )  # fmt: skip
    assert done.json == {"a": "done", "b": 4, "c": 1.5, "d": None, "e": "[1]"}


@pytest.mark.parametrize("query", ["DELETE FROM runs", "SELECT 1; SELECT 2", "SELEKT", "SELECT ?"])
def test_sql_refuses_what_is_no_query(full: Path, query: str) -> None:
    done = clew("sql", "--store", full, query)
    assert done.code == 2
    assert done.err.startswith("clew: invalid_input: ")
    assert done.out == ""
