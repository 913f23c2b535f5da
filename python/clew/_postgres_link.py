"""One connection to PostgreSQL for one request of a connector. Needs psycopg.

Its layer above libpq is used: that has the extended protocol, which takes one statement and no
more, and leaves the waiting to us, which ends at the deadline and when the call is cancelled.
Nothing that libpq or the server say of hosts, roles and files is passed on.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq

from . import _errors
from ._check import invalid
from ._postgres_values import encode, reader_of
from .connectors import _left, _now

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from ._context import Context

__all__ = ["Link"]

_LOOK_EVERY = 0.02  # whether the call was cancelled
_GRACE = 1.0  # for the server to end by itself what nobody here waits for

# Who may do these things reaches what no transaction holds together: programs and files of the
# server. A superuser may do them all.
_TOO_MUCH = ("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files")

# The first query also fixes the transaction's mode: nothing can make it READ WRITE any more.
_BEGIN = """
BEGIN ISOLATION LEVEL READ COMMITTED {mode};
SET LOCAL statement_timeout = {ms};
SET LOCAL idle_in_transaction_session_timeout = {idle_ms};
SET LOCAL standard_conforming_strings = on;
SET LOCAL bytea_output = 'hex';
SET LOCAL extra_float_digits = 1;
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL intervalstyle = 'iso_8601';
SET LOCAL timezone = 'UTC';
SELECT pg_catalog.set_config(name, '50', true) FROM pg_catalog.pg_settings
 WHERE name = 'client_connection_check_interval';
SELECT pg_catalog.count(*) FROM pg_catalog.pg_roles AS own, pg_catalog.pg_roles AS held
 WHERE own.rolname IN (current_user, session_user) AND held.rolname IN {too_much}
   AND pg_catalog.pg_has_role(own.oid, held.oid, 'MEMBER')
"""

# Refusals of the server that pass by themselves.
_PASSING = ("starting up", "shutting down", "recovery", "too many", "connection slots")

_TOO_LATE = ("57014", "55P03", "25P03", "25P04")  # of a statement, a lock, a transaction

_PARAMETERS = "08P01"  # more or fewer than the statement has

# The beginnings of what is no fault of the statement; the server's words may name its places.
_OF_THE_SERVER = ("08", "28", "38", "39", "3D", "53", "57", "58", "F0", "HV", "XX")


class Link:
    """A transaction of its own, until `close`. Confined to the calling thread.

    Args:
        conninfo: As libpq takes it.
        seconds: For everything together.
        ctx: Whose cancellation ends it too.
        writable: Whether the transaction may write.
    """

    def __init__(
        self, conninfo: str, seconds: float, ctx: Context | None, *, writable: bool
    ) -> None:
        self._until = _now() + seconds
        self._ctx = ctx
        self._poll = select.poll()
        self._pq = pq.PGconn.connect_start(conninfo.encode())
        try:
            self._connect()
            self._begin(writable)
        except psycopg.Error:
            self.close()
            raise _lost() from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it. The server rolls back what was not committed and ends what still runs."""
        self._pq.finish()

    def _await(self, events: int) -> None:
        try:
            left = _left(self._until)
        except TimeoutError:
            raise _errors.Timeout("the database was not done in time", {}) from None
        if self._ctx is not None:
            self._ctx.check_cancelled()
            left = min(left, _LOOK_EVERY)
        self._poll.register(self._pq.socket, events)
        self._poll.poll(left * 1000)
        self._poll.unregister(self._pq.socket)

    def _connect(self) -> None:
        state: int = pq.PollingStatus.WRITING
        while state != pq.PollingStatus.OK:
            is_bad = self._pq.status == pq.ConnStatus.BAD
            if is_bad or state == pq.PollingStatus.FAILED:
                raise _refused(self._pq.error_message.decode(errors="replace"))
            wants_to_write = state == pq.PollingStatus.WRITING
            self._await(select.POLLOUT if wants_to_write else select.POLLIN)
            state = self._pq.connect_poll()
        self._pq.nonblocking = 1

    def _begin(self, writable: bool) -> None:
        ms = max(int((self._until - _now()) * 1000), 1)
        begin = _BEGIN.format(
            mode="READ WRITE" if writable else "READ ONLY",
            ms=ms,
            idle_ms=ms + int(_GRACE * 1000),
            too_much=_TOO_MUCH,
        )
        self._send(lambda: self._pq.send_query(begin.encode()))
        answers = list(self._answers())
        if answers[-1].get_value(0, 0) != b"0":
            raise _errors.Rejected(
                "the role of the connector may run programs or use files of the server: "
                "give it one that only may do what the connector is for",
                {"reason": "role"},
            )

    # ---- statements

    def query(self, sql: str, params: list[Any], max_rows: int) -> dict[str, Any]:
        """Answer a query, of which no more than the rows wanted is run.

        Only a query can be declared a cursor: the server refuses everything else.
        """
        self._post(f"DECLARE clew NO SCROLL CURSOR FOR {sql}", params)
        for _ in self._answers():
            pass
        self._post(f"FETCH FORWARD {max_rows + 1} FROM clew", [])
        (rows,) = self._answers()
        read = _reader(rows)
        count = min(rows.ntuples, max_rows)
        return {
            "rows": [read(rows, row) for row in range(count)],
            "truncated": rows.ntuples > max_rows,
        }

    def change(self, sql: str, params: list[Any], max_rows: int) -> dict[str, Any]:
        """Run a statement to its end and commit it."""
        self._post(sql, params, row_by_row=True)
        rows: list[Any] = []
        seen, read, last = 0, None, None
        for answer in self._answers():
            last = answer
            read = read or (_reader(answer) if answer.nfields else None)
            for row in range(answer.ntuples):
                seen += 1
                if seen <= max_rows and read is not None:
                    rows.append(read(answer, row))
        self._commit()
        if read is not None:
            return {"rows": rows, "truncated": seen > max_rows}
        return {"changed": (last.command_tuples if last is not None else 0) or 0}

    def _commit(self) -> None:
        self._post("COMMIT", [])
        try:
            (answer,) = self._results()
        except (_errors.Timeout, _errors.Cancelled, _errors.Unavailable) as error:
            raise _errors.UnknownOutcome(
                "nobody knows whether the database has committed: its answer did not come", {}
            ) from error
        if answer.status == pq.ExecStatus.FATAL_ERROR:
            raise _failed(answer)  # and the server goes on, else its answers had not come to an end
        if answer.command_status != b"COMMIT":
            raise invalid("request.sql", "(a statement)", "a statement that leaves its transaction")

    def _post(self, sql: str, params: list[Any], *, row_by_row: bool = False) -> None:
        sent = [encode(f"request.params[{i}]", value) for i, value in enumerate(params)]
        values, types = [value for value, _ in sent], [oid for _, oid in sent]

        def send() -> None:
            self._pq.send_query_params(sql.encode(), values, param_types=types)
            if row_by_row:
                self._pq.set_single_row_mode()

        self._send(send)

    def _send(self, send: Callable[[], None]) -> None:
        try:
            send()
            while self._pq.flush():
                self._await(select.POLLIN | select.POLLOUT)
                self._pq.consume_input()
        except psycopg.Error:
            raise _lost() from None

    def _results(self) -> Iterator[PGresult]:
        """Give the results of what was sent, failures too."""
        while True:
            try:
                while self._pq.is_busy():
                    self._await(select.POLLIN)
                    self._pq.consume_input()
                result = self._pq.get_result()
            except psycopg.Error:
                raise _lost() from None
            if result is None:
                return
            yield result

    def _answers(self) -> Iterator[PGresult]:
        """Give the results of what was sent; a failure is raised."""
        for result in self._results():
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise _failed(result)
            if result.status not in _EXPECTED:  # the beginning of a COPY
                raise invalid("request.sql", "(a statement)", "a statement that may run here")
            yield result


