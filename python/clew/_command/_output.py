"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from .._errors import ClewError

__all__ = ["failure", "print_json", "table"]

_CELL_MAX = 64  # characters of a cell in a table


def print_json(value: Any) -> None:
    """Print one value as a line of JSON."""
    print(json.dumps(value, ensure_ascii=False))


def failure(error: ClewError, *, as_json: bool) -> None:
    """Say on stderr what went wrong."""
    if as_json:
        facts = {"code": error.code, "message": error.message, "context": error.context}
        print(json.dumps({"error": facts}, ensure_ascii=False), file=sys.stderr)
        return
    print(f"clew: {error.code}: {error.message}", file=sys.stderr)
    for name, value in error.context.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if text not in error.message:
            print(f"  {name}: {text}", file=sys.stderr)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under their columns. Numbers stand right, long text is cut."""
    shown = [[_cell(value) for value in row] for row in rows]
    numbers = [_is_number(shown, column) for column in range(len(columns))]
    widths = [max(map(len, cells)) for cells in zip(columns, *shown, strict=True)]
    for row in (list(columns), ["-" * width for width in widths], *shown):
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numbers, strict=True)
        )
        print("  ".join(cells).rstrip())


def _is_number(rows: Sequence[Sequence[str]], column: int) -> bool:
    cells = [row[column] for row in rows if row[column]]
    return bool(cells) and all(cell.lstrip("-").replace(".", "", 1).isdigit() for cell in cells)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = "".join(char if char.isprintable() else "·" for char in text)
    return text if len(text) <= _CELL_MAX else text[: _CELL_MAX - 1] + "…"
