"""Functions registered with atexit find the runtime closed; new ones cannot be opened."""

import atexit

import clew
from clew import _core

runtime = _core.Runtime(workers=2)
runtime.register_native({"id": "n.nothing", "version": "1.0.0"}, "nothing")


def late():
    assert runtime.closed
    runtime.close()
    for use in (lambda: runtime.execute("n.nothing"), _core.Runtime):
        try:
            use()
        except clew.Closed:
            pass
        else:
            raise AssertionError
    print("ok")


atexit.register(late)
