"""Coroutines sleep on the runtime's loop, one of them unwilling to go."""

import asyncio

from clew import _core

runtime = _core.Runtime(workers=2)


async def sleeps():
    await asyncio.sleep(60)


async def clings():
    for _ in range(3):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass


runtime.register({"id": "t.sleeps", "version": "1.0.0"}, sleeps, kind="async")
runtime.register({"id": "t.clings", "version": "1.0.0"}, clings, kind="async")
calls = [runtime.submit("t.sleeps") for _ in range(20)] + [runtime.submit("t.clings")]
assert not calls[-1].wait(0.01)
print("ok")
