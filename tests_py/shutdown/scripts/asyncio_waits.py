"""A loop of the user's waits for calls when the main thread gives up."""

import asyncio

from clew import _core

runtime = _core.Runtime(workers=2)
runtime.register_native({"id": "n.sleep", "version": "1.0.0"}, "sleep")


async def main():
    task = asyncio.ensure_future(asyncio.wait([asyncio.ensure_future(wait())], timeout=0.02))
    await task


async def wait():
    await runtime.submit("n.sleep", {"for": "60s"})


asyncio.run(main())
print("ok")
