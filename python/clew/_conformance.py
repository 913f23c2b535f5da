"""The conformance suites of the stores, one case at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import _core

__all__ = ["ConformanceCase", "conformance_cases"]


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
        from ._errors import Internal

        try:
            _core.run_conformance_case(self.suite, self.name, url, url != ":memory:", folder or "")
        except Internal as broken:
            raise AssertionError(broken.message) from None


def conformance_cases() -> list[ConformanceCase]:
    """Return every case, suite by suite.

    Example:
        >>> from clew.testing import conformance_cases
        >>> case = conformance_cases()[0]
        >>> case.run(":memory:")
    """
    return [ConformanceCase(*each) for each in _core.conformance_cases()]
