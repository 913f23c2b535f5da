"""Children are forked while workers run Python and native code."""

import multiprocessing
import os

from clew import _core


def child(queue):
    runtime = _core.Runtime(workers=1)
    runtime.register({"id": "t.f", "version": "1.0.0"}, lambda: os.getpid())
    queue.put(runtime.submit("t.f").result() == os.getpid())


runtime = _core.Runtime(workers=4)
runtime.register({"id": "t.f", "version": "1.0.0"}, lambda: sum(range(1000)))
calls = [runtime.submit("t.f") for _ in range(2000)]
context = multiprocessing.get_context("fork")
queue = context.SimpleQueue()
process = context.Process(target=child, args=(queue,))
process.start()
assert queue.get()
process.join()
assert process.exitcode == 0
assert {call.result() for call in calls} == {499500}
print("ok")
