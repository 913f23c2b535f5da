"""How records of the session stores travel: dataclasses here, JSON in the core."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from . import _check, _core
from ._records import _Shown

if TYPE_CHECKING:
    from typing_extensions import Self

__all__: list[str] = []

Duration = float | timedelta | str

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
# What belongs to the user goes through as it is: JSON or an error that names the path.
_OPAQUE = frozenset(
    [
        "payload",
        "body",
        "caused_by",
        "assignment",
        "protocol_turn_options",
        "last_prompt_usage",
        "source",
        "value",
        "wake",
        "required_surface",
        "canonical_ir",
        "manifest",
    ]
)


def to_us(path: str, at: Any) -> int:
    """Return an aware datetime as microseconds."""
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise _check.invalid(path, at, "an aware datetime")
    return (at - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """Return the aware datetime in UTC."""
    return _EPOCH + us * _MICROSECOND


def duration_us(duration: Duration, path: str) -> int:
    """Return a duration as microseconds."""
    return round(_core.parse_duration(duration, path) * 1_000_000)


def tier_of(core: _core.Runtime) -> Literal["inline", "durable"]:
    """Return whether what that runtime's store keeps outlives the process."""
    return "inline" if core.store == ":memory:" else "durable"


def plain(value: Any, path: str = "") -> Any:
    """Return a record, or the dict for one, as the core takes it.

    Times and bytes are converted where records have them. Anywhere else, the core refuses them.
    """
    if isinstance(value, Stored):
        return value._plain(path)
    if isinstance(value, Mapping):
        below = f"{path}." if path else ""
        return {key: _member(key, one, f"{below}{key}") for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one, f"{path}[{n}]") for n, one in enumerate(value)]
    return value


def _member(key: Any, value: Any, path: str) -> Any:
    if key == "completion":
        value = _completion(value)
    elif key == "completed_queue_claims" and isinstance(value, (list, tuple)):
        value = [_completion(one) for one in value]
    if isinstance(value, Stored):
        return value._plain(path)
    if key in _OPAQUE or value is None:
        return value
    if key == "timestamp" or (isinstance(key, str) and key.endswith("_at")):
        return to_us(path, value)
    if key == "execution_state" and isinstance(value, Mapping):
        return with_base64(value)
    return plain(value, path)


def _completion(shown: Any) -> Any:
    """Return the completion of a claim; anything else as it is."""
    of_claim = getattr(shown, "completion", None)
    return of_claim() if callable(of_claim) else shown


def with_base64(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part whose body is bytes as JSON has it."""
    body = part.get("body")
    if not isinstance(body, (bytes, bytearray, memoryview)):
        return dict(part)
    return {**part, "body": base64.b64encode(body).decode()}


def through(part: str, name: str) -> property:
    """Return the property that reads a field of a part."""
    return property(lambda self: getattr(getattr(self, part), name), doc=f"That of its ``{part}``.")


class Stored(_Shown):
    """A record. ``_reads`` says how those of its fields are read that are no plain JSON."""

    __slots__ = ()

    _reads: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    def _plain(self, path: str) -> dict[str, Any]:
        names: tuple[str, ...] = type(self).__slots__
        given = {name: getattr(self, name) for name in names}
        made = plain({key: one for key, one in given.items() if one is not None}, path)
        return cast("dict[str, Any]", made)

    @classmethod
    def _from(cls, data: Mapping[str, Any]) -> Self:
        made = dict(data)
        for name, read in cls._reads.items():
            if made.get(name) is not None:
                made[name] = read(made[name])
        return cls(**made)


def reads(**fields: Callable[[Any], Any]) -> Mapping[str, Callable[[Any], Any]]:
    """Return how fields are read, by name."""
    return fields


def record(cls: type[Stored]) -> Callable[[Any], Any]:
    """Return what reads one record of that class."""
    return cls._from


def records(cls: type[Stored]) -> Callable[[Any], Any]:
    """Return what reads a tuple of records of that class."""
    return lambda data: tuple(cls._from(one) for one in data)


class Front:
    """What the fronts of the stores share."""

    __slots__ = ("_core",)

    def __init__(self, core: _core.Runtime) -> None:
        self._core = core

    def _do(self, operation: str, **arguments: Any) -> Any:
        _check.require_open(self._core)
        given = {key: one for key, one in arguments.items() if one is not None}
        return self._core.store_operation(operation, plain(given))

    @property
    def durability_tier(self) -> Literal["inline", "durable"]:
        """Whether what it keeps outlives the process: ``"durable"``, or ``"inline"`` in memory."""
        return tier_of(self._core)

    def _before(self, age: Duration) -> int:
        """Return the instant that lies `age` back on the runtime's clock."""
        return to_us("now", self._core.now()) - duration_us(age, "older_than")
