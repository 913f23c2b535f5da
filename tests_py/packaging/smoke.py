"""Uses an installed wheel as a new user would: one call, one durable run, one copy of SQLite.

Run by `make wheel-smoke` with the interpreter of an empty environment, away from the sources.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import clew

DOCUMENT = {
    "workflow": "smoke.count",
    "version": "1.0.0",
    "steps": {"count": {"call": "smoke.words@^1", "with": {"doc": "{{ input.doc }}"}}},
    "output": {"words": "{{ steps.count.output }}"},
}


@clew.capability("smoke.words", version="1.0.0")
def words(doc: str) -> int:
    return len(doc.split())


def main() -> None:
    package = Path(clew.__file__).parent
    assert "site-packages" in package.parts, f"clew was not imported from the wheel: {package}"
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "work.db")
        with clew.Runtime(store) as rt:
            rt.register(words)
            assert rt.execute("smoke.words@^1", {"doc": "a b c"}) == 3
            run = rt.start(clew.load(DOCUMENT), {"doc": "a b"})
            assert run.result(timeout=30) == {"words": 2}
        with clew.Runtime(store) as rt:
            assert rt.run(run.id).status == "completed"

    import sqlite3  # after clew, so that it finds clew's copy loaded

    maps = Path("/proc/self/maps").read_text().splitlines()
    copies = {line.split()[-1] for line in maps if "libsqlite3" in line}
    assert copies == {str(package / "libsqlite3.so.0")}, copies
    assert sqlite3.sqlite_version_info >= (3, 51, 3), sqlite3.sqlite_version
    print(f"clew {clew.__version__} with SQLite {sqlite3.sqlite_version} works")


if __name__ == "__main__":
    main()
