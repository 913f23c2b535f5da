"""The conformance suites of the stores: the cases, one at a time, and as a pytest parameter.

A test module of a backend has:

    from clew.testing import conformance

    @conformance.each_case
    def test_our_backend_keeps_the_rule(case, tmp_path):
        case.run(fresh_url(), folder=str(tmp_path))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from .. import _core
from .._errors import Internal

__all__ = ["ConformanceCase", "Declared", "conformance_cases", "declared", "each_case", "suites"]


@dataclass(frozen=True, slots=True)
class Declared:
    """What a backend says of itself; the suites pin the tier."""

    tier: Literal["inline", "durable"]
    """``"durable"``: what was acknowledged outlives the process."""
    time_precision: timedelta
    """Instants that differ by as much are told apart."""


def declared(url: str) -> Declared:
    """Return what the store of that URL declares. Opens it, and makes it when it is not there."""
    from .._runtime import Runtime

    with Runtime(url, start=False) as rt:
        return Declared(rt.processes.durability_tier, timedelta(microseconds=1))


@dataclass(frozen=True, slots=True)
class ConformanceCase:
    """One rule that every backend of the stores must keep.

    ``needs`` says what else the backend must have: ``"reopen"`` a second live handle on the same
    storage, ``"folder"`` a folder for files beside it.
    """

    suite: str
    name: str
    needs: Literal["nothing", "reopen", "folder"]

    def __str__(self) -> str:
        return f"{self.suite}.{self.name}"

    def can_run(self, url: str, folder: str | None = None) -> bool:
        """Tell whether a backend has what it needs."""
        if self.needs == "reopen":
            return url != ":memory:"
        return self.needs == "nothing" or folder is not None

    def run(self, url: str, folder: str | None = None) -> None:
        """Run it on an empty database. Blocks.

        Args:
            url: A store as `clew.Runtime` takes it, with nothing in it.
            folder: A folder for files beside it.

        Raises:
            AssertionError: A rule does not hold; its text and what was found.
            Unsupported: The backend lacks what the case needs.
        """
        try:
            _core.run_conformance_case(self.suite, self.name, url, url != ":memory:", folder or "")
        except Internal as broken:
            raise AssertionError(broken.message) from None


def suites() -> list[str]:
    """Return the names of the suites, in the order in which the stores build on each other."""
    return list(dict.fromkeys(case.suite for case in conformance_cases()))


def each_case(test: Callable[..., Any]) -> Any:
    """Decorate a pytest test that takes ``case``: it runs once with each."""
    import pytest

    return pytest.mark.parametrize("case", conformance_cases(), ids=str)(test)


def conformance_cases() -> list[ConformanceCase]:
    """Return every case, suite by suite.

    Example:
        >>> from clew.testing import conformance_cases
        >>> case = conformance_cases()[0]
        >>> case.run(":memory:")
    """
    return [ConformanceCase(*each) for each in _core.conformance_cases()]
