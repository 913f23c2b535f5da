"""Connectors to the world: what a capability may be given instead of a network and files.

    rt.add_connector("api", clew.connectors.Http(["https://api.example.com"]))
    rt.add_connector("db", clew.connectors.Sqlite("shop.db"))
    rt.add_connector("crm", clew.connectors.Postgres("postgresql://reader@crm/sales"))

A connector is any callable, or anything with ``invoke``, that takes a request and returns a
response, both JSON. It may be called from several threads at once. One that has a parameter
``traceparent`` is given the W3C trace context of the request, to hand it on; one that has a
parameter ``ctx`` the request's `clew.Context`: its deadline, and whether it was cancelled.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from . import _check, _errors
from ._check import invalid

if TYPE_CHECKING:
    from ._context import Context

__all__ = ["Http", "Postgres", "Sqlite"]

_PORTS = {"http": 80, "https": 443}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_REDIRECTS = (301, 302, 303, 307, 308)
_REDIRECTS_MAX = 5


class Http:
    """Requests to origins on a list, and to no other, redirects included.

    A request is ``{"url": …, "method": "GET", "json": …}``; a response ``{"status": …, "type": …,
    "json": …}``, or ``"text"`` instead of ``"json"`` for what is none.

    Args:
        origins: Such as ``"https://api.example.com"`` or ``"http://127.0.0.1:8080"``.
        headers: Sent with each request; here is where credentials go: no capability sees them.
        methods: The methods that are allowed.
        max_bytes: Most bytes of a response, and of a request.
        timeout: Seconds for a request with all its redirects.
    """

    def __init__(
        self,
        origins: Sequence[str],
        *,
        headers: Mapping[str, str] | None = None,
        methods: Sequence[str] = ("GET", "HEAD"),
        max_bytes: int = 1 << 20,
        timeout: float = 10.0,
    ) -> None:
        if isinstance(origins, str) or not origins:
            raise invalid("origins", origins, "a list of origins")
        self._origins = {
            _origin(_split(_check.text(f"origins[{i}]", one))) for i, one in enumerate(origins)
        }
        self._headers = dict(headers or {})
        self._methods = tuple(_check.word("methods", one, _METHODS) for one in methods)
        self._max_bytes = _check.integer("max_bytes", max_bytes, 1, 1 << 30)
        self._timeout = _check.number("timeout", timeout, 0.001, 86_400)

    def invoke(self, request: Any, *, traceparent: str | None = None) -> dict[str, Any]:
        """Send one request. `Rejected`, `ResourceExhausted`, `Timeout`, `Unavailable`."""
        if not isinstance(request, Mapping) or not set(request) <= {"url", "method", "json"}:
            raise invalid("request", "(a request)", "an object of url, method and json")
        method = _check.word("request.method", request.get("method", "GET"), self._methods)
        body = None
        if "json" in request:
            body = json.dumps(request["json"]).encode()
            if len(body) > self._max_bytes:
                raise _too_large("request", self._max_bytes)
        url = _check.text("request.url", request.get("url"))
        until = _now() + self._timeout
        for _ in range(_REDIRECTS_MAX + 1):
            status, kind, location, content = self._send(method, url, body, until, traceparent)
            if status not in _REDIRECTS or location is None:
                return _response(status, kind, content)
            url = urljoin(url, location)
            if status == 303 or (status in (301, 302) and method == "POST"):
                method, body = "GET", None
        raise _errors.ExecutionFailed(f"more than {_REDIRECTS_MAX} redirects", {"url": url})

    def _send(
        self, method: str, url: str, body: bytes | None, until: float, traceparent: str | None
    ) -> tuple[int, str, str | None, bytes]:
        parts = _split(url)
        if _origin(parts) not in self._origins:
            raise _errors.Rejected(
                f"{parts.scheme}://{parts.netloc} is not on the list of origins",
                {
                    "reason": "origin",
                    "origins": sorted(f"{s}://{h}:{p}" for s, h, p in self._origins),
                },
            )
        scheme, host, port = _origin(parts)
        make = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        connection = make(host, port, timeout=_left(until))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"traceparent": traceparent} if traceparent else {}
        headers |= {**self._headers, **({"Content-Type": "application/json"} if body else {})}
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            content = self._read(answer, connection, until)
        except TimeoutError as error:
            raise _errors.Timeout(f"{host} did not answer in time", {"host": host}) from error
        except (OSError, http.client.HTTPException) as error:
            why = f"{host} cannot be reached: {type(error).__name__}"
            raise _errors.Unavailable(why, {"host": host}, retryable=True) from error
        finally:
            connection.close()
        kind = answer.headers.get_content_type()
        return answer.status, kind, answer.headers.get("Location"), content

    def _read(
        self, answer: http.client.HTTPResponse, connection: http.client.HTTPConnection, until: float
    ) -> bytes:
        content = b""
        while part := answer.read1(64 << 10):
            content += part
            if len(content) > self._max_bytes:
                raise _too_large("response", self._max_bytes)
            if connection.sock is not None:
                connection.sock.settimeout(_left(until))
            else:
                _left(until)
        return content


class Sqlite:
    """Queries of one SQLite file; reading only, unless it is told otherwise.

    A request is ``{"sql": …, "params": […]}``; a response ``{"rows": [{…}], "truncated":
    bool}``, or
    ``{"changed": n}`` for a statement that writes. Each request has a connection and a transaction
    of its own. ``ATTACH`` and ``PRAGMA`` are refused.

    Args:
        path: The file.
        writable: Allow statements that write.
        max_rows: Most rows of a response; there may be more when ``truncated`` is True.
        timeout: Seconds for a statement, waiting for locks included.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        writable: bool = False,
        max_rows: int = 1000,
        timeout: float = 5.0,
    ) -> None:
        from pathlib import Path

        self._uri = Path(path).absolute().as_uri() + ("?mode=rw" if writable else "?mode=ro")
        self._writable = _check.flag("writable", writable)
        self._max_rows = _check.integer("max_rows", max_rows, 1, 1_000_000)
        self._timeout = _check.number("timeout", timeout, 0.001, 86_400)

    def invoke(self, request: Any) -> dict[str, Any]:
        """Run one statement. `InvalidInput`, `Timeout`, `Unavailable`."""
        sql, params = _statement(request)
        try:
            connection = sqlite3.connect(
                self._uri, uri=True, timeout=self._timeout, isolation_level=None
            )
        except sqlite3.Error as error:
            raise _errors.Unavailable("the database cannot be opened", {}) from error
        try:
            return self._run(connection, sql, params)
        finally:
            connection.close()

    def _run(self, connection: sqlite3.Connection, sql: str, params: Any) -> dict[str, Any]:
        until = _now() + self._timeout
        connection.set_progress_handler(lambda: _now() > until, 10_000)
        if not self._writable:
            connection.execute("PRAGMA query_only = 1")
        connection.set_authorizer(_authorize)
        try:
            cursor = connection.execute(sql, params)
            if cursor.description is None:
                return {"changed": max(cursor.rowcount, 0)}
            names = [column[0] for column in cursor.description]
            rows = cursor.fetchmany(self._max_rows + 1)
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error) or "locked" in str(error):
                raise _errors.Timeout("the query was not done in time", {}) from error
            raise invalid("request.sql", sql, f"a statement that may run here ({error})") from error
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise invalid("request.sql", sql, f"a statement that may run here ({error})") from error
        for row in rows:
            if any(isinstance(cell, bytes) for cell in row):
                raise invalid(
                    "request.sql", sql, "columns of numbers and text: use hex() for blobs"
                )
        return {
            "rows": [dict(zip(names, row, strict=True)) for row in rows[: self._max_rows]],
            "truncated": len(rows) > self._max_rows,
        }


