"""Tests, and the examples in docstrings, run apart from the user's environment and from each other."""

pytest_plugins = ["tests.isolation"]
