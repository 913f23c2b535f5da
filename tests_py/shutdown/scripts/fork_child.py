"""A forked child has none of our threads: its calls are refused, and it may open its own."""

import os
import sys

import clew
from clew import _core

runtime = _core.Runtime(workers=2)
runtime.register({"id": "t.f", "version": "1.0.0"}, lambda: 1)
call = runtime.submit("t.f")
call.wait()
for leave in (os._exit, sys.exit):
    child = os.fork()
    if child == 0:
        for use in (
            lambda: runtime.execute("t.f"),
            lambda: runtime.submit("t.f"),
            lambda: runtime.map("t.f", [{}]),
            runtime.stats,
        ):
            try:
                use()
            except clew.Closed:
                pass
            else:
                os._exit(1)
        assert runtime.closed
        assert runtime.close()
        own = _core.Runtime(workers=2)
        own.register({"id": "t.g", "version": "1.0.0"}, lambda: 2)
        assert own.submit("t.g").result() == 2
        assert own.execute("t.g") == 2
        leave(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
assert runtime.execute("t.f") == 1
print("ok")
