"""``python -m clew``: the command line."""

from ._command import run

if __name__ == "__main__":
    run()
