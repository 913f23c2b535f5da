"""Ctrl-C while the main thread waits; then the process ends with everything still going."""

import os
import signal
import threading

from clew import _core

runtime = _core.Runtime(workers=2)
runtime.register_native({"id": "n.sleep", "version": "1.0.0"}, "sleep")
try:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    runtime.submit("n.sleep", {"for": "60s"}).result()
except KeyboardInterrupt:
    print("ok")
