"""Every snippet of README and docs works: Python as pasted, workflows load, commands exist.

A fence says what it holds. ``text`` is the only kind that nothing is done with.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import clew
import pytest
from clew import _postgres

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```([\w+]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {"python", "yaml", "bash", "text", "c++"}


class Snippet(NamedTuple):
    page: str
    line: int
    kind: str
    text: str


def snippets(*kinds: str) -> list[Snippet]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Snippet(page.name, line, match[1], match[2]))
    return [one for one in found if not kinds or one.kind in kinds]


def test_every_fence_says_what_it_holds() -> None:
    assert [one for one in snippets() if one.kind not in KINDS] == []


def test_readme_has_an_example_to_paste() -> None:
    assert [one for one in snippets("python") if one.page == "README.md"]


@pytest.mark.parametrize("page", sorted({one.page for one in snippets("python")}))
def test_snippets_of_a_page_run_in_order_as_pasted(page: str, tmp_path: Path) -> None:
    script = tmp_path / "pasted.py"
    parts = [one.text for one in snippets("python") if one.page == page]
    script.write_text("\n".join(parts), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_workflows_load() -> None:
    for one in snippets("yaml"):
        assert clew.load(one.text).problems == (), one


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):.*?## ", makefile, re.MULTILINE))


def unknown_commands(script: str) -> list[str]:
    """Return the lines that call neither make for a target that it has nor what is in the tree."""
    found = []
    for line in script.splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        name, *arguments = words
        if "clew" in words:
            known = True  # it is run: test_the_commands_of_a_page_run_in_order
        elif name == "make":
            known = bool(arguments) and set(arguments) <= make_targets()
        else:
            known = (ROOT / name).is_file() or words == ["pip", "install", "."]
        if not known:
            found.append(line)
    return found


def test_commands_exist() -> None:
    for one in snippets("bash"):
        checked = subprocess.run(["bash", "-n"], input=one.text, text=True, check=False)
        assert checked.returncode == 0, one
        assert unknown_commands(one.text) == [], one


@pytest.mark.parametrize(
    "page", sorted({one.page for one in snippets("bash") if "clew " in one.text})
)
def test_the_commands_of_a_page_run_in_order(page: str, tmp_path: Path) -> None:
    parts = [one.text for one in snippets("python") if one.page == page]
    subprocess.run([sys.executable, "-c", "\n".join(parts)], cwd=tmp_path, check=True, timeout=60)
    with _postgres.fresh_schema() as url:
        for one in snippets("bash"):
            if one.page != page:
                continue
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", one.text],
                cwd=tmp_path,
                env=os.environ
                | {"URL": url, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, ""), one


@pytest.mark.parametrize(
    ("script", "unknown"),
    [
        ("make demo  # shows it\n\n# nothing\nmake test lint\n.ci/run\n", 0),
        ("make nothing\nmake\nwget x\n", 3),
    ],
)
def test_the_checker_knows_commands(script: str, unknown: int) -> None:
    assert len(unknown_commands(script)) == unknown


def named_tests() -> set[str]:
    """Return all ``Suite.case`` of the C++ tests."""
    macro = re.compile(r"^TEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\)", re.MULTILINE)
    files = (ROOT / "tests_cpp").rglob("*_test.cpp")
    return {f"{suite}.{case}" for file in files for suite, case in macro.findall(file.read_text())}


def test_the_tests_that_readme_names_exist() -> None:
    named = re.findall(r"`([A-Z]\w+\.\w+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert named
    assert set(named) <= named_tests()


def test_the_files_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/]+\.(?:cpp|hpp|py)\b", text))
    assert len(named) > 20
    folders = [ROOT / name for name in ("cpp", "bindings", "python")]
    there = [f"/{path.relative_to(ROOT)}" for folder in folders for path in folder.rglob("*.*")]
    assert [one for one in named if not any(path.endswith(f"/{one}") for path in there)] == []
