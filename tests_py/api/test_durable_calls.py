"""``durable=True``: what was accepted runs, whatever dies, and its result is found again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import clew
import clew.aio
import pytest


def register(rt: clew.Runtime, handler: Any, **more: Any) -> None:
    rt.register_contract({"id": "text.words", "version": "1.0.0", **more}, handler)


def count(doc: str) -> int:
    if doc == "bad":
        raise ZeroDivisionError("bad doc")
    return len(doc.split())


# Parity: async execute
def test_its_result_can_be_fetched_later_by_id(tmp_path: Path) -> None:
    with clew.Runtime(tmp_path / "a.db") as rt:
        register(rt, count)
        call = rt.submit("text.words", {"doc": "a b"}, durable=True)
        assert call.result(60) == 2
        assert (call.done(), call.cancelled(), call.exception()) == (True, False, None)
        assert call.trace.outcome == "success"
        assert wait([call], 60).done == {call}
        assert call.id in repr(call)
    with clew.Runtime(tmp_path / "a.db") as rt:
        assert rt.call(call.id).result(60) == 2
        with pytest.raises(clew.NotFound):
            rt.call("nothing")


def test_its_error_is_that_of_the_handler(clew_runtime: clew.Runtime) -> None:
    register(clew_runtime, count)
    call = clew_runtime.submit("text.words", {"doc": "bad"}, durable=True)
    with pytest.raises(clew.ExecutionFailed, match="bad doc"):
        call.result(60)
    assert isinstance(call.exception(), clew.ExecutionFailed)


KILLED = """
import os, sys, threading, clew
printed = threading.Event()
rt = clew.Runtime(sys.argv[1])
def words(doc):
    printed.wait()
    os.kill(os.getpid(), 9)
rt.register_contract({"id": "text.words", "version": "1.0.0"}, words)
call = rt.submit("text.words", {"doc": "a b c"}, durable=True)
print(call.id, flush=True)
printed.set()
call.result()
"""


def test_it_runs_after_its_process_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert killed.returncode == -9
    with clew.Runtime(path) as rt:
        call = rt.call(killed.stdout.strip())
        assert not call.done()
        register(rt, count)
        assert call.result(60) == 3


def test_the_same_key_gives_the_same_call(clew_runtime: clew.Runtime) -> None:
    register(clew_runtime, count)
    one = clew_runtime.submit("text.words", {"doc": "a"}, durable=True, idempotency_key="k")
    two = clew_runtime.submit("text.words", {"doc": "a"}, durable=True, idempotency_key="k")
    assert one.id == two.id
    with pytest.raises(clew.Conflict):
        clew_runtime.submit("text.words", {"doc": "b"}, durable=True, idempotency_key="k")


def test_it_can_be_cancelled_and_tells_its_callbacks(clew_runtime: clew.Runtime) -> None:
    entered, told = threading.Event(), threading.Event()

    def handler(ctx: clew.Context) -> None:
        entered.set()
        while not ctx.cancelled:
            ctx.check_cancelled()

    register(clew_runtime, handler)
    call = clew_runtime.submit("text.words", durable=True)
    call.add_done_callback(lambda _: told.set())
    assert entered.wait(60)
    assert call.cancel()
    with pytest.raises(clew.Cancelled):
        call.result(60)
    assert told.wait(60)
    assert call.cancelled()


def test_what_it_cannot_heed_is_refused(clew_runtime: clew.Runtime) -> None:
    register(clew_runtime, count)
    for options in ({"target": "local"}, {"correlation_id": "x"}):
        with pytest.raises(clew.Unsupported):
            clew_runtime.submit("text.words", {"doc": "a"}, durable=True, **options)
    with pytest.raises(clew.InvalidInput):
        clew_runtime.submit("text.words", {"doc": "a"}, durable="yes")
    with pytest.raises(clew.NotFound):
        clew_runtime.submit("text.wrods", {"doc": "a"}, durable=True)
    assert clew_runtime.submit("text.words", {"doc": "a"}, durable=False).result(60) == 1
    assert len(clew_runtime.runs()) == 0


def test_it_is_awaitable(clew_runtime: clew.Runtime) -> None:
    register(clew_runtime, count)

    async def main() -> Any:
        rt = clew.aio.Runtime.of(clew_runtime)
        call = rt.submit("text.words", {"doc": "a b"}, durable=True)
        return await call, await (await rt.call(call.id))

    assert asyncio.run(main()) == (2, 2)
