"""One process holds one copy of SQLite: two would drop each other's file locks."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import {first}, {second}, sqlite3
print(sqlite3.sqlite_version)
print(len({{line.split()[-1] for line in open("/proc/self/maps") if "libsqlite3" in line}}))
"""


@pytest.mark.parametrize("order", [("clew", "sqlite3"), ("sqlite3", "clew")])
def test_either_import_order_gives_one_copy(order: tuple[str, str]) -> None:
    script = SCRIPT.format(first=order[0], second=order[1])

    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    version, copies = shown.stdout.split()
    assert copies == "1"
    if order[0] == "clew":
        assert tuple(map(int, version.split("."))) >= (3, 51, 3)
