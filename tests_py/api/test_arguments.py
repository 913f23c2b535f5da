"""Values of wrong types in every public method: our error with path, value and expectation.

And the line between what is no request and leaves no trace, and what is refused and leaves one.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import clew
import clew.testing
import pytest


@clew.capability("text.words", version="1.2.0")
def words(doc: str = "") -> int:
    return len(doc.split())


@pytest.fixture
def rt() -> Iterator[clew.Runtime]:
    with clew.Runtime(workers=2) as runtime:
        runtime.register(words)
        yield runtime


# --- options of calls ---

OPTIONS = [
    ("priority", "x", "integer"),
    ("priority", 1.5, "integer"),
    ("priority", 2**31, "integer"),
    ("priority", -(2**31), "integer"),
    ("priority", 2**70, "integer"),
    ("priority", True, "integer"),
    ("priority", None, "integer"),
    ("idempotency_key", "", "non-empty"),
    ("idempotency_key", 3, "non-empty"),
    ("target", "", "non-empty"),
    ("target", b"local", "non-empty"),
    ("correlation_id", "", "non-empty"),
    ("correlation_id", "\ud800", "surrogates"),
    ("timeout", 0, "above zero"),
    ("timeout", "0s", "above zero"),
    ("timeout", timedelta(0), "above zero"),
    ("timeout", -1, "not negative"),
    ("timeout", timedelta(seconds=-1), "not negative"),
    ("timeout", "1", "duration"),
    ("timeout", "0.5", "duration"),
    ("timeout", "0", "duration"),
    ("timeout", object(), "JSON"),
    ("deadline", "now", "aware datetime"),
    ("deadline", datetime(2030, 1, 1), "aware datetime"),
]


@pytest.mark.parametrize(("name", "value", "expected"), OPTIONS)
@pytest.mark.parametrize("way", ["execute", "submit", "call", "ctx.submit"])
def test_an_option_that_makes_no_sense_is_named_and_leaves_no_trace(
    rt: clew.Runtime, way: str, name: str, value: Any, expected: str
) -> None:
    raised: list[clew.ClewError] = []

    @clew.capability("test.outer", version="1.0.0")
    def outer(ctx: clew.Context) -> None:
        call = ctx.call if way == "call" else ctx.submit
        try:
            call("text.words", {"doc": ""}, **{name: value})
        except clew.ClewError as error:
            raised.append(error)

    rt.register(outer)
    if way in ("execute", "submit"):
        with pytest.raises(clew.InvalidInput) as caught:
            getattr(rt, way)("text.words", {"doc": ""}, **{name: value})
        raised.append(caught.value)
    else:
        rt.execute(outer)
    (error,) = raised
    assert isinstance(error, clew.InvalidInput)
    assert error.context["path"] == name
    assert expected in error.context["expected"]
    assert "value" in error.context
    assert [trace.capability for trace in rt.traces()] == (
        [] if way in ("execute", "submit") else ["test.outer"]
    )


NO_REQUEST: dict[str, Callable[[clew.Runtime], Any]] = {
    "a reference that is no string": lambda rt: rt.execute(3, {}),
    "input that is no JSON": lambda rt: rt.execute("text.words", {"doc": {1}}),
    "a timeout below zero": lambda rt: rt.execute("text.words", timeout=-1),
    "a timeout of zero": lambda rt: rt.execute("text.words", timeout=0),
}
REFUSED: dict[str, Callable[[clew.Runtime], Any]] = {
    "a malformed reference": lambda rt: rt.execute("a b", {}),
    "an unknown reference": lambda rt: rt.execute("text.word", {}),
    "input that is no object": lambda rt: rt.execute("text.words", [1]),
    "input of another type": lambda rt: rt.execute("text.words", {"doc": 3}),
    "a target that nobody serves": lambda rt: rt.execute("text.words", {}, target="moon"),
}


@pytest.mark.parametrize("call", NO_REQUEST.values(), ids=list(NO_REQUEST))
def test_what_is_no_request_leaves_no_trace(
    rt: clew.Runtime, call: Callable[[clew.Runtime], Any]
) -> None:
    with pytest.raises(clew.InvalidInput):
        call(rt)
    assert len(rt.traces()) == 0


@pytest.mark.parametrize("call", REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused_leaves_one_trace(
    rt: clew.Runtime, call: Callable[[clew.Runtime], Any]
) -> None:
    with pytest.raises(clew.ClewError) as raised:
        call(rt)
    assert [(one.outcome, one.code) for one in rt.traces()] == [("rejected", raised.value.code)]


def test_a_deadline_that_is_over_is_a_call_that_timed_out(rt: clew.Runtime) -> None:
    with pytest.raises(clew.Timeout):
        rt.execute("text.words", deadline=datetime(2020, 1, 1, tzinfo=timezone.utc))
    assert [one.outcome for one in rt.traces()] == ["timeout"]


# --- every method ---


class Odd:
    """What no method takes."""

    def __repr__(self) -> str:
        return "<odd>"


def parameters(function: Any) -> list[str]:
    found = inspect.signature(function).parameters.values()
    return [one.name for one in found if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]


def complain(call: Callable[[], Any]) -> None:
    """Call; whatever it raises is ours, or the standard library's own protocol."""
    said = ""
    try:
        call()
    except clew.ClewError:
        pass
    except TypeError as error:
        said = str(error)
    assert "incompatible function arguments" not in said
    assert "Unable to" not in said


