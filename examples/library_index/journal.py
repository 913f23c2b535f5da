"""What really happened, in one append-only file, and the proof that nothing happened twice.

A handler writes ``ran`` as its first act. A follower of the run's events writes ``done`` once it
has seen the completion, which the store commits before it shows it. Both go to the same file with
O_APPEND, so their order in it is the order in which they happened, whichever process wrote them: a
``ran`` below the ``done`` of the same step is a step repeated after its acknowledgement.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """One act: ``word`` is ``ran`` or ``done``, ``seq`` that of the event, 0 for ``ran``."""

    word: str
    step: str
    item: int  # -1 for a step that is one call
    pid: int
    seq: int


class Proof(NamedTuple):
    """What a journal shows."""

    done: int  # steps acknowledged
    repeated: list[str]  # those that ran again afterwards
    unexplained: list[str]  # those acknowledged although no handler ran


class Journal:
    """The file, open for appending. Thread-safe: a line is one write."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, word: str, step: str, item: int | None, seq: int = 0) -> None:
        """Append a line; it outlives this process once this returns."""
        number = -1 if item is None else item
        os.write(self._file, f"{word} {step} {number} {os.getpid()} {seq}\n".encode())


def read(path: Path) -> list[Line]:
    """Return the lines of a journal. ValueError: one is not of the form above."""
    if not path.exists():
        return []
    found = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        word, step, item, pid, seq = text.split()
        if word not in ("ran", "done"):
            raise ValueError(f"{path}:{number}: neither ran nor done: {text}")
        found.append(Line(word, step, int(item), int(pid), int(seq)))
    return found


def prove(lines: Iterable[Line]) -> Proof:
    """Follow a journal from its beginning."""
    ran: set[tuple[str, int]] = set()
    done: set[tuple[str, int]] = set()
    repeated: list[str] = []
    unexplained: list[str] = []
    for line in lines:
        key = (line.step, line.item)
        if line.word == "ran":
            if key in done:
                repeated.append(f"{line.step}[{line.item}] by process {line.pid}")
            ran.add(key)
        else:
            if key not in ran:
                unexplained.append(f"{line.step}[{line.item}]")
            done.add(key)
    return Proof(len(done), repeated, unexplained)


def main(path: str) -> int:
    """Check a journal by itself: ``python journal.py build/demo/journal.log``."""
    proof = prove(read(Path(path)))
    print(f"acknowledged: {proof.done}, repeated: {len(proof.repeated)}")
    for what in proof.repeated + proof.unexplained:
        print(f"  {what}")
    return 1 if proof.repeated or proof.unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
