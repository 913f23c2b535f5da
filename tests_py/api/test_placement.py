"""Placement: what is law, what is a hint, what load decides, and that the reason is the truth."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import clew
import pytest


class Held(Executor):
    """An executor that keeps what it is given until it is let go."""

    def __init__(self) -> None:
        self.kept: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Any, /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.kept.append((future, lambda: fn(*args, **options)))
        return future

    def let_go(self) -> None:
        for future, work in self.kept:
            if future.set_running_or_notify_cancel():
                future.set_result(work())
        self.kept.clear()


@pytest.fixture
def rt() -> Iterator[clew.Runtime]:
    with clew.Runtime(workers=2) as opened:
        yield opened


def add(rt: clew.Runtime, id: str = "a.b", **more: Any) -> None:  # noqa: A002 - the word of contracts
    rt.register_contract({"id": id, "version": "1.0.0", **more}, lambda: threading.get_ident())


def rejected(rt: clew.Runtime, ref: str = "a.b") -> dict[str, str | None]:
    return {one.executor: one.rejected for one in rt.placement(ref).candidates}


# Parity: placement tiers
def test_permitted_targets_are_law(rt: clew.Runtime) -> None:
    add(rt, permitted_targets=["edge"])
    with pytest.raises(clew.NoEligibleTarget) as caught:
        rt.placement("a.b")
    assert "permitted" in caught.value.context["candidates"]["python"]
    rt.add_executor("east", ThreadPoolExecutor(1), ["edge", "cloud"])
    found = rt.placement("a.b")
    assert (found.executor, found.target, found.reason) == ("east", "edge", "only_candidate")
    for target in ("cloud", "local"):
        with pytest.raises(clew.NoEligibleTarget):
            rt.execute("a.b", target=target)
    assert {one.outcome for one in rt.traces()} == {"rejected"}


def test_ties_go_by_name(rt: clew.Runtime) -> None:
    add(rt, permitted_targets=["edge"])
    for name in ("west", "east"):
        rt.add_executor(name, ThreadPoolExecutor(1), ["edge"])
    assert rt.placement("a.b").executor == "east"
    assert rt.placement("a.b").reason == "tie_by_name"
    assert rejected(rt)["west"] == "comes later by name"


def test_the_least_load_wins_and_confidence_says_how_full_it_is(rt: clew.Runtime) -> None:
    add(rt, permitted_targets=["edge"])
    east, west = Held(), Held()
    rt.add_executor("east", east, ["edge"], capacity=4)
    assert rt.placement("a.b").confidence == "high"
    calls = [rt.submit("a.b") for _ in range(2)]
    assert rt.placement("a.b").confidence == "medium"
    calls.append(rt.submit("a.b"))
    assert rt.placement("a.b").confidence == "low"
    rt.add_executor("west", west, ["edge"], capacity=4)
    found = rt.placement("a.b")
    assert (found.executor, found.reason, found.confidence) == ("west", "least_load", "high")
    assert rejected(rt)["east"] == "has more load"
    assert [one.load for one in found.candidates if one.executor == "east"] == [0.75]
    east.let_go()
    for call in calls:
        call.result(60)


# Parity: hint safety
def test_a_preferred_target_wins_unless_it_is_overloaded(rt: clew.Runtime) -> None:
    add(rt, permitted_targets=["edge", "cloud"], preferred_targets=["edge"])
    edge, cloud = Held(), Held()
    rt.add_executor("in-cloud", cloud, ["cloud"], capacity=2)
    rt.add_executor("on-edge", edge, ["edge"], capacity=2)
    assert (rt.placement("a.b").target, rt.placement("a.b").reason) == ("edge", "preferred_target")
    calls = [rt.submit("a.b") for _ in range(2)]
    assert len(edge.kept) == 2
    assert (rt.placement("a.b").target, rt.placement("a.b").reason) == ("cloud", "least_load")
    assert rejected(rt)["on-edge"] == "is overloaded"
    calls += [rt.submit("a.b") for _ in range(2)]
    assert len(cloud.kept) == 2
    # Both are full: the call queues where it is preferred.
    assert rt.placement("a.b").target == "edge"
    edge.let_go()
    cloud.let_go()
    for call in calls:
        call.result(60)


def test_a_wish_bypasses_no_rule(rt: clew.Runtime) -> None:
    add(rt, permitted_targets=["edge"], service_type="stateful")
    rt.add_executor("web", ThreadPoolExecutor(1), ["browser"])
    with pytest.raises(clew.NoEligibleTarget):
        rt.execute("a.b", target="browser")
    with pytest.raises(clew.InvalidInput):
        add(rt, "a.c", permitted_targets=["browser"], service_type="stateful")


# Parity: router errors
def test_a_closed_executor_is_left_out_and_named(rt: clew.Runtime) -> None:
    add(rt, permitted_targets=["edge"])
    pool = ThreadPoolExecutor(1)
    rt.add_executor("east", pool, ["edge"])
    rt.execute("a.b")
    pool.shutdown()
    with pytest.raises(clew.ClewError):
        rt.execute("a.b")
    with pytest.raises(clew.NoEligibleTarget) as caught:
        rt.execute("a.b")
    assert "east" in caught.value.context["candidates"]
    rt.add_executor("west", ThreadPoolExecutor(1), ["edge"])
    rt.execute("a.b")
    assert rt.traces()[0].executor == "west"
