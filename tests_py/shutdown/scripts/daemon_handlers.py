"""Daemon threads run handlers in their own stack, with us below, when the interpreter ends."""

import threading

from clew import _core

runtime = _core.Runtime(workers=2)
within = threading.Barrier(3)


def spins():
    within.wait()
    while True:
        pass


def waits():
    within.wait()
    threading.Event().wait()


runtime.register({"id": "t.spins", "version": "1.0.0"}, spins)
runtime.register({"id": "t.waits", "version": "1.0.0"}, waits)
for capability in ("t.spins", "t.waits"):
    threading.Thread(target=runtime.execute, args=[capability], daemon=True).start()
within.wait()
print("ok")
