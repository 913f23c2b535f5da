"""Python handlers run on every worker until they are told to stop."""

import threading

from clew import _core

runtime = _core.Runtime(workers=4)
all_run = threading.Barrier(5)


def works(ctx):
    all_run.wait()
    while not ctx.cancelled:
        pass


runtime.register({"id": "t.works", "version": "1.0.0"}, works, context="ctx")
calls = [runtime.submit("t.works") for _ in range(20)]
all_run.wait()
print("ok")
