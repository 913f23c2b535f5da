"""What others need for the same work. Imported only when a row is measured against them.

Hypothesis: they sync, or at least commit, once or more for each step, so that no number of workers
lifts them above what the disk syncs a second (the facts below the table say how many that is).
Each is set to be as durable as Clew where it can be; where it cannot, its comment says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

from report import Run, Side, timed

CHAIN = 10  # steps of a run, where runs are side by side
CALLERS = 64


@contextmanager
def joblib_map(_folder: Path) -> Iterator[Run]:
    """A parallel map over four threads; it keeps nothing."""
    from joblib import Parallel, delayed

    def nothing() -> None:
        pass

    with Parallel(n_jobs=4, backend="threading") as parallel:
        yield lambda count: timed(lambda: parallel(delayed(nothing)() for _ in range(count)))


# A WASI command that writes what it reads.
ECHO = b"""(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 60000))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""


@contextmanager
def wasmtime_commands(folder: Path) -> Iterator[Run]:
    """The engine's own package: an instance for each call, its streams in files, no limits."""
    import wasmtime

    engine = wasmtime.Engine()
    module = wasmtime.Module(engine, ECHO.decode())
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    given, taken = folder / "in.json", folder / "out.json"
    given.write_text("{}")

    def call() -> None:
        store = wasmtime.Store(engine)
        streams = wasmtime.WasiConfig()
        streams.stdin_file = given
        streams.stdout_file = taken
        store.set_wasi(streams)
        start = linker.instantiate(store, module).exports(store)["_start"]
        start(store)  # type: ignore[operator]  # a function
        store.close()
        assert taken.read_text() == "{}"

    yield lambda count: timed(lambda: [call() for _ in range(count)])


@contextmanager
def _dbos(url: str) -> Iterator[tuple[Any, Any]]:
    """DBOS, launched, and its workflow of so many steps. It is one a process: rows take turns."""
    from dbos import DBOS

    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "log_level": "CRITICAL",
            "run_migrations": True,
        }
    )

    @DBOS.step()
    def step(number: int) -> int:
        return number

    @DBOS.workflow()
    def chain(length: int) -> None:
        for number in range(length):
            step(number)

    DBOS.launch()
    try:
        yield DBOS, chain
    finally:
        DBOS.destroy(destroy_registry=True)


def _dbos_in(folder: Path) -> Any:
    return _dbos(f"sqlite:///{folder / 'dbos.db'}")


@contextmanager
def dbos_sequential(folder: Path) -> Iterator[Run]:
    """One workflow of as many steps as there are units."""
    with _dbos_in(folder) as (dbos, chain):
        yield lambda count: timed(lambda: dbos.start_workflow(chain, count).get_result())


@contextmanager
def dbos_runs_at(url: str) -> Iterator[Run]:
    """Workflows of `CHAIN` steps, all started at once, in that database."""
    with _dbos(url) as (dbos, chain):

        def work(count: int) -> None:
            started = [dbos.start_workflow(chain, CHAIN) for _ in range(-(-count // CHAIN))]
            for handle in started:
                handle.get_result()

        yield lambda count: timed(lambda: work(count))


def dbos_runs(folder: Path) -> Any:
    """Return the same in a file."""
    return dbos_runs_at(f"sqlite:///{folder / 'dbos.db'}")


@contextmanager
def dbos_starts(folder: Path) -> Iterator[Run]:
    """Callers start workflows of one step; only the starts are counted, as for Clew."""
    with _dbos_in(folder) as (dbos, chain), ThreadPoolExecutor(CALLERS) as callers:
        handles: list[Any] = []

        def work(count: int) -> float:
            handles.clear()
            seconds = timed(
                lambda: handles.extend(
                    callers.map(lambda _: dbos.start_workflow(chain, 1), range(count))
                )
            )
            for handle in handles:
                handle.get_result()
            return seconds

        yield work


class _State(TypedDict):
    number: int


def _langgraph(length: int, saver: Any) -> Any:
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(_State)
    names = [f"s{number}" for number in range(length)]
    for name in names:
        graph.add_node(name, lambda state: {"number": state["number"] + 1})
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph.compile(checkpointer=saver)


def _langgraph_side(length: int | None) -> Side:
    """Return a side: runs of so many steps one after another; None: one run of all units.

    A checkpoint is written before the next step begins (``durability="sync"``). Its saver has one
    connection behind a lock, so more threads would not help it.
    """

    @contextmanager
    def side(folder: Path) -> Iterator[Run]:
        from langgraph.checkpoint.sqlite import SqliteSaver

        with SqliteSaver.from_conn_string(str(folder / "graph.db")) as saver:
            saver.conn.execute("PRAGMA synchronous=FULL")
            graph_of = cache(lambda size: _langgraph(size, saver))
            threads = itertools.count()

            def work(graph: Any, size: int, count: int) -> None:
                for _ in range(-(-count // size)):
                    config = {
                        "configurable": {"thread_id": str(next(threads))},
                        "recursion_limit": size + 10,
                    }
                    graph.invoke({"number": 0}, config, durability="sync")

            def run(count: int) -> float:
                size = length or count
                graph = graph_of(size)
                return timed(lambda: work(graph, size, count))

            yield run

    return side


langgraph_sequential = _langgraph_side(None)
langgraph_runs = _langgraph_side(CHAIN)


@contextmanager
def huey_starts(folder: Path) -> Iterator[Run]:
    """Callers enqueue tasks with a sync each; nothing works them off."""
    from huey import SqliteHuey

    huey = SqliteHuey("bench", filename=str(folder / "huey.db"), fsync=True)

    @huey.task()
    def step(number: int) -> int:
        return number

    with ThreadPoolExecutor(CALLERS) as callers:

        def work(count: int) -> float:
            seconds = timed(lambda: list(callers.map(step, range(count))))
            huey.flush()
            return seconds

        yield work
