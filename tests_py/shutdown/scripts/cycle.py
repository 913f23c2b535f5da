"""Handlers refer to their runtime; references of all kinds stay in globals."""

import gc

from clew import _core

runtime = _core.Runtime(workers=2)


class Loop:
    def __init__(self, rt):
        self.rt = rt
        rt.register({"id": "t.loop", "version": "1.0.0"}, self.handle)
        self.call = rt.submit("t.loop")
        self.map = rt.map("t.loop", [{}] * 3)

    def handle(self):
        return id(self.rt) and 1

    def __del__(self):
        pass


loop = Loop(runtime)
other = _core.Runtime(workers=1)
other_loop = Loop(other)
del other, other_loop
gc.collect()
print("ok")