SENSIBLE: dict[str, Any] = {
    "capability": words,
    "name": "echo",
    "ref": "text.words",
    "input": {},
    "inputs": [],
    "executor": Odd(),
    "targets": ["x"],
    "workflow": {
        "workflow": "a.b",
        "version": "1.0.0",
        "steps": {"a": {"call": "text.words@^1"}},
    },
    "id": "00000000-0000-7000-8000-000000000000",
    "query": "SELECT 1",
    "reason": "enough",
    "timeout": 5,
    "fn": print,
    "by": "1s",
    "count": 0,
    "action": "error",
}
WRONG: list[Any] = [Odd(), "x", b"x", 3, -1, 1.5, 2**70, float("nan"), True, None, [], {}, "\ud800"]


def of_runtime() -> list[tuple[str, str]]:
    functions = {
        name: getattr(clew.Runtime, name)
        for name in vars(clew.Runtime)
        if not name.startswith("_") and callable(getattr(clew.Runtime, name))
    }
    return [(name, one) for name, made in functions.items() for one in parameters(made)[1:]]


@pytest.mark.parametrize(("method", "parameter"), of_runtime())
def test_no_method_of_a_runtime_shows_its_bindings(
    rt: clew.Runtime, method: str, parameter: str
) -> None:
    for value in WRONG:
        if method == "close" and parameter == "timeout" and value in (True, "x", 3, 1.5):
            continue  # it may be meant
        if method == "close" and (parameter == "drain" and value is True):
            continue
        function = getattr(rt, method)
        required = [
            name
            for name, one in inspect.signature(getattr(clew.Runtime, method)).parameters.items()
            if one.default is one.empty and name != "self"
        ]
        arguments = {name: SENSIBLE.get(name) for name in required} | {parameter: value}
        complain(lambda: function(**arguments))  # noqa: B023 - called at once


def test_no_method_of_a_call_shows_its_bindings(rt: clew.Runtime) -> None:
    call = rt.submit("text.words")
    call.result(30)
    for value in WRONG:
        complain(lambda: call.result(value))  # noqa: B023 - called at once
        complain(lambda: call.exception(value))  # noqa: B023 - the same
        complain(lambda: call.cancel(value))  # noqa: B023 - the same


def test_no_method_of_a_run_shows_its_bindings(rt: clew.Runtime) -> None:
    run = rt.start(SENSIBLE["workflow"])
    run.result(30)
    for value in WRONG:
        complain(lambda: run.result(value))  # noqa: B023 - called at once
        complain(lambda: run.cancel(value))  # noqa: B023 - the same
        complain(lambda: run.events(value))  # noqa: B023 - the same
        complain(lambda: run.events(follow=value))  # noqa: B023 - the same


def test_no_helper_for_tests_shows_its_bindings() -> None:
    clock = clew.testing.ManualClock()
    point = clew.testing.fault_points()[0]
    for value in WRONG:
        complain(lambda: clew.testing.ManualClock(value))  # noqa: B023 - called at once
        complain(lambda: clock.advance(value))  # noqa: B023 - the same
        if value not in (3, True):
            complain(lambda: clock.await_waiters(value))  # noqa: B023 - the same
        complain(lambda: clew.testing.arm_fault(value))  # noqa: B023 - the same
        complain(lambda: clew.testing.arm_fault(point, value))  # noqa: B023 - the same
        complain(lambda: clew.testing.arm_fault(point, at=value))  # noqa: B023 - the same
        complain(lambda: clew.testing.arm_fault(point, code=value))  # noqa: B023 - the same
        complain(lambda: clew.testing.fault_hits(value))  # noqa: B023 - the same
    clew.testing.disarm_faults()


PROGRESS = [("a", 1, "done"), (-1, 2, "done"), (3, 2, "done"), (1, "b", "total"), (0, -1, "total")]


