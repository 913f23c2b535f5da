"""The process that is killed: a run that waits for its own event and calls a composite.

``python edge_child.py FOLDER`` works in FOLDER. Its last line says how often each point was hit.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import clew
from clew import testing

STORE = "work.db"
RUN = "the-run"
OUTPUT = {"sum": 44, "event": 4}
POINTS = [f"store.commit.{where}" for where in ("before", "inside", "after")]
NEVER = 2**31 - 1

INNER: dict[str, Any] = {
    "workflow": "edge.inner",
    "version": "1.0.0",
    "steps": {
        "first": {"call": "edge.add", "with": {"a": "{{ input.n }}", "b": 20}},
        "second": {"call": "edge.add", "with": {"a": "{{ steps.first.output }}", "b": 20}},
    },
    "output": "{{ steps.second.output }}",
}
OUTER: dict[str, Any] = {
    "workflow": "edge.outer",
    "version": "1.0.0",
    "steps": {
        "tell": {"call": "edge.tell"},
        "sum": {
            "after": "tell",
            "on_event": {"type": "edge.told@^1", "where": "{{ event.data > 3 }}"},
            "call": "edge.sum",
            "with": {"n": "{{ event.data }}"},
        },
        "again": {
            "after": "tell",
            "on_event": {"type": "edge.told", "where": "{{ event.data > 3 }}"},
        },
    },
    "output": {"sum": "{{ steps.sum.output }}", "event": "{{ steps.again.output.data }}"},
}


def register(rt: clew.Runtime) -> None:
    @clew.capability("edge.tell", version="1.0.0", emits=("edge.told@1.0.0",))
    def tell(ctx: clew.Context) -> None:
        for n in range(6):
            ctx.emit("edge.told@1.0.0", n)

    rt.events.define("edge.told@1.0.0")
    rt.register(tell)
    rt.register_contract({"id": "edge.add", "version": "1.0.0"}, lambda a, b: a + b)
    # A step of an effect that is never repeated: its run is met again all the same.
    rt.register_contract({"id": "edge.sum", "version": "1.0.0", "effect": "once"}, workflow=INNER)


def main(folder: Path) -> None:
    if "CLEW_FAULT" not in os.environ:
        for point in POINTS:
            testing.arm_fault(point, at=NEVER)  # an armed point counts its hits
    with clew.Runtime(folder / STORE, workers=2) as rt:
        register(rt)
        rt.start(OUTER, id=RUN).result()
    print(json.dumps({point: testing.fault_hits(point) for point in POINTS}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
