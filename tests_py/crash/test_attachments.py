"""A process that is killed while it stores an attachment leaves an intent, never half of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import clew
import pytest

PUT = """
import sys
import clew
with clew.Runtime(sys.argv[1]) as rt:
    rt.attachments.put("root", b"x" * int(sys.argv[2]), "text/plain")
"""
LARGE = 600_000
SMALL = 10


def put_and_die(store: Path, point: str, size: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PUT, str(store), str(size)],
        env={**os.environ, "CLEW_FAULT": f"{point}=kill"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


def files_of(store: Path) -> list[Path]:
    folder = store.with_name(store.name + ".attachments")
    return [one for one in folder.rglob("*") if one.is_file()]


@pytest.mark.parametrize(
    ("point", "size"),
    [
        ("attachment.intent.after", SMALL),
        ("attachment.intent.after", LARGE),
        ("attachment.publish.before", LARGE),
        ("attachment.publish.after", LARGE),
    ],
)
def test_a_put_that_is_killed_can_be_done_again(tmp_path: Path, point: str, size: int) -> None:
    store = tmp_path / "work.db"
    put_and_die(store, point, size)
    with clew.Runtime(store) as rt:
        assert rt.attachments.list("root") == []
        (intent,) = rt.attachments.list_uncommitted()
        assert not intent.stored
        with pytest.raises(clew.NotFound):
            rt.attachments.get("root", intent.attachment_id)
        assert rt.verify() == []
        ref = rt.attachments.put("root", b"x" * size, "text/plain")
        assert ref.id == intent.attachment_id
        assert rt.attachments.get("root", ref.id).data == b"x" * size
        assert rt.verify() == []


def test_what_a_killed_put_left_behind_is_swept(tmp_path: Path) -> None:
    store = tmp_path / "work.db"
    put_and_die(store, "attachment.publish.before", LARGE)
    put_and_die(store, "attachment.publish.after", LARGE + 1)
    assert len(files_of(store)) == 2
    later = clew.ManualClock()
    later.advance("36500d")
    with clew.Runtime(store, clock=later) as rt:
        for intent in rt.attachments.list_uncommitted():
            assert rt.attachments.forget("root", intent.attachment_id)
        swept = rt.attachments.sweep("1h")
        assert (swept.deleted_files, swept.deleted_stages) == (2, 1)
        assert files_of(store) == []