_EXPECTED = (
    pq.ExecStatus.COMMAND_OK,
    pq.ExecStatus.TUPLES_OK,
    pq.ExecStatus.SINGLE_TUPLE,
)


def _reader(result: PGresult) -> Any:
    """Return what makes an object of a row."""
    names = [(result.fname(i) or b"").decode() for i in range(result.nfields)]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise invalid("request.sql", f"(two columns {name})", "columns of different names")
    readers = [reader_of(name, result.ftype(i)) for i, name in enumerate(names)]

    def read(rows: PGresult, row: int) -> dict[str, Any]:
        return {
            name: convert(rows.get_value(row, i))
            for i, (name, convert) in enumerate(zip(names, readers, strict=True))
        }

    return read


def _lost() -> _errors.Unavailable:
    return _errors.Unavailable("the connection to the database is lost", {}, retryable=True)


def _refused(why: str) -> _errors.Unavailable:
    passes = "FATAL:" not in why or any(word in why for word in _PASSING)
    return _errors.Unavailable("the database cannot be reached", {}, retryable=passes)


def _field(result: PGresult, which: int) -> str:
    return (result.error_field(which) or b"").decode(errors="replace")


def _failed(result: PGresult) -> _errors.ClewError:
    """Return what the server's refusal is here. Values stand in its details, and in class 22."""
    state = _field(result, pq.DiagnosticField.SQLSTATE)
    if not state:
        return _lost()
    facts = {"sqlstate": state}
    if state in _TOO_LATE:
        return _errors.Timeout("the database was not done in time", facts)
    if state.startswith("40"):
        return _errors.Conflict("another transaction came in between", facts, retryable=True)
    if state.startswith(_OF_THE_SERVER) and state != _PARAMETERS:
        return _errors.Unavailable(
            "the database has failed", facts, retryable=state.startswith(("08", "53", "57"))
        )
    said = _field(result, pq.DiagnosticField.MESSAGE_PRIMARY)
    if state.startswith("23"):
        return _errors.Conflict(said, facts)
    if state.startswith("22"):
        said = "a value does not fit its type"
    return invalid(
        "request.sql", "(a statement)", f"a statement that may run here ({said})", **facts
    )
