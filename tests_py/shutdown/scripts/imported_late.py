"""Imported for the first time while the interpreter ends."""

import atexit


def late():
    from clew import _core

    assert _core.roundtrip({"a": 1}) == {"a": 1}
    runtime = _core.Runtime(workers=1)
    runtime.register({"id": "t.f", "version": "1.0.0"}, lambda: 1)
    assert runtime.submit("t.f").result() == 1
    runtime.close()
    print("ok")


atexit.register(late)
