"""A close that was interrupted goes on while the process ends."""

import os
import signal
import threading

from clew import _core

runtime = _core.Runtime(workers=2)
runtime.register_native({"id": "n.sleep", "version": "1.0.0"}, "sleep")
call = runtime.submit("n.sleep", {"for": "1s"})
try:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    runtime.close(drain=True, timeout=20)
except KeyboardInterrupt:
    print("ok")
