"""One capability over many inputs."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import clew
import pytest
from bindings.support import nap
from clew import _core

Register = Callable[..., str]


@pytest.mark.parametrize("kind", ["python", "native", "async", "timeout"])
@pytest.mark.parametrize("concurrency", [None, 1, 3, 100])
@pytest.mark.parametrize("ordered", [True, False])
def test_every_input_has_its_result(
    kind: str, concurrency: int | None, ordered: bool, runtime: _core.Runtime
) -> None:
    contract = {"id": "t.same", "version": "1.0.0"}

    async def same(n: int) -> dict[str, int]:
        return {"n": n}

    if kind == "native":
        runtime.register_native(contract, "echo")
    elif kind == "async":
        runtime.register(contract, same, kind="async")
    else:
        limits = {"timeout": "30s"} if kind == "timeout" else {}
        runtime.register({**contract, **limits}, lambda n: {"n": n})
    inputs = [{"n": n} for n in range(300)]
    results = list(runtime.map("t.same", inputs, concurrency=concurrency, ordered=ordered))
    assert sorted(results, key=lambda r: r["n"]) == inputs
    if ordered:
        assert results == inputs
    assert len(runtime.traces(limit=1000)[0]) == 300


def test_inputs_are_taken_lazily(runtime: _core.Runtime, native: Register) -> None:
    taken = 0

    def endless() -> Iterator[dict[str, int]]:
        nonlocal taken
        for taken in itertools.count(1):
            yield {"n": taken}

    results = runtime.map(native("echo"), endless(), concurrency=4)
    assert taken == 0
    for n in range(1, 51):
        assert next(results)["n"] == n
        assert taken <= n - 1 + 4  # before this one came out, at most four were out
    results.close()
    assert list(results) == []


@pytest.mark.parametrize("kind", ["native", "async", "timeout"])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("concurrency", [None, 1, 3, 100])
def test_no_more_is_taken_ahead_than_was_said(
    kind: str, ordered: bool, concurrency: int | None, runtime: _core.Runtime
) -> None:
    contract = {"id": "t.same", "version": "1.0.0"}

    async def same(n: int) -> int:
        return n

    if kind == "async":
        runtime.register(contract, same, kind="async")
    else:
        limits = {"timeout": "30s"} if kind == "timeout" else {}
        runtime.register_native({**contract, **limits}, "echo")
    most = concurrency or (2 * runtime.workers if kind == "timeout" else 1024)
    taken, given, ahead = 0, 0, 0

    def inputs() -> Iterator[dict[str, int]]:
        nonlocal taken, ahead
        for n in range(3000):
            taken += 1
            ahead = max(ahead, taken - given)
            yield {"n": n}

    results = runtime.map("t.same", inputs(), concurrency=concurrency, ordered=ordered)
    assert taken == 0
    for _ in results:
        given += 1
    assert given == 3000
    assert ahead == most


def test_a_map_is_not_refused_by_a_full_queue() -> None:
    runtime = _core.Runtime(workers=1, queue_max=1)

    async def naps() -> None:
        await asyncio.sleep(0.001)

    runtime.register({"id": "t.naps", "version": "1.0.0"}, naps, kind="async")
    runtime.register({"id": "t.limited", "version": "1.0.0", "timeout": "30s"}, lambda: None)
    gate = threading.Event()
    runtime.register({"id": "t.hold", "version": "1.0.0"}, lambda: gate.wait(30))
    calls = [runtime.submit("t.hold")]
    while not calls[0].running():
        nap(0.001)
    calls.append(runtime.submit("t.hold"))
    assert isinstance(runtime.submit("t.hold").exception(30), clew.Rejected)  # it is full
    maps = [runtime.map(ref, [{}] * 50, concurrency=50) for ref in ("t.naps", "t.limited")]
    threading.Timer(0.05, gate.set).start()
    for results in maps:
        assert list(results) == [None] * 50
    assert [call.result(30) for call in calls] == [True, True]
    runtime.close()


@pytest.mark.parametrize("concurrency", [1, 2, 3])
def test_no_more_run_at_once_than_allowed(
    concurrency: int, runtime: _core.Runtime, add: Register
) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def busy() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        nap(0.001)
        with lock:
            now -= 1

    ref = add(busy)
    assert len(list(runtime.map(ref, ({} for _ in range(60)), concurrency=concurrency))) == 60
    assert most == concurrency


@pytest.mark.parametrize("ordered", [True, False])
def test_as_many_run_at_once_as_allowed(
    ordered: bool, runtime: _core.Runtime, add: Register
) -> None:
    together = threading.Barrier(3)

    def meet() -> None:
        together.wait(20)

    ref = add(meet)
    assert len(list(runtime.map(ref, [{}] * 60, concurrency=3, ordered=ordered))) == 60


def test_a_limit_of_the_contract_holds_too(runtime: _core.Runtime, add: Register) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def busy() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        nap(0.001)
        with lock:
            now -= 1

    ref = add(busy, contract={"max_concurrency": 2})
    assert len(list(runtime.map(ref, [{}] * 60))) == 60
    assert most == 2


def test_unordered_results_come_as_they_are_ready(runtime: _core.Runtime, add: Register) -> None:
    gate = threading.Event()

    def maybe_waits(n: int) -> int:
        if n == 0:
            gate.wait(10)
        return n

    results = runtime.map(add(maybe_waits), [{"n": n} for n in range(20)], ordered=False)
    first = [next(results) for _ in range(19)]
    assert sorted(first) == list(range(1, 20))
    gate.set()
    assert list(results) == [0]


def test_the_first_failure_ends_the_map_at_its_place(runtime: _core.Runtime, add: Register) -> None:
    ran: list[int] = []

    def picky(n: int) -> int:
        ran.append(n)
        if n == 5:
            raise ValueError("five")
        return n

    results = runtime.map(add(picky), ({"n": n} for n in range(10_000)), concurrency=2)
    assert list(itertools.islice(results, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(clew.ExecutionFailed, match="five"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)
    assert max(ran) < 20


def test_failures_can_be_results(runtime: _core.Runtime, add: Register) -> None:
    def picky(n: int) -> int:
        if n % 2:
            raise ValueError(str(n))
        return n

    inputs: list[Any] = [{"n": 0}, {"n": 1}, {"n": object()}, {"n": 2}, [1]]
    results = list(runtime.map(add(picky), inputs, return_exceptions=True))
    assert [type(r) for r in results] == [
        int,
        clew.ExecutionFailed,
        clew.InvalidInput,
        int,
        clew.InvalidInput,
    ]
    assert results[2].context["path"] == "input.n"


def test_what_the_iterable_raises_arrives(runtime: _core.Runtime, native: Register) -> None:
    def breaks() -> Iterator[dict[str, int]]:
        yield {"n": 1}
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        list(runtime.map(native("echo"), breaks()))


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_concurrency_must_be_positive(
    concurrency: int, runtime: _core.Runtime, native: Register
) -> None:
    with pytest.raises(clew.InvalidInput, match="an integer from 1"):
        runtime.map(native("echo"), [], concurrency=concurrency)


def test_bad_references_and_iterables_are_refused_at_once(
    runtime: _core.Runtime, native: Register
) -> None:
    with pytest.raises(clew.NotFound):
        runtime.map("t.absent", [])
    with pytest.raises(TypeError):
        runtime.map(native("echo"), 5)  # type: ignore[arg-type]  # on purpose
    assert list(runtime.map(native("echo"), [])) == []


@pytest.mark.parametrize("workers", [1, 4])
def test_a_map_inside_a_handler_of_a_full_pool(workers: int) -> None:
    runtime = _core.Runtime(workers=workers)
    runtime.register_native({"id": "n.echo", "version": "1.0.0"}, "echo")

    def outer(n: int) -> int:
        return len(list(runtime.map("n.echo", ({"i": i} for i in range(n)))))

    runtime.register({"id": "t.outer", "version": "1.0.0"}, outer)
    calls = [runtime.submit("t.outer", {"n": 50}) for _ in range(6)]
    assert [call.result(30) for call in calls] == [50] * 6
    runtime.close()


def test_a_map_ends_when_its_runtime_closes(runtime: _core.Runtime, add: Register) -> None:
    started = threading.Event()

    def slow(ctx: _core.Context) -> None:
        started.set()
        while not ctx.cancelled:
            nap(0.001)

    results = runtime.map(
        add(slow, context="ctx"), ({} for _ in range(100)), return_exceptions=True
    )

    def close() -> None:
        assert started.wait(10)
        runtime.close(False)

    closer = threading.Thread(target=close)
    closer.start()
    kinds = {type(result) for result in results}
    closer.join()
    assert kinds <= {clew.Closed, clew.Cancelled, type(None)}
    assert clew.Closed in kinds


def test_other_calls_have_a_turn_beside_a_long_map(add: Register) -> None:
    runtime = _core.Runtime(workers=1)
    runtime.register({"id": "t.f", "version": "1.0.0"}, lambda: nap(0.0005))
    runtime.register({"id": "t.other", "version": "1.0.0"}, lambda: "done")
    results = runtime.map("t.f", ({} for _ in itertools.count()))
    stop = threading.Event()

    def consume() -> None:
        for _ in results:
            if stop.is_set():
                return

    consumer = threading.Thread(target=consume)
    consumer.start()
    assert runtime.submit("t.other").result(20) == "done"
    stop.set()
    consumer.join()
    results.close()
    runtime.close(drain=False)


def test_random_maps_lose_nothing(runtime: _core.Runtime, add: Register) -> None:
    seed = int(os.environ.get("CLEW_SEED", random.randrange(2**32)))
    print(f"CLEW_SEED={seed}")
    chance = random.Random(seed)

    def work(n: int, seconds: float, fails: bool) -> int:
        if seconds:
            nap(seconds)
        if fails:
            raise ValueError(str(n))
        return n

    ref = add(work)
    for _ in range(30):
        count = chance.choice([0, 1, 2, 17, 200, 3000])
        naps = chance.choice([0, 0, 0.0002])
        inputs = [
            {
                "n": n,
                "seconds": naps if chance.random() < 0.1 else 0,
                "fails": chance.random() < 0.05,
            }
            for n in range(count)
        ]
        results = list(
            runtime.map(
                ref,
                inputs,
                ordered=chance.random() < 0.5,
                concurrency=chance.choice([None, 1, 2, 5, 64]),
                return_exceptions=True,
            )
        )
        values = [r if isinstance(r, int) else int(str(r).split(": ")[1]) for r in results]
        assert sorted(values) == list(range(count))
        failed = [i["n"] for i in inputs if i["fails"]]
        wrong = [v for r, v in zip(results, values, strict=True) if not isinstance(r, int)]
        assert sorted(wrong) == failed
