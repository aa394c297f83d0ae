"""The processor's tests run with both ways to the engine's state; protected-mode programs also on QEMU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pcemu.cpu.open_state import STATE_VARIABLE

pytest.register_assert_rewrite("tests.cpu.kernel")

from tests.cpu.kernel import Runner  # noqa: E402


@pytest.fixture(params=["live", "public"], scope="module")
def state(request: pytest.FixtureRequest) -> Iterator[None]:
    """Views of the engine's memory, or its public API alone."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(STATE_VARIABLE, request.param)
        yield


@pytest.fixture(params=["live", "public", "qemu"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """Runs a program one of three ways."""
    return Runner(request.param)
