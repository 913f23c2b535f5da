"""Connectors: declared, bound, checked both ways, traced; HTTP and SQLite for real."""

from __future__ import annotations

import http.server
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clew
import clew.connectors
import pytest


def asker(*connectors: str) -> Any:
    """A capability that sends `request` to the connector `name`."""

    @clew.capability("test.ask", version="1.0.0", connectors=connectors)
    def ask(name: str, ctx: clew.Context, request: Any = None) -> Any:
        return ctx.connector(name).invoke(request)

    return ask


def context_of(error: pytest.ExceptionInfo[clew.ClewError]) -> dict[str, Any]:
    return error.value.context


# Parity: P connectors
def test_a_declared_connector_answers_and_leaves_a_trace_without_payload(
    clew_runtime: clew.Runtime,
) -> None:
    seen: list[Any] = []
    clew_runtime.add_connector("db", lambda request: seen.append(request) or {"rows": [1]})
    clew_runtime.register(asker("db@^1"))
    request = {"q": "a payload"}
    assert clew_runtime.execute("test.ask", {"name": "db", "request": request}) == {"rows": [1]}
    assert seen == [request]
    (use,) = clew_runtime.traces("connector.db")
    (call,) = clew_runtime.traces("test.ask")
    assert (use.version, use.outcome, use.parent) == ("1.0.0", "success", call.id)
    assert "a payload" not in json.dumps(use.to_dict(), default=str)


def test_nobody_reaches_a_connector_by_reference(clew_runtime: clew.Runtime) -> None:
    clew_runtime.add_connector("db", lambda request: request)
    for ref in ("db", "connector.db", "connector.db@1.0.0"):
        with pytest.raises(clew.NotFound):
            clew_runtime.execute(ref, {"request": 1})
    assert clew_runtime.capabilities() == []


# Parity: P connectors
def test_undeclared_unbound_and_incompatible_are_three_errors(clew_runtime: clew.Runtime) -> None:
    calls: list[Any] = []
    clew_runtime.add_connector("db", calls.append, version="2.1.0")
    clew_runtime.register(asker("db@^2"))
    with pytest.raises(clew.ClewError) as undeclared:
        clew_runtime.execute("test.ask", {"name": "other"})
    assert "undeclared" in json.dumps(context_of(undeclared))
    for needed, error, reason in [
        ("mail@^1", clew.NotFound, "unbound"),
        ("db@^1", clew.Conflict, "incompatible"),
    ]:

        @clew.capability(f"test.{reason}", version="1.0.0", connectors=(needed,))
        def never(ctx: clew.Context) -> None:
            calls.append("entered")

        clew_runtime.register(never)
        with pytest.raises(error) as refused:
            clew_runtime.execute(f"test.{reason}", {})
        assert context_of(refused)["reason"] == reason
    assert calls == []


def test_the_highest_version_in_the_range_serves(clew_runtime: clew.Runtime) -> None:
    for version in ("1.0.0", "1.4.0", "2.0.0"):
        clew_runtime.add_connector("db", lambda _, v=version: v, version=version)
    clew_runtime.register(asker("db@^1"))
    assert clew_runtime.execute("test.ask", {"name": "db"}) == "1.4.0"
    with pytest.raises(clew.Conflict):
        clew_runtime.add_connector("db", print, version="1.4.0")


# Parity: P connectors
@pytest.mark.parametrize(
    "value",
    [
        {"password": "x"},
        {"apiKey": "x"},
        {"rows": [{"access-token": "x"}]},
        {"file": {"path": "x"}},
        ["/etc/passwd"],
        {"note": "~/notes"},
        {"note": "C:\\temp"},
        {"url": "https://user:hunter2@example.com/x"},
        {"note": "see postgres://u@h/db for more"},
        {"pem": "-----BEGIN RSA PRIVATE KEY-----\nhunter2"},
    ],
)
def test_nothing_secret_crosses_either_way(clew_runtime: clew.Runtime, value: Any) -> None:
    seen: list[Any] = []

    def connector(request: Any) -> Any:
        seen.append(request)
        return value

    clew_runtime.add_connector("db", connector)
    clew_runtime.register(asker("db"))
    for request, entered in [(value, 0), ({"ok": 1}, 1)]:
        with pytest.raises(clew.ClewError) as refused:
            clew_runtime.execute("test.ask", {"name": "db", "request": request})
        assert len(seen) == entered
        text = str(refused.value) + json.dumps(context_of(refused))
        assert "forbidden" in text
        assert "hunter2" not in text


