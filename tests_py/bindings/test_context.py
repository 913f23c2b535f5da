"""What a handler may ask about its call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import clew
import pytest
from clew import _core

Register = Callable[..., str]


def ask(ctx: _core.Context) -> dict[str, Any]:
    return {
        "attempt": ctx.attempt,
        "cancelled": ctx.cancelled,
        "capability": ctx.capability,
        "correlation_id": ctx.correlation_id,
        "deadline": None if ctx.deadline is None else ctx.deadline.isoformat(),
        "idempotency_key": ctx.idempotency_key,
        "item": ctx.item,
        "remaining": ctx.remaining,
        "run_id": ctx.run_id,
        "step": ctx.step,
        "trace_id": ctx.trace_id,
    }


def test_a_bare_call_has_little_to_say(runtime: _core.Runtime, add: Register) -> None:
    call = runtime.submit(add(ask, context="ctx"))
    assert call.result(10) == {
        "attempt": 1,
        "cancelled": False,
        "capability": "t.ask@1.0.0",
        "correlation_id": None,
        "deadline": None,
        "idempotency_key": None,
        "item": None,
        "remaining": None,
        "run_id": None,
        "step": None,
        "trace_id": call.id,
    }


def test_what_the_caller_gave_arrives(runtime: _core.Runtime, add: Register) -> None:
    deadline = datetime.now(timezone.utc) + timedelta(hours=1)
    told = runtime.execute(
        add(ask, context="ctx"), deadline=deadline, idempotency_key="k-1", correlation_id="c-1"
    )
    assert told["deadline"] == deadline.isoformat()
    assert 3500 < told["remaining"] <= 3600
    assert (told["idempotency_key"], told["correlation_id"]) == ("k-1", "c-1")


def test_a_nested_call_inherits_correlation_and_deadline(
    runtime: _core.Runtime, add: Register
) -> None:
    def outer(ctx: _core.Context) -> list[Any]:
        later = datetime.now(timezone.utc) + timedelta(days=1)
        return [ask(ctx), ctx.call("t.ask"), ctx.call("t.ask", deadline=later)]

    add(ask, context="ctx")
    mine, *inner = runtime.execute(add(outer, context="ctx"), timeout=60, correlation_id="c")
    assert [told["deadline"] for told in inner] == [mine["deadline"]] * 2
    assert [told["correlation_id"] for told in inner] == ["c", "c"]


def test_options_of_a_nested_call_are_checked(runtime: _core.Runtime, add: Register) -> None:
    def outer(ctx: _core.Context) -> None:
        ctx.call("t.outer", {}, colour="red")

    with pytest.raises(clew.ExecutionFailed, match="unknown option 'colour'"):
        runtime.execute(add(outer, context="ctx"))


def test_progress_is_seen_by_the_caller(runtime: _core.Runtime, add: Register) -> None:
    def works(ctx: _core.Context) -> None:
        ctx.progress(3, 10)

    call = runtime.submit(add(works, context="ctx"))
    call.wait(10)
    assert call.progress == (3, 10)
    idle = runtime.submit("t.works", timeout=-1) if False else runtime.submit("t.absent")
    assert idle.progress == (0, 0)


def test_details_of_a_heartbeat_are_json(runtime: _core.Runtime, add: Register) -> None:
    def works(ctx: _core.Context) -> None:
        ctx.heartbeat({"at": object()})

    with pytest.raises(clew.ExecutionFailed) as caught:
        runtime.execute(add(works, context="ctx"))
    assert caught.value.context["path"] == "details.at"


def test_the_context_goes_beside_a_decoded_input(runtime: _core.Runtime, add: Register) -> None:
    def works(day: Any, ctx: _core.Context) -> list[str]:
        return [type(day).__name__, type(ctx).__name__]

    def decode(given: dict[str, Any]) -> dict[str, Any]:
        return {"day": datetime.fromisoformat(given["day"])}

    ref = add(works, context="ctx", decode=decode, encode=tuple)
    assert runtime.execute(ref, {"day": "2026-01-01"}) == ["datetime", "Context"]


def test_the_current_call_is_the_parent_on_every_thread(
    runtime: _core.Runtime, add: Register
) -> None:
    def inner() -> None:
        return None

    def outer(ctx: _core.Context) -> str:
        list(runtime.map("t.inner", [{}] * 3))
        return ctx.trace_id

    add(inner)
    parent = runtime.execute(add(outer, context="ctx"))
    traces, _ = runtime.traces(capability="t.inner")
    assert [trace["parent"] for trace in traces] == [parent] * 3
