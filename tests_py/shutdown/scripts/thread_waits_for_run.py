"""The same for runs, with and without a time limit."""

import threading

import clew
from clew import _core

runtime = _core.Runtime(workers=2)
runtime.register_native({"id": "n.sleep", "version": "1.0.0"}, "sleep")
text = "workflow: t.w\nversion: 1.0.0\nsteps:\n  a: {call: n.sleep, with: {for: 60s}}\n"
definition, problems = _core.load_text(text)
run = runtime.start(definition, {})
lock = threading.Lock()
left = [2]


def waits(timeout):
    try:
        run.result(timeout)
    except (clew.Cancelled, clew.Closed):
        with lock:
            left[0] -= 1
            if left[0] == 0:
                print("ok")


for timeout in (None, 60):
    threading.Thread(target=waits, args=(timeout,)).start()
