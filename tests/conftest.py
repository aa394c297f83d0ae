"""What all tests share."""

from __future__ import annotations

import os

import pytest


def require(present: bool, what: str) -> None:
    """Skip the test when ``what`` (a program, a guest) is missing; fail where everything must be there."""
    if present:
        return
    if os.environ.get("PCEMU_REQUIRE_ORACLES") == "1":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests come first, so that no process works on one of them while the others have nothing left."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
