"""Helpers of the tests of the extension module."""

from __future__ import annotations

import threading


def nap(seconds: float = 0.001) -> None:
    """Stand for work that waits for something else. No test synchronises by it."""
    threading.Event().wait(seconds)
