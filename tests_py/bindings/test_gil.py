"""C++ waits and works without the GIL; threads of ours keep their Python state; Ctrl-C arrives."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import clew
import pytest
from bindings.support import nap
from clew import _core

Register = Callable[..., str]


class Ticker:
    """A Python thread that counts while it may."""

    def __init__(self) -> None:
        self.count = 0
        self._stop = False
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop:
            self.count += 1
            nap(0.0005)

    def __enter__(self) -> Ticker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()


def blocking_uses() -> dict[str, Callable[[_core.Runtime], object]]:
    return {
        "execute": lambda rt: rt.execute("n.sleep", {"for": "200ms"}),
        "submit and result": lambda rt: rt.submit("n.sleep", {"for": "200ms"}).result(),
        "result with a timeout": lambda rt: rt.submit("n.sleep", {"for": "200ms"}).result(5),
        "wait": lambda rt: rt.submit("n.sleep", {"for": "10s"}).wait("200ms"),
        "map": lambda rt: list(rt.map("n.sleep", [{"for": "200ms"}])),
        "close": lambda rt: (rt.submit("n.sleep", {"for": "200ms"}), rt.close()),
    }


# Parity: Python
@pytest.mark.parametrize("use", blocking_uses())
@pytest.mark.parametrize("thread", ["main", "other"])
def test_other_threads_go_on_meanwhile(
    use: str, thread: str, runtime: _core.Runtime, native: Register
) -> None:
    native("sleep")
    action = blocking_uses()[use]
    with Ticker() as ticker:
        before = ticker.count
        if thread == "main":
            action(runtime)
        else:
            other = threading.Thread(target=action, args=(runtime,))
            other.start()
            other.join()
        assert ticker.count - before > 3  # some 400; but for one or two when nobody else may run


def test_handlers_in_python_overlap_where_they_wait(runtime: _core.Runtime, add: Register) -> None:
    together = threading.Barrier(4, timeout=10)

    def meets() -> int:
        return together.wait()

    calls = [runtime.submit(add(meets)) for _ in range(4)]
    assert sorted(call.result(10) for call in calls) == [0, 1, 2, 3]


def test_a_worker_keeps_its_python_state(runtime: _core.Runtime, add: Register) -> None:
    local = threading.local()

    def counts() -> tuple[int, int]:
        local.count = getattr(local, "count", 0) + 1
        return threading.get_ident(), local.count

    ref = add(counts)
    highest: dict[int, int] = {}
    for call in [runtime.submit(ref) for _ in range(200)]:
        thread, count = call.result(10)
        highest[thread] = max(highest.get(thread, 0), count)
    assert len(highest) <= 4
    assert sum(highest.values()) == 200  # no thread forgot


def test_finished_calls_do_not_wait_for_one_that_blocks(add: Register) -> None:
    runtime = _core.Runtime(workers=1)
    gate = threading.Event()
    runtime.register({"id": "t.quick", "version": "1.0.0"}, lambda: 1)
    runtime.register({"id": "t.blocks", "version": "1.0.0"}, lambda: gate.wait(10))
    quick = [runtime.submit("t.quick") for _ in range(50)]
    blocked = runtime.submit("t.blocks")
    assert [call.result(5) for call in quick] == [1] * 50
    assert not blocked.done()
    gate.set()
    runtime.close()


# --- Ctrl-C ---


class Interrupt:
    """Sends SIGINT to this process a little later."""

    def __init__(self, after: float = 0.15) -> None:
        self._timer = threading.Timer(after, self._send)
        self.sent = 0.0

    def _send(self) -> None:
        self.sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    def __enter__(self) -> Interrupt:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.join()

    def delay(self) -> float:
        return time.perf_counter() - self.sent


def waiting_uses() -> dict[str, Callable[[_core.Runtime], object]]:
    return {
        "execute native": lambda rt: rt.execute("n.sleep", {"for": "20s"}),
        "execute python": lambda rt: rt.execute("t.sleep"),
        "execute with a timeout": lambda rt: rt.execute("t.sleep", timeout=30),
        "execute async": lambda rt: rt.execute("t.asleep"),
        "result": lambda rt: rt.submit("n.sleep", {"for": "20s"}).result(),
        "result with a timeout": lambda rt: rt.submit("n.sleep", {"for": "20s"}).result(30),
        "map": lambda rt: list(rt.map("n.sleep", [{"for": "20s"}])),
        "nested": lambda rt: rt.execute("t.outer"),
    }


@pytest.mark.parametrize("use", waiting_uses())
def test_ctrl_c_ends_every_wait(use: str, runtime: _core.Runtime, native: Register) -> None:
    async def asleep() -> None:
        import asyncio

        await asyncio.sleep(20)

    native("sleep")
    end = threading.Event()  # nobody can stop a Python handler on another thread
    outer = lambda ctx: ctx.call("n.sleep", {"for": "20s"})  # noqa: E731 - one line says it
    runtime.register({"id": "t.sleep", "version": "1.0.0"}, lambda: end.wait(20))
    runtime.register({"id": "t.asleep", "version": "1.0.0"}, asleep, kind="async")
    runtime.register({"id": "t.outer", "version": "1.0.0"}, outer, context="ctx")
    with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt):
        waiting_uses()[use](runtime)
    delay = interrupt.delay()
    end.set()
    assert delay < 2  # 0.1 on a machine that is not busy
    calls, _ = runtime.traces(outcome="failure")
    assert calls == []
    assert runtime.execute("n.sleep", {"for": 0}) is None


def test_ctrl_c_ends_a_close_that_goes_on_behind(runtime: _core.Runtime, native: Register) -> None:
    native("sleep")
    runtime.submit("n.sleep", {"for": "10s"})
    with Interrupt(), pytest.raises(KeyboardInterrupt):
        runtime.close(drain=True, timeout=20)
    assert runtime.closed
    with pytest.raises(clew.Closed):
        runtime.execute("n.sleep", {"for": 0})
    assert not runtime.close(drain=False)  # it did not wait for the call


def test_a_signal_handler_runs_during_a_wait(runtime: _core.Runtime, native: Register) -> None:
    native("sleep")
    call = runtime.submit("n.sleep", {"for": "60s"})
    answers: list[bool] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: answers.append(call.cancel()))
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(clew.Cancelled):
            call.result()
        assert len(answers) == 1
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
