"""The tests of files on PostgreSQL: each path of a store becomes a schema of the test server.

In force where ``CLEW_TEST_STORE=postgresql``, also in children that tests start.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

WANTED = os.environ.get("CLEW_TEST_STORE") == "postgresql"


def install() -> None:
    """From now on no runtime of this process opens a file."""
    from clew import _options, _postgres

    real = _options.store_path

    def store_path(store: Any) -> str:
        path = real(store)
        if path == ":memory:" or "://" in path:
            return path
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(folder):
            return path  # to be refused as a file is
        name = hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:20]
        return _postgres.in_schema(_postgres.test_server(), f"file_{name}")

    _options.store_path = store_path
