"""Native handlers sleep on every worker."""

from clew import _core

runtime = _core.Runtime(workers=4)
runtime.register_native({"id": "n.sleep", "version": "1.0.0"}, "sleep")
calls = [runtime.submit("n.sleep", {"for": "60s"}) for _ in range(20)]
print("ok")
