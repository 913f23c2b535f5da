"""One full store for all tests, copied for each that wants it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line.full_store import Journal


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    script = Path(__file__).with_name("full_store.py")
    subprocess.run(
        [sys.executable, str(script), str(folder / "full.db"), str(folder)], check=True, timeout=120
    )
    return folder


@pytest.fixture
def full(template: Path, tmp_path: Path) -> Path:
    """A store with something of everything in it, of which no process knows."""
    folder = tmp_path / "full"
    shutil.copytree(template, folder)
    return folder / "full.db"


@pytest.fixture
def journal(full: Path) -> Journal:
    return Journal(full.parent)
