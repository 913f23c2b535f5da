"""Events of processes that are really killed: what was acknowledged is there, once, in order."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import clew
import pytest

CHILD = Path(__file__).with_name("event_child.py")
SEED = int(os.environ.get("CLEW_SEED", "4711"))
POINTS = [f"store.commit.{where}" for where in ("before", "inside", "after")]
ALL: dict[str, int] = {"events_max": 10_000_000}


def kill_after(store: Path, acknowledgements: int) -> dict[str, int]:
    """Kill the child once it has acknowledged so many; return all that it did acknowledge."""
    child = subprocess.Popen([sys.executable, str(CHILD), str(store)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(acknowledgements)]
    child.send_signal(signal.SIGKILL)
    lines += child.stdout.readlines()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    pairs = (line.decode().split() for line in lines)
    return {name: int(cursor) for name, cursor in pairs}


def stored(rt: clew.Runtime) -> list[clew.Event]:
    sub = rt.subscribe(">", from_="start")
    events: list[clew.Event] = []
    while page := sub.poll(10_000, timeout=0):
        events += page
    return events


def check(store: Path, acknowledged: dict[str, int]) -> None:
    with clew.Runtime(store, limits=ALL) as rt:
        events = stored(rt)
        assert [event.cursor for event in events] == list(range(1, len(events) + 1))
        found = {event.id: event.cursor for event in events}
        assert len(found) == len(events)
        assert acknowledged.items() <= found.items()
        assert rt.verify() == []


# Parity: durable ack
@pytest.mark.parametrize(
    "kills", [8, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
def test_every_acknowledged_event_survives_kills_at_random_points(
    tmp_path: Path, kills: int
) -> None:
    print(f"CLEW_SEED={SEED}")
    chance = random.Random(SEED)
    store = tmp_path / "work.db"
    acknowledged: dict[str, int] = {}
    for _ in range(kills):
        acknowledged |= kill_after(store, chance.randrange(1, 200))
    assert len(acknowledged) >= kills
    check(store, acknowledged)


def test_a_step_killed_at_any_commit_loses_and_doubles_no_event(tmp_path: Path) -> None:
    killed = 0
    for point in POINTS:
        for hit in range(1, 12):
            store = tmp_path / f"{point}-{hit}.db"
            command = [sys.executable, str(CHILD), str(store), "run"]
            done = subprocess.run(
                command, env=os.environ | {"CLEW_FAULT": f"{point}=kill@{hit}"}, check=False
            )
            if done.returncode == 0:
                break  # it has no more commits
            assert done.returncode == -signal.SIGKILL
            killed += 1
            assert subprocess.run(command, check=False).returncode == 0
            with clew.Runtime(store) as rt:
                events = stored(rt)
                assert [(one.data["n"], one.data["part"]) for one in events] == [
                    (1, 1), (1, 2), (2, 1), (2, 2),
                ]  # fmt: skip
                assert [one.cursor for one in events] == [1, 2, 3, 4]
                assert rt.verify() == []
    assert killed >= 12
