"""The process that is killed: publishes, and says on standard output what was acknowledged.

``python event_child.py STORE``: as many events as it can, from four threads; each line that it
writes is ``<id> <cursor>``, and comes after the acknowledgement.
``python event_child.py STORE run``: one run whose step emits.
"""

from __future__ import annotations

import os
import sys
import threading

import clew

RUN = "the-run"
FLOW = {
    "workflow": "crash.emits",
    "version": "1.0.0",
    "steps": {
        "one": {"call": "crash.emit@^1", "with": {"n": 1}},
        "two": {"call": "crash.emit@^1", "with": {"n": 2}, "after": "one"},
    },
}


@clew.capability("crash.emit", version="1.0.0", emits=("crash.happened@1.0.0",))
def emit(n: int, ctx: clew.Context) -> int:
    """Emit two events."""
    for part in (1, 2):
        ctx.emit("crash.happened", {"n": n, "part": part})
    return n


def publish_for_ever(rt: clew.Runtime) -> None:
    def work(me: int) -> None:
        for n in range(1_000_000):
            name = f"{os.getpid()}-{me}-{n}"
            cursor = rt.publish("crash.happened", {"me": me, "n": n}, id=name)
            os.write(1, f"{name} {cursor}\n".encode())  # one write: never torn

    threads = [threading.Thread(target=work, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run_to_the_end(rt: clew.Runtime) -> None:
    rt.register(emit)
    rt.start(FLOW, id=RUN).result(60)


if __name__ == "__main__":
    with clew.Runtime(sys.argv[1], workers=4, limits={"events_max": 10_000_000}) as runtime:
        runtime.events.define("crash.happened@1.0.0")
        if sys.argv[2:] == ["run"]:
            run_to_the_end(runtime)
        else:
            publish_for_ever(runtime)
