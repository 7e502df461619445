"""Packages that ship data sets, where they are installed."""

import importlib.util

import pytest


def need(package):
    """Skips without the package, which is not imported for its files."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
