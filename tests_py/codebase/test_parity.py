"""Every behaviour that users of comparable runtimes rely on has a test that names it.

A test names the rows that it stands for in a comment: ``Parity: <row>``, several by ``;``.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ROWS = """
parse contract
identity rule
service rules
idempotent register
immutability
semver gate
schema evolution
overlay
range resolve
lifecycle-aware range
discovery
dependencies
JSON Schema
concurrent registry
request checks
state machine
real time
placement tiers
hint safety
native capability
router errors
failed trace
native = pool
capacity
panic safety
parallel/serial
nested call
queue bound
timeout/cancel
shutdown
fairness
stress set
13 seed tests
WASM I/O
WASM limits
ABI gate
module cache
emit_event
connectors
WASM bypass
trace tiers
trace isolation
trace query
catalog gate
subscribe
dedupe
overflow
expiry
order
durable ack
torn tail
retention
write timeout
throughput
workflow validate
pipeline
halt
event edge
correlation
branch/parallel/join
durable run
wait/retry/compensate
idempotency
async execute
security
Python
""".strip().splitlines()

# What waits for a later part, and for which.
LATER = {
    "branch/parallel/join": "choices and joins of workflows",
    "wait/retry/compensate": "waits and compensation of workflows",
}


def named() -> set[str]:
    found: set[str] = set()
    for folder in ("tests_py", "tests_cpp", "benchmarks"):
        for path in (ROOT / folder).rglob("*.*"):
            if path.suffix in (".py", ".cpp", ".hpp") and path != Path(__file__):
                for rows in re.findall(r"Parity: (.+)", path.read_text(encoding="utf-8")):
                    found.update(re.sub("^[PB](/B)? ", "", row.strip()) for row in rows.split(";"))
    return found


def test_every_row_has_a_test_or_waits_for_a_later_part() -> None:
    assert len(ROWS) == len(set(ROWS)) == 66
    assert named() - set(ROWS) == set()
    assert set(ROWS) - named() == set(LATER)
