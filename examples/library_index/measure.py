"""What there is to know about a file of Python source, and about many of them."""

from __future__ import annotations

import ast
import os
import warnings
from typing import Any, TypedDict

SKIPPED = {"__pycache__", "site-packages", "dist-packages"}


class Measures(TypedDict):
    """One file."""

    path: str
    bytes: int
    lines: int
    code: int  # lines that are neither blank nor a comment
    functions: int
    classes: int
    nesting: int  # of blocks within blocks, at its deepest
    parsed: bool


def list_files(folder: str) -> list[str]:
    """Return the ``.py`` files below a folder, relative to it, sorted."""
    found: list[str] = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        within = os.path.relpath(root, folder)
        found += [
            os.path.normpath(os.path.join(within, name)) for name in files if name.endswith(".py")
        ]
    return sorted(found)


def measure(folder: str, path: str) -> Measures:
    """Measure a file. One that is no valid Python is counted, with ``parsed`` False."""
    with open(os.path.join(folder, path), "rb") as file:
        source = file.read()
    lines = source.splitlines()
    code = sum(1 for line in lines if (text := line.strip()) and not text.startswith(b"#"))
    found: Measures = {
        "path": path,
        "bytes": len(source),
        "lines": len(lines),
        "code": code,
        "functions": 0,
        "classes": 0,
        "nesting": 0,
        "parsed": True,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
        _walk(tree, found)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        found["parsed"] = False
    return found


def _walk(tree: ast.Module, found: Measures) -> None:
    """Look at all statements. Expressions hold none, so they are left out."""
    open_blocks: list[tuple[Any, int]] = [(tree, 0)]
    while open_blocks:
        node, depth = open_blocks.pop()
        found["nesting"] = max(found["nesting"], depth)
        found["functions"] += isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        found["classes"] += isinstance(node, ast.ClassDef)
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, name, None)
            if isinstance(inner, list):
                open_blocks += [(one, depth + 1) for one in inner if hasattr(one, "body")]


def merge(files: list[Measures]) -> dict[str, Any]:
    """Add up all files."""
    sums: dict[str, Any] = {
        key: sum(one[key] for one in files)
        for key in ("bytes", "lines", "code", "functions", "classes")
    }
    packages: dict[str, int] = {}
    for one in files:
        first, slash, _ = one["path"].partition("/")
        name = first if slash else "(top level)"
        packages[name] = packages.get(name, 0) + one["code"]
    return {
        **sums,
        "files": len(files),
        "unparsable": sum(not one["parsed"] for one in files),
        "packages": [[name, packages[name]] for name in sorted(packages)],
    }


def rank(files: list[Measures], top: int) -> dict[str, list[Measures]]:
    """Return the first files by code lines and by nesting; equal ones by name."""
    return {
        key: sorted(files, key=lambda one: (-one[key], one["path"]))[:top]
        for key in ("code", "nesting")
    }
