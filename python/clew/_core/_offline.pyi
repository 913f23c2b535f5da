"""What is done with a store that no runtime has opened. Everything blocks and heeds Ctrl-C."""

from collections.abc import Sequence
from typing import Any

from ._values import Json

def verify_store(store: str) -> list[tuple[str, str]]:
    """Return (invariant, detail) of what does not hold. Changes nothing."""

def store_invariants() -> list[tuple[str, str]]:
    """Return (name, rule in words) of all that `verify_store` checks, by name."""

def query_store(store: str, query: str, params: Sequence[Json]) -> list[dict[str, Any]]:
    """Run one statement that reads. Errors as `Runtime.sql`."""

def export_store(store: str, to: str) -> dict[str, Any]:
    """Copy a store into an empty one and compare what is there then.

    Raises:
        Conflict: A runtime has the store open, or there are rows in ``to``.
        Unsupported: PostgreSQL cannot keep some text; the context names table, key and column.
        Corrupt: The copy is not what was read; nothing of it was kept.
    """
