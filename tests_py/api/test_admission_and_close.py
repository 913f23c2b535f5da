"""What is refused at the door, and how the door closes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import clew
import pytest
from clew import testing


class Held:
    """A capability whose handler is held until it is let go or told to stop."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go = threading.Event()

        @clew.capability("door.held", version="1.0.0")
        def held(ctx: clew.Context) -> str:
            self.entered.release()
            while not self.go.wait(0.001):
                ctx.check_cancelled()
            return "went on"

        self.capability = held


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.go.set()


def test_a_full_queue_refuses_at_once(held: Held) -> None:
    with clew.Runtime(workers=1, limits={"queue_max": 3}) as rt:
        rt.register(held.capability)
        calls = [rt.submit(held.capability)]
        held.entered.acquire()
        calls += [rt.submit(held.capability) for _ in range(3)]
        for refused in (rt.submit(held.capability), rt.submit(held.capability, timeout=60)):
            assert refused.done()
            assert refused.outcome == "rejected"
            error = refused.exception()
            assert isinstance(error, clew.Rejected)
            assert error.retryable
            assert error.context["queue_max"] == 3
        with pytest.raises(clew.Rejected):
            rt.execute(held.capability, timeout=60)

        async def from_a_loop() -> None:
            with pytest.raises(clew.Rejected):
                await rt.submit(held.capability)

        asyncio.run(from_a_loop())
        assert not any(call.done() for call in calls)
        held.go.set()
        assert [call.result(30) for call in calls] == ["went on"] * 4
        outcomes = [trace.outcome for trace in rt.traces()]
        assert (outcomes.count("success"), outcomes.count("rejected")) == (4, 4)


def test_a_map_and_the_steps_of_runs_have_bounds_of_their_own() -> None:
    @clew.capability("door.echo", version="1.0.0")
    def echo(n: int) -> int:
        return n

    flow = {
        "workflow": "door.flow",
        "version": "1.0.0",
        "input": {"type": "object"},
        "steps": {
            "all": {
                "for_each": "{{ input.rows }}",
                "as": "n",
                "concurrency": 50,
                "call": "door.echo",
                "with": {"n": "{{ n }}"},
            }
        },
        "output": "{{ steps.all.output }}",
    }
    with clew.Runtime(workers=1, limits={"queue_max": 1}) as rt:
        rt.register(echo)
        assert list(rt.map(echo, [{"n": n} for n in range(100)])) == list(range(100))
        assert rt.start(flow, {"rows": list(range(100))}).result(30) == list(range(100))


@pytest.mark.parametrize("drain", [True, False])
def test_close_tells_whether_all_ended_in_time(held: Held, drain: bool) -> None:
    rt = clew.Runtime(workers=1)
    rt.register(held.capability)
    running = rt.submit(held.capability)
    held.entered.acquire()
    queued = rt.submit(held.capability)
    if drain:
        held.go.set()
    assert rt.close(drain=drain, timeout=30) is True
    assert (running.outcome, queued.outcome) == (("success",) * 2 if drain else ("cancelled",) * 2)


def test_close_that_runs_out_of_time_says_so(held: Held) -> None:
    rt = clew.Runtime(workers=1)
    rt.register(held.capability)
    call = rt.submit(held.capability)
    held.entered.acquire()
    assert rt.close(timeout=0.01) is False
    assert call.outcome == "cancelled"


def test_close_does_not_wait_for_ever_for_a_handler_that_heeds_nothing(
    clew_no_leaks: None,
) -> None:
    entered, go = threading.Event(), threading.Event()

    @clew.capability("door.deaf", version="1.0.0")
    def deaf() -> str:
        entered.set()
        go.wait()
        return "late"

    rt = clew.Runtime(workers=1)
    rt.register(deaf)
    call = rt.submit(deaf)
    entered.wait()
    try:
        assert rt.close(drain=False, timeout=0) is False
        with pytest.raises(clew.Closed):
            rt.execute(deaf)
    finally:
        go.set()
    rt.close()  # now it ends
    assert call.result() == "late"


