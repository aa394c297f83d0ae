"""The files that come with pcemu."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu import resources
from pcemu.errors import ImageNotFoundError
from pcemu.resources import resource


def test_the_source_tree_has_all_files() -> None:
    assert resource("pcemu-bios.rom").stat().st_size == 0x10000
    assert resource("font8x16.bin").stat().st_size == 256 * 16
    assert resource("demo.img").stat().st_size % 512 == 0


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package folder in an empty tree."""
    folder = tmp_path / "pcemu"
    folder.mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", folder)
    return folder


def put(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_an_installed_file_comes_before_one_of_the_source_tree(package: Path) -> None:
    in_tree = put(package.parent / "bios" / "pcemu-bios.rom")
    assert resource("pcemu-bios.rom") == in_tree
    installed = put(package / "data" / "pcemu-bios.rom")
    assert resource("pcemu-bios.rom") == installed


def test_a_missing_file_is_an_error_that_names_it(package: Path) -> None:
    with pytest.raises(ImageNotFoundError, match=r"data.demo\.img: missing from this installation"):
        resource("demo.img")
