"""Iterations that are left in the middle."""

import itertools

from clew import _core

runtime = _core.Runtime(workers=4)
runtime.register({"id": "t.f", "version": "1.0.0"}, lambda n: n)
runtime.register_native({"id": "n.echo", "version": "1.0.0"}, "echo")
results = [
    runtime.map(ref, ({"n": n} for n in itertools.count())) for ref in ("t.f", "n.echo", "t.f")
]
for each in results:
    assert len(list(itertools.islice(each, 100))) == 100
print("ok")
