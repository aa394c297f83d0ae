"""VHD images of each kind as they are opened, and the format's geometry."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.hostfile import HOST
from pcemu.drives.open import open_layer
from pcemu.drives.probe import Format
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.vhd import FixedVhd, vhd_geometry
from pcemu.errors import ImageFormatError
from tests.drives.independent_vhd import chs, make_fixed, make_sparse
from tests.drives.small_images import MIB

ID = bytes(range(16))
SECTORS = {0: b"a" * 512, 2047: b"z" * 512}


def opened(path: Path, content: bytes, format: Format | None = None) -> FlatDrive | SparseLayer:
    path.write_bytes(content)
    return open_layer(str(path), False, format, HOST)


def test_a_fixed_image_is_its_data_without_the_footer(tmp_path: Path) -> None:
    content = make_fixed(MIB, ID, SECTORS)
    drive = opened(tmp_path / "disk.vhd", content)
    assert isinstance(drive, FixedVhd) and (drive.sectors, drive.unique_id) == (2048, ID)
    drive.read(2047, sector := bytearray(512))
    assert sector == SECTORS[2047]
    drive.write(2047, b"new.".ljust(512, b"!"))
    with pytest.raises(ValueError, match=r".+"):
        drive.write(2048, bytes(512))  # where the footer is
    drive.close()
    after = (tmp_path / "disk.vhd").read_bytes()
    assert after[: 2047 * 512] + after[MIB:] == content[: 2047 * 512] + content[MIB:]
    assert after[2047 * 512 : MIB].startswith(b"new.")


def test_the_others_are_layers(tmp_path: Path) -> None:
    dynamic = opened(tmp_path / "base.vhd", make_sparse(MIB, ID, SECTORS))
    child = opened(
        tmp_path / "child.vhd", make_sparse(MIB, ID[::-1], {}, parent_id=ID, parent_name="base.vhd")
    )
    assert isinstance(dynamic, SparseLayer) and not dynamic.is_child and dynamic.unique_id == ID
    assert isinstance(child, SparseLayer) and child.is_child and child.header.parent_id == ID
    dynamic.close()
    child.close()


def test_what_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageFormatError, match="no VHD footer"):
        opened(tmp_path / "disk.img", bytes(MIB), Format.FIXED)


@pytest.mark.parametrize(
    "sectors",
    [
        *(2048, 41_820, 69_631, 69_632, 278_527, 278_528, 507_903, 507_904, 1_032_191, 1_032_192),
        *(65535 * 16 * 63 - 1, 65535 * 16 * 63, 65535 * 16 * 255, 65535 * 16 * 255 + 1, 0xFF000000),
    ],
)
def test_the_geometry_of_the_specification(sectors: int) -> None:
    assert vhd_geometry(sectors) == chs(sectors)


@pytest.mark.parametrize("sectors", [1, 16, 67])
def test_a_drive_smaller_than_a_cylinder_has_one(sectors: int) -> None:
    assert vhd_geometry(sectors) == (1, 4, 17)
