"""A thread that the interpreter joins waits in us: it must come out first."""

import threading

import clew
from clew import _core

runtime = _core.Runtime(workers=2)
runtime.register_native({"id": "n.sleep", "version": "1.0.0"}, "sleep")


def waits():
    try:
        runtime.submit("n.sleep", {"for": "60s"}).result()
    except (clew.Cancelled, clew.Closed):
        print("ok")


threading.Thread(target=waits).start()
