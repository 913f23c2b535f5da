"""Durable runs as the extension shows them, and definitions as data."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import clew
import pytest
from clew import _core

Register = Callable[..., str]

TWO_STEPS = """
workflow: t.two
version: 1.0.0
steps:
  first:
    call: t.double
    with: {n: "{{ input.n }}"}
  second:
    call: t.double
    with: {n: "{{ steps.first.output }}"}
output: "{{ steps.second.output }}"
"""


def load(text: str) -> _core.Definition:
    definition, problems = _core.load_text(text)
    assert problems == []
    assert definition is not None
    return definition


def await_events(run: _core.Run, kind: str, count: int) -> None:
    """Wait until the run has that many events of a kind."""
    events = run.events()
    while sum(event["type"] == kind for event in events) < count:
        assert run.wait_events(events[-1]["seq"])
        events = run.events()


@pytest.fixture
def doubling(runtime: _core.Runtime) -> _core.Runtime:
    runtime.register({"id": "t.double", "version": "1.0.0"}, lambda n: 2 * n)
    return runtime


def test_a_definition_is_data() -> None:
    definition = load(TWO_STEPS)
    assert (definition.name, definition.version) == ("t.two", "1.0.0")
    assert [step["name"] for step in definition.steps()] == ["first", "second"]
    assert [step["after"] for step in definition.steps()] == [[], ["first"]]
    assert [step["line"] > 0 for step in definition.steps()] == [True, True]
    again, _ = _core.load_value(definition.document)
    assert again is not None
    assert again.digest == definition.digest


def test_problems_name_path_and_line() -> None:
    definition, problems = _core.load_text(TWO_STEPS.replace("call: t.double", "cal: t.double", 1))
    assert definition is None
    assert problems
    assert set(problems[0]) == {"path", "line", "message", "suggestion"}
    assert problems[0]["line"] > 0


def test_a_run_from_start_to_end(doubling: _core.Runtime) -> None:
    run = doubling.start(load(TWO_STEPS), {"n": 3}, id="run-1", tags=["a", "b"], priority=2)
    assert run.result(30) == 12
    assert run.done()
    assert run.status == "completed"
    info = run.info()
    assert (info["id"], info["workflow"], info["version"]) == ("run-1", "t.two", "1.0.0")
    assert (info["input"], info["output"], info["error"]) == ({"n": 3}, 12, None)
    assert (info["tags"], info["priority"]) == (["a", "b"], 2)
    assert (info["steps_done"], info["steps_total"]) == (2, 2)
    assert info["ended"] - info["created"] >= timedelta(0)
    steps = run.steps()
    assert [(s["id"], s["status"], s["attempts"], s["output"]) for s in steps] == [
        ("first", "completed", 1, 6),
        ("second", "completed", 1, 12),
    ]
    events = run.events()
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert (events[0]["type"], events[-1]["type"]) == ("run.started", "run.completed")
    assert run.events(after=len(events)) == []
    assert [e["seq"] for e in run.events(after=1, limit=2)] == [2, 3]
    traces, _ = doubling.traces(run="run-1")
    assert {(t["step"], t["run"]) for t in traces} == {("first", "run-1"), ("second", "run-1")}
    assert doubling.run("run-1").result() == 12
    page, cursor = doubling.runs(tag="b")
    assert [r["id"] for r in page] == ["run-1"]
    assert cursor is None


def test_a_failed_run_raises_with_the_cause(runtime: _core.Runtime) -> None:
    original = ValueError("bad")

    def fails(n: int) -> None:
        raise original

    runtime.register({"id": "t.double", "version": "1.0.0"}, fails)
    run = runtime.start(load(TWO_STEPS), {"n": 3})
    with pytest.raises(clew.ExecutionFailed) as caught:
        run.result(30)
    assert caught.value.__cause__ is original
    assert run.info()["failed_step"] == "first"
    assert run.info()["error"]["code"] == "execution_failed"
    assert run.steps()[1]["status"] == "skipped"


def test_waiting_has_an_end(runtime: _core.Runtime) -> None:
    gate = threading.Event()
    runtime.register({"id": "t.double", "version": "1.0.0"}, lambda n: gate.wait(20) and 2 * n)
    run = runtime.start(load(TWO_STEPS), {"n": 1})
    assert not run.wait("20ms")
    assert not run.done()
    with pytest.raises(clew.Timeout):
        run.result(0.02)
    last = run.events()[-1]["seq"]
    assert run.wait_events(0, timeout=5)
    gate.set()
    assert run.wait_events(last, timeout=10)
    assert run.result(30) == 4


def test_a_cancelled_run_says_so(runtime: _core.Runtime) -> None:
    started = threading.Event()

    def heeds(n: int, ctx: _core.Context) -> None:
        started.set()
        while True:
            ctx.check_cancelled()
            threading.Event().wait(0.001)

    runtime.register({"id": "t.double", "version": "1.0.0"}, heeds, context="ctx")
    run = runtime.start(load(TWO_STEPS), {"n": 1})
    assert started.wait(10)
    run.cancel("enough")
    with pytest.raises(clew.Cancelled):
        run.result(30)
    assert run.status == "cancelled"
    with pytest.raises(clew.Conflict):
        run.cancel()


def test_a_callback_hears_of_the_end(doubling: _core.Runtime) -> None:
    told: list[Any] = []
    ended = threading.Event()
    run = doubling.start(load(TWO_STEPS), {"n": 5})
    run.on_ended(lambda r: (told.append(r.result(0)), ended.set()))
    assert ended.wait(30)
    assert told == [20]


async def test_a_bell_rings_for_starts_and_ends(doubling: _core.Runtime) -> None:
    bell = _core._Bell()
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    loop.add_reader(bell.fileno(), lambda: [heard.put_nowait(one) for one in bell.take()])
    try:
        started, refused = (bell.ring(loop.create_future()) for _ in range(2))
        doubling._start_async(load(TWO_STEPS), {"n": 5}, started)
        await heard.get()
        run = doubling._started(started)
        run.on_ended(bell.ring(loop.create_future()))
        await heard.get()
        assert run.result(0) == 20
        doubling._start_async("t.absent", {}, refused)
        await heard.get()
        with pytest.raises(clew.NotFound):
            doubling._started(refused)
    finally:
        loop.remove_reader(bell.fileno())
    assert heard.empty()


async def test_a_run_is_awaitable(doubling: _core.Runtime) -> None:
    definition = load(TWO_STEPS)
    runs = [doubling.start(definition, {"n": n}) for n in range(20)]
    assert await asyncio.gather(*runs) == [4 * n for n in range(20)]
    assert await runs[3] == 12


def test_published_workflows_start_by_reference(doubling: _core.Runtime) -> None:
    doubling.publish_workflow(load(TWO_STEPS))
    assert doubling.find_workflow("t.two@^1").version == "1.0.0"
    assert doubling.start("t.two", {"n": 1}).result(30) == 4
    with pytest.raises(clew.NotFound):
        doubling.start("t.three", {})
    with pytest.raises(TypeError):
        doubling.publish_workflow(None)  # type: ignore[arg-type]  # on purpose


def test_a_check_finds_what_is_missing(runtime: _core.Runtime) -> None:
    problems = runtime.check(load(TWO_STEPS))
    assert problems
    assert "t.double" in problems[0]["message"]


def test_virtual_time_drives_retries() -> None:
    clock = _core.ManualClock()
    runtime = _core.Runtime(workers=2, clock=clock)
    tries: list[int] = []

    def flaky(n: int) -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")
        return 2 * n

    contract = {"id": "t.double", "version": "1.0.0", "retry": {"attempts": 5, "initial": "1h"}}
    runtime.register(contract, flaky)
    run = runtime.start(load(TWO_STEPS), {"n": 1})
    for count in (1, 2):
        await_events(run, "step.retrying", count)
        assert not run.wait(0.01)  # an hour does not pass by itself
        assert len(tries) == count
        clock.advance("2h")
    assert run.result(30) == 4
    assert len(tries) == 4
    runtime.close()


def test_the_next_runtime_on_a_file_goes_on(tmp_path: Path) -> None:
    store = str(tmp_path / "work.db")
    gate = threading.Event()
    done: list[int] = []
    first = _core.Runtime(store, workers=2)

    def stuck(n: int, ctx: _core.Context) -> int:
        done.append(n)
        if n == 2:
            gate.set()
            while not ctx.cancelled:
                threading.Event().wait(0.001)
            ctx.check_cancelled()
        return 2 * n

    first.register({"id": "t.double", "version": "1.0.0"}, stuck, context="ctx")
    run = first.start(load(TWO_STEPS), {"n": 1}, id="r")
    assert gate.wait(10)
    first.close(drain=False)
    with pytest.raises(clew.Closed):
        run.result()
    second = _core.Runtime(store, workers=2)
    second.register({"id": "t.double", "version": "1.0.0"}, lambda n: done.append(n) or 2 * n)
    assert second.run("r").result(30) == 4
    assert done == [1, 2, 2]
    assert second.verify() == []
    second.close()
