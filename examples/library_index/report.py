"""The report: one HTML page with its chart inside, that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr:nth-child(even) { background: #f3f5f7; }
svg text { font: 12px system-ui, sans-serif; fill: #1b1f24; } svg rect { fill: #3b6ea5; }
"""
ROW = 22  # pixels
LABEL = 190
BAR = 480


def render(folder: str, totals: dict[str, Any], ranking: dict[str, Any]) -> str:
    """Return the page."""
    packages = sorted(totals["packages"], key=lambda one: (-one[1], one[0]))[:20]
    facts = ", ".join(
        f"{totals[key]:,} {words}"
        for key, words in (
            ("files", "files"),
            ("lines", "lines"),
            ("code", "lines of code"),
            ("functions", "functions"),
            ("classes", "classes"),
            ("unparsable", "files that do not parse"),
        )
    )
    body = [
        f"<h1>Index of {escape(folder)}</h1><p>{facts}.</p>",
        "<h2>Lines of code by package</h2>",
        chart(packages),
        "<h2>The longest files</h2>",
        _table(ranking["code"]),
        "<h2>The most deeply nested files</h2>",
        _table(ranking["nesting"]),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Index of {escape(folder)}</title><style>{STYLE}</style></head>\n"
        f"<body>{''.join(body)}</body></html>\n"
    )


def chart(rows: Sequence[Sequence[Any]]) -> str:
    """Return horizontal bars as SVG; a row is a name and a number that is not negative."""
    most = max((number for _, number in rows), default=0) or 1
    height = ROW * len(rows)
    drawn = []
    for index, (name, number) in enumerate(rows):
        top, width = index * ROW, max(1, round(BAR * number / most))
        drawn.append(
            f'<text x="{LABEL - 8}" y="{top + 15}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{LABEL}" y="{top + 3}" width="{width}" height="{ROW - 6}" rx="2"/>'
            f'<text x="{LABEL + width + 6}" y="{top + 15}">{number:,}</text>'
        )
    size = f'width="{LABEL + BAR + 80}" height="{height}"'
    return f'<svg role="img" aria-label="Bar chart" {size}>{"".join(drawn)}</svg>'


def _table(files: Iterable[dict[str, Any]]) -> str:
    columns = ("path", "code", "functions", "classes", "nesting")
    head = "".join(f"<th>{name}</th>" for name in columns)
    rows = (
        "".join(
            f"<td>{escape(one[name]) if name == 'path' else format(one[name], ',')}</td>"
            for name in columns
        )
        for one in files
    )
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def write(path: str, page: str) -> str:
    """Put the page there in one piece: a reader never finds half of it."""
    unfinished = f"{path}.new"
    with open(unfinished, "w", encoding="utf-8") as file:
        file.write(page)
    os.replace(unfinished, path)
    return path
