"""A private PostgreSQL server for tests: own data, own socket, gone when its owner is gone.

Run as a script it serves tests in other languages: ``_postgres.py PID [NAME]`` prints the URL of
the server of that process, starting it first when there is none.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import glob
import itertools
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["ask", "find_server", "fresh_schema", "in_schema", "server_url", "test_server"]

_CLUSTER = ("-E", "UTF8", "--locale=C.UTF-8", "--auth=trust")
_PORT = 5432  # only names the socket
_numbers = itertools.count(1)
_SETTINGS = f"""
listen_addresses = ''
port = {_PORT}
fsync = on
max_connections = 200
shared_buffers = 32MB
deadlock_timeout = 50ms
log_min_messages = fatal
"""


def find_server() -> str | None:
    """Return the folder of a server's programs, or None when none is installed."""
    on_path = shutil.which("postgres")
    if on_path:
        folder = os.path.dirname(os.path.realpath(on_path))
        if os.path.exists(os.path.join(folder, "initdb")):
            return folder
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda at: (len(at), at))
    return os.path.dirname(found[-1]) if found else None


def server_url(owner: int, name: str = "main") -> str:
    """Return the URL of the server of that name that lives as long as the process ``owner``.

    The first who asks starts it, which takes about a second. Databases live in it as schemas: add
    ``&options=-csearch_path%3DNAME``.

    Raises:
        FileNotFoundError: No PostgreSQL server is installed.
    """
    programs = find_server()
    if programs is None:
        raise FileNotFoundError("no PostgreSQL server is installed (postgres, initdb)")
    folder = Path(tempfile.gettempdir()) / f"clew-pg-{os.getuid()}-{owner}-{name}"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_served(folder):
            shutil.rmtree(folder, ignore_errors=True)
            _start(programs, folder, owner)
    return f"postgresql://postgres@/postgres?host={folder}&port={_PORT}"


def test_server() -> str:
    """Return the URL of the server of this test run: ``CLEW_TEST_POSTGRES``, or a private one."""
    url = os.environ.get("CLEW_TEST_POSTGRES")
    if url is None:
        in_worker = "PYTEST_XDIST_WORKER" in os.environ
        url = server_url(os.getppid() if in_worker else os.getpid())
        os.environ["CLEW_TEST_POSTGRES"] = url  # for children
    return url


def in_schema(url: str, name: str) -> str:
    """Return the URL of that schema, which is made when it is not there."""
    ask(url, f'CREATE SCHEMA IF NOT EXISTS "{name}"')
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{name}"


@contextlib.contextmanager
def fresh_schema() -> Iterator[str]:
    """Give the URL of an empty schema in the server of this test run, and drop it at the end."""
    url = test_server()
    name = f"clew_{os.getpid()}_{next(_numbers)}"
    yield in_schema(url, name)
    ask(url, f'DROP SCHEMA "{name}" CASCADE')


def ask(url: str, sql: str) -> None:
    """Run a statement on a connection of its own."""
    pq = ctypes.CDLL("libpq.so.5")
    for function in (pq.PQconnectdb, pq.PQexec):
        function.restype = ctypes.c_void_p
    for function in (pq.PQerrorMessage, pq.PQresultErrorMessage):
        function.restype = ctypes.c_char_p
    connection = ctypes.c_void_p(pq.PQconnectdb(url.encode()))
    try:
        result = ctypes.c_void_p(
            pq.PQexec(connection, f"SET client_min_messages = error; {sql}".encode())
        )
        why = pq.PQerrorMessage(connection).decode().strip()
        pq.PQclear(result)
    finally:
        pq.PQfinish(connection)
    if why:
        raise RuntimeError(why)


def _is_served(folder: Path) -> bool:
    """Whether a supervisor looks after it; one that was killed takes its server along."""
    try:
        supervisor = int((folder / "supervisor").read_text())
        return Path(f"/proc/{supervisor}/cmdline").read_bytes().find(b"--supervise") >= 0
    except (OSError, ValueError):
        return False


