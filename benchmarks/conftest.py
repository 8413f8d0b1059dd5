"""Loads the plugin: the options of the benchmarks, their fixtures and hooks."""

# Not `pytest_plugins`, which pytest refuses in this folder when it is called as `pytest .`.
from benchmarks.harness.plugin import *  # noqa: F403
