"""Commands about a whole store: verify, sql, export."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from typing import TYPE_CHECKING, Any

from .. import _core, _options
from . import _output

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_to"]


def add_to(commands: _SubParsersAction[ArgumentParser], common: ArgumentParser) -> None:
    """Add these commands to the command line."""

    def add(name: str, summary: str, more: str = "") -> ArgumentParser:
        return commands.add_parser(
            name,
            parents=[common],
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.\n{more}",
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    one = add("verify", "check everything that must hold in a store", _VERIFY)
    one.add_argument("--quiet", action="store_true", help="print only what is broken")
    one.set_defaults(command=_verify)

    one = add("sql", "ask a store with SQL", _SQL)
    one.add_argument("query", metavar="QUERY", help='one statement that reads; "-" reads it')
    one.add_argument(
        "params", metavar="PARAM", nargs="*", help="what its ? stand for: JSON scalars, or text"
    )
    one.set_defaults(command=_sql)

    one = add("export", "copy a store into an empty one, and compare the two", _EXPORT)
    one.add_argument("--to", required=True, metavar="STORE", help="a new file, or a URL")
    one.set_defaults(command=_export)


_VERIFY = """
It only reads, and starts nothing: runs that wait go on waiting, and others may use the store. It
ends with 1 when an invariant does not hold, and names table and key.
"""

_SQL = """
The views v_runs, v_steps, v_events, v_traces, v_published, v_event_types, v_capabilities,
v_processes, v_process_events and v_effects stay as they are between versions; tables may change.
With --json each row is a line.
"""

_EXPORT = """
From a file to PostgreSQL, from PostgreSQL to a file, or between two of a kind. Nobody may have the
store open. Everything arrives in one transaction: until it ends, also when this is killed, the new
store has no rows. Rows are counted and hashed on both sides, from what is stored.
"""


def _verify(args: Namespace) -> int:
    broken: dict[str, list[str]] = {}
    for name, detail in _core.verify_store(_options.store_path(args.store)):
        broken.setdefault(name, []).append(detail)
    rules = dict(_core.store_invariants())
    names = sorted(rules.keys() | broken.keys())
    if args.json:
        _output.print_json(
            {
                "store": _options.shown_store(args.store),
                "ok": not broken,
                "invariants": [
                    {
                        "name": name,
                        "rule": rules.get(name),
                        "ok": name not in broken,
                        "violations": broken.get(name, []),
                    }
                    for name in names
                ],
            }
        )
        return 1 if broken else 0
    width = max(map(len, names))
    for name in names:
        for detail in broken.get(name, ()):
            print(f"BROKEN  {name:{width}}  {detail}")
        if name not in broken and not args.quiet:
            print(f"ok      {name:{width}}  {rules[name]}")
    if broken:
        print(f"{len(broken)} of {len(names)} invariants are broken")
    elif not args.quiet:
        print(f"all {len(names)} invariants hold")
    return 1 if broken else 0


def _sql(args: Namespace) -> int:
    query = sys.stdin.read() if args.query == "-" else args.query
    params = [_scalar(text) for text in args.params]
    rows = _core.query_store(_options.store_path(args.store), query, params)
    if args.json:
        for row in rows:
            _output.print_json(row)
        return 0
    if rows:
        _output.table(list(rows[0]), [list(row.values()) for row in rows])
    print(f"({len(rows)} row{'' if len(rows) == 1 else 's'})")
    return 0


def _scalar(text: str) -> Any:
    """Return the JSON scalar that the text is, or the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, (dict, list)) else value


def _export(args: Namespace) -> int:
    store, to = _options.store_path(args.store), _options.store_path(args.to)
    report = _core.export_store(store, to)
    if args.json:
        where = {"store": _options.shown_store(store), "to": _options.shown_store(to)}
        _output.print_json(where | report)
        return 0
    rows = [(one["table"], one["rows"], one["sha256"]) for one in report["tables"]]
    _output.table(("table", "rows", "sha256"), [row for row in rows if row[1]])
    files = report["attachments"]
    if files["count"]:
        print(f"{files['count']} attachments, {files['bytes']} bytes, now in the {files['place']}")
    print(f"{report['rows']} rows in {_options.shown_store(to)}, the same as they were")
    return 0
