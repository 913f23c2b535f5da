"""Queries: what they may not do, what they answer, and how they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clew
import pytest

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture(params=["memory", "file"])
def rt(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[clew.Runtime]:
    store = ":memory:" if request.param == "memory" else str(tmp_path / "work.db")
    with clew.Runtime(store, workers=2) as runtime:
        yield runtime


def within(seconds: float, began: float) -> bool:
    return time.monotonic() - began < seconds


# --- stopping ---


def test_a_query_has_a_timeout(rt: clew.Runtime) -> None:
    began = time.monotonic()
    with pytest.raises(clew.Timeout, match="200ms"):
        rt.sql(ENDLESS, timeout="200ms")
    assert within(2, began)
    assert rt.sql("SELECT 1 AS one", timeout=5) == [{"one": 1}]


@pytest.mark.parametrize("timeout", [0, -1, "soon", [1], float("nan")])
def test_a_timeout_is_a_duration_above_zero(rt: clew.Runtime, timeout: Any) -> None:
    with pytest.raises(clew.InvalidInput) as raised:
        rt.sql("SELECT 1", timeout=timeout)
    assert raised.value.context["path"] == "timeout"


def test_ctrl_c_stops_a_query(rt: clew.Runtime) -> None:
    sent: list[float] = []

    def send() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, send)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        rt.sql(ENDLESS, timeout=30)
    assert within(1, sent[0])  # 100 ms on an idle machine
    timer.join()
    assert rt.sql("SELECT 1 AS one") == [{"one": 1}]


def ticks_of(thread: threading.Thread) -> int:
    """Return how long a thread has run, in the kernel's ticks."""
    stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


def test_closing_ends_a_query(rt: clew.Runtime) -> None:
    ended: list[BaseException] = []
    started = threading.Event()

    def query() -> None:
        started.set()
        try:
            rt.sql(ENDLESS)
        except clew.ClewError as error:
            ended.append(error)

    thread = threading.Thread(target=query)
    thread.start()
    started.wait()
    while ticks_of(thread) < 5:  # by then it can only be the query
        pass
    began = time.monotonic()
    rt.close(timeout=5)
    assert within(4, began)
    thread.join(10)
    assert [type(error) for error in ended] == [clew.Closed]


def test_cancelling_the_wait_stops_the_query(rt: clew.Runtime) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(clew.aio.Runtime.of(rt).sql(ENDLESS), 0.2)

    began = time.monotonic()
    asyncio.run(main())  # waits for the threads of its pool
    assert within(5, began)


def test_the_twin_has_a_timeout_too(rt: clew.Runtime) -> None:
    async def main() -> None:
        with pytest.raises(clew.Timeout):
            await clew.aio.Runtime.of(rt).sql(ENDLESS, timeout=0.2)

    asyncio.run(main())


# --- what is wrong with a query ---

WRONG: list[tuple[str, str, tuple[Any, ...], str]] = [
    ("no SQL", "SELEC 1", (), "query"),
    ("two statements", "SELECT 1; SELECT 2", (), "query"),
    ("empty", "-- nothing", (), "query"),
    ("a lone surrogate", "SELECT '\ud800'", (), "query"),
    ("a write", "DELETE FROM runs", (), "query"),
    ("an insert", "INSERT INTO owners DEFAULT VALUES", (), "query"),
    ("a table", "CREATE TABLE mine (a)", (), "query"),
    ("a temporary table", "CREATE TEMP TABLE mine (a)", (), "query"),
    ("a pragma that changes", "PRAGMA journal_mode = DELETE", (), "query"),
    ("another file", "ATTACH 'other.db' AS other", (), "query"),
    ("an extension", "SELECT load_extension('x')", (), "query"),
    ("a commit", "COMMIT", (), "query"),
    ("an unknown table", "SELECT * FROM nothing", (), "query"),
    ("an unknown function", "SELECT nothing(1)", (), "query"),
    ("an overflow", "SELECT abs(-9223372036854775807 - 1)", (), "query"),
    (
        "a sum that overflows",
        "SELECT sum(9223372036854775807) FROM (SELECT 1 UNION SELECT 2)",
        (),
        "query",
    ),
    ("an infinity", "SELECT 9e999 AS much", (), "query"),
    ("no JSON", "SELECT json('{')", (), "query"),
    ("a bad JSON path", "SELECT json_extract('{}', 'x[')", (), "query"),
    ("a limit that is text", "SELECT 1 LIMIT 'x'", (), "query"),
    ("too few parameters", "SELECT ?, ?", (1,), "params"),
    ("too many parameters", "SELECT 1", (1,), "params"),
    ("a list as parameter", "SELECT ?", ([1],), "params[0]"),
    ("a surrogate as parameter", "SELECT ?", ("\ud800",), "params[0]"),
    ("bytes as parameter", "SELECT ?", (b"a",), "params[0]"),
    ("an integer beyond 64 bits", "SELECT ?", (2**63,), "params[0]"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[0])
def test_a_query_that_is_wrong_is_bad_input(
    rt: clew.Runtime, case: tuple[str, str, tuple[Any, ...], str]
) -> None:
    _, query, params, path = case
    with pytest.raises(clew.InvalidInput) as raised:
        rt.sql(query, params)
    assert raised.value.context["path"] == path
    assert raised.value.context["expected"]
    assert rt.sql("SELECT ? AS a, ? AS b", [1, None]) == [{"a": 1, "b": None}]
    assert rt.verify() == []


def test_text_that_is_no_text_is_corrupt(rt: clew.Runtime) -> None:
    with pytest.raises(clew.Corrupt) as raised:
        rt.sql("SELECT CAST(x'61ff' AS TEXT) AS word")
    assert raised.value.context["column"] == "word"


def test_text_of_others_that_is_no_text_is_corrupt(tmp_path: Path) -> None:
    store = tmp_path / "work.db"
    with clew.Runtime(store) as rt:
        rt.register_native("echo")
        rt.execute("native.echo", {}, correlation_id="mine")
    with contextlib.closing(sqlite3.connect(store)) as other, other:
        other.execute("UPDATE traces SET correlation_id = CAST(x'ff' AS TEXT)")
    with clew.Runtime(store) as rt, pytest.raises(clew.Corrupt):
        rt.sql("SELECT * FROM traces")


def test_too_many_rows_are_refused(rt: clew.Runtime) -> None:
    with pytest.raises(clew.ResourceExhausted, match="LIMIT"):
        rt.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n")


def test_parameters_go_by_name_too(clew_store: str) -> None:
    asked = """SELECT :a AS "x:a", ':a' AS y, :b AS z, :a AS w -- :c
               /* ? :d */ WHERE 'it''s :e' <> :b"""
    with clew.Runtime(clew_store) as rt:
        assert rt.sql(asked, {"a": "1", "b": "ü"}) == [{"x:a": "1", "y": ":a", "z": "ü", "w": "1"}]
        assert rt.sql("SELECT 1 AS one", {}) == [{"one": 1}]
        bad: list[tuple[str, Any]] = [
            ("SELECT :a", {}),
            ("SELECT :a", {"a": 1, "b": 2}),
            ("SELECT ?", {"a": 1}),
            ("SELECT :a, ?", {"a": 1}),
            ("SELECT :a", {1: 1}),
        ]
        for query, params in bad:
            with pytest.raises(clew.InvalidInput) as wrong:
                rt.sql(query, params)
            assert wrong.value.context["path"] == "params"
