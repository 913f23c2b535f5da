"""Values of PostgreSQL as JSON and back. Imported only where psycopg is installed.

Everything is read as the server writes it as text, under the settings of `_postgres_link`. What has
no rule here is refused rather than guessed.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from typing import Any

import psycopg

from ._check import invalid

__all__ = ["encode", "reader_of"]

Reader = Callable[[str], Any]

_types = psycopg.adapters.types
_INT4, _INT8, _BOOL = (_types[name].oid for name in ("int4", "int8", "bool"))
_NUMERIC, _FLOAT8 = (_types[name].oid for name in ("numeric", "float8"))
_UNKNOWN = 0  # the server finds out what it is compared to

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)(\+00)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,{}"]+)|([,{}])', re.DOTALL)


def _integer(text: str) -> int:
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("JSON has no such number")
    return value


def _time_of(text: str) -> str:
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise ValueError("not within the years 1 to 9999")
    return f"{found[1]}T{found[2]}{'Z' if found[3] else ''}"


def _date_of(text: str) -> str:
    if _DATE.fullmatch(text) is None:
        raise ValueError("not within the years 1 to 9999")
    return text


def _bytes_of(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text.removeprefix("\\x"))).decode()


def _json_of(text: str) -> Any:
    return json.loads(text, parse_float=_real)


_READERS: dict[str, Reader] = {
    "bool": lambda text: text == "t",
    **dict.fromkeys(("int2", "int4", "int8", "oid"), _integer),
    **dict.fromkeys(("float4", "float8"), _real),
    # Exact as text; a JSON number would not be.
    **dict.fromkeys(("numeric", "text", "varchar", "bpchar", "name", "uuid"), str),
    **dict.fromkeys(("time", "interval"), str),
    **dict.fromkeys(("timestamp", "timestamptz"), _time_of),
    "date": _date_of,
    "bytea": _bytes_of,
    **dict.fromkeys(("json", "jsonb"), _json_of),
}


def _array_of(read: Reader) -> Reader:
    """Return what reads arrays of it: nested lists for several dimensions."""

    def read_array(text: str) -> list[Any]:
        _, given, bounded = text.partition("={")  # numbered from elsewhere than 1: "[0:1]={1,2}"
        top: list[Any] = []
        stack = [top]
        for quoted, bare, mark in _PIECE.findall(
            "{" + bounded if given and text[0] == "[" else text
        ):
            if mark == "{":
                stack[-1].append([])
                stack.append(stack[-1][-1])
            elif mark == "}":
                stack.pop()
            elif bare:
                stack[-1].append(None if bare == "NULL" else read(bare))
            elif mark != ",":
                stack[-1].append(read(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)))
        made: list[Any] = top[0]
        return made

    return read_array


_BY_OID: dict[int, tuple[str, Reader]] = {}
for _name, _read in _READERS.items():
    _BY_OID[_types[_name].oid] = (_name, _read)
    _BY_OID[_types[_name].array_oid] = (f"{_name}[]", _array_of(_read))


def reader_of(column: str, oid: int) -> Callable[[bytes | None], Any]:
    """Return what makes JSON of a column's values. `InvalidInput` for a type without a rule."""
    known = _BY_OID.get(oid)
    if known is None:
        info = _types.get(oid)
        name = info.name if info is not None else f"number {oid}"
        raise invalid(
            f"column {column}", f"(type {name})", "a type that has a rule: cast it, as with ::text"
        )
    name, read = known

    def convert(raw: bytes | None) -> Any:
        if raw is None:
            return None
        try:
            return read(raw.decode())
        except ValueError:
            raise invalid(
                f"column {column}", f"(a {name})", "a value that JSON has: cast it, as with ::text"
            ) from None  # the cause would show the value

    return convert


def encode(path: str, value: Any) -> tuple[bytes | None, int]:
    """Return a parameter as the server takes it, and its type."""
    if value is None:
        return None, _UNKNOWN
    if isinstance(value, bool):
        return (b"t" if value else b"f"), _BOOL
    if isinstance(value, int):
        bits = (value if value >= 0 else ~value).bit_length()
        return str(value).encode(), _INT4 if bits < 32 else _INT8 if bits < 64 else _NUMERIC
    if isinstance(value, float) and math.isfinite(value):
        return repr(value).encode(), _FLOAT8
    if isinstance(value, str) and "\0" not in value:
        return value.encode(), _UNKNOWN
    if isinstance(value, (list, dict)):
        try:
            return json.dumps(value, allow_nan=False).encode(), _UNKNOWN
        except (TypeError, ValueError):
            pass
    raise invalid(path, f"(a {type(value).__name__})", "a JSON value without a zero character")
