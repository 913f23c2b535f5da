"""Everything that can be given wrongly: which error, path and value; and nothing happened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import clew
import pytest


class Bad(NamedTuple):
    """A call that must be refused."""

    name: str
    call: Callable[[clew.Runtime], Any]
    path: str | None  # None: the message says enough
    error: type[clew.ClewError] = clew.InvalidInput
    expected: str = ""  # a part of the expectation


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

    return call


def function(made: Callable[[], Any]) -> Callable[[clew.Runtime], Any]:
    return lambda _: clew.capability("a.b", version="1.0.0")(made())


def opened(*args: Any, **options: Any) -> Callable[[clew.Runtime], Any]:
    return lambda _: clew.Runtime(*args, **options)


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
    Bad("inputs unknown keyword", decorated(inputs={"typ": "object"}), None),
    Bad("outputs bad type", decorated(outputs={"type": "thing"}), None),
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
    Bad("store of another kind", opened("mysql://x"), "store"),
    Bad("store on PostgreSQL", opened("postgresql://x"), "store", clew.Unsupported),
    Bad("limits a list", opened(limits=["queue_max"]), "limits"),
    Bad("limit unknown", opened(limits={"queue_mx": 1}), "limits.queue_mx", expected="queue_max"),
    Bad("limit zero", opened(limits={"queue_max": 0}), "limits.queue_max"),
    Bad("limit traces", opened(limits={"traces_max": "all"}), "limits.traces_max"),
    Bad("limit duration", opened(limits={"lease_ttl": "long"}), "limits.lease_ttl"),
    Bad("limit negative", opened(limits={"relaxed_ms": -1}), "limits.relaxed_ms"),
]

CALLS = [
    Bad("register a plain function", lambda rt: rt.register(len), "capability"),
    Bad("register scope", lambda rt: rt.register(words, scope="mine"), "scope"),
    Bad("reference malformed", lambda rt: rt.resolve("text words"), None),
    Bad("reference a number", lambda rt: rt.execute(3, {}), "ref"),
    Bad("resolve unknown", lambda rt: rt.resolve("text.word"), None, clew.NotFound),
    Bad("input key", lambda rt: rt.execute("text.words", {"doc": {1: 2}}), None),
    Bad("input set", lambda rt: rt.execute("text.words", {"doc": {1}}), None),
    Bad("timeout a word", lambda rt: rt.execute("text.words", {"doc": ""}, timeout="x"), "timeout"),
    Bad("deadline text", lambda rt: rt.submit("text.words", {}, deadline="now"), "deadline"),
    Bad("map a dict", lambda rt: rt.map("text.words", {"doc": "a"}), "inputs"),
    Bad("map a string", lambda rt: rt.map("text.words", "doc"), "inputs"),
    Bad("map concurrency", lambda rt: rt.map("text.words", [], concurrency=0), "concurrency"),
    Bad("map ordered", lambda rt: rt.map("text.words", [], ordered=1), "ordered"),
    Bad("executor name", lambda rt: rt.add_executor("", object(), ["x"]), "name"),
    Bad("executor targets", lambda rt: rt.add_executor("x", object(), "x"), "targets"),
    Bad("executor object", lambda rt: rt.add_executor("x", object(), ["x"]), "executor"),
    Bad("traces outcome", lambda rt: rt.traces(outcome="failed"), "outcome"),
    Bad("traces code", lambda rt: rt.traces(code="boom"), "code"),
    Bad("traces limit", lambda rt: rt.traces(limit=0), "limit"),
    Bad("traces limit beyond", lambda rt: rt.traces(limit=10_001), "limit"),
    Bad("traces since", lambda rt: rt.traces(since=datetime(2020, 1, 1)), "since"),
    Bad("trace unknown", lambda rt: rt.trace(NO_ID), None, clew.NotFound),
    Bad("trace id malformed", lambda rt: rt.trace("x"), "id"),
    Bad("runs status", lambda rt: rt.runs(status="done"), "status"),
    Bad("run id empty", lambda rt: rt.run(""), "id"),
    Bad("run unknown", lambda rt: rt.run("nowhere"), None, clew.NotFound),
    Bad("start a number", lambda rt: rt.start(3), "source"),
    Bad("start without a file", lambda rt: rt.start("no/such.yaml"), "path", clew.NotFound),
    Bad("start without suffix", lambda rt: rt.start("no/such"), "path", clew.NotFound),
    Bad("start unpublished", lambda rt: rt.start("no.such@^1"), None, clew.NotFound),
    Bad("start tags", lambda rt: rt.start(WORKFLOW, {"doc": ""}, tags="a"), "tags"),
    Bad("start key", lambda rt: rt.start(WORKFLOW, {"doc": ""}, key=7), "key"),
    Bad("start priority", lambda rt: rt.start(WORKFLOW, {"doc": ""}, priority="a"), "priority"),
    Bad(
        "start durability", lambda rt: rt.start(WORKFLOW, {"doc": ""}, durability="x"), "durability"
    ),
    Bad("start bad input", lambda rt: rt.start(WORKFLOW, {}), None),
    Bad("sql writes", lambda rt: rt.sql("DELETE FROM v_runs"), None),
    Bad("sql empty", lambda rt: rt.sql(""), "query"),
    Bad("sql params", lambda rt: rt.sql("SELECT 1", {"a": 1}), "params"),
]

# These are calls: a refusal of the runtime, which leaves its one trace.
REFUSED = [
    Bad("missing member", lambda rt: rt.execute("text.words", {}), "input.doc"),
    Bad("wrong type", lambda rt: rt.execute("text.words", {"doc": 3}), "input.doc"),
    Bad(
        "bool is no int",
        lambda rt: rt.execute("text.words", {"doc": "", "least": True}),
        "input.least",
    ),
    Bad("member too many", lambda rt: rt.execute("text.words", {"doc": "", "x": 1}), None),
    Bad("unknown", lambda rt: rt.execute("text.word", {}), None, clew.NotFound),
]


def refuse(rt: clew.Runtime, bad: Bad) -> None:
    with pytest.raises(bad.error) as raised:
        bad.call(rt)
    error = raised.value
    assert isinstance(error, clew.ClewError)
    assert error.message
    if bad.path is not None and bad.error is clew.InvalidInput:
        assert error.context["path"] == bad.path
        assert "value" in error.context or error.context.get("keyword") == "required"
        assert bad.expected in error.context["expected"]
        assert bad.path in error.message


def rows(rt: clew.Runtime) -> tuple[int, int, int]:
    return len(rt.traces(limit=1000)), len(rt.runs()), len(rt.capabilities())


@pytest.mark.parametrize("bad", DECORATOR + RUNTIME + CALLS, ids=lambda bad: bad.name)
def test_bad_input_is_named_and_nothing_is_written(clew_runtime: clew.Runtime, bad: Bad) -> None:
    clew_runtime.register(words)
    before = rows(clew_runtime)

    refuse(clew_runtime, bad)

    assert rows(clew_runtime) == before


@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: bad.name)
def test_a_refused_call_leaves_exactly_its_trace(clew_runtime: clew.Runtime, bad: Bad) -> None:
    clew_runtime.register(words)

    refuse(clew_runtime, bad)

    traces = clew_runtime.traces()
    assert [trace.outcome for trace in traces] == ["rejected"]
    assert clew_runtime.runs().to_dicts() == []


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


CLOSED = {
    "register": lambda rt: rt.register(words),
    "capabilities": lambda rt: rt.capabilities(),
    "resolve": lambda rt: rt.resolve("text.words"),
    "add_executor": lambda rt: rt.add_executor("x", object(), ["x"]),
    "execute": lambda rt: rt.execute("text.words", {"doc": ""}),
    "submit": lambda rt: rt.submit("text.words", {"doc": ""}).result(),
    "map": lambda rt: list(rt.map("text.words", [])),
    "start": lambda rt: rt.start(WORKFLOW, {"doc": ""}),
    "start without a file": lambda rt: rt.start("no/such.yaml"),
    "publish": lambda rt: rt.publish_workflow(WORKFLOW),
    "run": lambda rt: rt.run("x"),
    "runs": lambda rt: rt.runs(),
    "traces": lambda rt: rt.traces(),
    "trace": lambda rt: rt.trace(NO_ID),
    "sql": lambda rt: rt.sql("SELECT 1"),
    "stats": lambda rt: rt.stats(),
    "health": lambda rt: rt.health(),
    "verify": lambda rt: rt.verify(),
    "with": lambda rt: rt.__enter__(),
}


@pytest.mark.parametrize("call", CLOSED.values(), ids=list(CLOSED))
def test_after_close_every_call_is_closed(
    clew_no_leaks: None, call: Callable[[clew.Runtime], Any]
) -> None:
    rt = clew.Runtime()
    rt.register(words)
    assert rt.close() is True
    assert rt.close() is True

    with pytest.raises(clew.Closed):
        call(rt)
    assert "closed" in repr(rt)