def _start(programs: str, folder: Path, owner: int) -> None:
    words = [sys.executable, "-S", __file__, "--supervise", programs, str(folder), str(owner)]
    # Whoever reads our standard error waits until everybody has closed it.
    with (
        open(f"{folder}.log", "ab") as log,
        subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        ) as supervisor,
    ):
        assert supervisor.stdout is not None
        said = supervisor.stdout.readline().strip()
        if said != "ready":
            raise RuntimeError(f"the PostgreSQL server did not start: {said}")
        supervisor.returncode = 0  # it is waited for by nobody


def _as_server_user() -> tuple[int, int] | None:
    """The user that the server runs as: it refuses to run as root."""
    if os.getuid() != 0:
        return None
    user = pwd.getpwnam("postgres")
    return user.pw_uid, user.pw_gid


def _child(user: tuple[int, int] | None) -> Callable[[], None]:
    """Become that user, and be stopped at once when the supervisor is gone."""
    death = ctypes.CDLL(None).prctl

    def prepare() -> None:
        if user is not None:
            os.setgroups([])
            os.setgid(user[1])
            os.setuid(user[0])
        death(1, signal.SIGQUIT)

    return prepare


def _supervise(programs: str, folder: Path, owner: int) -> None:
    """Serve until the owner is gone. A server that ends before is started again."""
    gone = os.pidfd_open(owner)
    user = _as_server_user()
    folder.mkdir(mode=0o755)
    if user is not None:
        os.chown(folder, *user)
    prepare = _child(user)
    data = str(folder / "data")
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    made = subprocess.run(
        # "-N": initdb itself does not sync; the server does.
        [f"{programs}/initdb", "-N", "-D", data, "-U", "postgres", *_CLUSTER],
        preexec_fn=prepare,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        print(made.stderr.strip().replace("\n", " "), flush=True)
        return
    with open(f"{data}/postgresql.conf", "a") as settings:
        settings.write(f"{_SETTINGS}unix_socket_directories = '{folder}'\n")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    said = False
    server: subprocess.Popen[bytes] | None = None
    try:
        while True:
            with open(folder / "log", "ab") as log:
                server = subprocess.Popen(
                    [f"{programs}/postgres", "-D", data],
                    preexec_fn=prepare,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                )
            if not said:
                said = _tell(programs, folder, server)
            if _wait(gone, server):
                return
    finally:
        if server is not None:
            with contextlib.suppress(ProcessLookupError):
                server.send_signal(signal.SIGQUIT)
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.unlink(f"{folder}.log")
            os.unlink(f"{folder}.lock")


def _tell(programs: str, folder: Path, server: subprocess.Popen[bytes]) -> bool:
    """Tell whoever started us that the server answers."""
    ask = [f"{programs}/pg_isready", "-q", "-t", "1", "-h", str(folder), "-p", str(_PORT)]
    while subprocess.run(ask, check=False).returncode != 0:
        if server.poll() is not None:
            print((folder / "log").read_text()[-500:].replace("\n", " "), flush=True)
            sys.exit(1)
        select.select([], [], [], 0.02)
    (folder / "supervisor").write_text(str(os.getpid()))
    print("ready", flush=True)
    sys.stdout.close()
    os.close(1)
    return True


def _wait(gone: int, server: subprocess.Popen[bytes]) -> bool:
    """Wait for the owner's end (true) or the server's."""
    ended = os.pidfd_open(server.pid)
    try:
        while True:
            ready, _, _ = select.select([gone, ended], [], [])
            if gone in ready:
                return True
            if server.poll() is not None:
                return False
    finally:
        os.close(ended)


if __name__ == "__main__":
    if sys.argv[1] == "--supervise":
        _supervise(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        print(server_url(int(sys.argv[1]), *sys.argv[2:3]))
