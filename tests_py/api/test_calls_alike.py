"""What holds for every call, whoever runs it: the same bytes, its own trace, true times."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import string
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import clew
import pytest


def canonical(value: Any) -> bytes:
    """Return RFC 8785 text, for values without numbers beyond 2**53."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def some_value(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(7 if depth else 5)
    if kind == 0:
        return chance.choice([None, True, False])
    if kind == 1:
        return chance.randrange(-(2**53), 2**53)
    if kind == 2:
        return chance.uniform(-1e6, 1e6)
    if kind in (3, 4):
        return "".join(chance.choices(string.printable + "äß€\u2028😀", k=chance.randrange(9)))
    if kind == 5:
        return [some_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {f"k{i}": some_value(chance, depth - 1) for i in range(chance.randrange(4))}


# Parity: native = pool
def test_every_executor_gives_identical_bytes_for_a_thousand_random_inputs(
    clew_runtime: clew.Runtime,
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    rt = clew_runtime
    rt.register_native("echo", contract={"id": "e.native", "version": "1.0.0"})

    def echo(**given: Any) -> Any:
        return given

    async def aecho(**given: Any) -> Any:
        return given

    rt.register_contract({"id": "e.python", "version": "1.0.0"}, echo)
    rt.register_contract({"id": "e.async", "version": "1.0.0"}, aecho)
    inputs = [{"v": some_value(chance, 4)} for _ in range(1000)]
    native = list(rt.map("e.native", inputs))
    assert [json.dumps(one) for one in native] == [json.dumps(one) for one in inputs]
    for ref in ("e.python", "e.async"):
        assert [json.dumps(one) for one in rt.map(ref, inputs)] == [json.dumps(o) for o in inputs]
    inline = [rt.execute("e.native", one) for one in inputs]
    assert [json.dumps(one) for one in inline] == [json.dumps(one) for one in inputs]
    assert {trace.outcome for trace in rt.traces(limit=10_000)} == {"success"}
    assert len(rt.traces(limit=10_000)) == 4000


# Parity: trace isolation
def test_each_of_a_thousand_concurrent_traces_matches_its_own_call(
    clew_runtime: clew.Runtime,
) -> None:
    rt = clew_runtime

    def double(n: int, secret: str) -> dict[str, Any]:
        return {"twice": 2 * n, "secret": secret}

    rt.register_contract({"id": "a.double", "version": "1.0.0"}, double)
    inputs = {}

    def call(n: int) -> str:
        given = {"n": n, "secret": f"secret-{n}"}
        made = rt.submit("a.double", given)
        assert made.result(60) == {"twice": 2 * n, "secret": f"secret-{n}"}
        inputs[made.id] = given
        return str(made.id)

    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(call, range(1000)))
    assert len(set(ids)) == 1000
    traces = {one.id: one for one in rt.traces(limit=10_000)}
    assert set(traces) == set(ids)
    for id, given in inputs.items():  # noqa: A001 - the word of traces
        output = {"twice": 2 * given["n"], "secret": given["secret"]}
        assert traces[id].input_sha256 == hashlib.sha256(canonical(given)).hexdigest()
        assert traces[id].output_sha256 == hashlib.sha256(canonical(output)).hexdigest()
    # No payload is stored, in any table.
    tables = rt.sql("SELECT name FROM sqlite_master WHERE type = 'table'")
    for table in tables:
        for row in rt.sql(f"SELECT * FROM {table['name']}"):
            assert "secret-" not in repr(row)


# Parity: real time
def test_times_are_true(clew_runtime: clew.Runtime) -> None:
    rt = clew_runtime
    go_on = threading.Event()

    def wait() -> None:
        # A handler of 50 ms: how long is what this test is about.
        assert not go_on.wait(0.05)

    rt.register_contract({"id": "a.wait", "version": "1.0.0"}, wait)
    before = datetime.now(timezone.utc)
    for _ in range(3):
        rt.execute("a.wait")
    after = datetime.now(timezone.utc)
    traces = list(reversed(rt.traces()))
    for trace in traces:
        assert before - timedelta(seconds=1) <= trace.started <= after
        assert trace.started.tzinfo is not None
        assert datetime.fromisoformat(trace.started.isoformat()) == trace.started
        assert 50_000 <= trace.run_us < 5_000_000
        assert trace.queue_us >= 0
    assert [one.started for one in traces] == sorted(one.started for one in traces)


# Parity: failed trace
@pytest.mark.parametrize(
    ("how", "outcome", "code"),
    [
        ("fails", "failure", "execution_failed"),
        ("exits", "failure", "execution_failed"),
        ("late", "timeout", "timeout"),
        ("nowhere", "rejected", "no_eligible_target"),
        ("unknown", "rejected", "not_found"),
        ("bad", "rejected", "invalid_input"),
        ("output", "failure", "execution_failed"),
    ],
)
def test_whatever_goes_wrong_leaves_one_entry(
    clew_runtime: clew.Runtime, how: str, outcome: str, code: str
) -> None:
    rt = clew_runtime
    go_on = threading.Event()

    def handler(how: str) -> Any:
        if how == "fails":
            raise ValueError("deliberate")
        if how == "exits":
            raise SystemExit(3)
        if how == "late":
            assert go_on.wait(60)
        return how

    contract: dict[str, Any] = {"id": "a.b", "version": "1.0.0", "outputs": {"enum": ["late"]}}
    contract["inputs"] = {"type": "object", "properties": {"how": {"type": "string"}}}
    rt.register_contract(contract, handler)
    ref = "a.unknown" if how == "unknown" else "a.b"
    given = {"how": 3} if how == "bad" else {"how": how}
    options: dict[str, Any] = {"target": "mars"} if how == "nowhere" else {}
    if how == "late":
        options["timeout"] = "50ms"
    with pytest.raises(clew.ClewError) as caught:
        rt.execute(ref, given, **options)
    go_on.set()
    (trace,) = rt.traces()
    assert (trace.outcome, trace.code, caught.value.code) == (outcome, code, code)


def test_a_deadline_is_inherited_and_the_earlier_one_wins(clew_runtime: clew.Runtime) -> None:
    rt = clew_runtime
    seen: dict[str, Any] = {}

    def inner(ctx: clew.Context) -> None:
        seen["inner"] = ctx.deadline

    def outer(ctx: clew.Context, timeout: str | None = None) -> None:
        seen["outer"] = ctx.deadline
        ctx.call("a.inner", {}, timeout=timeout)

    rt.register_contract({"id": "a.inner", "version": "1.0.0"}, inner)
    rt.register_contract({"id": "a.outer", "version": "1.0.0"}, outer)
    rt.execute("a.outer", {}, timeout="1h")
    assert seen["inner"] == seen["outer"] is not None
    rt.execute("a.outer", {"timeout": "1m"}, timeout="1h")
    assert seen["inner"] < seen["outer"]
    rt.execute("a.outer", {"timeout": "2h"}, timeout="1h")
    assert seen["inner"] == seen["outer"]


def test_async_handlers_are_called_from_the_same_path(clew_runtime: clew.Runtime) -> None:
    async def handler(ctx: clew.Context) -> Any:
        await asyncio.sleep(0)
        return ctx.trace_id

    clew_runtime.register_contract({"id": "a.b", "version": "1.0.0"}, handler)
    assert clew_runtime.execute("a.b") == clew_runtime.traces()[0].id
