"""Looking at ended calls: pages, files, frames."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypedDict

from . import _check, _core, _errors
from ._check import invalid
from ._records import Page, Trace

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Tier", "TraceFilter", "Tracing"]

Tier = Literal["public", "private"]
FrameKind = Literal["arrow", "pandas", "polars"]

_OUTCOMES = ("success", "failure", "timeout", "cancelled", "rejected")
_KINDS = ("arrow", "pandas", "polars")
_PAGE = 10_000
_INTEGERS = ("queue_us", "run_us", "commit_us", "attempt", "item")
_LISTS = ("hops", "versions", "executors")  # in frames as JSON text


class TraceFilter(TypedDict, total=False):
    """Which traces: what `Runtime.traces` filters by."""

    capability: str | None
    version: str | None
    outcome: str | None
    code: str | None
    since: datetime | None
    until: datetime | None
    run: str | None


class Tracing:
    """Reads traces. Every read is a snapshot that blocks no writer."""

    _core: _core.Runtime

    def traces(
        self,
        capability: str | None = None,
        *,
        version: str | None = None,
        outcome: str | None = None,
        code: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        run: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Trace]:
        """Return ended calls, newest first. Reads a snapshot and blocks no writer.

        Args:
            capability: Exact id, such as ``"text.words"``. None means all.
            version: Exact version.
            outcome: ``success | failure | timeout | cancelled | rejected``.
            code: The code of the error, such as ``"execution_failed"``.
            since: Started at this aware datetime or later.
            until: Started before this one.
            run: The id of the run they belong to.
            limit: Most to return, 1 to 10_000.
            cursor: ``next_cursor`` of the page before.

        Example:
            >>> rt.execute(words, {"doc": "a b c"})
            3
            >>> [(trace.version, trace.outcome) for trace in rt.traces("text.words", limit=1)]
            [('1.2.0', 'success')]
        """
        _check.require_open(self._core)
        if outcome is not None:
            _check.word("outcome", outcome, _OUTCOMES)
        if code is not None:
            _check.word("code", code, tuple(_errors.BY_CODE))
        found, following = self._core.traces(
            capability=_check.optional_text("capability", capability),
            version=_check.optional_text("version", version),
            outcome=outcome,
            code=code,
            since=since,
            until=until,
            run=_check.optional_text("run", run),
            limit=_check.integer("limit", limit, 1, _PAGE),
            cursor=_check.optional_text("cursor", cursor),
        )
        return Page([Trace.of(one) for one in found], following)

    def trace(self, id: str) -> Trace:  # noqa: A002 - the word of users
        """Return the trace of that id. `NotFound`."""
        _check.require_open(self._core)
        return Trace.of(self._core.trace(_check.text("id", id)))

    def export_traces(
        self,
        to: str | os.PathLike[str] | TextIO,
        *,
        tier: Tier = "public",
        **which: Unpack[TraceFilter],
    ) -> int:
        """Write ended calls as JSON lines, newest first; return how many. Blocks for the disk.

        Calls that end meanwhile are not among them. A file appears under its name once it is whole,
        and then takes the place of what stood there.

        Args:
            to: A path, or something with ``write`` for text.
            tier: ``"private"`` to include the digests of inputs and outputs, from which payloads
                with few possible values can be guessed.
            **which: The filters of `traces`.

        Raises:
            OSError: The file cannot be written; what stood there is left alone.

        Example:
            >>> import io
            >>> rt.execute(words, {"doc": "a b c"})
            3
            >>> lines = io.StringIO()
            >>> rt.export_traces(lines, capability="text.words")
            1
        """
        _check.require_open(self._core)
        _check.word("tier", tier, ("public", "private"))
        pages = self._pages(which)
        if not isinstance(to, (str, os.PathLike)):
            if not hasattr(to, "write"):
                raise invalid("to", to, "a path, or something with write")
            return _write(pages, to, tier)
        path = Path(to)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with part.open("w", encoding="utf-8") as file:
                count = _write(pages, file, tier)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return count

    def trace_frame(
        self, kind: FrameKind, *, tier: Tier = "public", **which: Unpack[TraceFilter]
    ) -> Any:
        """Return ended calls, newest first, as a `pyarrow.Table` or a pandas or polars `DataFrame`.

        The columns are the fields of `Trace`; its lists are JSON text. Holds all rows in memory.

        Args:
            kind: ``"arrow"``, ``"pandas"`` or ``"polars"``.
            tier: ``"private"`` to include the digests of inputs and outputs.
            **which: The filters of `traces`.

        Raises:
            Unsupported: The library is not installed.
        """
        from ._frames import make_frame

        _check.require_open(self._core)
        _check.word("kind", kind, _KINDS)
        _check.word("tier", tier, ("public", "private"))
        rows = (_row(trace, tier) for page in self._pages(which) for trace in page)
        return make_frame(kind, _columns(tier), rows)

    def _pages(self, which: TraceFilter) -> Iterator[Page[Trace]]:
        cursor = None
        while True:
            page = self.traces(limit=_PAGE, cursor=cursor, **which)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return


def _columns(tier: Tier) -> dict[str, str]:
    """Each column with its kind: ``"text"``, ``"integer"`` or ``"time"``."""
    fields = [name for name in Trace.__slots__ if tier == "private" or name not in Trace.PRIVATE]
    return {
        name: "time" if name == "started" else "integer" if name in _INTEGERS else "text"
        for name in fields
    }


def _plain(trace: Trace, tier: Tier) -> dict[str, Any]:
    return trace.to_dict() if tier == "private" else trace.public()


def _row(trace: Trace, tier: Tier) -> dict[str, Any]:
    row = _plain(trace, tier)
    for name in _LISTS:
        row[name] = json.dumps(row[name], default=datetime.isoformat)
    return row


def _write(pages: Iterator[Page[Trace]], to: TextIO, tier: Tier) -> int:
    count = 0
    for page in pages:
        for trace in page:
            to.write(json.dumps(_plain(trace, tier), default=datetime.isoformat) + "\n")
        count += len(page)
    return count
