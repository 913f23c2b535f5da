"""The PostgreSQL connector on a real server: what it lets through, as what, and for how long."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clew
import clew.connectors
import psycopg
import pytest
from clew import _postgres

_numbers = itertools.count(1)

SET_UP = """
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, price numeric(8, 2));
INSERT INTO items SELECT i, 'n' || i, i + 0.5 FROM generate_series(1, 20) i;
CREATE TABLE once (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE SEQUENCE numbers;
CREATE TYPE mood AS ENUM ('good');
CREATE FUNCTION take() RETURNS int LANGUAGE plpgsql AS
  $$ BEGIN DELETE FROM items; RETURN 1; END $$;
CREATE FUNCTION take_anyway() RETURNS int LANGUAGE plpgsql AS
  $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM items; RETURN 1; END $$;
CREATE FUNCTION take_as_owner() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS
  $$ BEGIN DELETE FROM items; RETURN 1; END $$;
CREATE PROCEDURE take_and_commit() LANGUAGE plpgsql AS
  $$ BEGIN COMMIT; DELETE FROM items; END $$;
CREATE FUNCTION unlucky() RETURNS int LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'hunter2' USING ERRCODE = '40001'; END $$;
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_advisory_xact_lock(hashtext(current_schema())); RETURN NULL; END $$;
CREATE TABLE slow (id int);
CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION dawdle();
"""


class Shop:
    """A schema, a role that owns what is in it, and a look at both from beside."""

    def __init__(self, url: str) -> None:
        self.role = f"shop_{os.getpid()}_{next(_numbers)}"
        self.beside = psycopg.connect(url, autocommit=True)
        schema = self.ask("SELECT current_schema()")
        self.ask(f"CREATE ROLE {self.role} LOGIN")
        self.ask(f"GRANT ALL ON SCHEMA {schema} TO {self.role}")
        self.superuser = url
        self.url = psycopg.conninfo.make_conninfo(url, user=self.role, password="hunter2")
        with psycopg.connect(self.url) as own:
            own.execute(SET_UP)

    def ask(self, sql: str) -> Any:
        """Return the first value that a superuser gets, beside what is tested."""
        answer = self.beside.execute(sql)  # type: ignore[arg-type]  # made here, not literal
        row = answer.fetchone() if answer.description else None
        return row[0] if row else None

    def at_work(self, event: str = "") -> int | None:
        """Return the process of the server that works for the role, and waits for `event`."""
        found = self.ask(
            f"SELECT pid FROM pg_stat_activity WHERE usename = '{self.role}' AND state = 'active'"
            f" AND coalesce(wait_event, '') LIKE '%{event}'"
        )
        assert found is None or isinstance(found, int)
        return found

    def drop(self) -> None:
        until(
            lambda: (
                self.ask(f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{self.role}'")
                == 0
            )
        )
        self.ask(f"DROP OWNED BY {self.role} CASCADE")
        self.ask(f"DROP ROLE {self.role}")
        self.beside.close()


def until(holds: Callable[[], Any]) -> Any:
    """Wait until it does, which the server is asked each time."""
    while not (found := holds()):
        pass
    return found


@pytest.fixture
def shop() -> Iterator[Shop]:
    with _postgres.fresh_schema() as url:
        made = Shop(url)
        yield made
        made.drop()


def reader(shop: Shop, **options: Any) -> Callable[..., Any]:
    db = clew.connectors.Postgres(shop.url, **options)
    return lambda sql, *params: db.invoke({"sql": sql, "params": list(params)})


def one(answer: Any) -> Any:
    """The only value of an answer."""
    (row,) = answer["rows"]
    (value,) = row.values()
    return value


def test_it_reads_bounded_rows(shop: Shop) -> None:
    ask = reader(shop, max_rows=5)
    rows = [{"id": 1, "price": "1.50"}, {"id": 2, "price": "2.50"}]
    query = "SELECT id, price FROM items WHERE id <= $1 ORDER BY id"
    assert ask(query, 2) == {"rows": rows, "truncated": False}
    for limit, truncated in [(5, False), (6, True), (20, True)]:
        answer = ask(query, limit)
        assert (len(answer["rows"]), answer["truncated"]) == (min(limit, 5), truncated)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    assert ask(endless)["truncated"], "no more is computed than is wanted"
    assert ask("SELECT id FROM items WHERE false") == {"rows": [], "truncated": False}


ESCAPES = [
    "DELETE FROM items",
    "DROP TABLE items",
    "COMMIT",
    "COMMIT; DROP TABLE items",
    "SELECT 1; DROP TABLE items",
    "SELECT 1; COMMIT; DROP TABLE items",
    "; DROP TABLE items",
    "SELECT 1 /* ; DROP TABLE items",
    "SET TRANSACTION READ WRITE",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT set_config('transaction_read_only', 'off', false), take()",
    "SELECT take()",
    "SELECT take_anyway()",
    "SELECT take_as_owner()",
    "CALL take_and_commit()",
    "DO $$ BEGIN DELETE FROM items; END $$",
    "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM items; END $$",
    "WITH gone AS (DELETE FROM items RETURNING id) SELECT * FROM gone",
    "SELECT * INTO other FROM items",
    "SELECT * FROM items FOR UPDATE",
    "SELECT nextval('numbers')",
    "EXPLAIN ANALYZE DELETE FROM items",
    "COPY items TO STDOUT",
    "COPY items TO PROGRAM 'touch {folder}/escaped'",
    "COPY items TO '{folder}/escaped'",
    "COPY (SELECT 1) TO PROGRAM 'touch {folder}/escaped'",
    "PREPARE TRANSACTION 'x'",
    "PREPARE x AS DELETE FROM items",
    "LISTEN x",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_reload_conf()",
    "BEGIN",
    " ",
    "SELECT",
    "nonsense",
    "SELECT 1\0",
]


def test_nothing_leaves_a_transaction_that_only_reads(shop: Shop, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    ask = reader(shop)
    for sql in ESCAPES:
        if sql == "SELECT":  # a row of nothing, by PostgreSQL's rules
            assert ask(sql) == {"rows": [{}], "truncated": False}
            continue
        with pytest.raises(clew.InvalidInput) as refused:
            ask(sql.format(folder=tmp_path))
        assert "hunter2" not in str(refused.value), sql
    assert shop.ask("SELECT count(*) FROM items") == 20
    assert shop.ask("SELECT last_value::int FROM numbers WHERE is_called") is None
    assert shop.ask("SELECT to_regclass('other')") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writable", [False, True])
def test_a_role_that_reaches_beyond_the_database_is_refused(shop: Shop, writable: bool) -> None:
    pretends = psycopg.conninfo.make_conninfo(shop.superuser, options=f"-crole={shop.role}")
    for url in (shop.superuser, pretends):
        with pytest.raises(clew.Rejected) as refused:
            clew.connectors.Postgres(url, writable=writable).invoke({"sql": "SELECT 1"})
        assert refused.value.context == {"reason": "role"}
    ask = reader(shop, writable=writable)
    assert one(ask("SELECT 1")) == 1
    for right in ("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"):
        shop.ask(f"GRANT {right} TO {shop.role}")
        with pytest.raises(clew.Rejected):
            ask("SELECT 1")
        shop.ask(f"REVOKE {right} FROM {shop.role}")


VALUES: list[tuple[str, Any]] = [
    ("true", True),
    ("false", False),
    ("1::smallint", 1),
    ("-2147483648", -(2**31)),
    ("9223372036854775807", 2**63 - 1),
    ("'-9223372036854775808'::int8", -(2**63)),
    ("16::oid", 16),
    ("0.1::float8", 0.1),
    ("1e300::float8", 1e300),
    ("1.5::float4", 1.5),
    ("12.50::numeric(8, 2)", "12.50"),
    ("123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"),
    ("'NaN'::numeric", "NaN"),
    ("'ä\"\\ 😀'::text", 'ä"\\ 😀'),
    ("chr(228)", "ä"),
    ("'a'::varchar(3)", "a"),
    ("'a'::char(3)", "a  "),
    ("'a'::name", "a"),
    ("'0C0A7E5A-0000-4000-8000-000000000000'::uuid", "0c0a7e5a-0000-4000-8000-000000000000"),
    ("'2026-01-02'::date", "2026-01-02"),
    ("'01:02:03.5'::time", "01:02:03.5"),
    ("'2026-01-02 03:04:05.000006'::timestamp", "2026-01-02T03:04:05.000006"),
    ("'2026-01-02 03:04:05+02'::timestamptz", "2026-01-02T01:04:05Z"),
    ("'1 day 02:03:04'::interval", "P1DT2H3M4S"),
    ("'\\x00ff10'::bytea", "AP8Q"),
    ("''::bytea", ""),
    ("NULL", None),
    ("NULL::int", None),
    ("'{\"a\": [1, 9007199254740993, 2.5, null]}'::jsonb", {"a": [1, 2**53 + 1, 2.5, None]}),
    ("'\"x\"'::json", "x"),
    ("'null'::json", None),
    ("ARRAY[1, NULL, 3]", [1, None, 3]),
    ("'{}'::int[]", []),
    ("ARRAY[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
    ("'[0:1]={7,8}'::int[]", [7, 8]),
    ("ARRAY['', 'NULL', NULL, 'a,b', '{\"}\\', '={']", ["", "NULL", None, "a,b", '{"}\\', "={"]),
    ("ARRAY['2026-01-02 03:04:05+00'::timestamptz]", ["2026-01-02T03:04:05Z"]),
    ("ARRAY['\\x00ff10'::bytea]", ["AP8Q"]),
    ('ARRAY[\'{"a": "}"}\'::jsonb]', [{"a": "}"}]),
    ("ARRAY[true, false]", [True, False]),
    ("ARRAY[0.5::numeric]", ["0.5"]),
]


def test_each_type_has_its_json(shop: Shop) -> None:
    ask = reader(shop)
    columns = ", ".join(f"{sql} AS c{i}" for i, (sql, _) in enumerate(VALUES))
    (row,) = ask(f"SELECT {columns}")["rows"]
    for i, (sql, wanted) in enumerate(VALUES):
        got = row[f"c{i}"]
        assert (got, type(got)) == (wanted, type(wanted)), sql
    json.dumps(row, allow_nan=False)


def test_what_a_role_or_a_database_has_set_changes_no_value(shop: Shop) -> None:
    for setting in (
        "datestyle = 'SQL, DMY'",
        "timezone = 'Asia/Tokyo'",
        "intervalstyle = 'postgres_verbose'",
        "bytea_output = 'escape'",
        "extra_float_digits = -10",
        "standard_conforming_strings = off",
        "client_encoding = 'LATIN1'",
    ):
        shop.ask(f"ALTER ROLE {shop.role} SET {setting}")
    test_each_type_has_its_json(shop)


@pytest.mark.parametrize(
    "sql",
    [
        "'NaN'::float8",
        "'-Infinity'::float4",
        "'infinity'::timestamptz",
        "'0044-03-15 BC'::date",
        "'12026-01-01'::timestamp",
        "point(1, 2)",
        "'good'::mood",
        "ARRAY['good'::mood]",
        "'1e400'::json",
        "'10.0.0.1'::inet",
        "ROW(1, 2)",
        "1 AS a, 2 AS a",
    ],
)
def test_what_has_no_rule_is_refused(shop: Shop, sql: str) -> None:
    with pytest.raises(clew.InvalidInput):
        reader(shop)(f"SELECT {sql}")


def test_parameters_are_what_the_request_has(shop: Shop) -> None:
    ask = reader(shop)
    for value in (1, -(2**31), 2**31, 2**63 - 1, 0.1, True, False, "x'; DROP TABLE items; --"):
        got = one(ask("SELECT $1", value))
        assert (got, type(got)) == (value, type(value))
    assert one(ask("SELECT $1", 2**70)) == str(2**70)
    assert one(ask("SELECT $1::text", None)) is None
    assert one(ask("SELECT $1::jsonb", {"a": [1, None]})) == {"a": [1, None]}
    assert one(ask("SELECT $1::timestamptz", "2026-01-02T03:04:05Z")) == "2026-01-02T03:04:05Z"
    assert one(ask("SELECT count(*) FROM items WHERE price = $1 AND name = $2", 1.5, "n1")) == 1
    bad: list[Any] = ["a\0b", math.nan, math.inf, {"a": math.nan}, object(), b"x"]
    for value in bad:
        with pytest.raises(clew.InvalidInput) as refused:
            ask("SELECT $1", value)
        assert refused.value.context["path"] == "request.params[0]"
    for params in ([], ["hunter2"]):
        with pytest.raises(clew.InvalidInput) as refused:
            ask("SELECT $1::int", *params)
        assert "hunter2" not in str(refused.value) + repr(refused.value.context)
    db = clew.connectors.Postgres(shop.url)
    for request in (None, {}, {"sql": 1}, {"sql": "SELECT 1", "more": 1}, {"sql": "", "params": 1}):
        with pytest.raises(clew.InvalidInput):
            db.invoke(request)


def test_it_writes_when_it_may(shop: Shop) -> None:
    ask = reader(shop, writable=True, max_rows=2)
    assert ask("DELETE FROM items WHERE id <= $1", 3) == {"changed": 3}
    answer = ask("UPDATE items SET price = 0 RETURNING id")
    assert (len(answer["rows"]), answer["truncated"]) == (2, True)
    assert shop.ask("SELECT count(*) FROM items WHERE price = 0") == 17, "all were changed"
    assert ask("/* a /b */ -- c\n (SELECT 1 AS one)")["rows"] == [{"one": 1}]
    assert ask("CREATE TABLE other (id int)") == {"changed": 0}
    with pytest.raises(clew.InvalidInput):  # found out after it has run
        ask("INSERT INTO other VALUES (1) RETURNING point(1, 2)")
    assert shop.ask("SELECT count(*) FROM other") == 0
    for sql in (
        "COMMIT",
        "ROLLBACK",
        "BEGIN",
        "-- SELECT\n;COMMIT",
        "-- SELECT\rCOPY items TO STDOUT",
        "/* /* */ SELECT */ COPY items TO STDOUT",
        "/* /* */ */ SELECT 1",
        "COPY items TO STDOUT",
        "COPY items FROM STDIN",
        "SET synchronous_commit = off",
        "DELETE FROM items; DROP TABLE other",
        "PREPARE TRANSACTION 'x'",
        "CALL take_and_commit()",
        "DO $$ BEGIN NULL; END $$",
        "ALTER SYSTEM SET fsync = off",
        "VACUUM",
        "NOTIFY x",
    ):
        with pytest.raises(clew.InvalidInput):
            ask(sql)
    assert shop.ask("SELECT count(*) FROM items") == 17


def test_what_breaks_a_constraint_is_a_conflict_and_changes_nothing(shop: Shop) -> None:
    ask = reader(shop, writable=True)
    for sql in ("INSERT INTO items VALUES (99, 'x'), (1, 'x')", "INSERT INTO once VALUES (7), (7)"):
        with pytest.raises(clew.Conflict) as refused:  # at once, and at the commit
            ask(sql)
        assert refused.value.context == {"sqlstate": "23505"}
        assert not refused.value.retryable
    assert shop.ask("SELECT count(*) FROM items") == 20
    assert shop.ask("SELECT count(*) FROM once") == 0
    with pytest.raises(clew.Conflict) as unlucky:
        ask("SELECT unlucky()")
    assert unlucky.value.retryable
    assert "hunter2" not in str(unlucky.value)


def test_a_statement_ends_in_time_here_and_on_the_server(shop: Shop) -> None:
    with pytest.raises(clew.Timeout):
        reader(shop, timeout=0.2)("SELECT pg_sleep(600)::text")
    until(lambda: shop.at_work() is None)
    shop.ask("BEGIN")
    shop.ask("LOCK TABLE items")
    with pytest.raises(clew.Timeout):
        reader(shop, timeout=0.2, writable=True)("DELETE FROM items")
    shop.ask("ROLLBACK")
    until(lambda: shop.at_work() is None)
    assert shop.ask("SELECT count(*) FROM items") == 20


def caller(rt: clew.Runtime, shop: Shop, **options: Any) -> None:
    @clew.capability("test.ask", version="1.0.0", connectors=("db@^1",))
    def ask(sql: str, ctx: clew.Context) -> Any:
        return ctx.connector("db").invoke({"sql": sql})

    rt.add_connector("db", clew.connectors.Postgres(shop.url, **options))
    rt.register(ask)


def test_a_capability_asks_it_and_its_trace_tells_nothing(
    clew_runtime: clew.Runtime, shop: Shop
) -> None:
    caller(clew_runtime, shop)
    query = {"sql": "SELECT name FROM items WHERE id = 1"}
    assert clew_runtime.execute("test.ask", query) == {"rows": [{"name": "n1"}], "truncated": False}
    with pytest.raises(clew.ExecutionFailed, match="a statement that may run here"):
        clew_runtime.execute("test.ask", {"sql": "DELETE FROM items"})
    traces = clew_runtime.traces("connector.db")
    assert [trace.outcome for trace in traces] == ["failure", "success"]
    told = json.dumps([trace.to_dict() for trace in traces], default=str)
    for secret in ("hunter2", shop.role, "postgresql://", "/tmp", "n1", "DELETE"):
        assert secret not in told


def test_the_deadline_of_the_call_is_its_own(shop: Shop) -> None:
    with clew.Runtime() as rt:
        caller(rt, shop, timeout=600)
        limit = {"sql": "SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'"}
        for seconds in (60, 3600):  # should nobody be here any more to end it
            set_to = one(rt.execute("test.ask", limit, timeout=seconds))
            assert 0 < set_to <= min(seconds, 600) * 1000
        with pytest.raises(clew.Timeout):
            rt.execute("test.ask", {"sql": "SELECT pg_sleep(600)::text"}, timeout=0.3)
        until(lambda: shop.at_work() is None)


def test_a_call_that_is_cancelled_ends_it(shop: Shop) -> None:
    with clew.Runtime() as rt:
        caller(rt, shop, timeout=600)
        call = rt.submit("test.ask", {"sql": "SELECT pg_sleep(600)::text"})
        until(lambda: shop.at_work("PgSleep"))
        call.cancel()
        until(lambda: shop.at_work() is None)
        with pytest.raises(clew.Cancelled):
            call.result(timeout=60)


def test_a_database_that_is_away_is_unavailable_and_nobody_learns_where_it_is(shop: Shop) -> None:
    away = "postgresql://me:hunter2@127.0.0.1:1/secret_place"
    nobody = psycopg.conninfo.make_conninfo(shop.url, user="secret_place")
    for url, retryable in ((away, True), (nobody, False)):
        with pytest.raises(clew.Unavailable) as refused:
            clew.connectors.Postgres(url).invoke({"sql": "SELECT 1"})
        assert refused.value.retryable is retryable
        assert refused.value.__cause__ is None
        told = str(refused.value) + repr(refused.value.context)
        assert not any(word in told for word in ("hunter2", "secret_place", "127.0.0.1"))
    for url in ("postgresql://me:hunter2%zz@x/y", "hunter2", "postgresql://x/?hunter2=1", "hun\0"):
        with pytest.raises(clew.InvalidInput) as invalid:
            clew.connectors.Postgres(url)
        assert "hun" not in str(invalid.value) + repr(invalid.value.context)
    assert "hunter2" not in repr(clew.connectors.Postgres(away))


class Asked(threading.Thread):
    """A statement that runs beside the test."""

    def __init__(self, shop: Shop, sql: str, **options: Any) -> None:
        super().__init__()
        self._ask, self._sql = reader(shop, **options), sql
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._ask(self._sql)
        except Exception as error:
            self.error = error


def test_a_connection_that_is_lost_has_changed_nothing(shop: Shop) -> None:
    asked = Asked(shop, "INSERT INTO once SELECT 1 FROM pg_sleep(600)", writable=True, timeout=60)
    shop.ask(f"SELECT pg_terminate_backend({until(lambda: shop.at_work('PgSleep'))})")
    asked.join()
    assert isinstance(asked.error, clew.Unavailable)
    assert asked.error.retryable
    assert shop.ask("SELECT count(*) FROM once") == 0


@pytest.mark.parametrize("ends", ["terminated", "out of time", "refused"])
def test_a_commit_without_an_answer_has_an_unknown_outcome(shop: Shop, ends: str) -> None:
    with psycopg.connect(shop.superuser, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(hashtext(current_schema()))")
        seconds = 1 if ends == "out of time" else 60
        asked = Asked(shop, "INSERT INTO slow VALUES (1)", writable=True, timeout=seconds)
        if ends == "out of time":
            asked.join()  # here or at the server, whichever comes first
            assert isinstance(asked.error, (clew.UnknownOutcome, clew.Timeout))
        elif ends == "terminated":
            shop.ask(f"SELECT pg_terminate_backend({until(lambda: shop.at_work('advisory'))})")
            asked.join()
            assert isinstance(asked.error, clew.UnknownOutcome)
        else:
            # The server's own "no" is an answer: it has not been made then.
            shop.ask(f"SELECT pg_cancel_backend({until(lambda: shop.at_work('advisory'))})")
            asked.join()
            assert isinstance(asked.error, clew.Timeout)
    if ends != "out of time" or isinstance(asked.error, clew.Timeout):
        assert shop.ask("SELECT count(*) FROM slow") == 0


def test_without_psycopg_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(clew.Unsupported, match=r"clew\[postgres\]"):
        clew.connectors.Postgres("postgresql:///")
    with contextlib.suppress(ImportError):
        assert clew.connectors.Sqlite(":memory:")


def test_a_connector_is_given_the_context_that_it_asks_for(clew_runtime: clew.Runtime) -> None:
    def both(request: Any, *, ctx: clew.Context, traceparent: str) -> Any:
        return [ctx.traceparent == traceparent, ctx.remaining is not None, ctx.cancelled]

    @clew.capability("test.ask", version="1.0.0", connectors=("db",))
    def ask(ctx: clew.Context) -> Any:
        return ctx.connector("db").invoke(None)

    clew_runtime.add_connector("db", both)
    clew_runtime.register(ask)
    assert clew_runtime.execute("test.ask", {}, timeout=60) == [True, True, False]
