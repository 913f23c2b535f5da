"""Running the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, NamedTuple


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def clew(*arguments: object, fault: str = "", stdin: str = "") -> Done:
    """Run ``clew`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "clew", *map(str, arguments)],
        env=os.environ | {"CLEW_FAULT": fault},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)
