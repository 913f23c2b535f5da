"""A store with something of everything in it, and capabilities that count what they do.

``python full_store.py STORE FOLDER`` fills a store.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import clew
from clew.stores import (
    GraphDelta,
    ProcessEventType,
    QueuedPayload,
    QueuedWorkDraft,
    RuntimeCommit,
    SessionNode,
    TriggerDraft,
)

LARGE = bytes(range(256)) * 4000  # a file of its own
SMALL = b"\x00\xff small"

WAITING: dict[str, Any] = {
    "workflow": "move.waiting",
    "version": "1.0.0",
    "steps": {
        "first": {"call": "move.once@^1", "with": {"n": 1}},
        "approved": {"on_event": {"type": "move.approved"}, "after": "first"},
        "last": {
            "call": "move.once@^1",
            "with": {"n": "{{ steps.approved.output.data.n }}"},
        },
    },
    "output": "{{ steps.last.output }}",
}
DONE: dict[str, Any] = {
    "workflow": "move.done",
    "version": "1.0.0",
    "steps": {"only": {"call": "move.once@^1", "with": {"n": 41}}},
    "output": "{{ steps.only.output }}",
}
LATER: dict[str, Any] = {
    "workflow": "move.later",
    "version": "1.0.0",
    "steps": {
        "try": {"call": "move.broken@^1", "with": {}, "retry": {"attempts": 3, "initial": "10h"}}
    },
}


class Journal:
    """Who did what, in a file that outlives processes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal"

    def lines(self) -> list[str]:
        return self.path.read_text().split() if self.path.exists() else []

    def register(self, rt: clew.Runtime) -> None:
        @clew.capability("move.once", version="1.0.0", effect="once")
        def once(n: int) -> int:
            with self.path.open("a") as file:
                file.write(f"{n}\n")
            return n + 1

        @clew.capability("move.broken", version="1.0.0", effect="idempotent")
        def broken() -> int:
            raise RuntimeError("not yet")

        rt.register(once)
        rt.register(broken)


def fill(store: str | Path, journal: Journal) -> None:
    """Fill a store: runs that are done, wait for an event, wait for a time; and all stores."""
    with clew.Runtime(store, workers=2) as rt:
        journal.register(rt)
        rt.events.define("move.approved@1.0.0", schema={"type": "object"})
        rt.publish("move.approved", {"n": -1}, subject="nobody waits yet")
        assert rt.start(DONE, {}, id="done").result(timeout=60) == 42
        rt.execute("move.once", {"n": 7}, idempotency_key="key-7")
        waiting = rt.start(WAITING, {}, id="waiting")
        later = rt.start(LATER, {}, id="later")
        for run, reached in ((waiting, "step.waiting"), (later, "step.retrying")):
            assert any(event.type == reached for event in run.events(follow=True))
        fill_stores(rt)
        assert rt.verify() == []


def fill_stores(rt: clew.Runtime) -> None:
    note = ProcessEventType("move.note", {"type": "object"})
    rt.processes.register_process("worker", {"type": "external"}, event_types=[note])
    rt.processes.append_event("worker", "move.note", {"text": "héllo \u2603"})
    session = rt.sessions.open("root")
    session.commit_runtime_state(
        RuntimeCommit("root", graph=GraphDelta("append", (SessionNode("hello"),), "hello"))
    )
    session.enqueue_queued_work(
        QueuedWorkDraft("root", (QueuedPayload("turn_input", {"text": "go"}),))
    )
    rt.attachments.put("root", SMALL, "image/png", label="small")
    rt.attachments.put("root", LARGE, "application/x", label="large")
    rt.attachments.put("other", LARGE, "application/x")
    rt.triggers.register_subscription(
        TriggerDraft("root", "ui.button", "on_press", source={"button": "Blue"})
    )
    key = rt.triggers.source_key_for_subscription("ui.button", {"button": "Blue"})
    event = rt.triggers.record_occurrence("ui.button", key, {"n": 1}, key="press-1")
    assert len(rt.triggers.reserve_matching_deliveries(event.occurrence_id)) == 1
    rt.artifacts.put_module_artifact(
        rt.artifacts.seal({"exports": {}, "canonical_ir": {"body": [1, 1.0, "x"]}})
    )


if __name__ == "__main__":
    fill(sys.argv[1], Journal(Path(sys.argv[2])))
