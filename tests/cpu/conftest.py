"""Protected-mode programs run with both views of the engine's state, and on QEMU where it is installed."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.cpu.kernel")

from tests.cpu.kernel import Runner  # noqa: E402


@pytest.fixture(params=["live", "public", "qemu"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """Runs a program one of three ways."""
    return Runner(request.param)
