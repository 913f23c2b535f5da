"""Daemon threads wait in us for what will not come."""

import threading

from clew import _core

runtime = _core.Runtime(workers=2)
runtime.register_native({"id": "n.sleep", "version": "1.0.0"}, "sleep")


def waits():
    try:
        runtime.submit("n.sleep", {"for": "60s"}).result()
    except Exception:
        pass


for _ in range(8):
    threading.Thread(target=waits, daemon=True).start()
print("ok")
