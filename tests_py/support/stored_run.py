"""A run that has completed, in a store that a test will damage."""

from __future__ import annotations

import clew

__all__ = ["ONE_STEP", "complete", "echo"]

ONE_STEP = """\
workflow: stored.one
version: 1.0.0
steps: {only: {call: stored.echo, with: {x: "{{ input.x }}"}}}
output: "{{ steps.only.output }}"
"""


@clew.capability("stored.echo", version="1.0.0")
def echo(x: int) -> int:
    return x


def complete(rt: clew.Runtime) -> None:
    """Publish the workflow, and have its run ``the-run``."""
    rt.register(echo)
    wf = clew.load(ONE_STEP)
    rt.publish_workflow(wf)
    assert rt.start(wf, {"x": 1}, id="the-run").result(timeout=30) == 1
