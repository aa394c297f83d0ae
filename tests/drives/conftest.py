"""What the tests of drives share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drives.small_images import make_line


@pytest.fixture
def line(tmp_path: Path) -> list[Path]:
    """Four layers, each with a sector of its own number, in a folder of their own."""
    folder = tmp_path / "line"
    folder.mkdir()
    return make_line(folder)
