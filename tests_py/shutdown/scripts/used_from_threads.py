"""Imported and used by threads alone; the module outlives them."""

import threading


def work():
    from clew import _core

    runtime = _core.Runtime(workers=2)
    runtime.register({"id": "t.f", "version": "1.0.0"}, lambda: threading.get_ident())
    assert runtime.submit("t.f").result() != threading.get_ident()
    kept.append(runtime)


kept = []
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("ok")
