"""Subscriptions at exit: one waits, one iterates on a loop, a member holds an event."""

import asyncio
import os
import threading

import clew

rt = clew.Runtime()
rt.events.define("test.happened@1.0.0")
rt.publish("test.happened", 1)
member = rt.subscribe(">", from_="start", group="g")
assert member.poll(timeout=0)[0].delivery == 1
waiting = rt.subscribe(">")
ended = threading.Event()


def wait() -> None:
    try:
        waiting.poll()
    except clew.Closed:
        ended.set()


threading.Thread(target=wait).start()


async def look() -> None:
    async for event in rt.subscribe(">", from_="start"):
        assert event.data == 1
        return


asyncio.run(look())
child = os.fork()
if child == 0:
    del member, waiting  # the parent's: dropping them touches nothing
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("ok", flush=True)
