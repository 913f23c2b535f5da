"""Values, schemas and contracts, clocks, fault points, keys."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, final

Json: TypeAlias = Any
Duration: TypeAlias = float | timedelta | str
Reference: TypeAlias = Any
"""A str such as ``"text.words@^1"``, or an object whose ``__clew_ref__`` is one."""

def roundtrip(value: Any) -> Json:
    """Return ``value`` as it arrives on the other side: converted to the core's form and back."""

def canonical_json(value: Any) -> str:
    """Return the RFC 8785 text, of which digests are taken."""

def to_json(value: Any) -> str:
    """Return compact JSON text; members keep their order."""

def parse_json(text: str) -> Json:
    """Return the value of a JSON text; duplicate keys and integers beyond 64 bits are errors."""

def digest(value: Any) -> str:
    """Return the hex SHA-256 of the canonical text."""

def parse_duration(value: Duration, path: str = "duration") -> float:
    """Return seconds. `InvalidInput` naming ``path``."""

def check_schema(schema: Any, path: str = "schema") -> None:
    """Compile a JSON Schema and forget it. `InvalidInput` or `Unsupported` with the path inside."""

def check_contract(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contract in its normal form. `InvalidInput` whose context lists all problems."""

def load_contract(text: str) -> dict[str, Any]:
    """The same for the text of a JSON or YAML document; problems know their lines."""

def check_id(id: str, path: str = "id") -> None:
    """`InvalidInput` naming ``path`` unless it is the id of a capability."""

# --- faults, for tests ------------------------------------------------------------------------

def conformance_cases() -> list[tuple[str, str, Literal["nothing", "reopen", "folder"]]]:
    """Return suite, name and need of every case."""

def run_conformance_case(suite: str, name: str, url: str, is_durable: bool, folder: str) -> None:
    """Run a case on an empty database. A rule that does not hold is `Internal`. Blocks."""

def fault_points() -> list[str]:
    """Return the names of all fault points, sorted."""

def arm_fault(
    name: str,
    action: Literal["error", "kill"] | Callable[[], None] = "error",
    *,
    at: int = 1,
    code: str = "unavailable",
) -> None:
    """Make a fault point act at its ``at``-th hit from now (a callable: at each hit from there on).

    ``"error"`` fails that hit with ``code``; ``"kill"`` ends the process with SIGKILL; a callable
    fails it when it raises. `NotFound` for an unknown name, with near ones.
    """

def fault_hits(name: str) -> int:
    """Return how often an armed point was hit since it was armed; 0 when it is not armed."""

def disarm_faults() -> None:
    """Turn all points off."""

# --- clocks -------------------------------------------------------------------------------------

@final
class ManualClock:
    """Virtual time: stands still until moved. Give it to a Runtime as ``clock``."""

    def __init__(self, start: datetime | None = None) -> None: ...
    def now(self) -> datetime: ...
    def advance(self, by: Duration) -> None:
        """Move on and wake every waiter whose deadline has come."""
    def next_deadline(self) -> datetime | None:
        """Return the earliest instant that somebody waits for."""
    def await_waiters(self, count: int = 1) -> bool:
        """Block until ``count`` timed waits are pending; False after ten real seconds."""

# --- keys ---------------------------------------------------------------------------------------

def public_key(secret: bytes) -> bytes:
    """Return the Ed25519 public key of a secret seed of 32 bytes."""

def sign_digest(digest: bytes, secret: bytes) -> bytes:
    """Sign a SHA-256 digest: the public key, then the Ed25519 signature; 96 bytes."""
