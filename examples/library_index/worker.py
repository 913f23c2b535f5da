"""The process that does the work. It may be killed at any instant; the next one goes on.

Prints a line for each step that it saw completed, and at the end one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import threading
from pathlib import Path
from typing import Any

import clew
import measure
import report
from journal import Journal, read

HERE = Path(__file__).parent
RUN = "library-index"  # the same id with the same input is the same run, in every process
# A killed worker holds its runs until its lease ends. Here nobody wants to wait long for that.
LIMITS = {"lease_ttl": "2s"}


def register(rt: clew.Runtime, journal: Journal, *, is_doomed: bool) -> None:
    """Register what the workflow calls. Each handler begins by saying that it ran.

    Who is doomed does not get past the files, however late the signal comes that kills it.
    """

    @clew.capability("fs.list", version="1.0.0")
    def list_files(folder: str, ctx: clew.Context) -> list[str]:
        journal.write("ran", str(ctx.step), ctx.item)
        return measure.list_files(folder)

    @clew.capability("code.measure", version="1.0.0", effect="pure")
    def measure_file(folder: str, path: str, ctx: clew.Context) -> measure.Measures:
        journal.write("ran", str(ctx.step), ctx.item)
        return measure.measure(folder, path)

    @clew.capability("code.merge", version="1.0.0", effect="pure")
    def merge(files: list[measure.Measures], ctx: clew.Context) -> dict[str, Any]:
        journal.write("ran", str(ctx.step), ctx.item)
        if is_doomed:
            threading.Event().wait()
        return measure.merge(files)

    @clew.capability("code.rank", version="1.0.0", effect="pure")
    def rank(
        files: list[measure.Measures], top: int, ctx: clew.Context
    ) -> dict[str, list[measure.Measures]]:
        journal.write("ran", str(ctx.step), ctx.item)
        return measure.rank(files, top)

    @clew.capability("report.write", version="1.0.0")
    def write_report(
        path: str, folder: str, totals: dict[str, Any], ranking: dict[str, Any], ctx: clew.Context
    ) -> str:
        journal.write("ran", str(ctx.step), ctx.item)
        return report.write(path, report.render(folder, totals, ranking))

    for capability in (list_files, measure_file, merge, rank, write_report):
        rt.register(capability)


def acknowledge(run: clew.Run, journal: Journal, after: int, *, follow: bool) -> int:
    """Note what has completed; with `follow` until the run ends. Returns the last event's number.

    An event is shown once it is on the disk.
    """
    for event in run.events(after=after, follow=follow):
        after = event.seq
        # A step over a list has an event of its own after those of its items.
        is_list = event.type == "step.completed" and event.step == "measure"
        if event.type in ("item.completed", "step.completed") and not is_list:
            journal.write("done", str(event.step), event.item, event.seq)
            print("done", event.step, flush=True)
    return after


def slowest(rt: clew.Runtime, files: list[str], count: int = 10) -> list[list[Any]]:
    """Return the calls that ran longest: step, file or nothing, milliseconds."""
    rows = rt.sql(
        "SELECT step, item, run_us FROM v_traces WHERE run = ? ORDER BY run_us DESC, id LIMIT ?",
        [RUN, count],
    )
    return [
        [row["step"], "" if row["item"] is None else files[row["item"]], row["run_us"] / 1000]
        for row in rows
    ]


def main() -> None:
    """Start the run, or go on with it, and follow it to its end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--store", required=True)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--doomed", action="store_true", help="it is going to be killed")
    given = parser.parse_args()
    log = given.work / "journal.log"
    seen = max((line.seq for line in read(log)), default=0)
    journal = Journal(log)
    inputs = {"folder": given.folder, "report": str(given.work / "report.html")}
    with clew.Runtime(given.store, workers=given.workers, limits=LIMITS) as rt:
        register(rt, journal, is_doomed=given.doomed)
        run = rt.start(HERE / "index.yaml", inputs, id=RUN)
        seen = acknowledge(run, journal, seen, follow=True)
        output = run.result()  # the end is on the disk: nothing comes after what is read now
        acknowledge(run, journal, seen, follow=False)
        steps = {step.id: step.output for step in run.steps()}
        summary = {
            **output,
            "paths": [one["path"] for one in steps["measure"]],
            "slowest": slowest(rt, steps["list"]),
            "violations": [str(one) for one in rt.verify()],
        }
    print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
