"""A progress line while someone waits for a run: on a terminal or in a notebook, else nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["SLICE", "make_bar"]

SLICE = 0.1  # seconds between two looks
_QUIET_LOOKS = 3  # what ends sooner shows nothing
_WIDTH_MAX = 30


class Bar(Protocol):
    """Shows how far a run is."""

    def show(self, info: dict[str, Any]) -> None:
        """Draw the state of a run, as of ``RunInfo``."""

    def close(self) -> None:
        """Take it away again."""


def line_of(info: dict[str, Any], columns: int, fancy: bool) -> str:
    """Return one line of at most ``columns`` characters, without payloads."""
    done, total = info["steps_done"], info["steps_total"]
    full, empty = ("█", "░") if fancy else ("#", ".")
    width = min(_WIDTH_MAX, max(0, columns - 40))
    filled = width * min(done, total) // total if total > 0 else 0
    bar = full * filled + empty * (width - filled)
    waiting = f" waiting for {info['waiting_for']}" if info["waiting_for"] else ""
    line = f"{info['workflow']} {bar} {done}/{total} {info['status']}{waiting}"
    printable = "".join(one if one.isprintable() else "?" for one in line)
    return printable[: max(1, columns - 1)]


class _Terminal:
    def __init__(self) -> None:
        self._stream = sys.stderr
        encoding = (getattr(self._stream, "encoding", None) or "ascii").lower()
        self._fancy = encoding.startswith("utf")
        self._looks = 0
        self._drawn = 0

    def show(self, info: dict[str, Any]) -> None:
        self._looks += 1
        if self._looks <= _QUIET_LOOKS:
            return
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            columns = 80
        line = line_of(info, columns or 80, self._fancy)
        if not self._fancy:
            line = line.encode("ascii", "replace").decode("ascii")
        self._write(line)
        self._drawn = len(line)

    def close(self) -> None:
        if self._drawn:
            self._write("")

    def _write(self, line: str) -> None:
        try:
            self._stream.write("\r" + line.ljust(self._drawn) + ("" if line else "\r"))
            self._stream.flush()
        except (OSError, ValueError):
            pass  # a terminal that has gone must not fail the wait


class _Notebook:
    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._looks = 0
        self._handle: Any = None

    def show(self, info: dict[str, Any]) -> None:
        self._looks += 1
        if self._looks <= _QUIET_LOOKS:
            return
        shown = {"text/plain": line_of(info, 100, fancy=True)}
        if self._handle is None:
            self._handle = self._display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)


def make_bar() -> Bar | None:
    """Return a bar where one can be seen; None when nobody looks or ``CLEW_PROGRESS=0``."""
    if os.environ.get("CLEW_PROGRESS", "1") == "0":
        return None
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and hasattr(shell, "kernel"):
        from IPython.display import display  # it is running us

        return _Notebook(display)
    try:
        seen = sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it was closed
        seen = False
    return _Terminal() if seen else None