def test_a_close_without_drain_ends_the_draining_of_another(held: Held) -> None:
    rt = clew.Runtime(workers=1)
    rt.register(held.capability)
    running, queued = rt.submit(held.capability), rt.submit(held.capability)
    held.entered.acquire()
    closing = threading.Thread(target=rt.close, kwargs={"timeout": 3600})
    closing.start()
    while not rt.closed:
        pass
    rt.close(drain=False)
    closing.join(30)
    assert not closing.is_alive()
    assert {running.outcome, queued.outcome} == {"cancelled"}


def test_health_names_what_is_wrong_until_it_is_not(tmp_path: Path, held: Held) -> None:
    away = threading.Event()

    def disk() -> None:
        if away.is_set():
            raise clew.Unavailable("the disk is away")

    flow = {"workflow": "door.one", "version": "1.0.0", "steps": {"s": {"call": "door.held"}}}
    with clew.Runtime(tmp_path / "h.db", workers=1, limits={"lease_ttl": "30ms"}) as rt:
        rt.register(held.capability)
        assert rt.health() == {"status": "ok", "problems": []}
        with testing.fault("store.commit.before", disk):
            run = rt.start(flow)
            held.entered.acquire()
            away.set()
            held.go.set()
            with pytest.raises(clew.Unavailable):
                run.result(30)
            health = rt.health()
            assert health["status"] == "failing"
            assert "the disk is away" in health["problems"][0]
            away.clear()
        while run.status != "completed" or rt.health()["status"] != "ok":
            pass
        assert rt.verify() == []


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (lambda: clew.InvalidInput("no"), 1),
        (lambda: clew.NotFound("no"), 1),
        (lambda: clew.Conflict("no"), 1),
        (lambda: clew.Cancelled("no"), 1),
        (lambda: clew.UnknownOutcome("no"), 1),
        (lambda: clew.Unavailable("no"), 3),
        (lambda: ValueError("no"), 3),
    ],
)
def test_what_a_handler_raises_is_retried_unless_it_says_that_this_is_useless(
    clew_runtime: clew.Runtime, error: Callable[[], BaseException], tries: int
) -> None:
    entered = []

    @clew.capability("door.fails", version="1.0.0", retry=clew.Retry(attempts=3, initial="1ms"))
    def fails() -> None:
        entered.append(1)
        raise error()

    clew_runtime.register(fails)
    flow = {"workflow": "door.f", "version": "1.0.0", "steps": {"s": {"call": "door.fails"}}}
    with pytest.raises(clew.ClewError):
        clew_runtime.start(flow).result(30)
    assert len(entered) == tries


def test_jitter_spreads_retries_within_its_fraction() -> None:
    clock = testing.ManualClock()
    with clew.Runtime(clock=clock) as rt:

        @clew.capability("door.fails", version="1.0.0")
        def fails() -> None:
            raise ValueError

        rt.register(fails)
        retry = {"attempts": 2, "initial": "10s", "jitter": 0.5}
        flow = {
            "workflow": "door.jitter",
            "version": "1.0.0",
            "steps": {"s": {"call": "door.fails", "retry": retry}},
        }
        delays = set()
        for _ in range(8):
            run = rt.start(flow)
            for event in run.events(follow=True):
                if event.type == "step.retrying":
                    due = event.data["due_us"]
                    delays.add(due - round(event.at.timestamp() * 1_000_000))
                    break
        assert all(5_000_000 < delay <= 10_000_000 for delay in delays)
        assert len(delays) > 1


@pytest.mark.parametrize(
    "ref", ["door.echo@1.0.0 ", " door.echo@1.0.0", "door.echo@^1 ", "door.echo "]
)
def test_a_reference_with_spaces_around_it_is_refused(clew_runtime: clew.Runtime, ref: str) -> None:
    @clew.capability("door.echo", version="1.0.0")
    def echo() -> int:
        return 1

    clew_runtime.register(echo)
    with pytest.raises(clew.InvalidInput):
        clew_runtime.execute(ref)
