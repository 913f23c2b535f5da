"""A process that is killed between an event and the delivery of its wake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import clew
import pytest

CHILD = """
import sys
import clew
from clew.stores import ProcessEventSemantics, ProcessEventType, ProcessWakeSpec

with clew.Runtime(sys.argv[1]) as rt:
    wake = ProcessEventSemantics(wake=ProcessWakeSpec("payload"))
    rt.processes.register_process("p", event_types=[ProcessEventType("wake", semantics=wake)])
    rt.processes.append_event("p", "wake", "up", replay_key="k", wake_target_scope="s")
    while rt.sql("SELECT 1 FROM outbox"):
        pass  # closing need not wait for the delivery
"""


def delivered(rt: clew.Runtime) -> int:
    """Return how many batches its session has once the outbox is empty."""
    for _ in range(2000):  # it is delivered behind
        if rt.sql("SELECT COUNT(*) AS n FROM outbox") == [{"n": 0}]:
            break
        threading.Event().wait(0.005)
    return len(rt.sessions.open("s").list_queued_work())


@pytest.mark.parametrize(
    ("fault", "is_killed"),
    [("outbox.deliver=kill@1", True)]
    + [
        (f"store.commit.{where}=kill@{hit}", True)
        for where in ("inside", "after")
        for hit in (4, 5)
    ]
    + [("outbox.deliver=kill@2", False)],
)
def test_a_wake_is_delivered_once_whenever_its_process_is_killed(
    tmp_path: Path, fault: str, is_killed: bool
) -> None:
    store = tmp_path / "work.db"
    command = [sys.executable, "-c", CHILD, str(store)]
    done = subprocess.run(command, env=os.environ | {"CLEW_FAULT": fault}, check=False)
    assert done.returncode == (-signal.SIGKILL if is_killed else 0)
    with clew.Runtime(store) as rt:
        record = rt.processes.get_process("p")
        appended = 0 if record is None else record.last_sequence
        assert delivered(rt) == appended
        assert rt.verify() == []
    with clew.Runtime(store) as again:
        assert delivered(again) == appended
