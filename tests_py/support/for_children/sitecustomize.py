"""Children of tests on PostgreSQL: see ``support/on_postgresql.py``. On their PYTHONPATH."""

from __future__ import annotations

import os
import sys

if os.environ.get("CLEW_TEST_STORE") == "postgresql":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from support import on_postgresql

    del sys.path[0]
    on_postgresql.install()
