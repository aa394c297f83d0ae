"""Guest physical memory."""

from __future__ import annotations

import pytest

from pcemu.errors import UsageError
from pcemu.memory import MAX_MIB, MEBIBYTE, MIN_MIB, ROM_AREA, TOP_ROM, VGA_WINDOW, Memory


def test_ram_begins_as_zeros_and_the_empty_rom_area_as_ones() -> None:
    memory = Memory(4)
    assert memory.size == len(memory.ram) == 4 * MEBIBYTE
    assert memory.ram[: ROM_AREA.start] == bytes(ROM_AREA.start)
    assert memory.ram[ROM_AREA.start : ROM_AREA.stop] == b"\xff" * len(ROM_AREA)
    assert memory.ram[ROM_AREA.stop :] == bytes(3 * MEBIBYTE)


def test_a_view_is_a_window_on_the_same_bytes() -> None:
    memory = Memory(2)
    view = memory.view(VGA_WINDOW)
    assert len(view) == 0x20000
    view[0] = 0x41
    memory.ram[VGA_WINDOW.start + 1] = 0x42
    assert memory.ram[VGA_WINDOW.start] == 0x41
    assert view[1] == 0x42


@pytest.mark.parametrize("kib", [64, 68, 128, 256])
def test_a_rom_ends_at_one_mebibyte_and_its_end_is_where_the_processor_starts(kib: int) -> None:
    image = bytes(i * 7 + (i >> 8) & 0xFF for i in range(kib << 10))
    memory = Memory(2)
    memory.load_rom(image)
    assert memory.ram[MEBIBYTE - len(image) : MEBIBYTE] == image
    assert memory.top_rom[:] == image[-len(TOP_ROM) :]
    assert memory.ram[ROM_AREA.start : MEBIBYTE - len(image)] == b"\xff" * (len(ROM_AREA) - len(image))


@pytest.mark.parametrize("size", [0, 0x8000, 0x10001, 0x10800, 0x41000])
def test_a_rom_of_another_size_is_refused(size: int) -> None:
    memory = Memory(2)
    with pytest.raises(UsageError, match=rf"has {size} bytes; expected 64 to 256 KiB"):
        memory.load_rom(bytes(size))
    assert memory.ram[ROM_AREA.start : ROM_AREA.stop] == b"\xff" * len(ROM_AREA)


@pytest.mark.parametrize("mebibytes", [MIN_MIB - 1, 0, -1, MAX_MIB + 1])
def test_memory_of_another_size_is_refused(mebibytes: int) -> None:
    with pytest.raises(UsageError, match=rf"memory of {mebibytes} MiB was asked for; give 2 to 2048 MiB"):
        Memory(mebibytes)
