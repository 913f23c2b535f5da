"""After close: every call of a runtime is `Closed`, whatever else could be said about it."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import clew
import clew.aio
import pytest


@clew.capability("text.words", version="1.2.0")
def words(doc: str) -> int:
    return len(doc.split())


WORKFLOW = {
    "workflow": "text.count",
    "version": "1.0.0",
    "steps": {"count": {"call": "text.words@^1", "with": {"doc": "{{ input.doc }}"}}},
}
NO_ID = "00000000-0000-7000-8000-000000000000"

Given = tuple[tuple[Any, ...], dict[str, Any]]


def given(*args: Any, **options: Any) -> Given:
    return args, options


# How each method is called: well, and badly.
RUNTIME: dict[str, list[Given]] = {
    "register": [given(words), given(3), given(words, scope="mine")],
    "register_native": [given("echo"), given(3), given("no.such")],
    "add_connector": [given("db", print), given(3, 3), given("a b", print)],
    "register_wasm": [given(b"", {}), given("none.wasm", {"id": "a.b", "version": "1.0.0"})],
    "register_contract": [
        given({"id": "a.b", "version": "1.0.0"}),
        given(3),
        given("no.yaml"),
        given({"id": "a.b", "version": "1.0.0"}, workflow=WORKFLOW),
        given({"id": "a.b", "version": "1.0.0"}, workflow=3),
    ],
    "set_lifecycle": [given("text.words@1.0.0", "retired"), given(3, 3), given("a", "gone")],
    "placement": [given("text.words"), given(3), given("a", target=3)],
    "dependencies": [given("text.words"), given(3)],
    "workspace": [given("acme"), given(3), given("a b")],
    "capabilities": [given(), given(id=3), given(effect="sometimes")],
    "resolve": [given("text.words"), given(3), given("a b")],
    "add_executor": [given("x", object(), ["x"]), given("", 3, 3)],
    "execute": [
        given("text.words", {"doc": ""}),
        given(3, {1}),
        given("a b", {"doc": 1}),
        given("text.words", timeout=-1),
        given("text.words", priority="x"),
        given("text.words", target=""),
        given("text.words", deadline="now"),
    ],
    "map": [given("text.words", []), given(3, 3), given("no.such", [], concurrency=0)],
    "start": [
        given(WORKFLOW, {"doc": ""}),
        given(3),
        given("no/such.yaml"),
        given(WORKFLOW, tags="a"),
        given(WORKFLOW, {"doc": {1}}),
    ],
    "publish_workflow": [given(WORKFLOW), given(3), given("no.such@^1")],
    "find_workflow": [given("a.b@^1"), given(3), given("")],
    "call": [given("x"), given(3), given("")],
    "run": [given("x"), given(3), given("")],
    "runs": [given(), given(status="done"), given(limit=0), given(cursor=3)],
    "publish": [given("a.b", {}), given(3, {1}), given("a b", {}), given("a.b", {}, timeout=-1)],
    "subscribe": [given(">"), given(3), given(">", from_="then"), given(">", queue_max=0)],
    "traces": [given(), given(outcome="bad"), given(limit=0), given(since="now")],
    "trace": [given(NO_ID), given("x"), given(3)],
    "export_traces": [given("/nowhere/traces.jsonl"), given(3), given("x", tier="bad")],
    "trace_frame": [given("arrow"), given("bad"), given("arrow", limit=0)],
    "sql": [given("SELECT 1"), given(3), given("SELECT ?", 3), given("x", timeout=-1)],
    "stats": [given()],
    "health": [given()],
    "verify": [given()],
}
RUNTIME["submit"] = RUNTIME["execute"]
# What tells of the end, or brings it about.
STORES = {"processes", "sessions", "attachments", "triggers", "artifacts", "effects"}
OPEN = {"close", "closed", "events", "name", "store", "workers", "of"} | STORES
# What waits for a run, reads the store or changes it.
RUN: dict[str, list[Given]] = {
    "result": [given(), given(0), given(timeout=1)],
    "events": [given(), given(follow=True)],
    "cancel": [given(), given("enough")],
}
# What a handle knows by itself.
KNOWN = {"id", "status", "info", "done", "steps", "graph"}


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def table(methods: dict[str, list[Given]]) -> list[Any]:
    return [
        pytest.param((name, one), id=f"{name}-{number}")
        for name, ways in methods.items()
        for number, one in enumerate(ways)
    ]


def test_the_tables_have_every_method() -> None:
    assert public(clew.Runtime) == set(RUNTIME) | OPEN - {"of"}
    assert public(clew.aio.Runtime) == set(RUNTIME) | OPEN
    assert public(clew.Run) == set(RUN) | KNOWN


def closed_runtime() -> clew.Runtime:
    rt = clew.Runtime()
    rt.register(words)
    assert rt.close() is True
    assert rt.close() is True
    return rt


@pytest.mark.parametrize("case", table(RUNTIME))
def test_a_closed_runtime_says_so_first(clew_no_leaks: None, case: tuple[str, Given]) -> None:
    name, (args, options) = case
    rt = closed_runtime()
    with pytest.raises(clew.Closed):
        getattr(rt, name)(*args, **options)
    assert "closed" in repr(rt)


@pytest.mark.parametrize("case", table(RUNTIME))
def test_so_does_its_twin(clew_no_leaks: None, case: tuple[str, Given]) -> None:
    name, (args, options) = case
    rt = clew.aio.Runtime.of(closed_runtime())

    async def call() -> None:
        answer = getattr(rt, name)(*args, **options)
        if inspect.isawaitable(answer):
            await answer

    with pytest.raises(clew.Closed):
        asyncio.run(call())


@pytest.mark.parametrize(
    ("method", "args"),
    [("define", (3,)), ("get", (3,)), ("list", ()), ("set_lifecycle", ("a.b", "soon"))],
)
def test_so_does_the_catalog_of_events(method: str, args: tuple[Any, ...]) -> None:
    rt = closed_runtime()
    with pytest.raises(clew.Closed):
        getattr(rt.events, method)(*args)
    with pytest.raises(clew.Closed):
        asyncio.run(getattr(clew.aio.Runtime.of(rt).events, method)(*args))


# How each method of the session stores is called; what `rt` gives, or a part of it.
STORE_METHODS: dict[str, dict[str, list[Given]]] = {
    "processes": {
        "register_process": [given("a"), given(3), given(" ")],
        "get_process": [given("a"), given(3)],
        "list_processes": [given()],
        "list_non_terminal": [given()],
        "set_external_ref": [given("a", {"backend": "b", "id": "c"}), given(3, 3)],
        "append_event": [given("a", "b"), given(3, 3, {1})],
        "complete_process": [given("a", {"type": "success", "value": 1}), given(3, 3)],
        "request_cancel": [given("a"), given(3, 3)],
        "events_after": [given("a"), given(3, limit=0)],
        "wake_events_after": [given("a"), given(3, limit=0)],
        "ack_wake": [given("a", 1), given(3, "x")],
        "wait_event_after": [given("a", "b", timeout=0), given(3, 3)],
        "await_process": [given("a", timeout=0), given(3)],
        "grant_handle": [given("s", "a"), given(3, 3)],
        "revoke_handle": [given("s", "a"), given(3, 3)],
        "has_handle_grant": [given("s", "a"), given(3, 3)],
        "list_handle_grants": [given("s"), given(3)],
        "list_live_handle_grants": [given("s"), given(3)],
        "handle_grants_for_process": [given("a"), given(3)],
        "transfer_handle_grants": [given("s", "t", ["a"]), given(3, 3, 3)],
        "delete_session_process_state": [given("s"), given(3)],
        "claim_process_lease": [given("a", "me", 1), given(3, 3, "x")],
        "renew_process_lease": [given(None, 1)],
        "complete_process_lease": [given(None)],
        "recover_processes": [given(), given(limit=0)],
        "prune_processes": [given(None), given(3)],
    },
    "sessions": {
        "open": [given("a"), given(3)],
        "commit_runtime_state": [given({"session_id": "a"}), given(3)],
        "save_session_meta": [given({"session_id": "a"}), given(3)],
        "enqueue_queued_work": [given({"session_id": "a"}), given(3)],
        "renew_queued_work_claim": [given({"session_id": "a"}), given(3)],
        "abandon_queued_work_claim": [given({"session_id": "a"}), given(3)],
        "complete_queued_work_claim": [given({"session_id": "a"}), given(3)],
        "load_session": [given("a"), given(3)],
        "load_node": [given("a", "x"), given(3, 3)],
        "tombstone_node": [given("a", "x"), given(3, 3)],
        "tombstone_nodes": [given("a", ["x"]), given(3, 3)],
        "vacuum": [given("a"), given(3)],
        "load_session_meta": [given("a"), given(3)],
        "list_queued_work": [given("a"), given(3)],
        "list_pending_queued_work": [given("a"), given(3)],
        "cancel_queued_work_batch": [given("a", "x"), given(3, 3)],
        "claim_ready_queued_work": [given("a", "me"), given(3, 3)],
        "claim_ready_queued_work_by_batch_ids": [given("a", "me", ["x"]), given(3, 3, 3)],
        "enqueue_wake": [given("a", {}), given(3, 3)],
        "delete_session": [given("a"), given(3)],
        "list": [given(), given(limit=0)],
        "gc_unreachable": [given(), given("soon")],
        "forget_sources": [given("1h"), given(-1)],
        "turn_commit_hash": [given({"session_id": "a"}), given(3)],
    },
    "attachments": {
        "put": [given("a", b"x", "image/png"), given(3, 3, 3)],
        "get": [given("a", "x"), given(3, 3)],
        "open": [given("a", "x"), given(3, 3)],
        "stat": [given("a", "x"), given(3, 3)],
        "list": [given("a"), given(3)],
        "record_intent": [given("a", "x"), given(3, 3)],
        "commit_refs": [given("a", ["x"]), given(3, [3])],
        "list_uncommitted": [given(), given("now")],
        "forget": [given("a", "x"), given(3, 3)],
        "sweep": [given(), given("soon")],
    },
    "triggers": {
        "register_subscription": [given({}), given(3)],
        "list_subscriptions": [given(), given(limit=0)],
        "cancel_subscription": [given("a", "trigger:1"), given(3, 3)],
        "record_occurrence": [given("a", "b", key="c"), given(3, 3, key=3)],
        "reserve_matching_deliveries": [given("a"), given(3)],
        "unregistered": [given(), given("now")],
        "mark_registered": [given("a"), given(3)],
        "prune": [given("1h"), given("soon")],
        "source_key_for_subscription": [given("a"), given(3)],
    },
    "effects": {"scoped": [given({"type": "process", "process_id": "p"}), given(3)]},
    "artifacts": {
        "seal": [given({}), given(3)],
        "put_module_artifact": [given({}), given(3)],
        "get_module_artifact": [given("a"), given(3)],
        "list": [given(), given(limit=0)],
        "remove": [given("a"), given(3)],
    },
}
CLAIM = {"session_id": "a"}
SESSION_METHODS: dict[str, list[Given]] = {
    "commit_runtime_state": [given({"session_id": "a"}), given(3)],
    "load_session": [given(), given({"kind": "some"})],
    "load_node": [given("x"), given(3)],
    "tombstone_node": [given("x"), given(3)],
    "tombstone_nodes": [given(["x"]), given(3)],
    "vacuum": [given()],
    "save_session_meta": [given({"session_id": "a"}), given(3)],
    "load_session_meta": [given()],
    "delete": [given()],
    "enqueue_queued_work": [given({"session_id": "a"}), given(3)],
    "enqueue_wake": [given({}), given(3)],
    "list_queued_work": [given()],
    "list_pending_queued_work": [given()],
    "cancel_queued_work_batch": [given("x"), given(3)],
    "claim_ready_queued_work": [given("me"), given(3)],
    "claim_ready_queued_work_by_batch_ids": [given("me", ["x"]), given(3, [3])],
    "renew_queued_work_claim": [given(CLAIM), given(3)],
    "abandon_queued_work_claim": [given(CLAIM), given(3)],
    "complete_queued_work_claim": [given(CLAIM), given(3)],
}


def test_the_tables_of_the_stores_have_every_method() -> None:
    with clew.Runtime() as rt:
        for name, methods in STORE_METHODS.items():
            assert public(type(getattr(rt, name))) == set(methods) | {"durability_tier"}
        assert public(type(rt.sessions.open("a"))) == set(SESSION_METHODS) | {
            "id",
            "durability_tier",
        }


@pytest.mark.parametrize("store", sorted(STORES))
def test_so_do_the_stores_and_their_twins(store: str) -> None:
    rt = closed_runtime()
    twin = clew.aio.Runtime.of(rt)
    for name, ways in STORE_METHODS[store].items():
        for args, options in ways:
            with pytest.raises(clew.Closed):
                getattr(getattr(rt, store), name)(*args, **options)

            async def call(
                name: str = name, args: Any = args, options: dict[str, Any] = options
            ) -> None:
                answer = getattr(getattr(twin, store), name)(*args, **options)
                if inspect.isawaitable(answer):
                    await answer

            with pytest.raises(clew.Closed):
                asyncio.run(call())


def test_so_does_a_handle_on_a_session() -> None:
    rt = clew.Runtime()
    session = rt.sessions.open("a")
    rt.close()
    for name, ways in SESSION_METHODS.items():
        for args, options in ways:
            with pytest.raises(clew.Closed):
                getattr(session, name)(*args, **options)


def test_it_cannot_be_entered_again() -> None:
    rt = closed_runtime()
    with pytest.raises(clew.Closed), rt:
        pass


def test_what_is_an_unknown_argument_stays_a_type_error() -> None:
    with clew.Runtime() as rt, pytest.raises(TypeError, match="priorty"):
        rt.execute("text.words", priorty=3)  # type: ignore[call-arg]  # on purpose


@pytest.mark.parametrize("case", table(RUN))
def test_a_run_that_has_not_ended_says_so(clew_no_leaks: None, case: tuple[str, Given]) -> None:
    name, (args, options) = case
    rt = clew.Runtime()
    entered = threading.Event()

    @clew.capability("test.waits", version="1.0.0")
    def waits(ctx: clew.Context) -> None:
        entered.set()
        while not ctx.cancelled:
            threading.Event().wait(0.001)

    rt.register(waits)
    run = rt.start({**WORKFLOW, "steps": {"count": {"call": "test.waits@^1"}}})
    assert entered.wait(30)
    rt.close(drain=False)

    def call() -> None:
        answer = getattr(run, name)(*args, **options)
        if name == "events":
            list(answer)

    with pytest.raises(clew.Closed):
        call()
    assert run.id in repr(run)


def test_what_has_ended_keeps_its_end() -> None:
    with clew.Runtime() as rt:
        rt.register(words)
        call = rt.submit(words, {"doc": "a b"})
        run = rt.start({**WORKFLOW, "output": "{{ steps.count.output }}"}, {"doc": "a b"})
        assert run.result(30) == 2
    assert (call.result(), call.outcome) == (2, "success")
    assert (run.result(), run.status, run.done()) == (2, "completed", True)
