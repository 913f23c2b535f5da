"""The fetcher of SQLite's sources: only pinned files reach the cache, whoever brings them."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "cpp/cmake/fetch_sqlite.py"
CONTENT = {"sqlite3.c": b"int c;", "sqlite3.h": b"int h;", "sqlite3ext.h": b"int e;"}


@pytest.fixture
def fetcher(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, which takes CONTENT for the pinned files and knows no client."""
    spec = importlib.util.spec_from_file_location("fetch_sqlite", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pinned = {name: {hashlib.sha256(data).hexdigest()} for name, data in CONTENT.items()}
    monkeypatch.setattr(module, "DIGESTS", pinned)
    for way in ("by_cargo", "by_npm", "by_pip"):
        monkeypatch.setattr(module, way, refusing(module, way))
    return module


def refusing(module: ModuleType, name: str):
    def way(work: Path) -> Path:
        raise module.Unavailable(f"{name} is not here")

    return way


def bringing(content: dict[str, bytes]):
    def way(work: Path) -> Path:
        for name, data in content.items():
            (work / name).write_bytes(data)
        return work

    return way


def test_first_client_that_works_fills_the_cache(fetcher, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(fetcher, "by_npm", bringing(CONTENT))

    folder = fetcher.fetch(tmp_path)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    assert list(tmp_path.iterdir()) == [folder]


def test_cached_files_need_no_client(fetcher, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(fetcher, "by_npm", bringing(CONTENT))
    first = fetcher.fetch(tmp_path)
    monkeypatch.setattr(fetcher, "by_npm", refusing(fetcher, "by_npm"))

    assert fetcher.fetch(tmp_path) == first


def test_changed_file_is_refused_and_not_cached(fetcher, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(fetcher, "by_cargo", bringing({**CONTENT, "sqlite3.c": b"int evil;"}))

    with pytest.raises(fetcher.Unavailable, match=r"sqlite3\.c has SHA-256 .* not a pinned one"):
        fetcher.fetch(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_refused(fetcher, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(fetcher, "by_cargo", bringing({"sqlite3.c": CONTENT["sqlite3.c"]}))

    with pytest.raises(fetcher.Unavailable, match=r"sqlite3\.h is missing"):
        fetcher.fetch(tmp_path)


def test_damaged_cache_is_filled_again(fetcher, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(fetcher, "by_pip", bringing(CONTENT))
    folder = fetcher.fetch(tmp_path)
    (folder / "sqlite3.c").write_bytes(b"half")

    assert fetcher.mismatch(folder) is not None
    assert fetcher.mismatch(fetcher.fetch(tmp_path)) is None


def test_no_client_names_every_reason(fetcher, tmp_path) -> None:
    with pytest.raises(fetcher.Unavailable, match=r"by_cargo .*; by_npm .*; by_pip "):
        fetcher.fetch(tmp_path)


def test_main_reports_failure_on_stderr(fetcher, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["fetch_sqlite.py", "--cache", str(tmp_path)])

    assert fetcher.main() == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "could not be fetched" in shown.err
