"""What all tests share: the plugin's fixtures, also from a tree that was not installed."""

from __future__ import annotations

import os
import signal
from importlib.metadata import entry_points

from hypothesis import HealthCheck, settings
from support import on_postgresql

# However long an example takes: other processes want this machine too.
settings.register_profile("clew", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clew")

# A shell that starts a job in the background has it ignore Ctrl-C, and so would every child.
signal.signal(signal.SIGINT, signal.default_int_handler)

if on_postgresql.WANTED:
    from clew import _postgres

    _postgres.test_server()  # before there are children
    children = os.path.join(os.path.dirname(__file__), "support", "for_children")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [children, os.environ.get("PYTHONPATH")])
    )
    on_postgresql.install()

pytest_plugins = ["pytester"]
if not any(one.value == "clew.pytest_plugin" for one in entry_points(group="pytest11")):
    pytest_plugins.append("clew.pytest_plugin")
