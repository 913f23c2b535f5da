"""Index a folder of source code, kill the worker on the way, and prove that nothing ran twice.

    python examples/library_index/run.py [--folder DIR] [--work DIR] [--workers N]
        [--store STORE]

The folder is the standard library of the interpreter unless you name one. The store is a file in
the work folder, or what you name, such as postgresql://user@host/name with an empty schema. Exit
code 1 when a step was repeated after its acknowledgement, or a file lost.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any, NamedTuple

import measure
from journal import Proof, prove, read

HERE = Path(__file__).parent
KILL_AT = 0.4  # of the steps


class Lap(NamedTuple):
    """What one worker did."""

    done: int  # steps acknowledged by it
    seconds: float
    summary: dict[str, Any] | None  # None: it was killed before it had one


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(sysconfig.get_paths()["stdlib"]))
    parser.add_argument("--work", type=Path, default=HERE.parents[1] / "build/demo")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--store", help="a file or a URL without rows; default: WORK/index.db")
    given = parser.parse_args()
    if not given.folder.is_dir():
        parser.error(f"--folder: there is no folder {given.folder}")
    return given


def run_worker(given: argparse.Namespace, kill_after: int | None) -> Lap:
    """Run a worker to its end, or kill it with SIGKILL once it has acknowledged so many steps."""
    command = [sys.executable, str(HERE / "worker.py")]
    command += ["--folder", str(given.folder.resolve()), "--work", str(given.work.resolve())]
    command += ["--workers", str(given.workers)]
    command += ["--store", given.store or str(given.work.resolve() / "index.db")]
    command += ["--doomed"] * (kill_after is not None)
    began = time.perf_counter()
    done, summary = 0, None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            if not line.startswith("done "):
                summary = json.loads(line)
                continue
            done += 1
            if done == kill_after:
                worker.kill()
                break
    if worker.returncode != (0 if kill_after is None else -signal.SIGKILL):
        sys.exit(f"the worker ended with {worker.returncode}; its store is in {given.work}")
    return Lap(done, time.perf_counter() - began, summary)


def clear(work: Path) -> None:
    """Remove what an earlier demonstration left, and nothing else."""
    work.mkdir(parents=True, exist_ok=True)
    for name in ("index.db", "index.db-wal", "index.db-shm", "journal.log", "report.html"):
        (work / name).unlink(missing_ok=True)


def tell(expected: list[str], killed: Lap, resumed: Lap, proof: Proof) -> bool:
    """Print what happened. Returns whether all is well."""
    summary = resumed.summary or {}
    lost = sorted(set(expected) - set(summary["paths"]))
    seconds = killed.seconds + resumed.seconds
    # What the first worker had completed unseen by us is acknowledged to the second one.
    print(f"files:     {len(expected)} ({summary['unparsable']} do not parse)")
    print(f"steps:     {killed.done} before kill -9, {proof.done - killed.done} after")
    print(f"repeated:  {len(proof.repeated)}")
    print(f"lost:      {len(lost)}")
    print(f"speed:     {proof.done / seconds:.0f} steps/s ({seconds:.1f} s with both starts)")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"memory:    {peak:.0f} MiB at its peak, the larger worker")
    print("slowest:")
    for step, path, milliseconds in summary["slowest"]:
        print(f"  {milliseconds:9.1f} ms  {step} {path}".rstrip())
    problems = [f"repeated: {what}" for what in proof.repeated]
    problems += [f"never ran: {what}" for what in proof.unexplained]
    problems += [f"lost: {path}" for path in lost]
    problems += [f"store: {what}" for what in summary["violations"]]
    for problem in problems:
        print(problem, file=sys.stderr)
    return not problems


def main() -> int:
    """Run the demonstration."""
    given = arguments()
    clear(given.work)
    expected = measure.list_files(str(given.folder))
    kill_after = max(1, int(KILL_AT * len(expected)))
    print(f"Indexing {given.folder}: {len(expected)} files, in {os.path.relpath(given.work)}")
    killed = run_worker(given, kill_after)
    print(f"Killed the worker with SIGKILL after {killed.done} steps; the next one goes on.")
    resumed = run_worker(given, None)
    proof = prove(read(given.work / "journal.log"))
    fine = tell(expected, killed, resumed, proof)
    print(f"report:    {(given.work / 'report.html').resolve()}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
