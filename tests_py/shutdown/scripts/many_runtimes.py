"""Many at once, some closed, some not."""

from clew import _core

runtimes = []
for i in range(12):
    runtime = _core.Runtime(workers=2)
    runtime.register({"id": "t.f", "version": "1.0.0"}, lambda i=i: i)
    assert runtime.submit("t.f").result() == i
    if i % 3 == 0:
        runtime.close()
    runtimes.append(runtime)
assert _core.live_runtimes() == 8
print("ok")
