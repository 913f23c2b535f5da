"""Steps that wait for events."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import clew
import pytest
from clew.testing import ManualClock

PATIENCE = 20


def flow(on_event: Any, *, call: bool = True, **more: Any) -> dict[str, Any]:
    """Return a workflow in which ``ship`` waits for an event once ``pay`` has completed."""
    ship: dict[str, Any] = {"after": "pay", "on_event": on_event}
    if call:
        ship |= {"call": "shop.ship@^1", "with": {"receipt": "{{ event.data }}"}}
    return {
        "workflow": "shop.order",
        "version": "1.0.0",
        "steps": {
            "pay": {"call": "shop.pay@^1", "with": {"emits": "{{ input.emits }}"}},
            "ship": ship,
        },
        "output": "{{ steps.ship.output }}",
        **more,
    }


AMOUNT = {"type": "shop.settled@^1", "where": "{{ event.data.amount >= 10 }}"}
ANY = {"type": "shop.settled", "correlation": "any"}


def prepare(rt: clew.Runtime) -> clew.Runtime:
    @clew.capability("shop.pay", version="1.0.0", emits=("shop.settled@1.0.0",))
    def pay(emits: list[Any], ctx: clew.Context) -> int:
        for amount in emits:
            ctx.emit("shop.settled@1.0.0", {"amount": amount})
        return len(emits)

    @clew.capability("shop.ship", version="1.0.0")
    def ship(receipt: dict[str, Any]) -> Any:
        return receipt["amount"]

    rt.register(pay)
    rt.register(ship)
    rt.events.define("shop.settled@1.0.0")
    rt.events.define("shop.settled@2.0.0")
    rt.events.define("shop.other@1.0.0")
    return rt


@pytest.fixture(params=["memory", "file"])
def rt(request: pytest.FixtureRequest, tmp_path: Path, clew_no_leaks: None) -> Any:
    store = ":memory:" if request.param == "memory" else tmp_path / "work.db"
    with clew.Runtime(store, workers=2) as runtime:
        yield prepare(runtime)


def await_wait(run: clew.Run, step: str = "ship") -> None:
    """Until the step waits: the log says so."""
    for event in run.events(follow=True):
        if (event.type, event.step) == ("step.waiting", step):
            return
    raise AssertionError(f"{run.id} ended: {run.info.error}")


def statuses(run: clew.Run) -> dict[str, str]:
    return {step.id: step.status for step in run.steps()}


# Parity: event edge
def test_an_own_event_that_fits_is_consumed_once(rt: clew.Runtime) -> None:
    run = rt.start(flow(AMOUNT), {"emits": [9, 10, 11]})
    assert run.result(PATIENCE) == 10
    consumed = [event for event in run.events() if event.type == "step.event"]
    assert [event.data["event"]["data"] for event in consumed] == [{"amount": 10}]
    assert consumed[0].data["event"]["correlation_id"] == run.id
    assert consumed[0].data["cursor"] == 2
    assert rt.verify() == []


# Parity: correlation
def test_an_event_of_another_run_never_wakes_a_run_that_has_not_asked(rt: clew.Runtime) -> None:
    mine = rt.start(flow(AMOUNT), {"emits": []})
    asked = rt.start(flow({**AMOUNT, "correlation": "any"}, workflow="shop.any"), {"emits": []})
    await_wait(mine)
    await_wait(asked)
    other = rt.start(flow(AMOUNT), {"emits": [12]})
    assert other.result(PATIENCE) == 12
    assert asked.result(PATIENCE) == 12
    rt.publish("shop.settled@1.0.0", {"amount": 13})  # of no run
    rt.publish("shop.settled@1.0.0", {"amount": 14}, correlation_id=other.id)
    assert mine.status == "waiting"
    rt.publish("shop.settled@1.0.0", {"amount": 15}, correlation_id=mine.id)
    assert mine.result(PATIENCE) == 15


def test_a_correlation_may_be_computed(rt: clew.Runtime) -> None:
    edge = {"type": "shop.settled@^1", "correlation": "{{ input.order }}"}
    run = rt.start(flow(edge), {"emits": [1], "order": "o-7"})
    await_wait(run)
    rt.publish("shop.settled@1.0.0", {"amount": 2}, correlation_id="o-8")
    rt.publish("shop.settled@1.0.0", {"amount": 3}, correlation_id="o-7")
    assert run.result(PATIENCE) == 3


def test_only_types_and_versions_in_range_count(rt: clew.Runtime) -> None:
    run = rt.start(flow({"type": "shop.settled@^1", "correlation": "any"}), {"emits": []})
    await_wait(run)
    rt.publish("shop.settled@2.0.0", {"amount": 1})
    rt.publish("shop.other", {"amount": 2})
    rt.publish("shop.settled@1.0.0", {"amount": 3})
    assert run.result(PATIENCE) == 3


def test_what_was_published_before_the_start_does_not_count(rt: clew.Runtime) -> None:
    rt.publish("shop.settled@1.0.0", {"amount": 1})
    run = rt.start(flow(ANY), {"emits": []})
    await_wait(run)
    assert run.status == "waiting"
    rt.publish("shop.settled@1.0.0", {"amount": 2})
    assert run.result(PATIENCE) == 2


def test_without_a_call_the_event_is_the_output(rt: clew.Runtime) -> None:
    run = rt.start(flow("shop.settled@^1", call=False), {"emits": []})
    await_wait(run)
    rt.publish("shop.settled@1.0.0", {"amount": 1}, correlation_id=run.id, subject="s", id="e-1")
    assert run.result(PATIENCE) == {
        "id": "e-1",
        "type": "shop.settled",
        "subject": "s",
        "data": {"amount": 1},
        "correlation_id": run.id,
    }


def test_each_step_consumes_an_event_of_its_own_reading(rt: clew.Runtime) -> None:
    steps = {name: {"on_event": ANY} for name in ("a", "b")}
    steps["c"] = {"after": ["a", "b"], "on_event": {**ANY, "where": "{{ event.data.amount > 1 }}"}}
    both = {"workflow": "shop.both", "version": "1.0.0", "steps": steps}
    run = rt.start(both | {"output": "{{ steps.c.output.data.amount }}"}, {})
    await_wait(run, "b")
    rt.publish("shop.settled@1.0.0", {"amount": 1})
    rt.publish("shop.settled@1.0.0", {"amount": 2})
    assert run.result(PATIENCE) == 2
    cursors = {e.step: e.data["cursor"] for e in run.events() if e.type == "step.event"}
    assert cursors == {"a": 1, "b": 1, "c": 2}


def test_a_waiting_run_says_so_and_for_what(rt: clew.Runtime) -> None:
    run = rt.start(flow(AMOUNT), {"emits": []})
    await_wait(run)
    assert run.status == "waiting"
    assert run.info.waiting_for == "step ship waits for event shop.settled@^1 of this run"
    step = run.steps()[1]
    assert (step.status, step.reason) == ("waiting", "waits for event shop.settled@^1 of this run")
    assert [info.id for info in rt.runs(status="waiting")] == [run.id]
    rows = rt.sql("SELECT step, status FROM v_steps ORDER BY step")
    assert rows == [{"step": "pay", "status": "completed"}, {"step": "ship", "status": "waiting"}]
    assert "ship: waiting" in run.graph()
    run.cancel("enough")
    assert run.status == "cancelled"
    assert statuses(run) == {"pay": "completed", "ship": "cancelled"}


@pytest.mark.parametrize(
    ("where", "path", "value"),
    [
        ("{{ event.data.sum > 1 }}", "event.data.sum", None),
        ("{{ event.data.amount }}", "steps.ship.on_event.where", 1),
        ("{{ event.data.amount > 'x' }}", '"x"', None),
    ],
)
def test_a_predicate_that_is_none_fails_the_step(
    rt: clew.Runtime, where: str, path: str, value: Any
) -> None:
    run = rt.start(flow({**ANY, "where": where}), {"emits": []})
    await_wait(run)
    rt.publish("shop.settled@1.0.0", {"amount": 1})
    with pytest.raises(clew.ExecutionFailed) as raised:
        run.result(PATIENCE)
    context = raised.value.context
    assert (context["step"], context["code"], context["path"]) == ("ship", "invalid_input", path)
    assert value is None or context["value"] == value


@pytest.mark.parametrize(("late", "status"), [(-1, "completed"), (0, "failed"), (1, "failed")])
def test_a_deadline_is_over_at_its_instant(clew_no_leaks: None, late: int, status: str) -> None:
    clock = ManualClock()
    with clew.Runtime(":memory:", clock=clock) as rt:
        prepare(rt)
        run = rt.start(flow({**ANY, "timeout": "1h"}), {"emits": []})
        await_wait(run)
        clock.advance(3600 + late / 1000)
        rt.publish("shop.settled@1.0.0", {"amount": 1})
        if status == "completed":
            assert run.result(PATIENCE) == 1
            return
        with pytest.raises(clew.ExecutionFailed) as raised:
            run.result(PATIENCE)
        assert raised.value.context["code"] == "timeout"
        assert statuses(run) == {"pay": "completed", "ship": "failed"}


def test_a_wait_goes_on_after_a_restart(tmp_path: Path, clew_no_leaks: None) -> None:
    store = tmp_path / "work.db"
    with clew.Runtime(store) as rt:
        run = prepare(rt).start(
            flow({**ANY, "where": "{{ event.data.amount > 1 }}"}), {"emits": []}
        )
        await_wait(run)
        rt.publish("shop.settled@1.0.0", {"amount": 1})
    with clew.Runtime(store, start=False) as rt:  # nobody goes on with it, and yet it is published
        assert rt.run(run.id).status == "waiting"
        assert rt.run(run.id).info.waiting_for.startswith("step ship waits for event")
        rt.publish("shop.settled@1.0.0", {"amount": 2})
        rt.publish("shop.settled@1.0.0", {"amount": 3})
    with clew.Runtime(store) as rt:
        prepare(rt)
        assert rt.run(run.id).result(PATIENCE) == 2
        assert [e.type for e in rt.run(run.id).events()].count("step.event") == 1
        assert rt.verify() == []


def test_an_event_of_another_runtime_on_the_file_is_seen(tmp_path: Path) -> None:
    with clew.Runtime(tmp_path / "work.db") as rt, clew.Runtime(tmp_path / "work.db") as other:
        run = prepare(rt).start(flow(ANY), {"emits": []})
        await_wait(run)
        other.publish("shop.settled@1.0.0", {"amount": 5})
        assert run.result(PATIENCE) == 5


def test_events_that_are_gone_fail_the_step_and_say_so(tmp_path: Path) -> None:
    store = tmp_path / "work.db"
    limits = {"events_max": 4}
    with clew.Runtime(store, limits=limits) as rt:
        run = prepare(rt).start(
            flow({**ANY, "where": "{{ event.data.amount > 99 }}"}), {"emits": []}
        )
        await_wait(run)
    with clew.Runtime(store, limits=limits, start=False) as rt:
        for amount in range(10):
            rt.publish("shop.settled@1.0.0", {"amount": amount})
    with clew.Runtime(store, limits=limits) as rt:
        prepare(rt)
        with pytest.raises(clew.ExecutionFailed, match="not retained any more") as raised:
            rt.run(run.id).result(PATIENCE)
        context = raised.value.context
        assert (context["code"], context["after"], context["oldest"]) == ("not_found", 0, 6)


def test_a_log_that_cannot_be_read_fails_the_step(tmp_path: Path) -> None:
    store = tmp_path / "work.db"
    with clew.Runtime(store) as rt:
        run = prepare(rt).start(flow(ANY), {"emits": []})
        await_wait(run)
    with clew.Runtime(store, start=False) as rt:
        rt.publish("shop.settled@1.0.0", {"amount": 1})
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("UPDATE event_log SET data = '{'")
    with clew.Runtime(store) as rt:
        prepare(rt)
        with pytest.raises(clew.ExecutionFailed) as raised:
            rt.run(run.id).result(PATIENCE)
        assert (raised.value.context["code"], raised.value.context["step"]) == ("corrupt", "ship")


def test_what_a_run_has_passed_over_it_may_lose(tmp_path: Path) -> None:
    """Retention takes what was looked at already: that is no loss, also not after a restart."""
    store = tmp_path / "work.db"
    limits = {"events_max": 8}
    with clew.Runtime(store, limits=limits) as rt:
        run = prepare(rt).start(
            flow({**ANY, "where": "{{ event.data.amount > 99 }}"}), {"emits": []}
        )
        await_wait(run)
        probe = rt.start(flow(ANY), {"emits": []})
        await_wait(probe)
        rt.publish("shop.settled@1.0.0", {"amount": -1})
        probe.result(PATIENCE)  # whoever looks at events for the runs has begun
        notes = (e for e in run.events(follow=True) if e.type == "step.waiting")
        noted = 0
        for amount in range(40):  # never so many ahead that retention takes what was not seen
            while noted < amount - 4:
                noted = next(notes).data["after"]
            rt.publish("shop.settled@1.0.0", {"amount": amount})
    with clew.Runtime(store, limits=limits) as rt:
        prepare(rt)
        again = rt.run(run.id)
        assert again.status == "waiting"
        rt.publish("shop.settled@1.0.0", {"amount": 100})
        assert again.result(PATIENCE) == 100


def test_unknown_types_are_problems_where_it_is_to_run(rt: clew.Runtime) -> None:
    workflow = clew.load(flow({"type": "shop.setled@^1"}))
    (problem,) = workflow.check(rt)
    assert (problem.path, problem.suggestion) == ("steps.ship.on_event.type", "shop.settled")
    with pytest.raises(clew.NotFound, match=r"steps\.ship\.on_event\.type"):
        rt.start(workflow, {"emits": []})
    (short,) = clew.load(flow("shop.setled")).check(rt)
    assert short.path == "steps.ship.on_event"
    assert clew.load(flow("shop.settled")).check(rt) == []
    assert clew.load(flow("shop.settled@^3")).check(rt)[0].path == "steps.ship.on_event"


def test_many_runs_wait_and_each_gets_its_own(rt: clew.Runtime) -> None:
    runs = [rt.start(flow(AMOUNT), {"emits": []}) for _ in range(50)]
    for run in runs:
        await_wait(run)
    for index, run in enumerate(runs):
        rt.publish("shop.settled@1.0.0", {"amount": 10 + index}, correlation_id=run.id)
    assert [run.result(PATIENCE) for run in runs] == [10 + index for index in range(50)]
    for run in runs:
        assert [event.type for event in run.events()].count("step.event") == 1


def test_no_step_runs_before_its_event(rt: clew.Runtime) -> None:
    entered = threading.Event()
    rt.register_contract({"id": "shop.mark", "version": "1.0.0"}, lambda: entered.set())
    steps = {"only": {"call": "shop.mark@^1", "on_event": ANY}}
    run = rt.start({"workflow": "shop.only", "version": "1.0.0", "steps": steps}, {})
    await_wait(run, "only")
    assert not entered.is_set()
    rt.publish("shop.settled@1.0.0", {})
    run.result(PATIENCE)
    assert entered.is_set()
