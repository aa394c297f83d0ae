"""Probing: what a file is said to be from its content, and that nothing is locked or changed for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing, create_dynamic, create_fixed, create_raw
from pcemu.drives.hostfile import HOST
from pcemu.drives.probe import Ends, Format, probe
from pcemu.errors import ImageFormatError, ImageNotFoundError
from tests.drives.independent_vhd import make_fixed, make_raw, make_sparse
from tests.drives.small_images import MIB

ID = bytes(range(16))
SECTOR = {3: b"three".ljust(512, b".")}


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (make_raw(MIB, SECTOR), Format.RAW),
        (make_fixed(MIB, ID, SECTOR), Format.FIXED),
        (make_sparse(MIB, ID, SECTOR), Format.DYNAMIC),
        (make_sparse(MIB, ID, SECTOR, parent_id=ID[::-1], parent_name="none.vhd"), Format.DIFFERENCING),
        (make_fixed(MIB, ID, SECTOR)[:-1], Format.FIXED),  # a footer of 511 bytes, as before 2004
        (make_sparse(MIB, ID, SECTOR)[:-512], Format.DYNAMIC),  # the copy at its start tells
        (bytes(510) + b"\x55\xaa", Format.RAW),
        (b"x" * 512, Format.RAW),
    ],
)
def test_what_files_are(content: bytes, form: Format, tmp_path: Path) -> None:
    (path := tmp_path / "disk.img").write_bytes(content)  # whatever its name says
    assert probe(path) is form
    assert path.read_bytes() == content


def test_our_own_images(tmp_path: Path) -> None:
    makers: dict[Format, Callable[[Path], None]] = {
        Format.RAW: lambda path: create_raw(path, MIB),
        Format.FIXED: lambda path: create_fixed(path, MIB),
        Format.DYNAMIC: lambda path: create_dynamic(path, MIB),
        Format.DIFFERENCING: lambda path: create_differencing(path, tmp_path / "dynamic"),
    }
    for form, make in makers.items():
        make(tmp_path / form.value)
        assert probe(tmp_path / form.value) is form


@pytest.mark.parametrize("cut", [1, 100, 600])
def test_what_says_that_it_is_a_vhd_and_is_damaged_is_no_raw_image(cut: int, tmp_path: Path) -> None:
    content = bytearray(make_sparse(MIB, ID, SECTOR))
    content[cut] ^= 0xFF
    content[cut - 512] ^= 0xFF
    (path := tmp_path / "disk.vhd").write_bytes(content)
    with pytest.raises(ImageFormatError):
        probe(path)


def test_an_image_in_use_is_probed_and_a_missing_one_is_not(tmp_path: Path) -> None:
    create_fixed(tmp_path / "disk.vhd", MIB)
    holder = HOST.open_image(str(tmp_path / "disk.vhd"), read_only=False)
    assert probe(tmp_path / "disk.vhd") is Format.FIXED
    holder.close()
    with pytest.raises(ImageNotFoundError):
        probe(tmp_path / "none.vhd")


def test_where_a_footer_may_be(tmp_path: Path) -> None:
    """Images of old programs have one of 511 bytes; both places are looked at then."""
    expected = {MIB: [(MIB - 512, 512)], 1023: [(512, 511), (0, 512)], 511: [(0, 511)], 100: []}
    for size, places in expected.items():
        (tmp_path / "file").write_bytes(bytes(size))
        file = HOST.open_image(str(tmp_path / "file"), read_only=True)
        assert Ends(file).footer_places() == places
        file.close()
