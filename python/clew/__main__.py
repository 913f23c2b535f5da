"""``python -m clew``: the command line."""

from ._command import run

run()
