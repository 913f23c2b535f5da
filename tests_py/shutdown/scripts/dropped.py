"""Runtimes that are dropped while they work."""

import threading

from clew import _core

for _ in range(3):
    started = threading.Event()
    runtime = _core.Runtime(workers=2)

    def works(ctx, started=started):
        started.set()
        while not ctx.cancelled:
            pass

    runtime.register({"id": "t.works", "version": "1.0.0"}, works, context="ctx")
    call = runtime.submit("t.works")
    started.wait()
    del runtime
    assert call.done()
print("ok")
