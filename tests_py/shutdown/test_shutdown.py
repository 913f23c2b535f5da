"""How a process ends: exit code 0, nothing on standard error, within seconds, every time.

Each script in ``scripts`` runs again and again in a child process of its own. What goes wrong at an
interpreter's exit goes wrong rarely; CLEW_REPEAT runs them more often.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import clew
import pytest

pytestmark = pytest.mark.shutdown

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
REPEAT = int(os.environ.get("CLEW_REPEAT", "20"))
SLOW = {"daemon_handlers"}  # wait until the patience at the exit is over


def run(script: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    package = str(Path(clew.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", str(script)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": package},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 20


@pytest.mark.timeout(600)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_ends_well_every_time(script: Path, tmp_path: Path) -> None:
    for turn in range(2 if script.stem in SLOW else REPEAT):
        home = tmp_path / str(turn)
        home.mkdir()
        ended = run(script, home)
        assert (ended.returncode, ended.stderr) == (0, ""), f"turn {turn}\n{ended.stdout}"
        assert ended.stdout.splitlines()[-1:] == ["ok"], f"turn {turn}\n{ended.stdout}"