@pytest.mark.parametrize(("done", "total", "path"), PROGRESS)
def test_progress_that_makes_no_sense_is_named(
    rt: clew.Runtime, done: Any, total: Any, path: str
) -> None:
    @clew.capability("test.progress", version="1.0.0")
    def handler(ctx: clew.Context) -> str:
        with pytest.raises(clew.InvalidInput) as raised:
            ctx.progress(done, total)
        return str(raised.value.context["path"])

    rt.register(handler)
    assert rt.execute(handler) == path


# --- opening, loading, registering ---


@pytest.mark.parametrize("value", [1e300, float("inf"), float("nan"), -1, "20", None, True])
def test_a_relaxed_window_beyond_reason_is_named(value: Any) -> None:
    with pytest.raises(clew.InvalidInput) as raised:
        clew.Runtime(limits={"relaxed_ms": value})
    assert raised.value.context["path"] == "limits.relaxed_ms"


def test_a_runtime_has_the_name_that_its_documentation_says() -> None:
    import os

    with clew.Runtime() as rt, clew.Runtime(name="mine") as other:
        assert rt.name == f"clew-{os.getpid()}"
        assert other.name == "mine"
        assert f"clew-{os.getpid()}" in repr(rt)


def test_the_database_of_another_program_is_unsupported(tmp_path: Path) -> None:
    import contextlib
    import sqlite3

    store = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(store)) as other, other:
        other.execute("CREATE TABLE theirs (a)")
    before = store.read_bytes()
    with pytest.raises(clew.Unsupported):
        clew.Runtime(store)
    assert store.read_bytes() == before
    text = tmp_path / "text.db"
    text.write_text("this is no database at all\n" * 100)
    with pytest.raises(clew.Corrupt):
        clew.Runtime(text)


KEYS: list[tuple[dict[Any, Any], str]] = [
    ({1: 2}, "source"),
    ({"workflow": "a.b", "version": "1.0.0", "steps": {1: {"call": "a.b"}}}, "steps"),
    ({"workflow": "a.b", "version": "1.0.0", "steps": {"a": {"with": {2: 3}}}}, "steps.a.with"),
    ({"workflow": "a.b", "version": "1.0.0", "steps": {"a": {1}}}, "steps.a"),
]


@pytest.mark.parametrize(("document", "path"), KEYS)
def test_a_workflow_that_is_no_json_has_a_problem(document: dict[Any, Any], path: str) -> None:
    with pytest.raises(clew.InvalidInput) as raised:
        clew.load(document)
    assert raised.value.context["path"] == path
    assert [one["path"] for one in raised.value.context["problems"]] == [path]
    (problem,) = clew.load(document, strict=False).problems
    assert problem.path == path
    assert "expected" in problem.message


def test_a_changed_function_takes_the_place_with_a_notice(
    rt: clew.Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "clew")
    assert rt.register(words).already_registered
    assert caplog.records == []

    @clew.capability("text.words", version="1.2.0")
    def changed(doc: str = "") -> int:
        return 7

    done = rt.register(changed)
    assert (done.replaced, done.already_registered) == (True, False)
    assert "replaced=True" in repr(done)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("clew", "INFO")
    assert "text.words@1.2.0" in record.getMessage()


# --- what a handler says ---


def test_the_text_of_an_error_is_bounded(rt: clew.Runtime) -> None:
    @clew.capability("test.talks", version="1.0.0")
    def talks() -> None:
        raise ValueError("ü" * 1_000_000)

    rt.register(talks)
    with pytest.raises(clew.ExecutionFailed) as raised:
        rt.execute(talks)
    assert len(raised.value.message.encode()) <= 16 << 10
    assert "ü… (" in raised.value.message
    assert raised.value.message.endswith(" bytes more)")
    assert len(str(raised.value.__cause__)) == 1_000_000

    run = rt.start(
        {"workflow": "a.b", "version": "1.0.0", "steps": {"a": {"call": "test.talks@1.0.0"}}}
    )
    with pytest.raises(clew.ClewError):
        run.result(30)
    stored = rt.sql("SELECT max(length(data)) AS n FROM v_events")[0]["n"]
    assert stored < 64 << 10


def test_the_facts_of_an_error_are_bounded(rt: clew.Runtime) -> None:
    @clew.capability("test.facts", version="1.0.0")
    def facts() -> None:
        raise clew.NotFound("nothing", {"text": "x" * 1_000_000, "list": list(range(100_000))})

    rt.register(facts)
    with pytest.raises(clew.ExecutionFailed) as raised:
        rt.execute(facts)
    assert len(str(raised.value.context)) < 40 << 10
    assert raised.value.context["text"].endswith(" bytes more)")
