"""Rows as a frame of whichever library its user likes."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from ._errors import Unsupported

__all__ = ["make_frame"]

_LIBRARIES = {"arrow": "pyarrow", "pandas": "pandas", "polars": "polars"}


def make_frame(kind: str, columns: dict[str, str], rows: Iterable[dict[str, Any]]) -> Any:
    """Return a frame with these columns, each ``"text"``, ``"integer"`` or ``"time"``.

    Raises:
        Unsupported: The library is not installed.
    """
    library = _LIBRARIES[kind]
    try:
        module: Any = importlib.import_module(library)
    except ImportError as error:
        raise Unsupported(
            f"a frame of this kind needs {library}: pip install {library}", {"library": library}
        ) from error
    data: dict[str, list[Any]] = {name: [] for name in columns}
    for row in rows:
        for name, values in data.items():
            values.append(row[name])
    return {"arrow": _arrow, "pandas": _pandas, "polars": _polars}[kind](module, columns, data)


def _arrow(pa: Any, columns: dict[str, str], data: dict[str, list[Any]]) -> Any:
    types = {"text": pa.string(), "integer": pa.int64(), "time": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    return pa.table(data, schema=schema)


def _pandas(pd: Any, columns: dict[str, str], data: dict[str, list[Any]]) -> Any:
    types = {"text": "string", "integer": "Int64", "time": "datetime64[us, UTC]"}
    return pd.DataFrame({name: pd.Series(data[name], dtype=types[columns[name]]) for name in data})


def _polars(pl: Any, columns: dict[str, str], data: dict[str, list[Any]]) -> Any:
    types = {"text": pl.String, "integer": pl.Int64, "time": pl.Datetime("us", "UTC")}
    return pl.DataFrame(data, schema={name: types[kind] for name, kind in columns.items()})
