"""Four processes with sixteen threads each that want the same at the same time, on both databases.

Each child goes through the same rounds in the same order, so that most of them meet at each row.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clew
import pytest
from clew import _postgres
from clew.stores import QueuedPayload, QueuedWorkDraft, RuntimeCommit

PROCESSES = 4
THREADS = 16
ROUNDS = 1000
HEADS = 50

CHILD = """
import json, sys, threading
import clew
from clew.stores import Checkpoint, RuntimeCommit

store, me, threads, rounds, heads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
won, odd = {"row": [], "head": []}, []
meeting = threading.Barrier(threads)

def race(rt, number):
    meeting.wait()
    for n in range(rounds):
        session = rt.sessions.open(f"row-{n}")
        if session.claim_ready_queued_work(f"{me}/{number}", ttl="1h") is not None:
            won["row"].append(n)
    for n in range(heads):
        checkpoint = Checkpoint(turn_index=n)
        try:
            rt.sessions.open(f"head-{n}").commit_runtime_state(
                RuntimeCommit(session_id=f"head-{n}", checkpoint=checkpoint))
            won["head"].append(n)
        except clew.Conflict as refused:
            odd.extend(k for k in ("expected", "actual") if k not in refused.context)

def guarded(rt, number):
    try:
        race(rt, number)
    except BaseException as error:
        odd.append(repr(error))

with clew.Runtime(store, workers=1) as rt:
    print("ready", flush=True)
    sys.stdin.readline()
    racers = [threading.Thread(target=guarded, args=(rt, n)) for n in range(threads)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
print(json.dumps({"won": won, "odd": odd}), flush=True)
"""


@pytest.fixture(params=["file", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        yield str(tmp_path / "work.db")
        return
    with _postgres.fresh_schema() as url:
        yield url


def race_in(store: str) -> list[dict[str, Any]]:
    """Run the children over the rounds that lie ready and return what each won."""
    counts = [str(n) for n in (THREADS, ROUNDS, HEADS)]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, store, f"child-{n}", *counts],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(PROCESSES)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:  # all are open and wait
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0] * PROCESSES
    return [json.loads(line) for line in said]


def test_one_of_64_threads_in_4_processes_wins_each_row_and_each_head(store: str) -> None:
    with clew.Runtime(store, workers=1) as rt:
        for n in range(ROUNDS):
            payloads = (QueuedPayload("turn_input", {"n": n}),)
            draft = QueuedWorkDraft(session_id=f"row-{n}", payloads=payloads)
            rt.sessions.open(draft.session_id).enqueue_queued_work(draft)
    results = race_in(store)
    assert [result["odd"] for result in results] == [[]] * PROCESSES
    for kind, rounds in (("row", ROUNDS), ("head", HEADS)):
        wins = Counter(n for result in results for n in result["won"][kind])
        assert wins == dict.fromkeys(range(rounds), 1), f"the winners of each {kind}"
    with clew.Runtime(store, workers=1) as rt:
        assert rt.verify() == []
        heads = [rt.sessions.open(f"head-{n}").load_session() for n in range(HEADS)]
        assert [head and head.head_revision for head in heads] == [1] * HEADS
        with pytest.raises(clew.Conflict):
            rt.sessions.open("head-0").commit_runtime_state(RuntimeCommit(session_id="head-0"))
