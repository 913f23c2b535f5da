"""A PostgreSQL server that stays away: typed errors in bounded time, and life after it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clew
import pytest
from clew import _postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

GONE = (clew.Unavailable, clew.UnknownOutcome)


class Server:
    """A server of this test's own, which can be away. Its supervisor would start it again."""

    def __init__(self) -> None:
        self.base = _postgres.server_url(os.getpid(), "away")
        found = re.search(r"host=([^&]+)", self.base)
        assert found is not None
        self._folder = Path(found[1])
        self._supervisor = int((self._folder / "supervisor").read_text())

    def answers(self) -> bool:
        try:
            _postgres.ask(self.base, "SELECT 1")
        except RuntimeError:
            return False
        return True

    def stop(self) -> None:
        os.kill(self._supervisor, signal.SIGSTOP)
        server = int((self._folder / "data/postmaster.pid").read_text().splitlines()[0])
        ended = os.pidfd_open(server)
        os.kill(server, signal.SIGINT)  # in order: whatever was acknowledged is kept
        select.select([ended], [], [])
        os.close(ended)

    def start(self) -> None:
        os.kill(self._supervisor, signal.SIGCONT)
        while not self.answers():
            select.select([], [], [], 0.02)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.start()


@pytest.fixture
def store(server: Server) -> str:
    return _postgres.in_schema(server.base, f"away_{time.monotonic_ns()}")


def wordlist(doc: str) -> int:
    return len(doc.split())


def use(rt: clew.Runtime) -> None:
    rt.register_contract({"id": "away.words", "version": "1.0.0"}, wordlist)


FLOW: dict[str, Any] = {
    "workflow": "away.flow",
    "version": "1.0.0",
    "steps": {"one": {"call": "away.words@^1", "with": {"doc": "a b"}}},
    "output": "{{ steps.one.output }}",
}


def test_operations_fail_while_it_is_away_and_go_on_afterwards(server: Server, store: str) -> None:
    with clew.Runtime(store, workers=2) as rt:
        use(rt)
        rt.events.define("away.event@1.0.0")
        rt.publish("away.event", {"n": 1})
        assert rt.start(FLOW, {}, id="before").result(timeout=60) == 2
        server.stop()
        for operation in (
            lambda: rt.sql("SELECT 1 AS one"),
            lambda: rt.publish("away.event", {"n": 2}),
            lambda: rt.start(FLOW, {}, id="meanwhile"),
            lambda: rt.sessions.open("s").load_session(),
            lambda: rt.processes.register_process("p", {"type": "external"}),
            lambda: rt.verify(),
        ):
            with pytest.raises(GONE):
                operation()
        assert rt.execute("away.words", {"doc": "no store is needed"}) == 4
        server.start()
        assert rt.sql("SELECT 1 AS one") == [{"one": 1}]
        rt.publish("away.event", {"n": 3})
        assert rt.start(FLOW, {}, id="after").result(timeout=60) == 2
        assert rt.run("before").result(timeout=60) == 2
        rt.processes.register_process("p", {"type": "external"})
        assert rt.verify() == []
        seen = [event.data["n"] for event in rt.subscribe("away.event", from_="start").poll()]
        assert seen == [1, 3]


def test_a_run_under_way_goes_on_when_it_is_back(server: Server, store: str) -> None:
    import threading

    entered, go_on = threading.Event(), threading.Event()
    calls: list[str] = []

    def slow(doc: str) -> int:
        calls.append(doc)
        entered.set()
        go_on.wait(60)
        return 7

    with clew.Runtime(store, workers=2) as rt:
        rt.register_contract({"id": "away.words", "version": "1.0.0", "effect": "idempotent"}, slow)
        run = rt.start(FLOW, {}, id="under-way")
        assert entered.wait(60)
        server.stop()
        with pytest.raises(GONE):
            rt.sql("SELECT 1 AS one")
        server.start()
        go_on.set()
        assert run.result(timeout=120) == 7
        assert calls == ["a b"]
        assert rt.verify() == []


def test_a_runtime_closes_while_it_is_away(server: Server, store: str) -> None:
    rt = clew.Runtime(store, workers=2)
    use(rt)
    assert rt.start(FLOW, {}, id="before").result(timeout=60) == 2
    server.stop()
    with contextlib.suppress(clew.ClewError):
        rt.close(timeout=5)
    assert rt.closed
    with pytest.raises(clew.Closed):
        rt.sql("SELECT 1")
    with pytest.raises(clew.Unavailable):
        clew.Runtime(store)
    server.start()
    with clew.Runtime(store, workers=2) as again:
        assert again.run("before").result(timeout=60) == 2
        assert again.verify() == []
