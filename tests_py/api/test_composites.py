"""Capabilities that a workflow carries out, workspaces of runs, and the lock of what runs use."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import clew
import pytest

PATIENCE = 20
CONTRACT = {
    "id": "text.report",
    "version": "1.0.0",
    "inputs": {"type": "object", "required": ["doc"]},
}
REPORT = {
    "workflow": "text.reporting",
    "version": "1.0.0",
    "input": {"type": "object", "properties": {"doc": {"type": "string"}}},
    "steps": {
        "count": {"call": "text.words@^1", "with": {"doc": "{{ input.doc }}"}},
        "double": {"call": "text.double@^1", "with": {"n": "{{ steps.count.output }}"}},
    },
    "output": {"words": "{{ steps.double.output }}"},
}


def one_step(call: str, name: str = "text.outer", **more: Any) -> dict[str, Any]:
    step = {"call": call, "with": "{{ input }}", **more}
    return {
        "workflow": name,
        "version": "1.0.0",
        "steps": {"only": step},
        "output": "{{ steps.only.output }}",
    }


def until(holds: Callable[[], bool]) -> None:
    """Wait for what nothing tells of, such as that a run was adopted."""
    pause = threading.Event()
    for _ in range(PATIENCE * 1000):
        if holds():
            return
        pause.wait(0.001)
    raise AssertionError("it never came to be")


def prepare(rt: Any) -> Any:
    rt.register_contract({"id": "text.words", "version": "1.0.0"}, lambda doc: len(doc.split()))
    rt.register_contract({"id": "text.double", "version": "1.0.0"}, lambda n: 2 * n)
    return rt


@pytest.fixture
def rt(clew_runtime: clew.Runtime) -> clew.Runtime:
    prepare(clew_runtime)
    clew_runtime.register_contract(CONTRACT, workflow=REPORT)
    return clew_runtime


# ---- composites


def test_a_call_is_a_run_and_leaves_one_trace(rt: clew.Runtime) -> None:
    assert rt.execute("text.report", {"doc": "a b c"}) == {"words": 6}
    (run,) = rt.runs()
    assert (run.workflow, run.status) == ("text.reporting", "completed")
    (trace,) = rt.traces("text.report")
    assert (trace.outcome, trace.executor, trace.target) == ("success", "workflow", "local")
    assert [one.id for one in rt.capabilities(kind="workflow")] == ["text.report"]
    assert [one.id for one in rt.capabilities(composition="composite")] == ["text.report"]
    assert rt.find_workflow("text.reporting@1.0.0").name == "text.reporting"
    row = rt.sql("SELECT workflow FROM v_capabilities WHERE id = 'text.report'")
    assert row == [{"workflow": rt.find_workflow("text.reporting").digest}]
    assert rt.verify() == []


def test_bad_input_is_refused_by_contract_and_by_definition(rt: clew.Runtime) -> None:
    with pytest.raises(clew.InvalidInput, match="doc"):
        rt.execute("text.report", {})
    with pytest.raises(clew.InvalidInput, match=r"input\.doc"):
        rt.execute("text.report", {"doc": 3})
    assert len(rt.runs()) == 0


def test_the_outcome_of_a_failed_run_names_run_and_step(rt: clew.Runtime) -> None:
    def fail(n: int) -> int:
        raise ArithmeticError("no")

    rt.register_contract({"id": "text.fails", "version": "1.0.0"}, fail)
    rt.register_contract(
        {"id": "text.broken", "version": "1.0.0"}, workflow=one_step("text.fails", "text.breaking")
    )
    with pytest.raises(clew.ExecutionFailed) as raised:
        rt.execute("text.broken", {"n": 1})
    (run,) = rt.runs()
    assert (raised.value.context["run"], raised.value.context["step"]) == (run.id, "only")
    assert [trace.outcome for trace in rt.traces("text.broken")] == ["failure"]


def test_an_output_that_does_not_fit_the_contract_fails_the_call(rt: clew.Runtime) -> None:
    contract = {
        "id": "text.strict",
        "version": "1.0.0",
        "outputs": {"type": "string"},
    }
    rt.register_contract(contract, workflow="text.reporting@^1")
    with pytest.raises(clew.ClewError, match="output"):
        rt.execute("text.strict", {"doc": "a"})


def test_two_calls_need_no_slot_of_a_pool_of_one(clew_no_leaks: None) -> None:
    with clew.Runtime(":memory:", workers=1) as rt:
        prepare(rt)
        rt.register_contract(CONTRACT, workflow=REPORT)

        @clew.capability("text.nested", version="1.0.0")
        def nested(doc: str, ctx: clew.Context) -> Any:
            return ctx.call("text.report", {"doc": doc})

        rt.register(nested)
        calls = [rt.submit("text.report", {"doc": "a"}) for _ in range(2)]
        calls += [rt.submit("text.nested", {"doc": "a"}) for _ in range(2)]
        assert [call.result(PATIENCE) for call in calls] == [{"words": 2}] * 4


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_stopping_the_call_stops_the_run(rt: clew.Runtime, how: str) -> None:
    entered = threading.Event()

    @clew.capability("text.waits", version="1.0.0")
    def waits(ctx: clew.Context) -> None:
        entered.set()
        while not ctx.cancelled:
            entered.wait(0.001)
        ctx.check_cancelled()

    rt.register(waits)
    rt.register_contract(
        {"id": "text.long", "version": "1.0.0"}, workflow=one_step("text.waits", "text.longing")
    )
    call = rt.submit("text.long", {}, timeout=2 if how == "timeout" else None)
    assert entered.wait(PATIENCE)
    if how == "cancel":
        call.cancel()
    with pytest.raises((clew.Timeout, clew.Cancelled)):
        call.result(PATIENCE)
    run = rt.run(rt.runs()[0].id)
    with pytest.raises(clew.Cancelled):
        run.result(PATIENCE)


def test_an_idempotency_key_makes_one_run(rt: clew.Runtime) -> None:
    for _ in range(2):
        assert rt.execute("text.report", {"doc": "a"}, idempotency_key="k") == {"words": 2}
    assert len(rt.runs()) == 1


def test_what_reaches_itself_ends_with_the_way(rt: clew.Runtime) -> None:
    rt.register_contract({"id": "text.a", "version": "1.0.0"}, lambda: None)
    rt.register_contract(
        {"id": "text.b", "version": "1.0.0"}, workflow=one_step("text.a", "flow.b")
    )
    again = {"id": "text.a", "version": "1.1.0"}
    rt.register_contract(again, workflow=one_step("text.b", "flow.a"))
    rt.set_lifecycle("text.a@1.0.0", "retired")
    with pytest.raises(clew.ExecutionFailed) as raised:
        rt.execute("text.a", {})
    assert raised.value.context["cycle"] == (
        "text.a@1.1.0 -> flow.a@1.0.0 -> text.b@1.0.0 -> flow.b@1.0.0 -> text.a@1.1.0"
    )
    assert {run.status for run in rt.runs()} == {"failed"}
    assert len(rt.runs()) == 2


def test_a_handler_in_between_does_not_hide_the_circle(rt: clew.Runtime) -> None:
    @clew.capability("text.inner", version="1.0.0")
    def inner(ctx: clew.Context) -> Any:
        return ctx.call("text.round", {})

    rt.register(inner)
    rt.register_contract(
        {"id": "text.round", "version": "1.0.0"}, workflow=one_step("text.inner", "flow.round")
    )
    with pytest.raises(clew.ExecutionFailed, match="reaches itself"):
        rt.execute("text.round", {})
    assert len(rt.runs()) == 1


def test_a_step_makes_one_inner_run_for_each_attempt(rt: clew.Runtime) -> None:
    tries = []

    def flaky(n: int) -> int:
        tries.append(n)
        if len(tries) == 1:
            raise ArithmeticError("not at the first attempt")
        return n

    rt.register_contract({"id": "text.flaky", "version": "1.0.0"}, flaky)
    rt.register_contract(
        {"id": "text.try", "version": "1.0.0"}, workflow=one_step("text.flaky", "flow.inner")
    )
    outer = one_step("text.try@^1", retry={"attempts": 2, "initial": "1ms"})
    run = rt.start(outer, {"n": 1}, id="o")
    assert run.result(PATIENCE) == 1
    inner = {info.id: info.status for info in rt.runs(workflow="flow.inner")}
    assert inner == {"o/only#1": "failed", "o/only#2": "completed"}


def test_it_is_there_again_after_a_restart(tmp_path: Path, clew_no_leaks: None) -> None:
    with clew.Runtime(tmp_path / "work.db") as rt:
        prepare(rt).register_contract(CONTRACT, workflow=REPORT)
    with clew.Runtime(tmp_path / "work.db") as rt:
        prepare(rt)
        assert rt.execute("text.report", {"doc": "a b"}) == {"words": 4}
        assert rt.register_contract(CONTRACT, workflow=REPORT).already_registered
        assert rt.register_contract(CONTRACT, lambda doc: "by hand").replaced
    with clew.Runtime(tmp_path / "work.db") as rt:  # the binding went with the function's coming
        assert [one.kind for one in rt.capabilities(id="text.report")] == ["unbound"]


def test_a_run_waits_visibly_for_the_steps_of_a_composite(
    tmp_path: Path, clew_no_leaks: None
) -> None:
    store = tmp_path / "work.db"
    outer = one_step("text.report@^1")
    outer["steps"]["only"] |= {"on_event": "a.b"}
    with clew.Runtime(store) as rt:
        rt.events.define("a.b@1.0.0")
        prepare(rt).register_contract(CONTRACT, workflow=REPORT)
        run = rt.start(outer, {"doc": "a"})
    with clew.Runtime(store) as rt:
        rt.publish("a.b", 1, correlation_id=run.id)
        until(lambda: rt.stats()["runs"]["waiting_for_handlers"] == 1)
        assert rt.run(run.id).info.waiting_for == (
            "capability text.words@^1, which text.report@1.0.0 calls, is not registered"
        )
        prepare(rt)
        assert rt.run(run.id).result(PATIENCE) == {"words": 2}


def test_closing_lets_a_call_end_and_leaves_a_long_one_to_the_next(tmp_path: Path) -> None:
    store = tmp_path / "work.db"
    with clew.Runtime(store) as rt:
        prepare(rt).register_contract(CONTRACT, workflow=REPORT)
        call = rt.submit("text.report", {"doc": "a"})
    assert call.result(PATIENCE) == {"words": 2}

    waiting = {"workflow": "flow.w", "version": "1.0.0", "steps": {"e": {"on_event": "a.b"}}}
    with clew.Runtime(store) as rt:
        rt.events.define("a.b@1.0.0")
        rt.register_contract({"id": "text.w", "version": "1.0.0"}, workflow=waiting)
        run = rt.start(one_step("text.w"), {}, id="o")
        until(lambda: len(rt.runs(workflow="flow.w")) == 1)
        inner = rt.runs(workflow="flow.w")[0]
        assert inner.id == "o/only#1"
        rt.close(drain=False)
    with clew.Runtime(store) as rt:
        rt.publish("a.b@1.0.0", 7, correlation_id=inner.id)
        assert rt.run(run.id).result(PATIENCE) is None
        assert [info.id for info in rt.runs(workflow="flow.w")] == ["o/only#1"]
        assert rt.run(inner.id).status == "completed"
        assert rt.verify() == []


def test_bad_registrations_are_refused(rt: clew.Runtime) -> None:
    with pytest.raises(clew.InvalidInput, match="workflow"):
        rt.register_contract(CONTRACT, lambda: None, workflow=REPORT)
    with pytest.raises(clew.InvalidInput, match="max_concurrency"):
        rt.register_contract({**CONTRACT, "id": "a.b", "max_concurrency": 3}, workflow=REPORT)
    with pytest.raises(clew.NotFound):
        rt.register_contract({**CONTRACT, "id": "a.b"}, workflow="no.such@^1")
    with pytest.raises(clew.Conflict):
        rt.register_contract({**CONTRACT, "id": "a.b"}, workflow={**REPORT, "description": "new"})
    assert rt.capabilities(id="a.b") == []


# ---- workspaces


def test_steps_resolve_in_the_workspace_of_their_run(tmp_path: Path, clew_no_leaks: None) -> None:
    store = tmp_path / "work.db"

    def register(rt: clew.Runtime) -> tuple[Any, Any]:
        a, b = rt.workspace("a"), rt.workspace("b")
        a.register_contract({"id": "who.am", "version": "1.0.0"}, lambda: "a")
        b.register_contract({"id": "who.am", "version": "1.0.0"}, lambda: "b")
        return a, b

    with clew.Runtime(store) as rt:
        a, b = register(rt)
        mine, yours = a.start(one_step("who.am"), id="1"), b.start(one_step("who.am"), id="2")
        assert (mine.result(PATIENCE), yours.result(PATIENCE)) == ("a", "b")
        with pytest.raises(clew.NotFound):
            rt.start(one_step("who.am"))
        assert [one.path for one in clew.load(one_step("who.am")).check(rt)] == ["steps.only.call"]
        assert clew.load(one_step("who.am")).check(a) == []
    with clew.Runtime(store) as rt:
        a, b = register(rt)
        assert [info.id for info in a.runs()] == ["1"]
        assert [info.id for info in rt.runs()] == ["2", "1"]
        assert [info.id for info in rt.runs(workspace="b")] == ["2"]
        assert b.run("2").info.workspace == "b"
        with pytest.raises(clew.NotFound):
            a.run("2")
        with pytest.raises(clew.Conflict, match="another workspace"):
            a.start(one_step("who.am"), id="2")
        assert rt.sql("SELECT id, workspace FROM v_runs ORDER BY id") == [
            {"id": "1", "workspace": "a"},
            {"id": "2", "workspace": "b"},
        ]


def test_keys_of_runs_are_their_workspaces(clew_runtime: clew.Runtime) -> None:
    a, b = clew_runtime.workspace("a"), clew_runtime.workspace("b")
    for one in (a, b):
        one.register_contract({"id": "who.am", "version": "1.0.0"}, lambda: 1)
    first, second = (one.start(one_step("who.am"), key="k") for one in (a, b))
    assert first != second
    assert a.start(one_step("who.am"), key="k") == first


def test_a_run_is_adopted_in_its_workspace(tmp_path: Path, clew_no_leaks: None) -> None:
    store = tmp_path / "work.db"
    steps = {"e": {"on_event": "a.b"}, "who": {"after": "e", "call": "who.am"}}
    flow = {
        "workflow": "f.w",
        "version": "1.0.0",
        "steps": steps,
        "output": "{{ steps.who.output }}",
    }
    with clew.Runtime(store) as rt:
        rt.events.define("a.b@1.0.0")
        a = rt.workspace("a")
        a.register_contract({"id": "who.am", "version": "1.0.0"}, lambda: "a")
        run = a.start(flow)
    with clew.Runtime(store) as rt:
        rt.register_contract({"id": "who.am", "version": "1.0.0"}, lambda: "the runtime's")
        rt.publish("a.b", 1, correlation_id=run.id)
        waiting = rt.run(run.id)
        assert waiting.status == "waiting"
        rt.workspace("a").register_contract({"id": "who.am", "version": "1.0.0"}, lambda: "a")
        assert waiting.result(PATIENCE) == "a"


# ---- the lock

LOCKED = {
    "workflow": "lock.w",
    "version": "1.0.0",
    "steps": {"e": {"on_event": "a.b"}, "x": {"after": "e", "call": "lock.x@^1"}},
    "output": "{{ steps.x.output }}",
}


def needs(summary: str) -> list[dict[str, Any]]:
    return [
        {"id": "lock.y", "version": "1.0.0", "summary": summary},
        {"id": "lock.x", "version": "1.0.0", "dependencies": ["lock.y@^1"]},
    ]


def begin(store: Path) -> str:
    with clew.Runtime(store) as rt:
        rt.events.define("a.b@1.0.0")
        for contract in needs("The first words of it."):
            rt.register_contract(contract, lambda: 1)
        run = rt.start(LOCKED)
        started = next(iter(run.events()))
        digests = {one.id: one.digest for one in rt.capabilities()}
        assert started.data["lock"] == {
            "lock.x@1.0.0": digests["lock.x"],
            "lock.y@1.0.0": digests["lock.y"],
        }
        return run.id


# Parity: dependencies
def test_a_run_waits_visibly_while_what_it_needs_is_another(
    tmp_path: Path, clew_no_leaks: None
) -> None:
    store = tmp_path / "work.db"
    run = begin(store)
    with clew.Runtime(store) as rt:
        dependency, pinned = needs("Other words for it.")
        changed = rt.register_contract(dependency, lambda: 2)
        rt.register_contract(pinned, lambda: 2)
        rt.publish("a.b", 1, correlation_id=run)
        until(lambda: rt.stats()["runs"]["waiting_for_handlers"] == 1)
        assert rt.run(run).status == "waiting"
        why = rt.run(run).info.waiting_for or ""
        assert why.startswith("capability lock.y@1.0.0 is another one: its digest is ")
        assert changed.digest[:12] in why
    with clew.Runtime(store) as rt:
        for contract in needs("The first words of it."):
            rt.register_contract(contract, lambda: 3)
        assert rt.run(run).result(PATIENCE) == 3


def test_a_run_without_a_lock_goes_on(tmp_path: Path, clew_no_leaks: None) -> None:
    """Of a store that an earlier version has left."""
    store = tmp_path / "work.db"
    run = begin(store)
    with closing(sqlite3.connect(store)) as db, db:
        db.execute(
            "UPDATE events SET data = json_remove(data, '$.lock') WHERE type = 'run.started'"
        )
    with clew.Runtime(store) as rt:
        for contract in needs("Other words for it."):
            rt.register_contract(contract, lambda: 4)
        rt.publish("a.b", 1, correlation_id=run)
        assert rt.run(run).result(PATIENCE) == 4


# ---- what is not visible before it is checked


def test_an_output_that_does_not_fit_leaves_no_effect(clew_runtime: clew.Runtime) -> None:
    @clew.capability("text.emits", version="1.0.0", emits=("a.b@1.0.0",))
    def emits(ctx: clew.Context) -> str:
        ctx.emit("a.b@1.0.0", 1)
        return 7  # type: ignore[return-value] # that is the point

    clew_runtime.events.define("a.b@1.0.0")
    clew_runtime.register(emits)
    run = clew_runtime.start(one_step("text.emits"))
    with pytest.raises(clew.ExecutionFailed, match="output"):
        run.result(PATIENCE)
    assert clew_runtime.stats()["events"]["published"] == 0
    assert [step.output for step in run.steps()] == [None]
    with clew_runtime.subscribe(">", from_="start") as events:
        assert events.poll(10, 0) == []


def test_an_input_that_does_not_fit_never_enters_the_handler(clew_runtime: clew.Runtime) -> None:
    entered = []
    contract = {
        "id": "text.typed",
        "version": "1.0.0",
        "inputs": {"type": "object", "properties": {"n": {"type": "integer"}}},
    }
    clew_runtime.register_contract(contract, lambda n: entered.append(n))
    run = clew_runtime.start(one_step("text.typed"), {"n": "one"})
    with pytest.raises(clew.ExecutionFailed) as raised:
        run.result(PATIENCE)
    assert raised.value.context["code"] == "invalid_input"
    assert entered == []
