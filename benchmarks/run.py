"""Measure Clew and its peers side by side.

    python benchmarks/run.py [--smoke] [--only NAME] [--json FILE] [--readme] [--programs DIR]

``--smoke`` runs every row once with tiny counts, against the standard library alone: that all of
them still work is the test, and no time is asserted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import calls
import durable
import events
import native
import startup
import stores
import traces
from report import Fact, Result, Row, measure, table, to_json, write_readme

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
FACTS = "startup"  # what --only calls the single numbers
TRACES = "traces of a million calls"
RECOVERY = "recovery"


def arguments(names: list[str]) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="once, tiny, no peers to install")
    parser.add_argument("--only", metavar="NAME", help="rows whose name has this in it")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the numbers there too")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    programs = ROOT / "build/bench-native"
    parser.add_argument("--programs", metavar="DIR", type=Path, default=programs,
                        help="where the C++ benchmarks are")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds: at least 1")
    if given.only and not any(given.only in name for name in names):
        parser.error(f"--only: no row has {given.only!r} in its name; there are {names}")
    if given.readme and (given.smoke or given.only):
        parser.error("--readme: only with all rows, measured in earnest")
    return given


def main() -> int:
    """Measure, print, write."""
    rows: list[Row] = [*calls.ROWS, *native.ROWS, *durable.ROWS, *events.ROWS, *stores.ROWS]
    given = arguments([row.name for row in rows] + [FACTS, TRACES, RECOVERY])
    native.BINARIES.append(given.programs)
    rounds = 1 if given.smoke else given.rounds
    results: list[Result] = []
    facts: list[Fact] = []
    # Below the repository, since /tmp may be memory, where a sync costs nothing.
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-work-", dir=ROOT / "build"))
    try:
        for number, row in enumerate(rows):
            if not given.only or given.only in row.name:
                print(f"… {row.name}", file=sys.stderr, flush=True)
                results += measure(row, folder / str(number), rounds, smoke=given.smoke)
        if not given.only or given.only in FACTS:
            print(f"… {FACTS}", file=sys.stderr, flush=True)
            facts = startup.facts(folder, smoke=given.smoke)
        if not given.only or given.only in TRACES:
            print(f"… {TRACES}", file=sys.stderr, flush=True)
            facts += traces.facts(folder, smoke=given.smoke)
        if not given.only or given.only in RECOVERY:
            print(f"… {RECOVERY}", file=sys.stderr, flush=True)
            facts += stores.facts(folder, smoke=given.smoke)
    finally:
        shutil.rmtree(folder)
    text = table(results, facts)
    # So few units show that a row works, and nothing about its speed.
    print(f"{len(results)} rows and {len(facts)} facts: all work" if given.smoke else text)
    if given.json:
        given.json.write_text(json.dumps(to_json(results, facts), indent=2) + "\n")
    if given.readme:
        write_readme(ROOT / "README.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
