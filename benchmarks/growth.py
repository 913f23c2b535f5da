"""Draw how the cost of a store's operation grows with the rows that its table has.

    python benchmarks/growth.py [--programs DIR] [--out FILE]

Hypothesis: claims and appends stay within twice their cost from a thousand rows to a million. The
time is that within a transaction of 200 operations, without its sync.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
NAMES = {
    "stream_append": "append to a stream",
    "queue_cycle": "enqueue, claim and complete in a lane",
    "lease_claim": "claim a lease, any of them",
    "request_found": "find a request by its key, any of them",
}


def measured(programs: Path) -> dict[str, dict[int, float]]:
    """Return the microseconds of an operation by case and number of rows."""
    # Below the repository, since /tmp may be memory.
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-work-", dir=ROOT / "build") as folder:
        out = Path(folder) / "out.json"
        command = [str(programs.resolve() / "bench_runtime_growth_bench"), f"--benchmark_out={out}"]
        subprocess.run([*command, "--benchmark_min_time=0.5"], check=True, cwd=folder)
        told = json.loads(out.read_text())["benchmarks"]
    costs: dict[str, dict[int, float]] = defaultdict(dict)
    for one in told:
        case, rows, _ = one["name"].split("/")
        costs[case][int(rows)] = 1e6 / one["items_per_second"]
    return costs


def draw(costs: dict[str, dict[int, float]], out: Path) -> None:
    """Write the plot."""
    mpl.rcParams["svg.hashsalt"] = "clew"  # the same bytes for the same numbers
    figure, axes = plt.subplots(figsize=(7, 4))
    for case, points in costs.items():
        axes.plot(list(points), list(points.values()), marker="o", label=NAMES[case])
    axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="µs an operation")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(out, metadata={"Date": None}, bbox_inches="tight")


def main() -> int:
    """Measure, draw, and print the same as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--programs", metavar="DIR", type=Path, default=ROOT / "build/bench-native")
    parser.add_argument("--out", metavar="FILE", type=Path, default=ROOT / "docs/growth.svg")
    given = parser.parse_args()
    costs = measured(given.programs)
    draw(costs, given.out)
    rows = sorted(next(iter(costs.values())))
    print("| µs | " + " | ".join(f"{n:,} rows" for n in rows) + " | growth |")
    print("|---|" + "--:|" * (len(rows) + 1))
    for case, points in costs.items():
        growth = points[rows[-1]] / points[rows[0]]
        shown = " | ".join(f"{points[n]:.2f}" for n in rows)
        print(f"| {NAMES[case]} | {shown} | {growth:.1f}× |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
