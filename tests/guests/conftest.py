"""What the tests with whole guests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guests.freedos import HARD_DISK, HARD_DISK_SHA256, FreeDos, unpack


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FreeDOS' hard disk, unpacked once for all of xdist's workers; read it, never write it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    return unpack(HARD_DISK, HARD_DISK_SHA256, folder)


@pytest.fixture
def dos(image: Path) -> Iterator[FreeDos]:
    """FreeDOS at its prompt; its writes are forgotten."""
    with FreeDos(image) as guest:
        yield guest
