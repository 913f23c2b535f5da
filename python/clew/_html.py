"""Small HTML for notebooks: tables, and the graph and timeline of a run. Everything is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

__all__ = ["facts", "graph", "table", "timeline"]

COLOURS = {
    "pending": "#b0b7bf",
    "running": "#2f7bd9",
    "waiting": "#c98a00",
    "completed": "#2e8b57",
    "failed": "#c9372c",
    "skipped": "#d8dce0",
    "cancelled": "#8a6d9c",
    "unknown": "#7a4a2a",
}
ROWS_MAX = 200
_BOX_W, _BOX_H, _GAP_X, _GAP_Y = 130, 28, 50, 14
_LABEL_MAX = 18


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = value.isoformat(sep=" ", timespec="milliseconds")
    elif isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    return escape(str(value))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a table; their keys are the head. At most 200 rows are shown."""
    if not rows:
        return "<p>nothing</p>"
    head = "".join(f"<th>{escape(key)}</th>" for key in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row.values()) + "</tr>"
        for row in rows[:ROWS_MAX]
    )
    left = len(rows) - ROWS_MAX
    more = f"<p>and {left} more</p>" if left > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def facts(title: str, shown: Mapping[str, Any]) -> str:
    """Return named facts, one a row."""
    rows = "".join(
        f"<tr><th>{escape(key)}</th><td>{_cell(value)}</td></tr>" for key, value in shown.items()
    )
    return f"<table><caption>{escape(title)}</caption><tbody>{rows}</tbody></table>"


def columns(steps: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return step names by column: each stands right of all that it waits for."""
    depth: dict[str, int] = {}
    waiting = {step["name"]: list(step["after"]) for step in steps}
    while waiting:
        ready = [name for name, after in waiting.items() if all(one in depth for one in after)]
        if not ready:  # a definition has no cycles; never loop for ever on one that lies
            ready = list(waiting)
        for name in ready:
            depth[name] = 1 + max((depth.get(one, -1) for one in waiting[name]), default=-1)
        for name in ready:
            del waiting[name]
    made: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for step in steps:
        made[depth[step["name"]]].append(step["name"])
    return made


def _short(name: str) -> str:
    return name if len(name) <= _LABEL_MAX else name[: _LABEL_MAX - 1] + "…"


def graph(steps: Sequence[Mapping[str, Any]], status: Mapping[str, str]) -> str:
    """Return the steps of a definition as SVG, coloured by their status."""
    if not steps or len(steps) > ROWS_MAX:
        return f"<p>{len(steps)} steps</p>"
    place: dict[str, tuple[int, int]] = {}
    layout = columns(steps)
    for x, names in enumerate(layout):
        for y, name in enumerate(names):
            place[name] = (4 + x * (_BOX_W + _GAP_X), 4 + y * (_BOX_H + _GAP_Y))
    width = 8 + len(layout) * (_BOX_W + _GAP_X) - _GAP_X
    height = 8 + max(map(len, layout)) * (_BOX_H + _GAP_Y) - _GAP_Y
    parts: list[str] = []
    for step in steps:
        x, y = place[step["name"]]
        for other in step["after"]:
            left, top = place[other]
            x1, y1, y2 = left + _BOX_W, top + _BOX_H // 2, y + _BOX_H // 2
            bend = (x1 + x) // 2
            parts.append(
                f'<path d="M{x1},{y1} C{bend},{y1} {bend},{y2} {x},{y2}" '
                'fill="none" stroke="#889"/>'
            )
    for step in steps:
        name = step["name"]
        parts.append(_box(name, status.get(name, "pending"), *place[name]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12">{"".join(parts)}</svg>'
    )


def _box(name: str, status: str, x: int, y: int) -> str:
    colour = COLOURS.get(status, COLOURS["unknown"])
    return (
        f"<g><title>{escape(name)}: {escape(status)}</title>"
        f'<rect x="{x}" y="{y}" width="{_BOX_W}" height="{_BOX_H}" rx="5" fill="#fff" '
        f'stroke="{colour}" stroke-width="2"/>'
        f'<text x="{x + _BOX_W // 2}" y="{y + 18}" text-anchor="middle" fill="#222">'
        f"{escape(_short(name))}</text></g>"
    )


def timeline(steps: Sequence[Mapping[str, Any]], until: datetime | None) -> str:
    """Return when each step ran as SVG. A step that has not ended goes on to ``until``."""
    begun = [step for step in steps if step["started"] is not None][:ROWS_MAX]
    if not begun:
        return ""
    first = min(step["started"] for step in begun)
    ends = [step["ended"] or until or step["started"] for step in begun]
    span = max((max(ends) - first).total_seconds(), 1e-6)
    width, row = 420, 18
    parts = []
    for index, (step, end) in enumerate(zip(begun, ends, strict=True)):
        x = 140 + width * (step["started"] - first).total_seconds() / span
        length = max(2.0, width * (end - step["started"]).total_seconds() / span)
        colour = COLOURS.get(step["status"], COLOURS["unknown"])
        y = index * row
        parts.append(
            f'<text x="0" y="{y + 13}" fill="#222">{escape(_short(step["id"]))}</text>'
            f'<rect x="{x:.1f}" y="{y + 3}" width="{length:.1f}" height="{row - 6}" rx="2" '
            f'fill="{colour}"><title>{escape(step["id"])}: {escape(step["status"])}</title></rect>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 150}" '
        f'height="{len(begun) * row}" '
        f'font-family="sans-serif" font-size="12">{"".join(parts)}</svg>'
    )
