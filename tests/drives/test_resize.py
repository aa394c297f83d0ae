"""Growing an image of each format: what it reads as then, what is refused, and how it can be done again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing
from pcemu.drives.facts import facts_about
from pcemu.drives.hostfile import Host
from pcemu.drives.lineage import Progress
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format
from pcemu.drives.resize import grow
from pcemu.errors import ImageAccessError, ImageError, UsageError
from tests.drives.images import make_base
from tests.drives.small_images import MIB, Full, check_progress, files, read, write

FORMATS = {"raw": Format.RAW, "fixed": Format.FIXED, "dynamic": Format.DYNAMIC}
KINDS = [*FORMATS, "differencing"]


def make(folder: Path, kind: str, size: int = MIB) -> Path:
    """An image with something in its first and last sectors."""
    image = folder / ("image.img" if kind == "raw" else "image.vhd")
    if kind == "differencing":
        make_base(folder / "base.vhd", "dynamic", size, 4096)
        write(folder / "base.vhd", 1, 0xBA)
        create_differencing(image, folder / "base.vhd")
    else:
        make_base(image, kind, size, 4096)
    write(image, 0, 1)
    write(image, size // 512 - 1, 2)
    return image


@pytest.mark.parametrize("more", [512, 5 * 512, 3 * MIB, 9 * MIB + 512])
@pytest.mark.parametrize("kind", KINDS)
def test_what_it_grows_by_are_zeros_that_can_be_written(kind: str, more: int, tmp_path: Path) -> None:
    image = make(tmp_path, kind)
    model = bytearray(read(image) + bytes(more))
    base = read(tmp_path / "base.vhd") if kind == "differencing" else b""
    grow(image, len(model))
    assert read(image) == model
    assert facts_about(image).size == len(model)
    write(image, len(model) // 512 - 1, 3)
    model[-512:] = b"\x03" * 512
    assert read(image) == model
    if base:
        assert read(tmp_path / "base.vhd") == base


@pytest.mark.parametrize("kind", KINDS)
def test_it_can_be_done_again_but_not_undone(kind: str, tmp_path: Path) -> None:
    image = make(tmp_path, kind)
    grow(image, 2 * MIB)
    before = files(tmp_path)
    grow(image, 2 * MIB)  # an earlier try may have been killed behind its last step
    with pytest.raises(UsageError, match=r"1048576 bytes .* expected more than the 2097152 it has"):
        grow(image, MIB)
    assert files(tmp_path) == before


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_others_are_built_on_is_refused(kind: str, tmp_path: Path) -> None:
    image = make(tmp_path, kind)
    create_differencing(child := tmp_path / "child.vhd", image)
    before = files(tmp_path)
    with pytest.raises(UsageError, match=r"child.vhd is built on it, .*resize the child instead"):
        grow(image, 2 * MIB)
    assert files(tmp_path) == before
    content = read(child)
    grow(child, 2 * MIB)
    assert read(child) == content + bytes(MIB)


@pytest.mark.parametrize("kind", ["dynamic", "differencing"])
def test_a_lost_footer_is_mended_only_when_nothing_refuses(kind: str, tmp_path: Path) -> None:
    """An earlier try that was cut off leaves one; what is refused must leave every file as it was."""
    image = make(tmp_path, kind)
    content = read(image)
    create_differencing(child := tmp_path / "child.vhd", image)
    image.write_bytes(image.read_bytes()[:-512])
    before = files(tmp_path)
    with pytest.raises(UsageError, match="built on it"):
        grow(image, 2 * MIB)
    with pytest.raises(UsageError, match="expected more than"):
        grow(image, MIB // 2)
    assert files(tmp_path) == before
    child.unlink()
    grow(image, 2 * MIB)
    assert read(image) == content + bytes(MIB)


@pytest.mark.parametrize("size", [0, 2 * MIB + 1, 3 << 40])
def test_impossible_sizes_are_refused(size: int, tmp_path: Path) -> None:
    image = make(tmp_path, "dynamic")
    before = files(tmp_path)
    with pytest.raises(UsageError):
        grow(image, size)
    assert files(tmp_path) == before


def test_one_in_use_and_a_fixed_one_without_room_are_refused(tmp_path: Path) -> None:
    image = make(tmp_path, "fixed")
    before = files(tmp_path)
    with pytest.raises(ImageAccessError, match=r"100 bytes free, .* a fixed image is written anew"):
        grow(image, 2 * MIB, host=Host(Full()))
    drive = open_drive(image, read_only=True)
    with pytest.raises(ImageError, match="busy"):
        grow(image, 2 * MIB)
    drive.close()
    assert files(tmp_path) == before


def test_progress_and_cancelling(tmp_path: Path) -> None:
    """Of a fixed image, which is written anew; others take no time."""
    (folder := tmp_path / "images").mkdir()
    image = make(folder, "fixed", 20 * MIB)
    write(image, 1000, 5, 36000)

    def operation(folder: Path, progress: Progress) -> None:
        grow(folder / "image.vhd", 21 * MIB, progress=progress)

    check_progress(folder, operation, least=3)


def test_a_fixed_image_stays_sparse(tmp_path: Path) -> None:
    image = make(tmp_path, "fixed", 64 * MIB)
    grow(image, 1 << 30)
    assert facts_about(image).allocated < MIB


def test_a_raw_image_that_looks_like_another_is_grown_as_what_it_is_said_to_be(tmp_path: Path) -> None:
    image = make(tmp_path, "fixed")
    content = image.read_bytes()
    grow(image, 2 * MIB, format=Format.RAW)
    assert image.read_bytes() == content.ljust(2 * MIB, b"\0")
