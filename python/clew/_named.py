"""Parameters of SQL by name: the same query with them by position."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ._check import invalid

__all__ = ["by_position"]

# What holds no parameter (texts, quoted names, comments, casts), or a parameter.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/
        | (?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag)
        | :: | :(?P<name>[^\W\d]\w*) | (?P<mark>\?|\$\d)""",
    re.VERBOSE | re.DOTALL,
)


def by_position(query: str, params: Mapping[Any, Any]) -> tuple[str, list[Any]]:
    """Return the query with ``?`` for each ``:name``, and what they stand for.

    Raises:
        InvalidInput: The names of the query are not those of ``params``, or it has others without
            a name.
    """
    values: list[Any] = []
    used: set[Any] = set()

    def place(found: re.Match[str]) -> str:
        name = found["name"]
        if found["mark"]:
            raise invalid("params", dict(params), "a list, since the query has ? or $1")
        if name is None:
            return found[0]
        if name not in params:
            raise invalid("params", dict(params), f"one of the name {name}")
        used.add(name)
        values.append(params[name])
        return "?"

    made = _TOKEN.sub(place, query)
    for name in params:
        if name not in used:
            raise invalid("params", dict(params), f"names of the query, which has no :{name}")
    return made, values
