"""What is special about a store on PostgreSQL, as a user of the package sees it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import clew
import pytest
from clew import _postgres

CHILD = """
import sys
import clew

@clew.capability("pg.slow", version="1.0.0", effect="idempotent")
def slow(n: int) -> int:
    print("entered", flush=True)
    sys.stdin.readline()
    return n + 1

with clew.Runtime(sys.argv[1], workers=2) as rt:
    rt.register(slow)
    run = rt.start(clew.load(sys.argv[2]), {"n": 41}, id="shared")
    run.result(timeout=60)
"""

WORKFLOW = """
workflow: pg.shared
version: 1.0.0
steps:
  one: {call: pg.slow@^1, with: {n: "{{ input.n }}"}}
output: "{{ steps.one.output }}"
"""


@pytest.fixture
def store() -> Iterator[str]:
    """An empty schema of the test server."""
    with _postgres.fresh_schema() as url:
        yield url


def start_child(store: str, tmp_path: Path) -> subprocess.Popen[str]:
    workflow = tmp_path / "shared.yaml"
    workflow.write_text(WORKFLOW)
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), store, str(workflow)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "entered\n"
    return child


def test_a_run_is_waited_for_from_another_process(store: str, tmp_path: Path) -> None:
    child = start_child(store, tmp_path)
    with clew.Runtime(store, workers=1) as rt:
        run = rt.run("shared")
        assert run.status == "running"
        child.communicate("go on\n", timeout=60)
        assert run.result(timeout=60) == 42
        assert rt.verify() == []


def test_a_run_of_a_killed_process_goes_on_here(store: str, tmp_path: Path) -> None:
    child = start_child(store, tmp_path)
    child.kill()
    child.communicate(timeout=60)

    @clew.capability("pg.slow", version="1.0.0", effect="idempotent")
    def slow(n: int) -> int:
        return n + 1

    with clew.Runtime(store, workers=1) as rt:
        rt.register(slow)
        assert rt.run("shared").result(timeout=60) == 42
        types = [event.type for event in rt.run("shared").events()]
        assert types.count("step.completed") == 1
        assert rt.verify() == []


def test_two_runtimes_never_run_one_key_twice(store: str) -> None:
    calls: list[int] = []

    @clew.capability("pg.once", version="1.0.0", effect="idempotent")
    def once(n: int) -> int:
        calls.append(n)
        return len(calls)

    with clew.Runtime(store, workers=4) as a, clew.Runtime(store, workers=4) as b:
        for rt in (a, b):
            rt.register(once)
        for key in range(20):
            futures = [rt.submit("pg.once", {"n": key}, idempotency_key=f"k{key}") for rt in (a, b)]
            for future in futures:
                error = future.exception(timeout=60)
                assert error is None or isinstance(error, clew.Unavailable), error
        assert sorted(calls) == list(range(20))


def test_queries_are_read_only_and_rows_come_as_on_files(store: str) -> None:
    with clew.Runtime(store) as rt:
        rows = rt.sql("SELECT :a AS a, :b AS b, :c AS c, 1.5 AS d, NULL AS e", [1, "x", 2.5])
        assert rt.sql("SELECT ? AS a, ? AS b", [1, None]) == [{"a": 1, "b": None}]
        assert rows == [{"a": 1, "b": "x", "c": 2.5, "d": 1.5, "e": None}]
        for query in (
            "DELETE FROM runs",
            "SELECT 1; SELECT 2",
            "COMMIT",
            "SET default_transaction_read_only = off",
            "WITH gone AS (DELETE FROM runs RETURNING *) SELECT * FROM gone",
            "COPY runs TO '/tmp/runs'",
        ):
            with pytest.raises(clew.InvalidInput):
                rt.sql(query)


def test_a_password_is_never_shown(store: str) -> None:
    url = store.replace("postgres@/", "postgres:s3cret@/")
    with clew.Runtime(url) as rt:
        assert "s3cret" not in repr(rt)
    with pytest.raises(clew.Unavailable) as caught:
        clew.Runtime("postgresql://me:s3cret@127.0.0.1:1/none")
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(caught.value.context)
