"""Every rule that ``rt.verify()`` knows, broken by hand: it is named, with what it is about."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import clew
import pytest
from clew.stores import ProcessEventSemantics, ProcessEventType, ProcessWakeSpec
from support import stored_run

TOLD = ProcessEventType(
    "told", semantics=ProcessEventSemantics(wake=ProcessWakeSpec({"pointer": "/wake"}))
)
STREAM = "stream >= 72057594037927936"
EFFECT = "INSERT INTO effects VALUES ('turn:s', 'k', 's', 'x', '{{}}', '{}', NULL, NULL, 1)"
LEASE = "INSERT INTO timed_leases VALUES ('{}', '{}', 'o', 't', 1, 1, 2)"

# The rule, what breaks it, and what the report names.
BROKEN: dict[str, tuple[str, str]] = {
    "events.dense": ("UPDATE events SET seq = seq + 90 WHERE stream = 1 AND seq = 2", "the-run"),
    "events.run": ("UPDATE events SET stream = 77 WHERE stream = 1 AND seq = 2", "77/2"),
    "runs.started": ("UPDATE events SET type = 'run.resumed' WHERE stream = 1 AND seq = 1", "the-"),
    "runs.ended_once": ("UPDATE runs SET status = 'running'", "the-run"),
    "runs.status": ("UPDATE runs SET status = 'failed'", "the-run"),
    "runs.silent_after_end": (
        "INSERT INTO events (stream, seq, at_us, type, subject, data)"
        " SELECT stream, MAX(seq) + 1, 1, 'run.resumed', '', '{}' FROM events WHERE stream = 1",
        "the-run",
    ),
    "runs.definition": ("UPDATE runs SET digest = 'other'", "the-run"),
    "runs.lease": ("DELETE FROM leases", "the-run"),
    "runs.lease_open": ("UPDATE leases SET closed = 0", "the-run"),
    "leases.run": ("UPDATE leases SET number = 77", "run/77"),
    "published.kept": ("UPDATE published SET digest = 'other'", "stored.one"),
    "processes.dense": ("UPDATE processes SET last_seq = 9 WHERE id = 'live'", "live"),
    "processes.events": (f"UPDATE events SET stream = stream + 90 WHERE {STREAM}", "/1"),
    "processes.output": ("UPDATE processes SET output = NULL WHERE id = 'ended'", "ended"),
    "processes.grants": ("UPDATE process_grants SET process_id = 'nobody'", "s/nobody"),
    "processes.wakes": ("UPDATE process_wakes SET seq = 90", "/90"),
    "processes.leases": (LEASE.format("process", "nobody"), "nobody"),
    "effects.running": (EFFECT.format("in_progress"), "turn:s/k"),
    "effects.decided": (
        f"{EFFECT.format('completed')}; {LEASE.format('effect', 'turn:s k')}",
        "turn:s/k",
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a file with a run, and processes that live and have ended."""
    file = tmp_path_factory.mktemp("rules") / "whole.db"
    with clew.Runtime(file, workers=2) as rt:
        stored_run.complete(rt)
        for name in ("live", "ended"):
            rt.processes.register_process(name, event_types=[TOLD])
        rt.processes.append_event("live", "told", {"wake": "up"}, wake_target_scope="s")
        rt.processes.grant_handle("s", "live", kind="worker", label="live")
        rt.processes.complete_process("ended", {"type": "success", "value": 1})
        assert rt.verify() == []
    return file.read_bytes()


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_named_with_what_breaks_it(
    rule: str, tmp_path: Path, whole: bytes
) -> None:
    file = tmp_path / "work.db"
    file.write_bytes(whole)
    sql, about = BROKEN[rule]
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.executescript(sql)
        assert db.total_changes > 0
    with clew.Runtime(file, workers=1, start=False) as rt:
        found = [each for each in rt.verify() if each.invariant == rule]
    assert found, "the rule is broken, and nobody says so"
    assert any(about in each.detail for each in found), found


def test_every_rule_is_broken_here() -> None:
    core = Path(__file__).parents[2] / "cpp/clew"
    named = re.compile(r'^    \{"([a-z]+\.[a-z_]+)", "', re.MULTILINE)
    files = [path for path in core.rglob("*.cpp") if "store::Invariant" in path.read_text()]
    rules = {rule for path in files for rule in named.findall(path.read_text())}
    assert rules == set(BROKEN)
