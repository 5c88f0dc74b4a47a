"""Tests that need an SDK."""

import importlib.util
import os

import pytest


def need(module: str) -> None:
    """Skip when an SDK is not installed; fail instead where `CI` is set, since CI must test all nine."""
    if importlib.util.find_spec(module) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{module} is not installed; CI needs it")
        pytest.skip(f"{module} is not installed")
