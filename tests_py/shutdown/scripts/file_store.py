"""A runtime on a file with a run that has not ended."""

from clew import _core

runtime = _core.Runtime("work.db", workers=2)
runtime.register_native({"id": "n.sleep", "version": "1.0.0"}, "sleep")
text = "workflow: t.w\nversion: 1.0.0\nsteps:\n  a: {call: n.sleep, with: {for: 60s}}\n"
definition, problems = _core.load_text(text)
assert problems == []
run = runtime.start(definition, {})
assert not run.wait(0.01)
print("ok")