def test_harmless_values_cross(clew_runtime: clew.Runtime) -> None:
    value = {"monkey": 1, "pathology": "a/b", "keyboard": "https://example.com/x?y=a@b", "n": None}
    clew_runtime.add_connector("db", lambda request: request)
    clew_runtime.register(asker("db"))
    assert clew_runtime.execute("test.ask", {"name": "db", "request": value}) == value


def test_what_a_connector_raises_fails_the_call_and_the_next_is_fine(
    clew_runtime: clew.Runtime,
) -> None:
    def connector(request: Any) -> Any:
        if request == "bad":
            raise ZeroDivisionError("broken")
        return request

    clew_runtime.add_connector("db", connector)
    clew_runtime.register(asker("db"))
    with pytest.raises(clew.ExecutionFailed, match="broken"):
        clew_runtime.execute("test.ask", {"name": "db", "request": "bad"})
    assert clew_runtime.execute("test.ask", {"name": "db", "request": 1}) == 1
    assert [t.outcome for t in clew_runtime.traces("connector.db")] == ["success", "failure"]


async def test_async_handlers_await_connectors() -> None:
    @clew.capability("test.later", version="1.0.0", connectors=("db",))
    async def later(ctx: clew.Context) -> Any:
        with pytest.raises(clew.Conflict):
            ctx.connector("db").invoke(1)
        return await ctx.connector("db").ainvoke({"n": 1})

    async with clew.aio.Runtime() as rt:
        rt.add_connector("db", lambda request: request)
        rt.register(later)
        assert await rt.execute("test.later", {}) == {"n": 1}


