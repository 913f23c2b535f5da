"""Exceptions with causes and tracebacks, contexts and calls live to the very end."""

from clew import _core

runtime = _core.Runtime(workers=2)
kept = []


def fails(ctx):
    kept.append(ctx)
    raise ValueError("x")


runtime.register({"id": "t.fails", "version": "1.0.0"}, fails, context="ctx")
for _ in range(5):
    call = runtime.submit("t.fails")
    kept.append((call, call.exception()))
print("ok")
