"""Modules spin on every slot and wait in the queue."""

from clew import _core, _wasm

SPIN = b"""(module (memory (export "memory") 1)
  (func (export "_start") (loop $again (br $again))))"""
LIMITS = {"wasm": {"fuel": 10**15, "wall": "1h"}}

runtime = _core.Runtime(workers=4)
contract = {"id": "w.spin", "version": "1.0.0", "constraints": LIMITS}
runtime.register_wasm(contract, module=SPIN, library=_wasm.library())
calls = [runtime.submit("w.spin", {}) for _ in range(100)]
assert not any(call.done() for call in calls)
print("ok")
