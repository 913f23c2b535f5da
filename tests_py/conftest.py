"""What all tests share: the plugin's fixtures, also from a tree that was not installed."""

from __future__ import annotations

import signal
from importlib.metadata import entry_points

# A shell that starts a job in the background has it ignore Ctrl-C, and so would every child.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["pytester"]
if not any(one.value == "clew.pytest_plugin" for one in entry_points(group="pytest11")):
    pytest_plugins.append("clew.pytest_plugin")
