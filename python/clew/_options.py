"""What users say of runtimes and starts, checked, as the core takes it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from . import _check, _core, _errors
from ._check import invalid

INT_MAX = 2**31 - 1
_DAY_MS = 86_400_000
_LIMITS = (
    "events_age",
    "events_max",
    "idempotency_ttl",
    "keys_age",
    "lease_ttl",
    "processes_age",
    "queue_max",
    "relaxed_ms",
    "traces_age",
    "traces_max",
)


def store_path(store: Any) -> str:
    """Return the core's word for a store. `InvalidInput`."""
    expected = '":memory:", the path of a SQLite file or postgresql://…'
    path = os.fspath(store) if isinstance(store, (str, os.PathLike)) else store
    if not isinstance(path, str) or not path or "\0" in path:
        raise invalid("store", store, expected)
    scheme, separator, _ = path.partition("://")
    if separator and scheme.isalnum() and scheme not in ("postgresql", "postgres"):
        raise invalid("store", f"{scheme}://…", expected)
    return path


def shown_store(store: str) -> str:
    """Return a store as people may see it: the URL of a database without its password."""
    if "://" not in store:
        return store
    hidden = re.sub(r"(://[^:/?@]*):.*@", r"\1:…@", store)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1…", hidden)


def of_limits(limits: Any) -> dict[str, Any]:
    """Return the core's options for ``limits=``. `InvalidInput` naming ``limits.<key>``."""
    if limits is None:
        return {}
    if not isinstance(limits, Mapping):
        raise invalid("limits", limits, f"a dict with {', '.join(_LIMITS)}")
    options: dict[str, Any] = {}
    for key, value in limits.items():
        path = f"limits.{key}"
        if key in ("queue_max", "traces_max", "events_max"):
            options[key] = _check.integer(path, value, 1, INT_MAX)
        elif key == "relaxed_ms":
            options["relaxed_window"] = _check.number(path, value, 0, _DAY_MS) / 1000
        elif key.endswith(("_age", "_ttl")) and key in _LIMITS:
            options[key] = _core.parse_duration(value, path)
            if options[key] <= 0:
                raise invalid(path, value, "a duration above zero")
        else:
            guess = _check.near(str(key), _LIMITS)
            hint = {"suggestion": guess} if guess else {}
            meant = f"did you mean {guess}?" if guess else f"one of {', '.join(_LIMITS)}"
            raise invalid(path, value, f"no such limit; {meant}", **hint)
    return options


def of_start(
    id: Any,  # noqa: A002 - the word of users
    key: Any,
    priority: Any,
    budget: Any,
    tags: Any,
    durability: Any,
) -> dict[str, Any]:
    """Return the core's options for `Runtime.start`. `InvalidInput`, `Unsupported`."""
    if budget is not None:
        raise _errors.Unsupported("budgets of runs are not offered yet", {"path": "budget"})
    if tags is not None and not isinstance(tags, (list, tuple)):
        raise invalid("tags", tags, "a list of strings")
    checked = [_check.text(f"tags[{index}]", tag) for index, tag in enumerate(tags or ())]
    if durability is not None:
        _check.word("durability", durability, ("sync", "relaxed"))
    return {
        "id": _check.optional_text("id", id),
        "key": _check.optional_text("key", key),
        "priority": _check.integer("priority", priority, -INT_MAX, INT_MAX),
        "tags": checked,
        "durability": durability,
    }
