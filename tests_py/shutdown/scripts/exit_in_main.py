"""The main thread leaves by SystemExit in the middle of things."""

import sys

from clew import _core

runtime = _core.Runtime(workers=2)
runtime.register_native({"id": "n.sleep", "version": "1.0.0"}, "sleep")
call = runtime.submit("n.sleep", {"for": "60s"})
print("ok")
sys.exit(0)
