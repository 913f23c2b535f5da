"""The decorator: what it leaves alone, what it says, and how changes are told."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import clew
import pytest
from clew._capability import fingerprint


def plain(doc: str, n: int = 1) -> int:
    """Count something.

    In detail.
    """
    return len(doc) + n


def test_the_function_stays_itself() -> None:
    def made(doc: str) -> int:
        return len(doc)

    decorated = clew.capability("a.b", version="1.0.0")(made)
    assert decorated is made
    assert decorated("abc") == 3
    assert decorated.__name__ == "made"


def test_the_descriptor_is_the_contract_and_cannot_change() -> None:
    def made(doc: str) -> int:
        """Count it. And more."""
        return 1

    function = clew.capability(
        "a.b",
        version="1.2.0",
        effect="pure",
        timeout="5s",
        retry=clew.Retry(attempts=3),
        max_concurrency=8,
        emits=("a.counted@1.0.0",),
        tags=("nlp",),
        executor="python",
        permitted_targets=("local",),
        summary="Counts.",
    )(made)
    descriptor = function.descriptor
    assert (descriptor.id, descriptor.version, descriptor.effect) == ("a.b", "1.2.0", "pure")
    assert (descriptor.emits, descriptor.tags) == (("a.counted@1.0.0",), ("nlp",))
    assert (descriptor.timeout, descriptor.max_concurrency) == ("5s", 8)
    assert descriptor.retry is not None
    assert descriptor.retry.attempts == 3
    with pytest.raises(FrozenInstanceError):
        descriptor.id = "c.d"  # type: ignore[misc]  # that is the point
    document = descriptor.document
    document["id"] = "changed"
    assert descriptor.document["id"] == "a.b"


def test_the_summary_is_the_first_line_of_the_docstring() -> None:
    copy = functools.wraps(plain)(lambda doc, n=1: plain(doc, n))
    del copy.__wrapped__  # type: ignore[attr-defined]  # wraps() sets it
    made = clew.capability("a.b", version="1.0.0")(copy)
    assert made.descriptor.summary == "Count something."


def variant(body: str) -> Callable[..., Any]:
    names: dict[str, Any] = {}
    exec(body, names)
    found: Callable[..., Any] = names["f"]
    return found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("def f(a): return a", "def f(a): return a", True),
        ("def f(a): return a", "\n\n\ndef f(a): return a", True),
        ("def f(a): return a", "def f(a): return -a", False),
        ("def f(a): return 1", "def f(a): return 2", False),
        ("def f(a): return 1", "def f(a): return 1.0", False),
        ("def f(a): return 1", "def f(a): return True", False),
        ("def f(a=1): return a", "def f(a=2): return a", False),
        ("def f(*, a=1): return a", "def f(*, a=2): return a", False),
        ("def f(a): return g(a)", "def f(a): return h(a)", False),
        ("def f(a): return (lambda: 1)()", "def f(a): return (lambda: 2)()", False),
        ("def f(a): return a in {'x', 'y', 'z'}", "def f(a): return a in {'z', 'y', 'x'}", True),
    ],
)
def test_a_changed_function_is_told_from_an_unchanged_one(one: str, other: str, same: bool) -> None:
    assert (fingerprint(variant(one)) == fingerprint(variant(other))) is same


def test_what_a_function_wraps_counts_what_it_closes_over_does_not() -> None:
    def shout(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(**given: Any) -> Any:
            return function(**given)

        return inner

    one, other = variant("def f(a): return 1"), variant("def f(a): return 2")
    assert fingerprint(shout(one)) != fingerprint(shout(other))
    assert fingerprint(shout(one)) == fingerprint(shout(one))

    def adder(n: int) -> Callable[..., Any]:
        return lambda a: a + n

    assert fingerprint(adder(1)) == fingerprint(adder(2))


def counter(body: str) -> Any:
    return clew.capability("a.count", version="1.0.0")(variant(body))


def test_registering_the_same_again_is_fine_and_a_change_replaces(
    clew_runtime: clew.Runtime,
) -> None:
    first = clew_runtime.register(counter("def f(): return 1"))
    again = clew_runtime.register(counter("def f(): return 1"))
    assert (first.already_registered, again.already_registered) == (False, True)
    assert first.digest == again.digest

    changed = clew_runtime.register(counter("def f(): return 2"))
    assert (changed.already_registered, changed.replaced) == (False, True)
    assert clew_runtime.execute("a.count") == 2
    assert len(clew_runtime.capabilities()) == 1


def test_in_production_a_changed_function_is_a_conflict(clew_no_leaks: None) -> None:
    with clew.Runtime(environment="production") as rt:
        rt.register(counter("def f(): return 1"))
        with pytest.raises(clew.Conflict):
            rt.register(counter("def f(): return 2"))
        assert rt.execute("a.count") == 1


def test_other_content_under_one_version_is_a_conflict(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register(counter("def f(): return 1"))
    other = clew.capability("a.count", version="1.0.0", tags=["x"])(variant("def f(): return 1"))
    with pytest.raises(clew.Conflict, match="tags"):
        clew_runtime.register(other)


def test_capabilities_are_found_by_id_tag_and_effect(clew_runtime: clew.Runtime) -> None:
    for name, tags, effect in [("a.x", ["p"], "pure"), ("a.y", [], "once"), ("b.z", ["p"], "pure")]:
        made = clew.capability(name, version="1.0.0", tags=tags, effect=effect)  # type: ignore[arg-type]  # words
        clew_runtime.register(made(variant("def f(): return 1")))
    found = clew_runtime.capabilities
    assert [one.id for one in found()] == ["a.x", "a.y", "b.z"]
    assert [one.id for one in found(id="a.*")] == ["a.x", "a.y"]
    assert [one.id for one in found(tag="p")] == ["a.x", "b.z"]
    assert [one.id for one in found(effect="once")] == ["a.y"]
    assert found(id="a") == []
    assert clew_runtime.resolve("a.x@^1") == found(id="a.x")[0]


def test_the_log_of_a_context_knows_the_call(
    clew_runtime: clew.Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    @clew.capability("a.log", version="1.0.0")
    def handler(ctx: clew.Context) -> str:
        ctx.log.warning("seen")
        return ctx.trace_id

    clew_runtime.register(handler)
    trace_id = clew_runtime.execute("a.log")
    (record,) = caplog.records
    assert (record.getMessage(), record.trace_id) == ("seen", trace_id)  # type: ignore[attr-defined]  # extra


def test_a_nested_submit_gives_a_future(clew_runtime: clew.Runtime) -> None:
    kinds: list[type] = []

    @clew.capability("a.outer", version="1.0.0")
    def outer(ctx: clew.Context) -> int:
        call = ctx.submit("a.count")
        kinds.append(type(call))
        return int(call.result(10))

    clew_runtime.register(outer)
    clew_runtime.register(counter("def f(): return 5"))
    assert clew_runtime.execute("a.outer") == 5
    assert kinds == [clew.Call]
    parents = {trace.capability: trace.parent for trace in clew_runtime.traces()}
    assert parents["a.outer"] is None
    assert parents["a.count"] is not None
