"""Calls are out on an executor of somebody else's."""

import threading
from concurrent.futures import ThreadPoolExecutor

from clew import _core

gate = threading.Event()
pool = ThreadPoolExecutor(2)
runtime = _core.Runtime(workers=2)
runtime.add_executor("threads", pool, ["pool"])
contract = {"id": "t.hold", "version": "1.0.0", "permitted_targets": ["pool"]}
runtime.register(contract, lambda: gate.wait(0.2))
calls = [runtime.submit("t.hold") for _ in range(5)]
print("ok")
