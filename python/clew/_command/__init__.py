"""The command line: ``clew COMMAND …``.

``_parser`` knows how commands are said, each family of commands has its module, ``_output``
prints. A command is a function from its arguments to an exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .._errors import ClewError
from . import _output, _parser

__all__ = ["main", "run"]

OK = 0
FAILED = 1
USAGE = 2
STORE = 3
INTERRUPTED = 130

_OF_CODE = {
    "invalid_input": USAGE,
    "closed": STORE,
    "corrupt": STORE,
    "resource_exhausted": STORE,
    "unavailable": STORE,
    "unknown_outcome": STORE,
    "unsupported": STORE,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line; return its exit code. ``--help`` and mistakes raise SystemExit."""
    args = _parser.parser().parse_args(arguments)
    try:
        code: int = args.command(args)
        sys.stdout.flush()
    except ClewError as error:
        _output.failure(error, as_json=args.json)
        return _OF_CODE.get(error.code, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has enough; what is left in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def run() -> None:
    """Carry out the command line of this process, and end it."""
    raise SystemExit(main())
