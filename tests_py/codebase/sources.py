"""What the checks of the code base look at: the repository's files, and C++ without its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {
    "build",
    "dist",
    ".git",
    ".venv",
    ".cache",
    ".hypothesis",
    "__pycache__",
    "node_modules",
}
CPP_FOLDERS = ("cpp", "bindings", "tests_cpp", "benchmarks", "examples")
PYTHON_FOLDERS = ("python", "tests_py", "benchmarks", "examples", "cpp/cmake")


def files(*folders: str, suffixes: tuple[str, ...] | None = None, root: Path = ROOT) -> list[Path]:
    """Return the files below `folders` (the whole repository when none is given), sorted."""
    found: list[Path] = []
    for folder in folders or (".",):
        found += _walk(root / folder)
    return sorted(path for path in found if suffixes is None or path.suffix in suffixes)


def _walk(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name in NOT_OURS or entry.name.endswith((".egg-info", "_cache")):
            continue
        if entry.is_dir():
            yield from _walk(entry)
        else:
            yield entry


def cpp_files() -> list[Path]:
    return files(*CPP_FOLDERS, suffixes=(".cpp", ".hpp"))


def python_files() -> list[Path]:
    return files(*PYTHON_FOLDERS, suffixes=(".py", ".pyi"))


def name(path: Path, root: Path = ROOT) -> str:
    return path.relative_to(root).as_posix()


_CPP_TEXT = re.compile(
    r"""
      //[^\n]*
    | /\*.*?\*/
    | R"(?P<fence>[^()\s\\]{0,16})\(.*?\)(?P=fence)"
    | (?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'
    | "(?:\\.|[^"\\\n])*"
    """,
    re.VERBOSE | re.DOTALL,
)


def cpp_code(text: str, *, keep_strings: bool = False) -> str:
    """Return C++ text with comments blanked, and strings and characters too unless kept.

    Line breaks stay, so that line numbers hold. A quote after a hexadecimal digit separates digits
    (1'000) and opens nothing.
    """

    def blank(match: re.Match[str]) -> str:
        whole = match.group()
        if not whole.startswith("/"):
            if keep_strings:
                return whole
            return '""' + "\n" * whole.count("\n") if '"' in whole[:2] else "0"
        return "\n" * whole.count("\n") or " "

    return _CPP_TEXT.sub(blank, text)
