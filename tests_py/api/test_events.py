"""Events through the whole runtime, from Python: memory and file alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import clew
import clew.aio
import pytest

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ":memory:" if request.param == "memory" else str(tmp_path / "work.db")


@pytest.fixture
def rt(store: str) -> Iterator[clew.Runtime]:
    with clew.Runtime(store, workers=4) as runtime:
        runtime.events.define("text.counted@1.0.0", schema=SCHEMA)
        yield runtime


@clew.capability("test.count", version="1.0.0", emits=("text.counted@1.0.0", "no.such"))
def count(n: int, ctx: clew.Context) -> int:
    ctx.emit("text.counted", {"n": n}, subject="first")
    ctx.emit("text.counted@1.0.0", {"n": n + 1})
    if n < 0:
        raise ValueError("negative")
    return n


@clew.capability("test.count.later", version="1.0.0", emits=("text.counted",))
async def count_later(n: int, ctx: clew.Context) -> int:
    await asyncio.sleep(0)
    ctx.emit("text.counted", {"n": n})
    return n


def numbers(events: list[clew.Event]) -> list[int]:
    return [event.data["n"] for event in events]


# Parity: catalog gate
def test_the_catalog_says_what_may_be_published(rt: clew.Runtime) -> None:
    everything = rt.subscribe(">", from_="start")
    assert [str(one) for one in rt.events.list()] == ["text.counted@1.0.0"]
    assert rt.events.define("text.counted@1.0.0", schema=SCHEMA) == rt.events.get("text.counted")
    with pytest.raises(clew.Conflict, match="schema"):
        rt.events.define("text.counted@1.0.0")
    rt.events.define("old.thing@1.0.0", lifecycle="deprecated")
    with pytest.raises(clew.Rejected) as rejected:
        rt.publish("old.thing", {})
    assert rejected.value.context["lifecycle"] == "deprecated"
    with pytest.raises(clew.NotFound, match="did you mean"):
        rt.publish("text.count", {"n": 1})
    with pytest.raises(clew.InvalidInput) as wrong:
        rt.publish("text.counted", {"n": "one"})
    assert wrong.value.context["path"] == "data.n"
    for bad in ({"subject": ""}, {"id": 3}, {"timeout": 0}, {"key": "k" * 1001}):
        with pytest.raises(clew.InvalidInput) as refused:
            rt.publish("text.counted", {"n": 1}, **bad)  # type: ignore[arg-type]  # that is it
        assert refused.value.context["path"] == next(iter(bad))
    assert everything.poll(timeout=0) == []
    assert rt.events.set_lifecycle("old.thing@1.0.0", "active").lifecycle == "active"
    assert rt.publish("old.thing", {}) == 1


def test_the_catalog_and_the_log_are_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    with clew.Runtime(path) as rt:
        rt.events.define("text.counted@1.0.0", schema=SCHEMA, summary="Words were counted.")
        assert rt.publish("text.counted", {"n": 1}, id="one") == 1
    with clew.Runtime(path) as rt:
        assert rt.events.get("text.counted@^1").summary == "Words were counted."
        # Parity: dedupe
        assert rt.publish("text.counted", {"n": 1}, id="one") == 1
        with pytest.raises(clew.Conflict):
            rt.publish("text.counted", {"n": 2}, id="one")
        assert rt.publish("text.counted", {"n": 2}) == 2
        assert numbers(rt.subscribe(">", from_="start").poll()) == [1, 2]
        assert rt.verify() == []


def test_an_event_carries_the_envelope_of_cloudevents(rt: clew.Runtime) -> None:
    sub = rt.subscribe("text.*", subject="a.txt")
    rt.publish("text.counted", {"n": 1}, subject="b.txt")
    cursor = rt.publish(
        "text.counted",
        {"n": 2},
        subject="a.txt",
        key="k",
        source="test",
        correlation_id="c",
        causation_id="d",
        id="i",
    )
    (event,) = sub.poll(timeout=10)
    assert event.to_dict() == {
        "cursor": cursor,
        "id": "i",
        "source": "test",
        "type": "text.counted",
        "version": "1.0.0",
        "time": event.time,
        "subject": "a.txt",
        "correlation_id": "c",
        "causation_id": "d",
        "key": "k",
        "data": {"n": 2},
        "datacontenttype": "application/json",
        "delivery": 0,
    }
    assert event.time.utcoffset() is not None
    assert sub.cursor == cursor
    with pytest.raises(clew.InvalidInput):
        event.ack()
    rows = rt.sql("SELECT event_cursor, id, ordering_key FROM v_published WHERE subject = 'a.txt'")
    assert rows == [{"event_cursor": cursor, "id": "i", "ordering_key": "k"}]


# Parity: order
def test_eight_publishers_lose_double_and_reorder_nothing(rt: clew.Runtime) -> None:
    sub = rt.subscribe(">")
    given: list[list[int]] = [[] for _ in range(8)]

    def work(mine: list[int], me: int) -> None:
        for n in range(250):
            mine.append(rt.publish("text.counted", {"n": n}, subject=str(me)))

    threads = [threading.Thread(target=work, args=(mine, me)) for me, mine in enumerate(given)]
    for thread in threads:
        thread.start()
    seen: list[clew.Event] = []
    while len(seen) < 2000:
        seen += sub.poll(timeout=30)
    for thread in threads:
        thread.join()
    assert [event.cursor for event in seen] == list(range(1, 2001))
    for me, mine in enumerate(given):
        assert [event.cursor for event in seen if event.subject == str(me)] == mine
        assert numbers([event for event in seen if event.subject == str(me)]) == list(range(250))
    assert sub.poll(timeout=0) == []


def test_what_a_call_emits_is_published_when_it_succeeds_and_never_else(rt: clew.Runtime) -> None:
    rt.register(count)
    rt.register(count_later)
    sub = rt.subscribe(">")
    call = rt.submit(count, {"n": 1}, correlation_id="mine")
    assert call.result() == 1
    events = sub.poll(timeout=0)  # there before the caller hears of the success
    assert numbers(events) == [1, 2]
    assert [event.subject for event in events] == ["first", None]
    # Parity: correlation
    assert {event.correlation_id for event in events} == {"mine"}
    assert {event.causation_id for event in events} == {call.trace.id}
    # Parity: emit_event
    with pytest.raises(clew.ExecutionFailed):
        rt.execute(count, {"n": -1})
    assert sub.poll(timeout=0) == []
    assert rt.execute(count_later, {"n": 7}) == 7
    assert numbers(sub.poll(timeout=0)) == [7]


def test_a_keyed_call_publishes_once_with_the_result_that_its_key_keeps(
    rt: clew.Runtime,
) -> None:
    rt.register(count)
    sub = rt.subscribe(">")
    for _ in range(3):
        assert rt.execute(count, {"n": 1}, idempotency_key="k") == 1
    assert numbers(sub.poll(timeout=0)) == [1, 2]
    with pytest.raises(clew.ExecutionFailed):
        rt.execute(count, {"n": -1}, idempotency_key="other")
    assert sub.poll(timeout=0) == []
    assert rt.verify() == []


def test_a_handler_may_emit_only_what_its_contract_declares(rt: clew.Runtime) -> None:
    met: dict[str, BaseException] = {}

    @clew.capability("test.wrong", version="1.0.0", emits=("text.counted@1.0.0", "no.such"))
    def wrong(ctx: clew.Context) -> None:
        for event, data in (("mail.sent", {}), ("no.such", {}), ("text.counted", {"n": "x"})):
            try:
                ctx.emit(event, data)
            except clew.ClewError as error:
                met[event] = error

    rt.register(wrong)
    rt.events.define("mail.sent@1.0.0")
    rt.execute(wrong)
    assert [type(error) for error in met.values()] == [
        clew.InvalidInput,
        clew.NotFound,
        clew.InvalidInput,
    ]
    assert "no.such" in str(met["no.such"])
    assert rt.stats()["events"]["published"] == 0


def test_a_step_publishes_with_its_result_and_a_failed_attempt_publishes_nothing(
    rt: clew.Runtime,
) -> None:
    attempts: list[int] = []

    @clew.capability("test.flaky", version="1.0.0", emits=("text.counted",))
    def flaky(ctx: clew.Context) -> None:
        attempts.append(ctx.attempt)
        ctx.emit("text.counted", {"n": ctx.attempt})
        ctx.call("test.count", {"n": 10 * ctx.attempt})
        if ctx.attempt == 1:
            raise ValueError("once more")

    rt.register(flaky)
    rt.register(count)
    sub = rt.subscribe(">")
    run = rt.start(
        {
            "workflow": "test.flow",
            "version": "1.0.0",
            "steps": {
                "only": {"call": "test.flaky@^1", "retry": {"attempts": 2, "initial": "1ms"}}
            },
        }
    )
    run.result(60)
    assert attempts == [1, 2]
    events = sub.poll(timeout=0)
    assert numbers(events) == [2, 20, 21]  # those of the call within the step join it
    assert {event.correlation_id for event in events} == {run.id}
    assert rt.verify() == []


# Parity: overflow; retention
def test_what_was_dropped_stands_in_the_stream_and_in_the_counters() -> None:
    with clew.Runtime(limits={"events_max": 4}) as rt:
        rt.events.define("text.counted@1.0.0")
        sub = rt.subscribe("text.*")
        for n in range(10):
            rt.publish("text.counted", {"n": n})
        told, *events = sub.poll()
        assert told.type == "clew.backlog_dropped"
        assert told.data == {"count": 6, "from": 1, "to": 6, "exact": False}
        assert numbers(events) == [6, 7, 8, 9]
        assert rt.stats()["events"]["dropped"] == 6
        # Parity: expiry
        old = rt.subscribe("text.*", from_=1)
        with pytest.raises(clew.NotFound) as expired:
            old.poll(timeout=0)
        assert expired.value.context["oldest"] == 6
        assert numbers(old.poll(timeout=0)) == [6, 7, 8, 9]
        assert numbers(rt.subscribe(">", from_=6).poll()) == [6, 7, 8, 9]
        with pytest.raises(clew.InvalidInput):
            rt.subscribe(">", from_=11)


def test_a_group_that_is_told_of_a_gap_holds_no_event_that_it_was_not_given() -> None:
    with clew.Runtime(limits={"events_max": 4}) as rt:
        rt.events.define("text.counted@1.0.0")
        member = rt.subscribe("text.*", from_="start", group="billing")
        for n in range(10):
            rt.publish("text.counted", {"n": n})
        (told,) = member.poll(1, 0)
        assert told.type == "clew.backlog_dropped"
        assert [next(member).data["n"] for _ in range(4)] == [6, 7, 8, 9]


def test_threads_share_the_events_of_one_iterator(rt: clew.Runtime) -> None:
    count = 3000
    for n in range(count):
        rt.publish("text.counted", {"n": n})
    shared = rt.subscribe("text.*", from_="start")
    got: list[list[int]] = [[] for _ in range(4)]

    def take(into: list[int]) -> None:
        for event in shared:
            into.append(event.data["n"])
            if sum(map(len, got)) == count:
                shared.cancel()

    threads = [threading.Thread(target=take, args=(into,)) for into in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(n for each in got for n in each) == list(range(count))


def test_an_emit_that_was_taken_is_published(rt: clew.Runtime) -> None:
    threads: list[threading.Thread] = []
    taken: list[int] = []

    @clew.capability("test.late", version="1.0.0", emits=("text.counted",))
    def late(n: int, ctx: clew.Context) -> None:
        begun = threading.Event()

        def go_on() -> None:
            for more in range(1000):
                try:
                    ctx.emit("text.counted", {"n": 1000 * n + more})
                except clew.Conflict:
                    return
                taken.append(1000 * n + more)
                begun.set()

        threads.append(threading.Thread(target=go_on))
        threads[-1].start()
        begun.wait()  # and it does not wait for what it emits

    rt.register(late)
    everything = rt.subscribe("text.*", from_="start")
    for n in range(100):
        rt.execute("test.late", {"n": n})
        threads[-1].join()
    assert len(taken) >= 100
    assert sorted(numbers(everything.poll(100_000, 0))) == sorted(taken)


def test_what_another_process_has_done_to_a_type_counts(tmp_path: Path) -> None:
    store = tmp_path / "work.db"
    with clew.Runtime(store) as ours, clew.Runtime(store) as theirs:
        for name in ("a.gone@1.0.0", "a.kept@1.0.0"):
            ours.events.define(name)
        ours.events.define("a.born@1.0.0", lifecycle="draft")
        assert [theirs.publish(f"a.{name}", {}) for name in ("gone", "kept")] == [1, 2]
        with pytest.raises(clew.Rejected):
            theirs.publish("a.born", {})
        ours.events.set_lifecycle("a.gone@1.0.0", "retired")
        ours.events.set_lifecycle("a.born@1.0.0", "active")
        with pytest.raises(clew.Rejected) as rejected:
            theirs.publish("a.gone", {})
        assert rejected.value.context["lifecycle"] == "retired"
        assert [theirs.publish(f"a.{name}", {}) for name in ("kept", "born")] == [3, 4]
        types = [event.type for event in ours.subscribe("a.*", from_="start").poll(10, 0)]
        assert types == ["a.gone", "a.kept", "a.kept", "a.born"]


def test_groups_redeliver_in_virtual_time(
    clew_runtime: clew.Runtime, clew_clock: clew.ManualClock
) -> None:
    rt = clew_runtime
    rt.events.define("text.counted@1.0.0")
    for n in range(3):
        rt.publish("text.counted", {"n": n})
    one = rt.subscribe("text.*", from_="start", group="billing", ack_timeout="30s")
    two = rt.subscribe("text.*", from_="start", group="billing", ack_timeout="30s")
    held = one.poll(2)
    assert numbers(held) == [0, 1]
    assert numbers(two.poll(timeout=0)) == [2]
    held[0].ack()
    clew_clock.advance("30s")
    again = two.poll(1)
    assert numbers(again) == [1]
    assert again[0].delivery == 2
    with pytest.raises(clew.StaleLease):
        held[1].ack()
    two.ack(again[0])
    assert numbers(one.poll(timeout=0)) == [2]
    one.cancel()
    assert numbers(two.poll(timeout=0)) == [2]
    with pytest.raises(clew.Conflict):
        rt.subscribe(">", group="billing")


def test_a_member_that_was_closed_with_its_runtime_gives_its_events_back(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    with clew.Runtime(path) as rt:
        rt.events.define("text.counted@1.0.0")
        rt.publish("text.counted", {"n": 1})
        member = rt.subscribe(">", from_="start", group="g", ack_timeout="1d")
        assert member.poll(timeout=0)[0].delivery == 1
    with clew.Runtime(path) as rt:
        (event,) = rt.subscribe(">", group="g").poll(timeout=10)
        assert event.delivery == 2
        event.ack()
        assert rt.sql("SELECT * FROM event_claims") == []


def test_iteration_ends_with_the_cancel_and_waits_end_with_the_close(rt: clew.Runtime) -> None:
    sub = rt.subscribe("text.*")
    for n in range(3):
        rt.publish("text.counted", {"n": n})
    assert [next(sub).data["n"], next(sub).data["n"]] == [0, 1]
    assert sub.cursor == 2
    assert numbers(sub.poll()) == [2]  # what the iterator had fetched

    iterated: list[int] = []
    first = threading.Event()

    def iterate() -> None:
        for event in sub:
            iterated.append(event.data["n"])
            first.set()

    thread = threading.Thread(target=iterate)
    thread.start()
    rt.publish("text.counted", {"n": 3})
    assert first.wait(30)
    sub.cancel()
    thread.join(30)
    assert not thread.is_alive()
    assert iterated == [3]

    other = rt.subscribe(">")
    met: list[type] = []

    def wait() -> None:
        try:
            other.poll()
        except clew.ClewError as error:
            met.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    rt.close()
    thread.join(30)
    assert met == [clew.Closed]
    with pytest.raises(clew.Closed):
        sub.poll(timeout=0)
    for call in (lambda: rt.publish("text.counted", {"n": 1}), lambda: rt.subscribe(">")):
        with pytest.raises(clew.Closed):
            call()


async def test_asynchronous_twins_wait_without_a_thread(rt: clew.Runtime) -> None:
    twin = clew.aio.Runtime.of(rt)
    await twin.events.define("mail.sent@1.0.0")
    assert [str(one) for one in await twin.events.list()] == [
        "mail.sent@1.0.0",
        "text.counted@1.0.0",
    ]
    subs = [await twin.subscribe("text.*") for _ in range(50)]
    before = threading.active_count()
    waits = [asyncio.ensure_future(sub.poll()) for sub in subs]
    await asyncio.sleep(0)
    assert threading.active_count() <= before + 1  # who looks for other processes
    cursors = await asyncio.gather(*(twin.publish("text.counted", {"n": n}) for n in range(3)))
    assert sorted(cursors) == [1, 2, 3]
    for found in await asyncio.gather(*waits):
        assert found[0].cursor == 1
    with pytest.raises(clew.InvalidInput):
        await twin.publish("text.counted", {"n": "x"})
    async with await twin.subscribe("text.*", from_="start") as sub:
        got = []
        async for event in sub:
            got.append(event.data["n"])
            if len(got) == 3:
                break
        assert sorted(got) == [0, 1, 2]
        assert await sub.poll(timeout=0.01) == []
        waiter = asyncio.ensure_future(sub.poll())
        await asyncio.sleep(0)
    with pytest.raises(clew.Closed):
        await waiter
    member = await twin.subscribe("text.*", from_="start", group="g")
    (first,) = await member.poll(1)
    await member.ack(first)


def test_a_publish_from_a_handler_names_its_call(rt: clew.Runtime) -> None:
    @clew.capability("test.direct", version="1.0.0")
    def direct() -> int:
        return rt.publish("text.counted", {"n": 1})

    rt.register(direct)
    sub = rt.subscribe(">")
    call = rt.submit(direct, {}, correlation_id="c")
    assert call.result() == 1
    (event,) = sub.poll(timeout=0)
    assert (event.correlation_id, event.causation_id) == ("c", call.trace.id)
