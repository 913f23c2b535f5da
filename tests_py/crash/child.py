"""The process that is killed: starts the run, or goes on with it, and follows it to its end.

``python child.py FOLDER EFFECT`` works in FOLDER, with every capability of that effect. Its last
line of output says how often each fault point was hit, when nothing was armed from outside.
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
JOURNAL = "journal"
RUN = "the-run"
INPUT = {"count": 4}
OUTPUT = {"sum": 0 + 1 + 4 + 9, "note": "the sum is 14"}
FLAKY_ITEM = 2  # of the list; its first attempt fails, and so does that of the step "note"
POINTS = [f"store.commit.{where}" for where in ("before", "inside", "after")]
NEVER = 2**31 - 1

WORKFLOW: dict[str, Any] = {
    "workflow": "crash.small",
    "version": "1.0.0",
    "input": {
        "type": "object",
        "required": ["count"],
        "properties": {"count": {"type": "integer"}},
    },
    "steps": {
        "list": {"call": "crash.list@^1", "with": {"count": "{{ input.count }}"}},
        "each": {
            "for_each": "{{ steps.list.output }}",
            "as": "x",
            "concurrency": 2,
            "call": "crash.square@^1",
            "with": {"x": "{{ x }}"},
            "retry": {"attempts": 2, "initial": "1ms"},
        },
        "sum": {"call": "crash.sum@^1", "with": {"squares": "{{ steps.each.output }}"}},
        "note": {
            "call": "crash.note@^1",
            "with": {"total": "{{ steps.sum.output }}"},
            "retry": {"attempts": 2, "initial": "1ms"},
        },
    },
    "output": {"sum": "{{ steps.sum.output }}", "note": "{{ steps.note.output }}"},
}


class Journal:
    """A file that outlives its writers. One line is one write, so those of the dead are whole."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, *words: object) -> None:
        os.write(self._file, (json.dumps(words) + "\n").encode())

    def ran(self, ctx: clew.Context) -> None:
        """Say that a handler was entered: its first act."""
        self.write("ran", ctx.step, ctx.item, ctx.attempt, os.getpid())

    def close(self) -> None:
        os.close(self._file)


def register(rt: clew.Runtime, journal: Journal, effect: Any) -> None:
    @clew.capability("crash.list", version="1.0.0", effect=effect)
    def numbers(count: int, ctx: clew.Context) -> list[int]:
        journal.ran(ctx)
        return list(range(count))

    @clew.capability("crash.square", version="1.0.0", effect=effect)
    def square(x: int, ctx: clew.Context) -> int:
        journal.ran(ctx)
        if x == FLAKY_ITEM and ctx.attempt == 1:
            raise ArithmeticError("not at the first attempt")
        return x * x

    @clew.capability("crash.sum", version="1.0.0", effect=effect)
    def total(squares: list[int], ctx: clew.Context) -> int:
        journal.ran(ctx)
        return sum(squares)

    @clew.capability("crash.note", version="1.0.0", effect=effect)
    def note(total: int, ctx: clew.Context) -> str:
        journal.ran(ctx)
        if ctx.attempt == 1:
            raise ArithmeticError("not at the first attempt")
        return f"the sum is {total}"

    for capability in (numbers, square, total, note):
        rt.register(capability)


def main(folder: Path, effect: str) -> None:
    journal = Journal(folder)
    if "CLEW_FAULT" not in os.environ:
        for point in POINTS:
            testing.arm_fault(point, at=NEVER)  # an armed point counts its hits
    with clew.Runtime(folder / STORE, workers=2) as rt:
        register(rt, journal, effect)
        run = rt.start(WORKFLOW, INPUT, id=RUN)
        journal.write("started")
        for event in run.events(follow=True):
            journal.write("seen", event.seq, event.type, event.step, event.item)
    print(json.dumps({point: testing.fault_hits(point) for point in POINTS}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
