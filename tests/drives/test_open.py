"""Opening images with all that they are built on: which locks are taken, how deep, and what is left open."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from pcemu.drives import chain
from pcemu.drives.chain import MAX_OWNERS, Chain
from pcemu.drives.create import create_differencing, create_dynamic, create_fixed, create_raw
from pcemu.drives.hostfile import HOST
from pcemu.drives.open import open_drive, open_layers
from pcemu.drives.probe import Format
from pcemu.drives.raw import FlatDrive, RawDrive
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.vhd import FixedVhd
from pcemu.errors import ImageAccessError, ImageError, ImageFormatError
from tests.drives.small_images import MIB


def is_free(path: Path) -> bool:
    """Nobody has it open: it can be opened for writing."""
    try:
        HOST.open_image(str(path), read_only=False).close()
    except ImageAccessError:
        return False
    return True


def deep(folder: Path, base: Path, children: int) -> list[Path]:
    """A base and that many children, each on the one before."""
    images = [base, *[folder / f"{number:03}.vhd" for number in range(children)]]
    for parent, child in pairwise(images):
        create_differencing(child, parent)
    return images


def test_each_format_is_what_it_is(tmp_path: Path) -> None:
    raw, fixed, dynamic = (tmp_path / name for name in ("raw", "fixed", "dynamic"))
    create_raw(raw, MIB)
    create_fixed(fixed, MIB)
    create_dynamic(dynamic, MIB)
    kinds = {raw: RawDrive, fixed: FixedVhd, dynamic: Chain}
    for path, kind in kinds.items():
        drive = open_drive(path)
        assert type(drive) is kind and drive.sectors == 2048 and not drive.read_only
        drive.close()
    as_raw = open_drive(fixed, format=Format.RAW)
    assert isinstance(as_raw, FlatDrive) and as_raw.sectors == 2049  # its footer is a sector like others
    as_raw.close()


@pytest.mark.parametrize("asked", [Format.FIXED, Format.DIFFERENCING])
def test_another_format_than_asked_for_is_refused_and_closed(asked: Format, tmp_path: Path) -> None:
    create_dynamic(path := tmp_path / "disk.vhd", MIB)
    with pytest.raises(ImageFormatError, match=f"is a dynamic VHD, expected {asked}"):
        open_drive(path, format=asked)
    assert is_free(path)


def test_the_head_alone_is_locked_for_writing(line: list[Path]) -> None:
    drive = open_drive(line[3])
    assert isinstance(drive, Chain)
    layers = [layer for layer in drive.layers if isinstance(layer, SparseLayer)]
    assert [layer.read_only for layer in layers] == [True, True, True, False]
    with pytest.raises(ImageAccessError, match=r"3\.vhd: is busy"):
        open_drive(line[3], read_only=True)
    open_drive(line[2], read_only=True).close()
    with pytest.raises(ImageAccessError, match=r"2\.vhd: is busy"):
        open_drive(line[2])
    drive.close()
    assert all(map(is_free, line))


def test_who_asks_gets_parents_for_writing(line: list[Path]) -> None:
    chosen = line[1].stat()
    layers = open_layers(line[3], writable=lambda identity: identity == (chosen.st_dev, chosen.st_ino))
    assert [layer.read_only for layer in layers] == [True, False, True, False]
    for layer in layers:
        layer.close()


@pytest.mark.parametrize("damage", ["missing", "replaced", "busy"])
def test_all_is_closed_when_one_is_refused(damage: str, line: list[Path]) -> None:
    holder = HOST.open_image(str(line[0]), read_only=False) if damage == "busy" else None
    if damage != "busy":
        line[0].unlink()
    if damage == "replaced":
        create_dynamic(line[0], MIB)
    with pytest.raises(ImageError):
        open_drive(line[3])
    assert all(map(is_free, line[1:]))
    if holder is not None:
        holder.close()


def test_a_wrong_parent_is_told_rather_than_what_it_lacks(line: list[Path], tmp_path: Path) -> None:
    """All layers are opened before they are checked: the lowest fault found is not the one to be told."""
    other = tmp_path / "other"
    other.mkdir()
    images = deep(other, line[0], 1)
    images[-1].replace(line[2])  # its own parent is not beside it any more, so neither fits
    line[0].unlink()
    with pytest.raises(ImageFormatError, match=r"3\.vhd: its parent .*2\.vhd has the id .*replaced"):
        open_drive(line[3])
    assert all(map(is_free, line[1:]))


@pytest.mark.parametrize(("base", "most"), [("dynamic", 7), ("raw", 8)])
def test_a_chain_is_only_so_deep(
    base: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody has is an owner, too, where the base does not have all sectors itself."""
    assert MAX_OWNERS == 256
    monkeypatch.setattr(chain, "MAX_OWNERS", 8)
    (create_raw if base == "raw" else create_dynamic)(tmp_path / "base", MIB)
    images = deep(tmp_path, tmp_path / "base", most)
    drive = open_drive(images[-2])
    assert isinstance(drive, Chain) and len(drive.layers) == most
    drive.write(5, b"x" * 512)
    drive.read(5, sector := bytearray(512))
    assert sector == b"x" * 512
    drive.close()
    refused = rf"{images[-1].name}: has \d layers.*, expected at most {most};"
    with pytest.raises(ImageFormatError, match=refused):
        open_drive(images[-1])
    assert is_free(images[-1]) and is_free(images[0])


def test_a_raw_image_that_its_guest_made_a_child_is_not_opened_as_one(tmp_path: Path) -> None:
    create_raw(disk := tmp_path / "disk.img", MIB)
    create_dynamic(tmp_path / "secret.vhd", MIB)
    create_differencing(tmp_path / "child.vhd", tmp_path / "secret.vhd")
    content = (tmp_path / "child.vhd").read_bytes()
    guest = open_drive(disk)
    guest.write(0, content[:-512])
    guest.write(MIB // 512 - 1, content[-512:])
    guest.close()
    with pytest.raises(ImageFormatError, match=r"disk\.img: is a differencing VHD, expected a raw image"):
        open_drive(disk)
    open_drive(disk, format=Format.RAW).close()
