"""Where the blocks of dynamic and differencing images go, and what may lie there already."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.hostfile import HOST
from pcemu.drives.open import open_drive, open_layer
from pcemu.drives.sparse import SparseLayer
from pcemu.testing.drive_conformance import contents

MIB = 1 << 20
JUNK = b"\xff" * 500


def move_tail(path: Path, bitmap_size: int) -> None:
    """Put the tail footer where the first block's bitmap will begin, and junk behind it."""
    content = path.read_bytes()
    footer_at = -(-(len(content) - 512 + bitmap_size) // 4096) * 4096 - bitmap_size
    path.write_bytes(content[:-512].ljust(footer_at, b"\0") + content[-512:] + JUNK)


@pytest.mark.parametrize(("block_size", "bitmap_size"), [(2 * MIB, 512), (4 * MIB, 1024), (16 * MIB, 4096)])
@pytest.mark.parametrize("kind", ["dynamic", "differencing"])
def test_junk_behind_the_tail_footer_gets_neither_into_bits_nor_into_data(
    kind: str, block_size: int, bitmap_size: int, tmp_path: Path
) -> None:
    path = tmp_path / "disk.vhd"
    create_dynamic(tmp_path / "base.vhd", 32 * MIB)
    if kind == "dynamic":
        create_dynamic(path, 32 * MIB, block_size=block_size)
    else:
        base = open_drive(tmp_path / "base.vhd")
        base.write(0, b"b" * 32 * MIB)
        base.close()
        create_differencing(path, tmp_path / "base.vhd", block_size=block_size)
    move_tail(path, bitmap_size)
    before = open_drive(path, read_only=True)
    model = contents(before)
    before.close()
    drive = open_drive(path)
    for lba in (5, block_size // 512 + 9):
        drive.write(lba, b"n" * 512)
        model[lba * 512 : (lba + 1) * 512] = b"n" * 512
    assert contents(drive) == model
    drive.close()
    again = open_drive(path, read_only=True)
    assert contents(again) == model
    again.close()
    layer = open_layer(str(path), True, None, HOST)
    assert isinstance(layer, SparseLayer)
    if kind == "differencing":
        assert [run[:2] for run in layer.owned_runs()] == [(5, 1), (block_size // 512 + 9, 1)]
    layer.close()


def test_the_footers_copy_is_mended_before_the_tail_moves(tmp_path: Path) -> None:
    """A crash in a resize leaves it behind; it would lead back to the old BAT."""
    path = tmp_path / "disk.vhd"
    create_dynamic(path, 4 * MIB)
    content = bytearray(path.read_bytes())
    footer = bytes(content[:512])
    content[:512] = bytes(512)
    path.write_bytes(content)
    drive = open_drive(path)
    assert path.read_bytes()[:512] == bytes(512), "opening it changes nothing"
    drive.write(0, b"x" * 512)
    drive.close()
    assert path.read_bytes()[:512] == footer