class Postgres:
    """Queries of one PostgreSQL database; reading only, unless it is told otherwise.

    A request is ``{"sql": …, "params": […]}``, with ``$1`` for a parameter; a response ``{"rows":
    [{…}], "truncated": bool}``, or ``{"changed": n}`` for a statement that writes. Each request
    has a connection and a transaction of its own, and is one statement. Reading, the transaction is
    READ ONLY, and never committed. A role that may run programs or use files of the server is
    refused. What types become in JSON: docs/connectors.md. Needs ``pip install "clew[postgres]"``.

    Args:
        url: As libpq takes it; here is where credentials go: no capability sees them.
        writable: Allow statements that write.
        max_rows: Most rows of a response; there may be more when ``truncated`` is True.
        timeout: Seconds for a request, connecting and waiting for locks included.
    """

    def __init__(
        self, url: str, *, writable: bool = False, max_rows: int = 1000, timeout: float = 5.0
    ) -> None:
        try:
            import psycopg
        except ImportError:
            raise _errors.Unsupported(
                'PostgreSQL connectors need psycopg: pip install "clew[postgres]"',
                {"install": "clew[postgres]"},
            ) from None
        expected = "a URL as libpq reads them: postgresql://user@host:port/database"
        given: Any = url
        if not isinstance(given, str) or not given.isprintable():
            raise invalid("url", "(a URL)", expected)
        try:
            self._conninfo = psycopg.conninfo.make_conninfo(
                url, client_encoding="UTF8", fallback_application_name="clew"
            )
        except psycopg.Error:  # its message may show a part of the password
            raise invalid("url", "(a URL)", expected) from None
        self._writable = _check.flag("writable", writable)
        self._max_rows = _check.integer("max_rows", max_rows, 1, 1_000_000)
        self._timeout = _check.number("timeout", timeout, 0.001, 86_400)

    def invoke(self, request: Any, *, ctx: Context | None = None) -> dict[str, Any]:
        """Run one statement, at most as long as the call may last, and only while it is wanted.

        Raises:
            InvalidInput: The request, its statement, or a type of its columns.
            Conflict: A constraint; or another transaction came first, which is ``retryable``.
            Timeout: It was not done in time; nothing was changed.
            Cancelled: The call was; nothing was changed.
            Unavailable: The database; nothing was changed.
            UnknownOutcome: The answer to the commit did not come.
            Rejected: The role may do more than use the database (``reason`` is ``role``).
        """
        from ._postgres_link import Link

        sql, params = _statement(request)
        if "\0" in sql:
            raise invalid("request.sql", "(a statement)", "text without a zero character")
        if self._writable and _first_word(sql) not in _WRITERS:
            raise invalid("request.sql", "(a statement)", f"one of {', '.join(_WRITERS)}")
        left = ctx.remaining if ctx is not None else None
        seconds = self._timeout if left is None else min(self._timeout, left)
        link = Link(self._conninfo, seconds, ctx, writable=self._writable)
        try:
            ask = link.change if self._writable else link.query
            return ask(sql, params, self._max_rows)
        finally:
            link.close()


