"""What every argument check shares: one shape of complaint, naming path, value and expectation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ._errors import Closed, InvalidInput

if TYPE_CHECKING:
    from . import _core

__all__ = [
    "flag",
    "integer",
    "invalid",
    "key",
    "known",
    "near",
    "number",
    "optional_text",
    "preview",
    "require_open",
    "text",
    "texts",
    "word",
]

_SHOWN_MAX = 80
_KEY_BYTES_MAX = 768


def invalid(path: str, value: Any, expected: str, **context: Any) -> InvalidInput:
    """Return the error that says what stands at ``path`` and what should."""
    shown = preview(value)
    kept = value if value is None or isinstance(value, (bool, int, float, str)) else shown
    return InvalidInput(
        f"{path}: expected {expected}, got {shown}",
        {"path": path, "value": kept, "expected": expected, **context},
    )


def preview(value: Any) -> str:
    """Return a value as messages show it: short, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a complaint about a value must not fail because of it
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"


def near(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant."""
    from difflib import get_close_matches

    found = get_close_matches(name, list(known), n=1)
    return found[0] if found else None


def require_open(core: _core.Runtime) -> None:
    """Raise `Closed` once the runtime is closed."""
    if core.closed:
        raise Closed("the runtime is closed")


def text(path: str, value: Any, expected: str = "a non-empty string") -> str:
    """Return ``value`` when it is a string with something in it."""
    if not isinstance(value, str) or not value:
        raise invalid(path, value, expected)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise invalid(path, ascii(value), "text without lone surrogates") from None
    return value


def key(path: str, value: Any) -> str:
    """Return ``value`` when it is what names a thing in a store."""
    name = text(path, value, "text that is not blank")
    if not name.strip(" \t\r\n\f\v"):
        raise invalid(path, value, "text that is not blank")
    if len(name.encode()) > _KEY_BYTES_MAX:
        raise invalid(path, value, f"at most {_KEY_BYTES_MAX} bytes of text")
    if "\0" in name:
        raise invalid(path, value, "text without U+0000")
    return name


def known(path: str, given: Mapping[Any, Any], names: tuple[str, ...]) -> None:
    """Raise `InvalidInput` for a member that is none of ``names``."""
    for name in given:
        if name not in names:
            raise invalid(f"{path}.{name}", given[name], f"one of {', '.join(names)}")


def texts(path: str, value: Any) -> list[Any]:
    """Return ``value`` as a list, unless it is one text: what is in it is checked elsewhere."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise invalid(path, value, "a list of texts")
    return list(value)


def optional_text(path: str, value: Any) -> str | None:
    """Return ``value`` when it is None or a string with something in it."""
    return None if value is None else text(path, value)


def integer(path: str, value: Any, low: int, high: int) -> int:
    """Return ``value`` when it is an int (not a bool) from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise invalid(path, value, f"an integer from {low} to {high}")
    return value


def flag(path: str, value: Any) -> bool:
    """Return ``value`` when it is a bool."""
    if not isinstance(value, bool):
        raise invalid(path, value, "True or False")
    return value


def word(path: str, value: Any, words: tuple[str, ...]) -> str:
    """Return ``value`` when it is one of ``words``."""
    if not isinstance(value, str) or value not in words:
        expected = " or ".join(f'"{one}"' for one in words)
        guess = near(value, words) if isinstance(value, str) else None
        raise invalid(path, value, expected, **({"suggestion": guess} if guess else {}))
    return value


def number(path: str, value: Any, low: float, high: float) -> float:
    """Return ``value`` when it is a number (not a bool) from ``low`` to ``high``."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not low <= value <= high:
        raise invalid(path, value, f"a number from {low} to {high}")
    return float(value)
