"""A runtime that nobody closes."""

from clew import _core

runtime = _core.Runtime(workers=4)
runtime.register({"id": "t.f", "version": "1.0.0"}, lambda: 1)
assert runtime.execute("t.f") == 1
assert runtime.submit("t.f").result() == 1
print("ok")
