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
