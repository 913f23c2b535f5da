"""Daemon threads call us without a pause."""

import threading

from clew import _core

runtime = _core.Runtime(workers=2)
runtime.register({"id": "t.f", "version": "1.0.0"}, lambda: 1)
runtime.register_native({"id": "n.nothing", "version": "1.0.0"}, "nothing")
started = threading.Barrier(5)


def calls():
    started.wait()
    while True:
        try:
            runtime.execute("n.nothing")
            runtime.submit("t.f").result()
            list(runtime.map("t.f", [{}] * 10))
        except Exception:
            return


for _ in range(4):
    threading.Thread(target=calls, daemon=True).start()
started.wait()
assert len(list(runtime.map("t.f", [{}] * 100))) == 100
print("ok")
