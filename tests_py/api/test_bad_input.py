"""Everything that can be given wrongly: which error, path and value; and nothing happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import clew
import pytest

UNSAID: Any = object()


class Bad(NamedTuple):
    """A call that must be refused."""

    name: str
    call: Callable[[clew.Runtime], Any]
    path: str | None  # None for errors of other classes, which have `facts`
    error: type[clew.ClewError] = clew.InvalidInput
    expected: str = ""  # a part of the expectation
    value: Any = UNSAID  # what the error says was given; else what stands at the path
    facts: dict[str, Any] = {}  # noqa: RUF012 - never changed; other members of the context


@clew.capability("text.words", version="1.2.0")
def words(doc: str, least: int = 0) -> int:
    return len([one for one in doc.split() if len(one) >= least])


NO_ID = "00000000-0000-7000-8000-000000000000"
WORKFLOW = {
    "workflow": "text.count",
    "version": "1.0.0",
    "input": {"type": "object", "required": ["doc"]},
    "steps": {"count": {"call": "text.words@^1", "with": {"doc": "{{ input.doc }}"}}},
}


def decorated(**options: Any) -> Callable[[clew.Runtime], Any]:
    options = {"id": "a.b", "version": "1.0.0", **options}

    def call(_: clew.Runtime) -> Any:
        return clew.capability(**options)(lambda: None)

    return remember(call, options)


def function(made: Callable[[], Any]) -> Callable[[clew.Runtime], Any]:
    return lambda _: clew.capability("a.b", version="1.0.0")(made())


def opened(*args: Any, **options: Any) -> Callable[[clew.Runtime], Any]:
    given = {"store": args[0]} if args else {}
    return remember(lambda _: clew.Runtime(*args, **options), given | options)


def remember(call: Callable[[clew.Runtime], Any], options: dict[str, Any]) -> Any:
    call.given = options  # type: ignore[attr-defined]  # looked up in value_at
    return call


def value_at(given: Any, path: str) -> Any:
    """Return what stands at a path such as ``limits.queue_max`` or ``tags[1]``."""
    for name, index in re.findall(r"(\w+)|\[(\d+)\]", path):
        given = given[int(index)] if index else given[name]
    return given


def started(**changes: Any) -> Callable[[clew.Runtime], Any]:
    """Start the workflow below with other members; None takes one away."""
    changed = {key: value for key, value in {**WORKFLOW, **changes}.items() if value is not None}
    return lambda rt: rt.start(changed, {"doc": ""})


def with_step(**changes: Any) -> Callable[[clew.Runtime], Any]:
    step = {"call": "text.words@^1", "with": {"doc": "{{ input.doc }}"}, **changes}
    return started(steps={"count": {key: one for key, one in step.items() if one is not None}})


def positional_only() -> Any:
    def made(a: int, /) -> None: ...

    return made


def variadic() -> Any:
    def made(*a: int) -> None: ...

    return made


def unknown_name() -> Any:
    def made(a: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - that is the point

    return made


def no_schema() -> Any:
    def made(a: type[pytest.Item]) -> None: ...

    made.__annotations__["a"] = range
    return made


def two_contexts() -> Any:
    def made(a: clew.Context, b: clew.Context) -> None: ...

    return made


def generator() -> Any:
    def made() -> Any:
        yield 1

    return made


DECORATOR = [
    Bad("id without a dot is fine but empty is not", decorated(id=""), "id"),
    Bad("id with spaces", decorated(id="a b"), "id"),
    Bad("id no string", decorated(id=3), "id"),
    Bad("decorator without parentheses", decorated(id=words), "id"),
    Bad("version short", decorated(version="1.0"), "version"),
    Bad("version with v", decorated(version="v1.0.0"), "version"),
    Bad("version no string", decorated(version=1), "version"),
    Bad("effect word", decorated(effect="sometimes"), "effect", expected="pure"),
    Bad("effect None", decorated(effect=3), "effect"),
    Bad("timeout zero", decorated(timeout=0), "timeout"),
    Bad("timeout negative", decorated(timeout=-1), "timeout"),
    Bad("timeout word", decorated(timeout="soon"), "timeout"),
    Bad("timeout list", decorated(timeout=[1]), "timeout"),
    Bad("retry a number", decorated(retry=3), "retry", expected="clew.Retry"),
    Bad("retry a dict", decorated(retry={"attempts": 3}), "retry"),
    Bad("retry attempts", lambda _: clew.Retry(attempts=0), "retry.attempts"),
    Bad("retry attempts beyond", lambda _: clew.Retry(attempts=1001), "retry.attempts"),
    Bad("retry initial", lambda _: clew.Retry(initial="x"), "retry.initial"),
    Bad("retry factor", lambda _: clew.Retry(factor=0.5), "retry.factor"),
    Bad("retry jitter", lambda _: clew.Retry(jitter=2), "retry.jitter"),
    Bad("concurrency zero", decorated(max_concurrency=0), "max_concurrency"),
    Bad("concurrency a word", decorated(max_concurrency="8"), "max_concurrency"),
    Bad("tags a string", decorated(tags="nlp"), "tags", expected="list"),
    Bad("tags a set", decorated(tags={"nlp"}), "tags"),
    Bad("tag twice", decorated(tags=["a", "a"]), "tags[1]"),
    Bad("tag empty", decorated(tags=[""]), "tags[0]"),
    Bad("emits a number", decorated(emits=[1]), "emits[0]"),
    Bad("no targets", decorated(permitted_targets=[]), "permitted_targets"),
    Bad("executor a number", decorated(executor=1), "executor"),
    Bad("summary a number", decorated(summary=1), "summary"),
    Bad("inputs a string", decorated(inputs="object"), "inputs"),
    Bad("inputs unknown keyword", decorated(inputs={"typ": "object"}), "inputs.typ", value="typ"),
    Bad("outputs bad type", decorated(outputs={"type": "thing"}), "outputs.type"),
    Bad("positional-only parameter", function(positional_only), "a"),
    Bad("variadic parameter", function(variadic), "a"),
    Bad("unknown name in a hint", function(unknown_name), "a"),
    Bad("hint without a schema", function(no_schema), "a"),
    Bad("two contexts", function(two_contexts), "b"),
    Bad("generator", function(generator), "function"),
    Bad("a class", function(lambda: int), "function"),
    Bad("decorated twice", function(lambda: words), "function"),
    Bad("no function", function(lambda: 3), "function"),
]

RUNTIME = [
    Bad("workers zero", opened(workers=0), "workers", expected="1 to 256"),
    Bad("workers too many", opened(workers=257), "workers"),
    Bad("workers True", opened(workers=True), "workers"),
    Bad("workers a word", opened(workers="4"), "workers"),
    Bad("name empty", opened(name=""), "name"),
    Bad("durability", opened(durability="fast"), "durability", expected="sync"),
    Bad("durability None", opened(durability=None), "durability"),
    Bad("environment", opened(environment="prod"), "environment"),
    Bad("clock", opened(clock=3), "clock"),
    Bad("start", opened(start="yes"), "start"),
    Bad("store empty", opened(""), "store"),
    Bad("store a number", opened(3), "store"),
    Bad("store bytes", opened(b"x"), "store"),
    Bad("store of another kind", opened("mysql://x"), "store", value="mysql://…"),
    Bad("limits a list", opened(limits=["queue_max"]), "limits"),
    Bad("limit unknown", opened(limits={"queue_mx": 1}), "limits.queue_mx", expected="queue_max"),
    Bad("limit zero", opened(limits={"queue_max": 0}), "limits.queue_max"),
    Bad("limit traces", opened(limits={"traces_max": "all"}), "limits.traces_max"),
    Bad("limit duration", opened(limits={"lease_ttl": "long"}), "limits.lease_ttl"),
    Bad("limit negative", opened(limits={"relaxed_ms": -1}), "limits.relaxed_ms"),
]

CALLS = [
    Bad("register a plain function", lambda rt: rt.register(len), "capability"),
    Bad("register scope", lambda rt: rt.register(words, scope="mine"), "scope", value="mine"),
    Bad("native no text", lambda rt: rt.register_native(3), "name", value=3),
    Bad("reference malformed", lambda rt: rt.resolve("a b"), "reference", value="a b"),
    Bad("reference a number", lambda rt: rt.execute(3, {}), "ref", value="3"),
    Bad("input key", lambda rt: rt.execute(words, {"doc": {1: 2}}), "input.doc", value="1"),
    Bad("input set", lambda rt: rt.execute(words, {"doc": {1}}), "input.doc", value="{1}"),
    Bad("input NaN", lambda rt: rt.execute(words, {"doc": float("nan")}), "input.doc"),
    Bad("input beyond 64 bits", lambda rt: rt.execute(words, {"doc": 2**63}), "input.doc"),
    Bad("timeout a word", lambda rt: rt.execute(words, {}, timeout="x"), "timeout", value="x"),
    Bad("deadline text", lambda rt: rt.submit(words, {}, deadline="now"), "deadline"),
    Bad("deadline naive", lambda rt: rt.submit(words, deadline=datetime(2030, 1, 1)), "deadline"),
    Bad("map a dict", lambda rt: rt.map(words, {"doc": "a"}), "inputs", value="{'doc': 'a'}"),
    Bad("map a string", lambda rt: rt.map(words, "doc"), "inputs", value="doc"),
    Bad("map concurrency", lambda rt: rt.map(words, [], concurrency=0), "concurrency", value=0),
    Bad("map ordered", lambda rt: rt.map(words, [], ordered=1), "ordered", value=1),
    Bad("executor name", lambda rt: rt.add_executor("", object(), ["x"]), "name", value=""),
    Bad("executor targets", lambda rt: rt.add_executor("x", object(), "x"), "targets", value="x"),
    Bad("executor object", lambda rt: rt.add_executor("x", object(), ["x"]), "executor"),
    Bad("traces outcome", lambda rt: rt.traces(outcome="failed"), "outcome", value="failed"),
    Bad("traces code", lambda rt: rt.traces(code="boom"), "code", value="boom"),
    Bad("traces limit", lambda rt: rt.traces(limit=0), "limit", value=0),
    Bad("traces limit beyond", lambda rt: rt.traces(limit=10_001), "limit", value=10_001),
    Bad("traces since", lambda rt: rt.traces(since=datetime(2020, 1, 1)), "since"),
    Bad("trace id malformed", lambda rt: rt.trace("x"), "id", value="x"),
    Bad("runs status", lambda rt: rt.runs(status="done"), "status", value="done"),
    Bad("runs cursor", lambda rt: rt.runs(cursor="x"), "cursor", value="x"),
    Bad("run id empty", lambda rt: rt.run(""), "id", value=""),
    Bad("start a number", lambda rt: rt.start(3), "source", value=3),
    Bad("start tags", lambda rt: rt.start(WORKFLOW, {"doc": ""}, tags="a"), "tags", value="a"),
    Bad("start key", lambda rt: rt.start(WORKFLOW, {"doc": ""}, key=7), "key", value=7),
    Bad("start priority", lambda rt: rt.start(WORKFLOW, {"doc": ""}, priority="a"), "priority"),
    Bad("start durability", lambda rt: rt.start(WORKFLOW, durability="x"), "durability", value="x"),
    Bad("start bad input", lambda rt: rt.start(WORKFLOW, {}), "input.doc"),
    Bad("start input a list", lambda rt: rt.start(WORKFLOW, [1]), "input"),
    Bad("sql on a view", lambda rt: rt.sql("DROP VIEW nothing"), "query"),
    Bad("sql of two", lambda rt: rt.sql("SELECT 1; SELECT 2"), "query", value="SELECT 1; SELECT 2"),
    Bad("sql no SQL", lambda rt: rt.sql("SELEC 1"), "query", value="SELEC 1"),
    Bad(
        "sql that writes", lambda rt: rt.sql("DELETE FROM runs"), "query", value="DELETE FROM runs"
    ),
    Bad("sql empty", lambda rt: rt.sql(""), "query", value=""),
    Bad("sql params", lambda rt: rt.sql("SELECT 1", {"a": 1}), "params", value="{'a': 1}"),
]

# Errors of other classes: what was asked for is named in words of its own.
OTHERS = [
    Bad(
        "resolve unknown",
        lambda rt: rt.resolve("text.word"),
        None,
        clew.NotFound,
        facts={"capability": "text.word", "suggestion": "text.words"},
    ),
    Bad("trace unknown", lambda rt: rt.trace(NO_ID), None, clew.NotFound, facts={"id": NO_ID}),
    Bad("run unknown", lambda rt: rt.run("no"), None, clew.NotFound, facts={"run": "no"}),
    Bad(
        "start without a file",
        lambda rt: rt.start("no/such.yaml"),
        None,
        clew.NotFound,
        facts={"path": "no/such.yaml"},
    ),
    Bad(
        "start without suffix",
        lambda rt: rt.start("no/such"),
        None,
        clew.NotFound,
        facts={"path": "no/such"},
    ),
    Bad(
        "start unpublished",
        lambda rt: rt.start("no.such@^1"),
        None,
        clew.NotFound,
        facts={"workflow": "no.such@^1"},
    ),
]


# Workflows with something wrong in them: the path, and which word is missing or meant.
WORKFLOWS = [
    Bad("no name", started(workflow=None), "workflow"),
    Bad("name malformed", started(workflow="Text Count"), "workflow"),
    Bad("no version", started(version=None), "version"),
    Bad("version short", started(version="1.0"), "version"),
    Bad("no steps", started(steps=None), "steps"),
    Bad("empty steps", started(steps={}), "steps"),
    Bad("steps a list", started(steps=["count"]), "steps"),
    Bad("key unknown", started(step={}), "step", facts={"suggestion": "steps"}),
    Bad("schema unknown", started(input={"minItem": 1}), "input.minItem"),
    Bad("step key unknown", with_step(cal="x"), "steps.count.cal", facts={"suggestion": "call"}),
    Bad("no call", with_step(call=None), "steps.count.call"),
    Bad("call malformed", with_step(call="text words"), "steps.count.call"),
    Bad("template open", with_step(**{"with": {"doc": "{{ input.doc"}}), "steps.count.with.doc"),
    Bad("no such step", with_step(**{"with": {"doc": "{{ steps.x }}"}}), "steps.count.with.doc"),
    Bad("no such dependency", with_step(after=["cuont"]), "steps.count.after[0]"),
    Bad("cycle", with_step(after=["count"]), "steps.count.after[0]"),
    Bad("retry attempts", with_step(retry={"attempts": 0}), "steps.count.retry.attempts"),
    Bad("retry key", with_step(retry={"attemps": 2}), "steps.count.retry.attemps"),
    Bad("timeout", with_step(timeout="soon"), "steps.count.timeout"),
    Bad("concurrency without a list", with_step(concurrency=2), "steps.count.concurrency"),
    Bad("output of no step", started(output="{{ steps.no.output }}"), "output"),
]

# These are calls: a refusal of the runtime, which leaves its one trace.
REFUSED = [
    Bad("missing member", lambda rt: rt.execute("text.words", {}), "input.doc"),
    Bad("wrong type", lambda rt: rt.execute("text.words", {"doc": 3}), "input.doc", value=3),
    Bad(
        "bool is no int",
        lambda rt: rt.execute("text.words", {"doc": "", "least": True}),
        "input.least",
        value=True,
    ),
    Bad(
        "member too many",
        lambda rt: rt.execute("text.words", {"doc": "", "x": 1}),
        "input.x",
        value=1,
    ),
    Bad(
        "unknown",
        lambda rt: rt.execute("text.word", {}),
        None,
        clew.NotFound,
        facts={"capability": "text.word", "suggestion": "text.words"},
    ),
]


def refuse(rt: clew.Runtime, bad: Bad) -> clew.ClewError:
    with pytest.raises(bad.error) as raised:
        bad.call(rt)
    error = raised.value
    assert isinstance(error, clew.ClewError)
    assert type(error)().code == error.code  # type: ignore[call-arg]  # subclasses know their code
    assert error.message
    assert {key: error.context.get(key) for key in bad.facts} == bad.facts
    return error


def check_invalid(bad: Bad, error: clew.ClewError) -> None:
    """Path, value and expectation are in the context, and the path is in the message."""
    context = error.context
    assert bad.path is not None
    assert context["path"] == bad.path
    assert bad.path in error.message or "sql" in context  # SQLite has said what is wrong
    assert context["expected"]
    assert bad.expected in context["expected"]
    if context.get("keyword") == "required":
        return  # what is missing has no value
    given = getattr(bad.call, "given", None)
    value = bad.value
    if value is UNSAID and given is not None:
        value = value_at(given, bad.path)
    if value is not UNSAID:
        assert context["value"] in (value, repr(value))
    assert "value" in context


TABLES = (
    *("owners", "leases", "events", "traces", "workflows", "published", "runs"),
    *("event_types", "event_head", "event_log", "event_groups", "event_claims", "contracts"),
    "idempotency",
    "wasm_modules",
    *(
        "blobs",
        "blob_chunks",
        "blob_stages",
        "blob_pins",
        "work_lanes",
        "work_rows",
        "work_sources",
    ),
    *("sessions", "session_meta", "session_frames", "session_nodes", "session_usage"),
    *("session_turns", "queued_batches", "attachments", "attachment_files", "artifacts"),
    *("trigger_subscriptions", "host_events", "trigger_deliveries"),
    *("timed_leases", "lease_floors", "requests", "due_times", "outbox", "effects"),
    *("processes", "process_grants", "process_wakes"),
)


def rows(rt: clew.Runtime) -> list[int]:
    """Count what there is, in memory and in every table of the store."""
    stored = [rt.sql(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"] for table in TABLES]
    return [len(rt.traces(limit=1000)), len(rt.runs()), len(rt.capabilities()), *stored]


def test_the_tables_are_all_that_there_are(clew_runtime: clew.Runtime) -> None:
    found = clew_runtime.sql(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    )
    assert {row["name"] for row in found} == set(TABLES)


INVALID = DECORATOR + CALLS + [bad for bad in RUNTIME if bad.error is clew.InvalidInput]


@pytest.mark.parametrize("bad", INVALID, ids=lambda bad: bad.name)
def test_bad_input_is_named_and_nothing_is_written(clew_runtime: clew.Runtime, bad: Bad) -> None:
    clew_runtime.register(words)
    before = rows(clew_runtime)

    check_invalid(bad, refuse(clew_runtime, bad))

    assert rows(clew_runtime) == before


@pytest.mark.parametrize("bad", OTHERS, ids=lambda bad: bad.name)
def test_what_is_not_there_is_named_and_nothing_is_written(
    clew_runtime: clew.Runtime, bad: Bad
) -> None:
    clew_runtime.register(words)
    before = rows(clew_runtime)

    refuse(clew_runtime, bad)

    assert rows(clew_runtime) == before


@pytest.mark.parametrize("bad", WORKFLOWS, ids=lambda bad: bad.name)
def test_a_bad_workflow_is_named_and_nothing_is_written(
    clew_runtime: clew.Runtime, bad: Bad
) -> None:
    clew_runtime.register(words)
    before = rows(clew_runtime)
    with pytest.raises(clew.InvalidInput) as raised:
        bad.call(clew_runtime)
    (problem,) = raised.value.context["problems"]
    assert raised.value.context["path"] == problem["path"] == bad.path
    assert problem["message"] in raised.value.message
    assert problem["suggestion"] == bad.facts.get("suggestion", problem["suggestion"])
    assert rows(clew_runtime) == before


@pytest.mark.parametrize("bad", RUNTIME, ids=lambda bad: bad.name)
def test_a_refused_runtime_makes_no_file(
    bad: Bad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"store": "work.db", **bad.call.given}  # type: ignore[attr-defined]  # see remember
    with pytest.raises(bad.error):
        clew.Runtime(**given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: bad.name)
def test_a_refused_call_leaves_exactly_its_trace(clew_runtime: clew.Runtime, bad: Bad) -> None:
    clew_runtime.register(words)

    error = refuse(clew_runtime, bad)

    if bad.path is not None:
        check_invalid(bad, error)
    traces = clew_runtime.traces()
    assert [(trace.outcome, trace.code) for trace in traces] == [("rejected", error.code)]
    assert clew_runtime.runs().to_dicts() == []
    assert rows(clew_runtime)[4:6] == [0, 0]  # neither lease nor event


@pytest.mark.parametrize(
    "call",
    [
        lambda: clew.Runtime(worker=3),
        lambda: clew.Runtime("a", "b"),
        lambda: clew.capability("a.b"),
        lambda: clew.capability("a.b", version="1.0.0", retries=3),
        lambda: clew.Retry(tries=3),
    ],
)
def test_an_unknown_argument_is_a_type_error(call: Callable[[], Any]) -> None:
    with pytest.raises(TypeError):
        call()


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda rt: rt.execute(words, {"doc": ""}, idempotency_key="a\0b"), "idempotency_key"),
        (lambda rt: rt.start(WORKFLOW, {"doc": ""}, id="a\0b"), "id"),
        (lambda rt: rt.start(WORKFLOW, {"doc": ""}, key="a\0b"), "key"),
        (lambda rt: rt.publish("text.counted", {}, key="a\0b"), "key"),
        (lambda rt: rt.publish("text.counted", {}, id="a\0b"), "id"),
        (lambda rt: rt.publish("text.counted", {}, subject="a\0b"), "subject"),
    ],
)
def test_no_store_takes_a_zero_character_in_a_key(
    clew_store: str, clew_runtime: clew.Runtime, call: Callable[[clew.Runtime], Any], path: str
) -> None:
    clew_runtime.register(words)
    clew_runtime.events.define("text.counted@1.0.0")
    with pytest.raises(clew.InvalidInput) as caught:
        call(clew_runtime)
    assert caught.value.context["path"] == path
    assert "U+0000" in caught.value.context["expected"]
    assert clew_runtime.sql("SELECT 1 FROM v_published") == []
    assert len(clew_runtime.runs()) == 0
