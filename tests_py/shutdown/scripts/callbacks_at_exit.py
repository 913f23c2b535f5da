"""Callbacks are called by the closing itself."""

from clew import _core

runtime = _core.Runtime(workers=1)
runtime.register_native({"id": "n.sleep", "version": "1.0.0"}, "sleep")
seen = []
calls = [runtime.submit("n.sleep", {"for": "60s"}) for _ in range(4)]
for call in calls:
    call.add_done_callback(lambda c: (seen.append(c), len(seen) == 4 and print("ok")))