MODULE = r"""(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "clew_host" "connector_invoke" (func $ask (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 100) "{\"connector\":\"db\",\"request\":{\"n\":1}}")
  (func (export "_start") (local $n i32)
    (local.set $n (call $ask (i32.const 100) (i32.const 36) (i32.const 200) (i32.const 1000)))
    (if (i32.lt_s (local.get $n) (i32.const 0)) (then (unreachable)))
    (i32.store (i32.const 0) (i32.const 200))
    (i32.store (i32.const 4) (local.get $n))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""


# Parity: P connectors
def test_modules_reach_connectors_the_same_way(clew_runtime: clew.Runtime) -> None:
    clew_runtime.add_connector("db", lambda request: {"got": request})
    contract = {"id": "test.module", "version": "1.0.0", "connectors": ["db@^1"]}
    clew_runtime.register_wasm(MODULE.encode(), contract)
    assert clew_runtime.execute("test.module", {}) == {"got": {"n": 1}}
    (use,) = clew_runtime.traces("connector.db")
    assert use.parent == clew_runtime.traces("test.module")[0].id
    clew_runtime.register_wasm(MODULE.encode(), {**contract, "id": "test.deny", "connectors": []})
    with pytest.raises(clew.ExecutionFailed) as trapped:
        clew_runtime.execute("test.deny", {})
    assert context_of(trapped)["reason"] == "trap"  # -3: undeclared
    assert len(clew_runtime.traces("connector.db")) == 1


# --- SQLite ---


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE items (name TEXT, price INTEGER, picture BLOB)")
        db.executemany("INSERT INTO items VALUES (?, ?, x'00')", [(f"n{i}", i) for i in range(20)])
    db.close()
    return path


def test_sqlite_reads_bounded_rows_and_never_writes(shop: Path) -> None:
    db = clew.connectors.Sqlite(shop, max_rows=5)
    query = {"sql": "SELECT name, price FROM items WHERE price < ? ORDER BY price", "params": [2]}
    rows = [{"name": "n0", "price": 0}, {"name": "n1", "price": 1}]
    assert db.invoke(query) == {"rows": rows, "truncated": False}
    more = db.invoke({"sql": "SELECT price FROM items"})
    assert (len(more["rows"]), more["truncated"]) == (5, True)
    for sql in (
        "DELETE FROM items",
        "DROP TABLE items",
        "PRAGMA query_only = 0",
        f"ATTACH '{shop}' AS other",
        "SELECT 1; SELECT 2",
        "SELECT",
        "SELECT picture FROM items",
    ):
        with pytest.raises(clew.InvalidInput):
            db.invoke({"sql": sql})
    with sqlite3.connect(shop) as check:
        assert check.execute("SELECT count(*) FROM items").fetchone() == (20,)
    check.close()


def test_sqlite_writes_when_it_may_and_stops_in_time(shop: Path) -> None:
    db = clew.connectors.Sqlite(shop, writable=True, timeout=0.05)
    assert db.invoke({"sql": "DELETE FROM items WHERE price < 5"}) == {"changed": 5}
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
    with pytest.raises(clew.Timeout):
        db.invoke({"sql": endless})
    with pytest.raises(clew.Unavailable):
        clew.connectors.Sqlite(shop.with_name("none.db")).invoke({"sql": "SELECT 1"})


# --- HTTP ---


class Handler(http.server.BaseHTTPRequestHandler):
    received: list[tuple[str, str, str | None, bytes]] = []  # noqa: RUF012 - the test's own
    traceparents: list[str | None] = []  # noqa: RUF012 - the same

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.received.append((self.command, self.path, self.headers.get("Authorization"), body))
        self.traceparents.append(self.headers.get("traceparent"))
        if self.path == "/json":
            self.answer(200, b'{"n": 1}', Content_Type="application/json")
        elif self.path == "/large":
            self.answer(200, b"x" * 5000, Content_Type="text/plain")
        elif self.path.startswith("/to?"):
            self.answer(302, b"", Location=self.path[4:])
        elif self.path == "/silent":
            self.server.gate.wait(30)  # type: ignore[attr-defined]  # set by the fixture
            self.answer(200, b"")
        else:
            self.answer(404, b"nothing", Content_Type="text/plain")

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.gate = threading.Event()  # type: ignore[attr-defined]  # for /silent
        Handler.received.clear()
        Handler.traceparents.clear()
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.gate.set()  # type: ignore[attr-defined]  # for /silent
        running.shutdown()
        thread.join()


def test_http_asks_listed_origins_with_the_hosts_credentials(server: str) -> None:
    api = clew.connectors.Http([server], headers={"Authorization": "Bearer x"}, methods=("POST",))
    answer = api.invoke({"url": f"{server}/json", "method": "POST", "json": {"a": 1}})
    assert answer == {"status": 200, "type": "application/json", "json": {"n": 1}}
    assert Handler.received == [("POST", "/json", "Bearer x", b'{"a": 1}')]
    with pytest.raises(clew.InvalidInput):
        api.invoke({"url": f"{server}/json"})  # GET is not among its methods


def test_http_refuses_other_origins_also_behind_redirects(server: str) -> None:
    api = clew.connectors.Http([server])
    assert api.invoke({"url": f"{server}/to?/json"})["json"] == {"n": 1}
    port = server.rpartition(":")[2]
    Handler.received.clear()
    for url in (f"http://localhost:{port}/json", f"https://127.0.0.1:{port}/json"):
        with pytest.raises(clew.Rejected):
            api.invoke({"url": url})
        with pytest.raises(clew.Rejected):
            api.invoke({"url": f"{server}/to?{url}"})
    assert [path for _, path, _, _ in Handler.received if path == "/json"] == []
    for url in ("file:///etc/passwd", f"http://u:p@127.0.0.1:{port}/json", "nonsense"):
        with pytest.raises(clew.InvalidInput):
            api.invoke({"url": url})
    loop = f"{server}/to?/to?/to?/to?/to?/to?/to?/json"
    with pytest.raises(clew.ExecutionFailed):
        api.invoke({"url": loop})


def test_http_bounds_size_and_time(server: str) -> None:
    api = clew.connectors.Http([server], max_bytes=1000, timeout=30)
    with pytest.raises(clew.ResourceExhausted):
        api.invoke({"url": f"{server}/large"})
    with pytest.raises(clew.Timeout):
        clew.connectors.Http([server], timeout=0.1).invoke({"url": f"{server}/silent"})
    assert api.invoke({"url": f"{server}/none"})["status"] == 404


def test_http_through_a_capability(clew_runtime: clew.Runtime, server: str) -> None:
    clew_runtime.add_connector("api", clew.connectors.Http([server]))
    clew_runtime.register(asker("api@^1"))
    answer = clew_runtime.execute("test.ask", {"name": "api", "request": {"url": f"{server}/json"}})
    assert answer["json"] == {"n": 1}


def test_http_hands_the_trace_context_on(clew_runtime: clew.Runtime, server: str) -> None:
    clew_runtime.add_connector("api", clew.connectors.Http([server]))
    clew_runtime.register(asker("api@^1"))
    wanted = {"name": "api", "request": {"url": f"{server}/json"}}
    remote = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    clew_runtime.execute("test.ask", wanted, traceparent=remote)
    request = clew_runtime.traces("connector.api")[0]
    assert Handler.traceparents == [request.traceparent]
    assert request.traceparent.split("-")[1] == remote.split("-")[1]
    Handler.traceparents.clear()
    assert clew.connectors.Http([server]).invoke({"url": f"{server}/json"})["status"] == 200
    assert Handler.traceparents == [None]  # outside a call there is none
