"""How commands are said."""

from __future__ import annotations

import argparse

from .. import __version__
from . import _store

__all__ = ["parser"]

_FAMILIES = (_store,)  # each has add_to(commands, common)

_EPILOG = """\
A STORE is the path of a SQLite file or a URL, postgresql://user@host/name.

exit codes: 0 done; 1 the work failed; 2 usage or bad input; 3 the store cannot be opened, is
damaged, or was lost.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser. What it parses has ``command``, a function of the arguments."""
    top = argparse.ArgumentParser(
        prog="clew",
        description="Work with the stores of Clew.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"clew {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for family in _FAMILIES:
        family.add_to(commands, _common())
    return top


def _common() -> argparse.ArgumentParser:
    """What every command takes."""
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    common.add_argument("--store", required=True, metavar="STORE", help="a file or a URL")
    common.add_argument("--json", action="store_true", help="print JSON, and errors as JSON too")
    return common
