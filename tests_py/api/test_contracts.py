"""Contracts and the registry: what is refused and why, what a reference means, what survives."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import clew
import pytest

FULL: dict[str, Any] = {
    "schema_version": "1.0.0",
    "id": "text.words",
    "version": "1.2.0",
    "owner": {"team": "text", "contact": "text@example.org"},
    "lifecycle": "active",
    "summary": "Count the words of a text.",
    "description": "Words are what whitespace separates.",
    "effect": "pure",
    "service_type": "subscribable",
    "event_trigger": "text.arrived@1.0.0",
    "inputs": {"type": "object", "properties": {"doc": {"type": "string"}}, "required": ["doc"]},
    "outputs": {"type": "integer", "minimum": 0},
    "emits": ["text.counted@1.0.0"],
    "consumes": ["text.arrived@1.0.0"],
    "permissions": ["text:read"],
    "constraints": {"network": False, "filesystem": False, "wasm": {"fuel": 1000}},
    "permitted_targets": ["local", "edge"],
    "preferred_targets": ["edge"],
    "connectors": [{"name": "db", "version": "^1"}],
    "dependencies": ["text.split@^1"],
    "timeout": "5s",
    "retry": {"attempts": 3},
    "max_concurrency": 8,
    "tags": ["nlp"],
    "provenance": {"source": "https://example.org", "revision": 7},
}
OPEN = {"type": "object"}


def contract(version: str = "1.0.0", id: str = "a.b", **more: Any) -> dict[str, Any]:  # noqa: A002 - the word of contracts
    return {"id": id, "version": version, **more}


def echo(**given: Any) -> Any:
    return given


def add(rt: clew.Runtime, version: str = "1.0.0", *, scope: str = "public", **more: Any) -> Any:
    return rt.register_contract(contract(version, **more), echo, scope=scope)


# Parity: parse contract
def test_a_whole_contract_is_read_as_data_as_json_and_as_yaml(
    clew_runtime: clew.Runtime, tmp_path: Path
) -> None:
    as_data = clew_runtime.register_contract(FULL)
    yaml = tmp_path / "words.yaml"
    yaml.write_text(
        "id: text.words\nversion: 1.2.0\n"
        + "\n".join(
            f"{key}: {clew._core.to_json(value)}"
            for key, value in FULL.items()
            if key not in ("id", "version")
        )
    )
    as_yaml = clew_runtime.register_contract(yaml)
    as_text = clew_runtime.register_contract(clew._core.to_json(FULL))
    assert not as_data.already_registered
    assert as_yaml.already_registered
    assert as_text.already_registered
    assert as_data.digest == as_yaml.digest == as_text.digest
    found = clew_runtime.capabilities()
    assert [(one.id, one.version, one.kind) for one in found] == [
        ("text.words", "1.2.0", "unbound")
    ]
    assert found[0].contract["owner"] == FULL["owner"]


WRONG = [
    ("id", "A b", "invalid_value", "id"),
    ("version", "1.0", "invalid_value", "version"),
    ("schema_version", "2.0.0", "invalid_value", "schema_version"),
    ("owner", {"contact": "x"}, "missing_field", "owner.team"),
    ("owner", {"team": "x", "boss": "y"}, "unknown_field", "owner.boss"),
    ("lifecycle", "young", "invalid_value", "lifecycle"),
    ("summary", 3, "invalid_value", "summary"),
    ("description", [], "invalid_value", "description"),
    ("effect", "some", "invalid_value", "effect"),
    ("service_type", "lazy", "invalid_value", "service_type"),
    ("event_trigger", "a b", "invalid_value", "event_trigger"),
    ("inputs", {"type": "text"}, "invalid_schema", "inputs.type"),
    ("outputs", {"tipe": "string"}, "invalid_schema", "outputs.tipe"),
    ("emits", ["a@1.0.0", "a@1.0.0"], "duplicate_item", "emits[1]"),
    ("emits", ["a@1"], "invalid_value", "emits[0]"),
    ("consumes", [3], "invalid_value", "consumes[0]"),
    ("permissions", "all", "invalid_value", "permissions"),
    ("constraints", {"wasm": {"fuel": 0}}, "invalid_value", "constraints.wasm.fuel"),
    ("constraints", {"magic": True}, "unknown_field", "constraints.magic"),
    ("permitted_targets", [], "invalid_value", "permitted_targets"),
    ("preferred_targets", ["mars"], "service_rule", "preferred_targets[0]"),
    ("connectors", [{"nam": "db"}], "invalid_value", "connectors[0]"),
    ("dependencies", ["a@^1", "a@^2"], "duplicate_item", "dependencies[1]"),
    ("timeout", 0, "invalid_value", "timeout"),
    ("retry", {"attempts": 0}, "invalid_value", "retry.attempts"),
    ("retry", {"tries": 1}, "unknown_field", "retry.tries"),
    ("max_concurrency", 0, "invalid_value", "max_concurrency"),
    ("tags", [""], "invalid_value", "tags[0]"),
    ("provenance", {"by": {}}, "invalid_value", "provenance.by"),
    ("sumary", "x", "unknown_field", "sumary"),
    # Parity: identity rule
    ("namespace", "txt", "inconsistent_identity", "namespace"),
    ("name", "word", "inconsistent_identity", "name"),
]


@pytest.mark.parametrize(("field", "value", "code", "path"), WRONG)
def test_each_bad_field_yields_its_code_and_path(
    clew_runtime: clew.Runtime, field: str, value: Any, code: str, path: str
) -> None:
    with pytest.raises(clew.InvalidInput) as caught:
        clew_runtime.register_contract({**FULL, field: value})
    problems = caught.value.context["problems"]
    assert [(one["code"], one["path"]) for one in problems] == [(code, path)]
    assert path in caught.value.message
    assert clew_runtime.capabilities() == []


def test_all_problems_come_in_one_report_with_their_lines(clew_runtime: clew.Runtime) -> None:
    text = "version: 1.0.0\nid: text.words\neffect: some\nsumary: x\nretry:\n  attempts: 0\n"
    with pytest.raises(clew.InvalidInput) as caught:
        clew_runtime.register_contract(text)
    problems = caught.value.context["problems"]
    assert [(one["path"], one["line"]) for one in problems] == [
        ("effect", 3),
        ("sumary", 4),
        ("retry.attempts", 6),
    ]
    assert "summary" in problems[1]["expected"]


# Parity: service rules
@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"service_type": "stateful", "permitted_targets": ["browser"]}, "permitted_targets"),
        ({"service_type": "subscribable"}, "event_trigger"),
        ({"event_trigger": "a@1.0.0"}, "event_trigger"),
    ],
)
def test_service_rules_hold(clew_runtime: clew.Runtime, more: dict[str, Any], path: str) -> None:
    with pytest.raises(clew.InvalidInput) as caught:
        add(clew_runtime, **more)
    assert [one["code"] for one in caught.value.context["problems"]] == ["service_rule"]
    assert caught.value.context["path"] == path


# Parity: idempotent register
def test_the_same_content_again_is_one_record(clew_runtime: clew.Runtime) -> None:
    first = add(clew_runtime, tags=["x"])
    again = add(clew_runtime, tags=["x"])
    assert (first.already_registered, again.already_registered) == (False, True)
    assert first.digest == again.digest
    assert len(clew_runtime.capabilities()) == 1
    assert len(clew_runtime.sql("SELECT * FROM v_capabilities")) == 1


# Parity: immutability
def test_other_content_under_one_version_is_refused_and_changes_nothing(
    clew_runtime: clew.Runtime,
) -> None:
    add(clew_runtime, summary="one")
    before = clew_runtime.capabilities(), clew_runtime.sql("SELECT * FROM v_capabilities")
    with pytest.raises(clew.Conflict) as caught:
        add(clew_runtime, summary="two")
    assert caught.value.context["path"] == "summary"
    assert (caught.value.context["registered"], caught.value.context["given"]) == ("one", "two")
    assert before == (
        clew_runtime.capabilities(),
        clew_runtime.sql("SELECT * FROM v_capabilities"),
    )


STRING = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
STRING_AND_MORE = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
    "required": ["a"],
}
STRING_OR_NUMBER = {
    "type": "object",
    "properties": {"a": {"type": ["string", "number"]}},
    "required": ["a"],
}
# What changes, and the least version after 1.0.0 that may carry it.
CHANGES = [
    # Parity: semver gate
    ("nothing", {}, {}, "1.0.1"),
    ("summary", {}, {"summary": "x"}, "1.0.1"),
    ("timeout", {}, {"timeout": 3}, "1.0.1"),
    ("tags", {"tags": ["a"]}, {"tags": ["b"]}, "1.0.1"),
    ("emits more", {}, {"emits": ["a@1.0.0"]}, "1.1.0"),
    ("emits less", {"emits": ["a@1.0.0"]}, {}, "2.0.0"),
    ("permissions more", {}, {"permissions": ["p"]}, "1.1.0"),
    ("permissions less", {"permissions": ["p"]}, {}, "2.0.0"),
    ("targets more", {}, {"permitted_targets": ["local", "edge"]}, "1.1.0"),
    ("targets less", {"permitted_targets": ["local", "edge"]}, {}, "2.0.0"),
    ("dependencies more", {}, {"dependencies": ["x@^1"]}, "1.1.0"),
    ("effect", {}, {"effect": "once"}, "2.0.0"),
    ("constraints", {}, {"constraints": {"network": True}}, "2.0.0"),
    # Parity: schema evolution
    ("input: an optional member", {"inputs": STRING}, {"inputs": STRING_AND_MORE}, "1.1.0"),
    ("input: another type too", {"inputs": STRING}, {"inputs": STRING_OR_NUMBER}, "1.1.0"),
    ("input: a type less", {"inputs": STRING_OR_NUMBER}, {"inputs": STRING}, "2.0.0"),
    ("input: no longer required", {"inputs": STRING}, {"inputs": OPEN}, "1.1.0"),
    ("input: newly required", {"inputs": OPEN}, {"inputs": STRING}, "2.0.0"),
    ("output: promises more", {"outputs": STRING}, {"outputs": STRING_AND_MORE}, "1.1.0"),
    ("output: promises less", {"outputs": STRING_AND_MORE}, {"outputs": STRING}, "2.0.0"),
    ("output: a type more", {"outputs": STRING}, {"outputs": STRING_OR_NUMBER}, "2.0.0"),
    ("output: a type less", {"outputs": STRING_OR_NUMBER}, {"outputs": STRING}, "1.1.0"),
]


@pytest.mark.parametrize(("what", "old", "new", "least"), CHANGES, ids=[one[0] for one in CHANGES])
def test_a_version_goes_up_by_what_its_changes_ask_for(
    what: str, old: dict[str, Any], new: dict[str, Any], least: str
) -> None:
    steps = ["1.0.1", "1.1.0", "2.0.0"]
    words = {"1.1.0": "minor", "2.0.0": "major"}
    for version in steps:
        with clew.Runtime() as rt:
            add(rt, **old)
            if steps.index(version) >= steps.index(least):
                assert not add(rt, version, **new).already_registered
                continue
            with pytest.raises(clew.Conflict) as caught:
                add(rt, version, **new)
            assert caught.value.context["reason"] == "semver_too_small"
            assert caught.value.context["required"] == words[least]
            assert caught.value.context["path"] in {*old, *new}
            assert [one.version for one in rt.capabilities()] == ["1.0.0"]


def test_the_gate_holds_in_whatever_order_versions_come(clew_runtime: clew.Runtime) -> None:
    add(clew_runtime, "1.1.0", inputs=STRING)
    with pytest.raises(clew.Conflict):
        add(clew_runtime, "1.0.0", inputs=STRING_OR_NUMBER)


# Parity: overlay
def test_private_shadows_public_only_where_it_is_preferred(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register_contract(contract(), lambda: "public")
    clew_runtime.register_contract(contract(), lambda: "private", scope="private")
    assert clew_runtime.execute("a.b", {}) == "private"
    assert clew_runtime.resolve("a.b").scope == "private"
    shadowed = clew_runtime.resolve("a.b").candidates[1]
    assert (shadowed.scope, shadowed.rejected) == ("public", "is shadowed by the private one")
    assert clew_runtime.resolve("a.b", scope="public").scope == "public"
    add(clew_runtime, "1.1.0", scope="private")
    assert clew_runtime.resolve("a.b@^1").version == "1.1.0"
    assert clew_runtime.resolve("a.b@^1", scope="public").version == "1.0.0"


# Parity: range resolve
def test_references_that_mean_nothing_fail_in_their_own_ways(clew_runtime: clew.Runtime) -> None:
    for version in ("1.0.0", "1.2.0", "1.10.0", "2.0.0"):
        add(clew_runtime, version)
    assert clew_runtime.resolve("a.b@^1.0").version == "1.10.0"
    assert clew_runtime.resolve("a.b@~1.2").version == "1.2.0"

    def failure(ref: str) -> tuple[type, Any]:
        with pytest.raises(clew.ClewError) as caught:
            clew_runtime.resolve(ref)
        return type(caught.value), caught.value.context.get("reason")

    assert failure("a.c@^1") == (clew.NotFound, "unknown_id")
    assert failure("a.b@^3") == (clew.NotFound, "no_version")
    assert failure("a.b@1") == (clew.InvalidInput, None)
    assert failure("a.b") == (clew.Ambiguous, None)
    clew_runtime.set_lifecycle("a.b@2.0.0", "retired")
    assert failure("a.b@2.0.0") == (clew.NotFound, "not_runnable")
    clew_runtime.register_contract(contract("3.0.0"))
    assert failure("a.b@^3") == (clew.Unavailable, "unbound")


# Parity: lifecycle-aware range
def test_a_retired_version_masks_nothing(clew_runtime: clew.Runtime) -> None:
    add(clew_runtime, "1.1.0")
    add(clew_runtime, "1.2.0", lifecycle="retired")
    add(clew_runtime, "1.3.0", lifecycle="draft")
    assert clew_runtime.resolve("a.b@^1").version == "1.1.0"
    assert clew_runtime.resolve("a.b").version == "1.1.0"
    rejected = {one.version: one.rejected for one in clew_runtime.resolve("a.b@^1").candidates}
    assert rejected == {"1.3.0": "is draft", "1.2.0": "is retired", "1.1.0": None}


def test_a_lifecycle_goes_forwards_only_and_is_kept(tmp_path: Path) -> None:
    with clew.Runtime(tmp_path / "a.db") as rt:
        add(rt)
        rt.set_lifecycle("a.b@1.0.0", "deprecated")
        assert rt.execute("a.b", {"x": 1}) == {"x": 1}
        rt.set_lifecycle("a.b@1.0.0", "retired")
        with pytest.raises(clew.NotFound):
            rt.execute("a.b", {})
        with pytest.raises(clew.Conflict):
            rt.set_lifecycle("a.b@1.0.0", "active")
        with pytest.raises(clew.NotFound):
            rt.set_lifecycle("a.b@1.0.1", "retired")
    with clew.Runtime(tmp_path / "a.db") as rt:
        assert add(rt).already_registered  # says nothing of its lifecycle
        assert rt.capabilities()[0].lifecycle == "retired"
        with pytest.raises(clew.Conflict) as caught:
            add(rt, lifecycle="active")
        assert caught.value.context["path"] == "lifecycle"


def test_what_another_process_has_moved_on_never_comes_back(tmp_path: Path) -> None:
    with clew.Runtime(tmp_path / "a.db") as ours, clew.Runtime(tmp_path / "a.db") as theirs:
        add(ours)
        add(theirs)
        ours.set_lifecycle("a.b@1.0.0", "retired")
        with pytest.raises(clew.Conflict) as caught:
            theirs.set_lifecycle("a.b@1.0.0", "deprecated")
        assert caught.value.context["registered"] == "retired"
        assert theirs.capabilities()[0].lifecycle == "retired"
        with pytest.raises(clew.NotFound):
            theirs.execute("a.b", {})

        add(ours, id="c.d")
        ours.set_lifecycle("c.d@1.0.0", "deprecated")
        add(theirs, id="c.d")  # says nothing of its lifecycle
        add(ours, id="e.f")
        ours.set_lifecycle("e.f@1.0.0", "deprecated")
        with pytest.raises(clew.Conflict):
            add(theirs, id="e.f", lifecycle="active")
    with clew.Runtime(tmp_path / "a.db") as again:
        found = {str(one.id): one.lifecycle for one in again.capabilities()}
        assert found == {"a.b": "retired", "c.d": "deprecated", "e.f": "deprecated"}


# Parity: discovery
def test_discovery_has_its_filters_and_one_order(clew_runtime: clew.Runtime) -> None:
    rows = [
        contract("1.0.0", "a.x", owner={"team": "one"}, emits=["e.a@1.0.0"], tags=["t"]),
        contract("1.10.0", "a.x", owner={"team": "one"}, emits=["e.a@1.0.0"], tags=["t"]),
        contract("1.9.0", "a.x", owner={"team": "one"}, emits=["e.a@1.0.0"], tags=["t"]),
        contract("1.0.0", "a.y", consumes=["e.a@1.0.0"], effect="pure", lifecycle="draft"),
        contract("1.0.0", "b.z", owner={"team": "two"}),
    ]
    order = [("a.x", "1.10.0"), ("a.x", "1.9.0"), ("a.x", "1.0.0"), ("a.y", "1.0.0")]
    order.append(("b.z", "1.0.0"))
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    for number in range(100):
        space = clew_runtime.workspace(f"w{number}")
        for row in chance.sample(rows, len(rows)):
            space.register_contract(row, echo)
        assert [(one.id, one.version) for one in space.capabilities()] == order

    def found(**filters: Any) -> list[str]:
        return [one.id for one in space.capabilities(**filters)]

    assert found(id="a.*") == ["a.x"] * 3 + ["a.y"]
    assert found(owner="one") == ["a.x"] * 3
    assert found(lifecycle="draft") == ["a.y"]
    assert found(kind="python") == ["a.x"] * 3 + ["a.y", "b.z"]
    assert found(kind="native") == []
    assert found(composition="composite") == []
    assert found(emits="e.a") == ["a.x"] * 3
    assert found(consumes="e.a@1.0.0") == ["a.y"]
    assert found(tag="t") == ["a.x"] * 3
    assert found(effect="pure") == ["a.y"]
    assert found(scope="private") == []


# Parity: dependencies
def test_dependencies_are_looked_up_whole_and_their_faults_named(
    clew_runtime: clew.Runtime,
) -> None:
    for number in range(5):
        needs = [f"d.n{number + 1}@^1"] if number < 4 else []
        add(clew_runtime, id=f"d.n{number}", dependencies=needs)
    lock = clew_runtime.dependencies("d.n0")
    assert [one.id for one in lock] == ["d.n4", "d.n3", "d.n2", "d.n1"]
    assert all(len(one.digest) == 64 for one in lock)

    add(clew_runtime, id="d.top", dependencies=["d.missing@^1"])
    with pytest.raises(clew.NotFound, match=r"d\.top@1\.0\.0 -> d\.missing@\^1"):
        clew_runtime.execute("d.top", {})
    add(clew_runtime, id="d.deep", dependencies=["d.deeper@^1"])
    add(clew_runtime, id="d.deeper", dependencies=["d.n0@^1"])
    with pytest.raises(clew.ResourceExhausted) as deep:
        clew_runtime.execute("d.deep", {})
    assert deep.value.context["reason"] == "dependency_depth"
    add(clew_runtime, id="c.a", dependencies=["c.b@^1"])
    add(clew_runtime, id="c.b", dependencies=["c.a@^1"])
    with pytest.raises(clew.Conflict) as cycle:
        clew_runtime.execute("c.a", {})
    assert cycle.value.context["cycle"] == "c.a@1.0.0 -> c.b@1.0.0 -> c.a@1.0.0"
    assert clew_runtime.execute("d.n0", {"x": 1}) == {"x": 1}


# Parity: JSON Schema
@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"enum": ["a", 1]}, "a", "b"),
        ({"type": "object", "additionalProperties": False}, {}, {"x": 1}),
        ({"minimum": 1, "exclusiveMaximum": 3}, 2.5, 3),
        ({"type": "string", "pattern": "^a+$"}, "aa", "ab"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 10}]}, 1, 11),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "null"}}}, None, 0),
    ],
)
def test_the_schema_is_enforced_on_both_sides(
    clew_runtime: clew.Runtime, schema: Any, good: Any, bad: Any
) -> None:
    called = []

    def handler(v: Any) -> Any:
        called.append(v)
        return v

    takes = {"type": "object", "properties": {"v": schema}}
    if "$defs" in schema:
        takes = {**takes, "$defs": schema["$defs"], "properties": {"v": {"$ref": "#/$defs/x"}}}
    clew_runtime.register_contract(contract(id="s.takes", inputs=takes), handler)
    clew_runtime.register_contract(contract(id="s.gives", outputs=schema), handler)
    for ref in ("s.takes", "s.gives"):
        assert clew_runtime.execute(ref, {"v": good}) == good
    with pytest.raises(clew.InvalidInput):
        clew_runtime.execute("s.takes", {"v": bad})
    assert called == [good, good]
    with pytest.raises(clew.ExecutionFailed, match="contract"):
        clew_runtime.execute("s.gives", {"v": bad})


# Parity: native capability
def test_a_native_capability_registers_without_a_binary_and_runs(
    clew_runtime: clew.Runtime,
) -> None:
    clew_runtime.register_native("echo", contract=contract(id="n.echo"))
    assert clew_runtime.resolve("n.echo").kind == "native"
    assert clew_runtime.submit("n.echo", {"x": 1}).result(30) == {"x": 1}


# Parity: concurrent registry
def test_registering_blocks_no_call(clew_runtime: clew.Runtime) -> None:
    add(clew_runtime)
    stop = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.is_set():
                assert clew_runtime.execute("a.b@^1", {"x": 1}) == {"x": 1}
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(200):
        add(clew_runtime, id=f"r.n{number}")
        add(clew_runtime, f"1.0.{number + 1}")
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(clew_runtime.capabilities()) == 401


def test_workspaces_do_not_see_each_other(clew_runtime: clew.Runtime) -> None:
    one, two = clew_runtime.workspace("one"), clew_runtime.workspace("two")
    one.register_contract(contract(), lambda: "one")
    two.register_contract(contract(outputs={"type": "string"}), lambda: "two")

    def inner(ctx: clew.Context) -> Any:
        return ctx.call("a.b", {})

    one.register_contract(contract(id="a.outer"), inner)
    assert (one.execute("a.b", {}), two.execute("a.b", {})) == ("one", "two")
    assert one.submit("a.outer").result(30) == "one"
    assert list(two.map("a.b", [{}, {}])) == ["two", "two"]
    for asked in (clew_runtime, two):
        with pytest.raises(clew.NotFound):
            asked.execute("a.outer", {})
    assert clew_runtime.capabilities() == []
    assert [found.workspace for found in one.capabilities()] == ["one", "one"]


@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_program_that_changed_since_its_last_run_replaces_only_in_development(
    tmp_path: Path, environment: str
) -> None:
    path = tmp_path / "a.db"
    with clew.Runtime(path) as rt:
        add(rt, summary="one")
    with clew.Runtime(path, environment=environment) as rt:
        if environment == "production":
            with pytest.raises(clew.Conflict) as refused:
                add(rt, summary="two")
            assert refused.value.context["path"] == "summary"
            assert add(rt, summary="one").already_registered
        else:
            assert add(rt, summary="two").replaced
            with pytest.raises(clew.Conflict):
                add(rt, summary="three")
    with clew.Runtime(path) as rt:
        kept = rt.capabilities()[0].contract["summary"]
        assert kept == ("one" if environment == "production" else "two")


def test_contracts_survive_a_restart_and_wait_for_their_handlers(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with clew.Runtime(path) as rt:
        add(rt, summary="kept")
        rt.workspace("w").register_contract(contract(id="w.x"), echo)
    with clew.Runtime(path) as rt:
        assert [(one.id, one.kind) for one in rt.capabilities()] == [("a.b", "unbound")]
        with pytest.raises(clew.Unavailable) as caught:
            rt.execute("a.b", {})
        assert caught.value.retryable
        assert rt.traces()[0].outcome == "rejected"
        assert add(rt, summary="kept").already_registered
        assert rt.execute("a.b", {"x": 1}) == {"x": 1}
        assert [one.id for one in rt.workspace("w").capabilities()] == ["w.x"]
        assert rt.verify() == []
