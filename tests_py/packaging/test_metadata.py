"""What an installed package says about itself."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import clew

ROOT = Path(__file__).resolve().parents[2]


def test_version_is_the_one_of_cmake() -> None:
    written = re.search(r"project\(clew VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())
    assert written
    assert clew.__version__ == written.group(1)
    assert importlib.metadata.version("clew") == written.group(1)


def test_only_msgspec_is_installed_with_it() -> None:
    required = importlib.metadata.requires("clew") or []
    names = [re.match(r"[\w-]+", line) for line in required if "extra ==" not in line]
    assert [name.group() for name in names if name] == ["msgspec"]


def test_types_are_shipped() -> None:
    package = Path(clew.__file__).parent
    assert (package / "py.typed").is_file()
    assert list(package.glob("_core*.pyi")) or list(package.glob("_core/*.pyi"))


def test_newest_change_is_in_the_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## (?:Unreleased|{re.escape(clew.__version__)})$", text, re.MULTILINE)