# What has effects beyond its transaction, or ends it, is not among them.
_WRITERS = (
    *("SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE"),
    *("CREATE", "ALTER", "DROP", "TRUNCATE", "COMMENT"),
)
_BEFORE_WORD = re.compile(r"[\s(]+|--[^\r\n]*|/\*(?:(?!/\*|\*/).)*\*/", re.DOTALL)


def _first_word(sql: str) -> str:
    at = 0
    while blank := _BEFORE_WORD.match(sql, at):
        at = blank.end()
    word = re.compile(r"[A-Za-z]*").match(sql, at)
    return word[0].upper() if word else ""


def _statement(request: Any) -> tuple[str, list[Any]]:
    if not isinstance(request, Mapping) or not set(request) <= {"sql", "params"}:
        raise invalid("request", "(a request)", "an object of sql and params")
    params = request.get("params", [])
    if not isinstance(params, (list, tuple)):
        raise invalid("request.params", params, "a list")
    return _check.text("request.sql", request.get("sql")), list(params)


def _authorize(action: int, *_: Any) -> int:
    refused = (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA)
    return sqlite3.SQLITE_DENY if action in refused else sqlite3.SQLITE_OK


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        raise invalid("url", "(a URL)", "http:// or https://, a host, and no user information")
    return parts


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


def _now() -> float:
    return time.monotonic_ns() / 1e9  # sockets and files know no other time


def _left(until: float) -> float:
    left = until - _now()
    if left <= 0:
        raise TimeoutError
    return left


def _too_large(what: str, max_bytes: int) -> _errors.ResourceExhausted:
    return _errors.ResourceExhausted(
        f"the {what} is larger than {max_bytes} bytes", {"reason": "too_large", "limit": max_bytes}
    )


def _response(status: int, kind: str, content: bytes) -> dict[str, Any]:
    text = content.decode("utf-8", "replace")
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return {"status": status, "type": kind, "json": json.loads(text)}
        except ValueError:
            pass
    return {"status": status, "type": kind, "text": text}
