"""What all tests share: the plugin's fixtures, also from a tree that was not installed."""

from __future__ import annotations

from importlib.metadata import entry_points

pytest_plugins = ["pytester"]
if not any(one.value == "clew.pytest_plugin" for one in entry_points(group="pytest11")):
    pytest_plugins.append("clew.pytest_plugin")
