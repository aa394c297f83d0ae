"""Where the blocks of dynamic and differencing images go, and what may lie there already."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.hostfile import HOST, Host, SystemCalls
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


@pytest.mark.parametrize("offered", [True, False])
def test_a_writer_that_comes_from_one_block_into_the_next_finds_its_space_there(
    offered: bool, tmp_path: Path
) -> None:
    reserved = []

    class Calls(SystemCalls):
        def reserve(self, fd: int, offset: int, size: int) -> None:
            reserved.append((offset, size))
            if not offered:
                raise OSError(errno.ENOSPC, "")
            super().reserve(fd, offset, size)

    block = 2 * MIB // 512
    create_dynamic(tmp_path / "base.vhd", 16 * MIB)
    base = open_drive(tmp_path / "base.vhd")
    base.write(0, b"b" * 16 * MIB)
    base.close()
    create_differencing(tmp_path / "child.vhd", tmp_path / "base.vhd")
    child = open_layer(str(tmp_path / "child.vhd"), False, None, Host(Calls()))
    assert isinstance(child, SparseLayer)
    for lba, size in ((0, 512), (block, 512), (3 * block - 4, 2048), (5 * block + 7, MIB)):
        child.write(lba, b"n" * size)
        assert reserved == [], "here and there"
    child.write(3 * block, b"n" * 512)
    child.write(6 * block - 8, b"n" * 512)
    child.write(6 * block - 7, b"n" * 8 * 512)  # into the next
    assert reserved == [(child.locate(each * block), 2 * MIB) for each in (3, 6)]
    child.close()
    drive = open_drive(tmp_path / "child.vhd", read_only=True)
    model = bytearray(b"b" * 16 * MIB)
    written = ((0, 1), (block, 1), (3 * block - 4, 5), (5 * block + 7, 2048), (6 * block - 8, 9))
    for lba, count in written:
        model[lba * 512 : (lba + count) * 512] = b"n" * count * 512
    assert contents(drive) == model
    drive.close()


class FullDisk(SystemCalls):
    """A disk with room for so many pages: holes take none, and nothing gives one back."""

    def __init__(self) -> None:
        self.room = 1 << 30
        self._taken: set[tuple[int, int]] = set()

    def pwritev(self, fd: int, buffers: Sequence[Any], offset: int) -> int:
        size = sum(len(each) for each in buffers)
        for page in range(offset // 4096, -(-(offset + size) // 4096)):
            if (fd, page) not in self._taken:
                if not self.room:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self.room -= 1
                self._taken.add((fd, page))
        return os.pwritev(fd, buffers, offset)

    def reserve(self, fd: int, offset: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "")


@pytest.mark.parametrize("room", [0, 1, 8, 30, 31, 32])
@pytest.mark.parametrize("block_size", [64 << 10, 2 * MIB, 8 * MIB])
@pytest.mark.parametrize("kind", ["dynamic", "differencing"])
def test_what_found_room_on_a_full_disk_is_flushed_without_more(
    kind: str, block_size: int, room: int, tmp_path: Path
) -> None:
    path = tmp_path / "disk.vhd"
    size = 32 * MIB
    create_dynamic(tmp_path / "base.vhd", size)
    if kind == "dynamic":
        create_dynamic(path, size, block_size=block_size)
    else:
        create_differencing(path, tmp_path / "base.vhd", block_size=block_size)
    disk = FullDisk()
    drive = open_drive(path, host=Host(disk))
    head = path.stat().st_size  # footer, header, locators and BAT have their pages since they were made
    disk._taken |= {(fd, page) for fd in range(100) for page in range(-(-head // 4096))}
    disk.room = room
    rng = random.Random(room)
    model = bytearray(size)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        for _ in range(1000):
            at = rng.randrange(size // 4096) * 4096
            data = rng.randbytes(4096)
            drive.write(at // 512, data)
            model[at : at + 4096] = data
    assert disk.room == 0
    drive.close()
    drive = open_drive(path, read_only=True)
    assert contents(drive) == model
    drive.close()
