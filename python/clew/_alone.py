"""Imported before the extension: refuses sub-interpreters, where the extension would hang."""

from __future__ import annotations

from importlib import import_module

__all__: list[str] = []


def _refuse_subinterpreters() -> None:
    """Raise ImportError unless this is the main interpreter."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # newer Pythons, older ones
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError("clew runs in the main interpreter only, not in a sub-interpreter")
        return


_refuse_subinterpreters()
