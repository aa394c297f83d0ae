"""Chains: the map tells who owns each sector, however it was reached."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives import chain as chain_module
from pcemu.drives import sparse as sparse_module
from pcemu.drives.chain import NO_LAYER, Chain, Run
from pcemu.drives.create import create_differencing, create_dynamic, create_fixed
from pcemu.drives.hostfile import HOST, Host, SystemCalls
from pcemu.drives.open import open_drive, open_layer
from pcemu.drives.overlay import MemoryOverlay
from pcemu.drives.probe import Format
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import LARGE_ALIGNMENT, SparseLayer, bit_runs
from pcemu.testing.drive_conformance import check_refusals, contents, exercise
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.images import fill, make_base

MIB = 1 << 20


def open_chain(path: Path, host: Host = HOST) -> Chain:
    drive = open_drive(path, host=host)
    assert isinstance(drive, Chain)
    return drive


def sparse(path: Path, *, read_only: bool = False) -> SparseLayer:
    layer = open_layer(str(path), read_only, None, HOST)
    assert isinstance(layer, SparseLayer)
    return layer


@pytest.fixture
def child(tmp_path: Path) -> Path:
    """A child of a fixed image that is full of ones."""
    base, path = tmp_path / "base.vhd", tmp_path / "child.vhd"
    create_fixed(base, 6 * MIB)
    drive = open_drive(base)
    drive.write(0, b"\x01" * 6 * MIB)
    drive.close()
    create_differencing(path, base)
    return path


def test_runs_tell_layer_and_place(child: Path) -> None:
    drive = open_chain(child)
    drive.write(10, b"\x02" * 1024)
    drive.discard(100, 1)
    head = drive.head
    assert isinstance(head, SparseLayer)
    here = head.locate(0)
    assert list(drive.runs(8, 100)) == [
        (8, 2, 0, 8 * 512),
        (10, 2, 1, here + 10 * 512),
        (12, 88, 0, 12 * 512),
        (100, 1, 1, here + 100 * 512),
        (101, 7, 0, 101 * 512),
    ]
    assert list(drive.runs(0, drive.sectors))[-1].sectors == drive.sectors - 101  # joined across units
    drive.close()


@pytest.mark.parametrize(("late", "mixed"), [(False, True), (True, True), (True, False)])
def test_4_kib_that_begin_inside_the_drive_and_end_outside_are_refused(
    late: bool, mixed: bool, tmp_path: Path
) -> None:
    """Whether one layer has the last unit or several: 4 KiB are read without a look at each sector."""
    sectors = 100 * 8 + 3
    create_dynamic(tmp_path / "base.vhd", sectors * 512)  # its block goes on behind the drive's end
    base = open_drive(tmp_path / "base.vhd")
    base.write(0, b"\x01" * sectors * 512)
    base.close()
    create_differencing(tmp_path / "child.vhd", tmp_path / "base.vhd")
    drive = open_chain(tmp_path / "child.vhd")
    if late:
        drive.read(0, bytearray(512))  # the map has the unit before the head gets its share
    if mixed:
        drive.write(3, b"\x02" * 512)
    drive.read(0, bytearray(4096))
    for lba in (800, 808, 1 << 20):
        with pytest.raises(ValueError, match="outside"):
            drive.read(lba, bytearray(4096))
    buffer = bytearray(4096)
    drive.read(792, buffer)
    assert buffer == b"\x01" * 4096
    buffer = bytearray(3 * 512)
    drive.read(800, buffer)
    assert buffer == b"\x01" * 3 * 512
    drive.close()


def test_zeros_below_a_dynamic_base_are_nobodys(tmp_path: Path) -> None:
    create_dynamic(tmp_path / "base.vhd", 4 * MIB)
    create_differencing(tmp_path / "child.vhd", tmp_path / "base.vhd")
    drive = open_chain(tmp_path / "child.vhd")
    assert list(drive.runs(0, drive.sectors)) == [(0, drive.sectors, NO_LAYER, 0)]
    drive.close()


def test_a_larger_child_has_zeros_beyond_its_parent(child: Path) -> None:
    grown = child.with_name("grown.vhd")
    create_differencing(grown, child, size=9 * MIB + 512)
    drive = open_chain(grown)
    model = bytearray(b"\x01" * 6 * MIB + bytes(3 * MIB + 512))
    assert contents(drive) == model
    exercise(drive, model, random.Random(4))
    drive.close()


def test_a_base_that_is_no_file_is_read_through_its_protocol(child: Path) -> None:
    memory = MemoryDrive(12288)
    exercise(memory, model := bytearray(12288 * 512), random.Random(1), 50)
    writes = memory.writes
    drive = Chain([memory, sparse(child)])
    assert contents(drive) == model
    exercise(drive, model, random.Random(2), 50)
    check_refusals(drive)
    drive.close()
    assert memory.closed and memory.writes == writes


def test_an_overlay_in_memory_stands_above_a_chain(child: Path) -> None:
    overlay = MemoryOverlay(open_chain(child))
    model = contents(overlay)
    exercise(overlay, model, random.Random(6), 60)
    overlay.commit()
    overlay.close()
    drive = open_chain(child)
    assert contents(drive) == model
    drive.close()


def test_the_map_is_bounded_and_right_when_entries_fall_out(
    child: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_module, "MAP_MEMORY", 20000)  # two units
    drive = open_chain(child)
    exercise(drive, bytearray(b"\x01" * 6 * MIB), random.Random(5), 100)
    assert len(drive._map) <= 2
    drive.close()


@pytest.mark.parametrize("block_size", [4096, 2 * MIB])
def test_writes_in_a_row_are_in_the_map_when_it_is_next_read(
    block_size: int, child: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_module, "MAX_LATE", 2)
    head = child.with_name("head.vhd")
    create_differencing(head, child, block_size=block_size)
    drive = open_chain(head)
    model = bytearray(contents(drive))  # which fills the map
    rng = random.Random(6)
    for _ in range(40):
        for _ in range(rng.choice((1, 2, 30))):
            lba, count = rng.randrange(drive.sectors - 64), rng.choice((1, 7, 8, 64))
            for at in (lba, lba + count // 2):  # behind each other, and over each other
                data = rng.randbytes((count + 1) // 2 * 512)
                drive.write(at, data)
                model[at * 512 : at * 512 + len(data)] = data
        assert len(drive._late) <= 2
        for first in (lba // 8 * 8, lba, *rng.choices(range(drive.sectors - 8), k=20)):
            buffer = bytearray(8 * 512)
            drive.read(first, buffer)
            assert buffer == model[first * 512 : (first + 8) * 512]
    assert contents(drive) == model
    runs = list(drive.runs(0, drive.sectors))
    drive.close()
    again = open_chain(head)
    assert list(again.runs(0, again.sectors)) == runs
    again.close()


class Interrupting(SystemCalls):
    """Reads and writes are interrupted, then short, then whole."""

    turn = 0

    def _short(self, buffers: Sequence[Any]) -> list[memoryview]:
        self.turn += 1
        if self.turn % 3 == 1:
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
        view = memoryview(buffers[0])
        return [view[:200] if self.turn % 3 == 2 else view]

    def preadv(self, fd: int, buffers: Sequence[Any], offset: int) -> int:
        return os.preadv(fd, self._short(buffers), offset)

    def pwritev(self, fd: int, buffers: Sequence[Any], offset: int) -> int:
        return os.pwritev(fd, self._short(buffers), offset)


def test_interrupted_and_short_transfers_are_continued(child: Path) -> None:
    drive = open_chain(child, Host(Interrupting()))
    exercise(drive, bytearray(b"\x01" * 6 * MIB), random.Random(11), 80)
    drive.close()


def test_a_failed_write_leaves_old_or_new_data_and_can_be_repeated(child: Path) -> None:
    class Full(SystemCalls):
        room = 10_000

        def pwritev(self, fd: int, buffers: Sequence[Any], offset: int) -> int:
            if self.room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done = os.pwritev(fd, [memoryview(buffers[0])[: self.room]], offset)
            self.room -= done
            return done

    calls = Full()
    drive = open_chain(child, Host(calls))
    for room in range(0, 20_000, 700):
        calls.room = room
        before = contents(drive)
        data = random.Random(room).randbytes(20 * 512)
        with pytest.raises(OSError) as caught:
            for lba in (5, 4090, 8190):  # the last two cross blocks
                drive.write(lba, data)
            drive.flush()
        assert caught.value.errno == errno.ENOSPC
        now = contents(drive)
        for lba in range(drive.sectors):
            sector = now[lba * 512 : lba * 512 + 512]
            if not any(start <= lba < start + 20 for start in (5, 4090, 8190)):
                assert sector == before[lba * 512 : lba * 512 + 512]
        drive._map.clear()
        assert contents(drive) == now, "the map and the layers disagree"
    calls.room = 1 << 30
    for lba in (5, 4090, 8190):
        drive.write(lba, data)
    drive.close()
    drive = open_chain(child)
    for lba in (5, 4090, 8190):
        assert contents(drive)[lba * 512 : (lba + 20) * 512] == data
    drive.close()


def test_a_file_that_could_not_grow_still_ends_with_its_footer(child: Path) -> None:
    class Full(SystemCalls):
        full = False

        def pwritev(self, fd: int, buffers: Sequence[Any], offset: int) -> int:
            if not self.full:
                return os.pwritev(fd, buffers, offset)
            if len(buffers[0]) < 512:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return os.pwritev(fd, [memoryview(buffers[0])[:100]], offset)

    calls = Full()
    drive = open_chain(child, Host(calls))
    drive.write(0, b"\x09" * 512)
    drive.flush()
    calls.full = True
    before = child.read_bytes()
    with pytest.raises(OSError):
        drive.write(5000, bytes(512))
    assert child.read_bytes() == before
    calls.full = False
    drive.write(5000, b"\x08" * 512)
    drive.close()
    assert open_and_read(child, 5000) == b"\x08" * 512


def open_and_read(path: Path, lba: int) -> bytearray:
    drive = open_drive(path)
    buffer = bytearray(512)
    drive.read(lba, buffer)
    drive.close()
    return buffer


def test_an_old_footer_never_becomes_bits(child: Path) -> None:
    """In a bitmap of several sectors one lies where the footer was, and another is the one written."""
    large = child.with_name("large.vhd")
    create_differencing(large, child, block_size=8 * MIB)
    content = large.read_bytes()
    footer_at = -(-(len(content) - 512 + 2048) // LARGE_ALIGNMENT) * LARGE_ALIGNMENT - 2048
    large.write_bytes(content[:-512].ljust(footer_at, b"\0") + content[-512:])
    drive = open_chain(large)
    drive.write(4096 + 5, b"\x0a" * 512)
    drive.close()
    layer = sparse(large, read_only=True)
    assert layer.locate(0) == footer_at + 2048  # the bitmap starts where the footer was
    assert [run[:2] for run in layer.owned_runs()] == [(4096 + 5, 1)]
    layer.close()


def test_what_lies_behind_a_parents_end_is_not_seen(tmp_path: Path) -> None:
    base, grown = tmp_path / "base.vhd", tmp_path / "grown.vhd"
    create_dynamic(base, 5 * 512, block_size=4096)
    drive = open_drive(base)
    drive.write(0, b"\x0b" * 512)
    drive.close()
    layer = sparse(base)
    layer.file.write(b"\x0c" * 512, layer.locate(0) + 6 * 512)
    layer.close()
    create_differencing(grown, base, size=8 * 512)
    assert not any(open_and_read(grown, 6))


def test_a_new_head_takes_the_writes_and_hides_the_old(child: Path) -> None:
    drive = open_chain(child)
    model = contents(drive)
    exercise(drive, model, random.Random(1), 50)
    for number in range(4):
        path = child.with_name(f"next{number}.vhd")
        head = drive.head
        assert isinstance(head, SparseLayer)
        create_differencing(path, head)
        frozen = Path(head.path).read_bytes()
        drive.push(sparse(path))
        exercise(drive, model, random.Random(number), 50)
        drive.flush()
        assert Path(head.path).read_bytes() == frozen
    drive.close()
    again = open_chain(path)
    assert contents(again) == model and len(again.layers) == 6
    again.close()


def test_closing_closes_all_layers_even_when_the_flush_fails(child: Path) -> None:
    class Broken(SystemCalls):
        def fdatasync(self, fd: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    drive = open_chain(child, Host(Broken()))
    drive.write(0, bytes(512))
    with pytest.raises(OSError):
        drive.close()
    open_drive(child).close()  # not locked any more
    with pytest.raises(OSError):
        drive.read(0, bytearray(512))


def test_the_geometry_is_the_bases_at_any_depth(tmp_path: Path) -> None:
    base = tmp_path / "base.img"
    base.write_bytes(bytes(20 * MIB))
    depth0 = open_drive(base)
    geometry = depth0.geometry
    depth0.close()
    for number in range(3):
        create_differencing(tmp_path / f"{number}.vhd", base)
        base = tmp_path / f"{number}.vhd"
    drive = open_drive(base)
    assert drive.geometry == geometry
    drive.close()


def test_layers_know_their_own_sectors(child: Path) -> None:
    drive = open_chain(child)
    drive.write(4000, b"\x05" * 512 * 200)
    drive.write(9, b"\x05" * 512)
    drive.close()
    layer = sparse(child, read_only=True)
    runs = list(layer.owned_runs())
    assert [run[:2] for run in runs] == [(9, 1), (4000, 96), (4096, 104)]
    for _, count, offset in runs:
        assert layer.file.read_bytes(offset, count * 512) == b"\x05" * (count * 512)
    layer.close()


@pytest.mark.parametrize(
    ("block_size", "alignment"),
    [(4096, 4096), (512 << 10, 8192), (2 * MIB, 32768), (8 * MIB, 32768)],
)
def test_block_data_is_aligned_for_the_hosts_pages(block_size: int, alignment: int, tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    create_dynamic(path, 32 * MIB, block_size=block_size)
    fill(path, bytearray(32 * MIB), random.Random(1))
    layer = sparse(path, read_only=True)
    places = [layer.locate(lba) for lba in range(0, layer.sectors, layer.block_sectors)]
    assert any(place > 0 for place in places)
    assert all(place % alignment == 0 for place in places if place > 0)
    layer.close()


def test_zeros_take_no_space_where_nothing_is_below(tmp_path: Path) -> None:
    create_dynamic(tmp_path / "disk.vhd", 64 * MIB)
    size = (tmp_path / "disk.vhd").stat().st_size
    drive = open_drive(tmp_path / "disk.vhd")
    drive.write(0, bytes(32 * MIB))
    drive.discard(0, drive.sectors)
    drive.close()
    assert (tmp_path / "disk.vhd").stat().st_size == size


@pytest.mark.parametrize("action", ["write", "discard"])
def test_bits_of_any_number_of_writes_take_bounded_memory(
    action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse_module, "MAX_PAGES", 16)
    create_dynamic(tmp_path / "base.vhd", 4 << 20)
    create_differencing(tmp_path / "child.vhd", tmp_path / "base.vhd", block_size=4096)
    drive = open_drive(tmp_path / "child.vhd")
    assert isinstance(drive, Chain) and isinstance(drive.head, SparseLayer)
    most = 0
    for lba in range(0, drive.sectors, 64):
        if action == "write":
            drive.write(lba, b"x" * 512)
        else:
            drive.discard(lba, 1)
        most = max(most, len(drive.head._pages))
    assert most <= 17
    assert all(drive.head.owned(lba, 1) for lba in range(0, drive.sectors, 64))
    drive.close()


def test_bit_runs() -> None:
    assert bit_runs(0, 8) == []
    assert bit_runs(0xFF, 8) == [(0, 8)]
    assert bit_runs(0b10011101, 8) == [(0, 1), (3, 6), (7, 8)]


def test_a_format_that_is_named_is_kept(tmp_path: Path) -> None:
    create_fixed(tmp_path / "disk.vhd", MIB)
    drive = open_drive(tmp_path / "disk.vhd", format=Format.FIXED)
    assert isinstance(drive, FlatDrive) and drive.sectors == 2048
    drive.close()


@pytest.mark.parametrize("base", ["raw", "fixed", "dynamic"])
@pytest.mark.parametrize("more", [0, 77 * 512])
def test_runs_of_a_large_range_are_those_of_small_ones(base: str, more: int, tmp_path: Path) -> None:
    """Where no layer has a block nothing is looked at, so that a range may be terabytes."""
    size = 300 * MIB + 512
    path = tmp_path / "base"
    make_base(path, base, size, 4 * MIB)
    for number, block_size in enumerate((2 * MIB, 512 << 10, 16 * MIB)):
        if number or base != "raw":
            drive = open_drive(path)
            for lba in (0, 5000, drive.sectors // 2 + 4095, drive.sectors - 9):
                drive.write(lba + number * 8192 % 9, b"x" * 512)
            drive.close()
        create_differencing(tmp_path / f"{number}.vhd", path, size=size + more, block_size=block_size)
        path = tmp_path / f"{number}.vhd"
    drive = open_chain(path)
    whole = list(drive.runs(0, drive.sectors))
    assert sum(run.sectors for run in whole) == drive.sectors
    for lba, count in ((0, drive.sectors), (4097, drive.sectors - 5000), (drive.sectors - 1, 1)):
        small: list[Run] = []
        for at in range(lba, lba + count, 4096):
            for run in drive.runs(at, min(4096, lba + count - at)):
                last = small[-1] if small else None
                behind = 0 if last is None else last.offset + last.sectors * 512 * (last.layer != NO_LAYER)
                if last is not None and (last.layer, behind) == (run.layer, run.offset):
                    small[-1] = last._replace(sectors=last.sectors + run.sectors)
                else:
                    small.append(run)
        assert list(drive.runs(lba, count)) == small
    drive.close()


def test_the_runs_of_an_empty_terabyte_are_found_at_once(tmp_path: Path) -> None:
    create_dynamic(tmp_path / "base.vhd", 1 << 40)
    create_differencing(tmp_path / "child.vhd", tmp_path / "base.vhd")
    drive = open_chain(tmp_path / "child.vhd")
    drive.write(1 << 30, b"x" * 512)
    assert [run[:3] for run in drive.runs(0, drive.sectors)] == [
        (0, 1 << 30, NO_LAYER),
        (1 << 30, 1, 1),
        ((1 << 30) + 1, drive.sectors - (1 << 30) - 1, NO_LAYER),
    ]
    assert len(drive._map) <= 64  # of half a million units: those of one block
    drive.close()
