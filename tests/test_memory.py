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


def system_rom(kib: int) -> bytes:
    """A pattern that differs from page to page, with a jump where the processor starts."""
    image = bytearray(i * 7 + (i >> 8) & 0xFF for i in range(kib << 10))
    image[-16:-11] = bytes.fromhex("ea5be000f0")
    return bytes(image)


def option_rom(size: int = 1024) -> bytes:
    image = bytearray(range(256)) * (size // 256)
    image[:4] = 0x55, 0xAA, size // 512 & 0xFF, 0xCB
    image[-1] = -sum(image[:-1]) & 0xFF
    return bytes(image)


@pytest.mark.parametrize("kib", [64, 128, 192, 256])
@pytest.mark.parametrize("shadow", [False, True])
def test_a_rom_ends_at_4_gib_and_at_1_mib(kib: int, shadow: bool) -> None:
    image = system_rom(kib)
    memory = Memory(2)
    memory.load_rom(image, shadow=shadow)
    assert memory.top_rom[:] == image.rjust(len(TOP_ROM), b"\xff")
    low = image if shadow else image[-128 << 10 :]
    assert memory.ram[ROM_AREA.start : MEBIBYTE] == low.rjust(len(ROM_AREA), b"\xff")
    end = MEBIBYTE - min(len(image), 128 << 10) if shadow else MEBIBYTE
    assert memory.read_only == range(ROM_AREA.start, end)


@pytest.mark.parametrize("size", [0, 0x8000, 0x10001, 0x11000, 0x41000, 0x50000])
def test_a_rom_of_another_size_is_refused(size: int) -> None:
    memory = Memory(2)
    with pytest.raises(UsageError, match=rf"^x\.bin: .* has {size} bytes; expected 64, 128, 192 or 256 KiB$"):
        memory.load_rom(bytes(size), "x.bin")
    assert memory.ram[ROM_AREA.start : ROM_AREA.stop] == b"\xff" * len(ROM_AREA)


@pytest.mark.parametrize(
    "start", ["ea5be000f0", "e95bff", "ebfe", "fae95bff", "9090e95bff", "0f09e95bff", "fafcea5be000f0"]
)
def test_a_rom_may_start_with_any_jump(start: str) -> None:
    code = bytes.fromhex(start)
    image = bytearray(0x10000)
    image[-16 : -16 + len(code)] = code
    Memory(2).load_rom(bytes(image))


@pytest.mark.parametrize("start", ["00", "ff", "0f0b", "90909090909090909090909090", "b800f0"])
def test_a_rom_that_starts_with_something_else_is_refused(start: str) -> None:
    code = bytes.fromhex(start)
    image = bytearray(0x10000)
    image[-16 : -16 + len(code)] = code
    found = image[-16:-11].hex(" ")
    with pytest.raises(UsageError, match=rf"^x\.bin: .* expected a jump, found {found}$"):
        Memory(2).load_rom(bytes(image), "x.bin")


@pytest.mark.parametrize("size", [512, 0x9A00, 127 << 10])
def test_an_adapters_rom_is_at_c0000(size: int) -> None:
    memory = Memory(2)
    image = option_rom(size)
    memory.load_option_rom(image)
    assert memory.ram[ROM_AREA.start : ROM_AREA.start + size] == image
    assert memory.ram[ROM_AREA.start + size : ROM_AREA.stop] == b"\xff" * (len(ROM_AREA) - size)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (b"", "it has 0 bytes; expected up to 128 KiB in units of 512 bytes"),
        (bytes(1000), "it has 1000 bytes; expected"),
        (bytes(0x20200), "it has 131584 bytes; expected"),
        (bytes(1024), "it begins with 00 00; expected 55 aa"),
        (option_rom()[:512], "its third byte says that it has 1024 bytes; found 512"),
        (b"\x55\xaa" + bytes(510), "its third byte says that it has 0 bytes; found 512"),
        (option_rom()[:-1] + bytes(1), "its bytes add up to 0x[0-9a-f]{2}; expected 0"),
    ],
)
def test_a_file_that_is_no_adapters_rom_is_refused(image: bytes, problem: str) -> None:
    with pytest.raises(UsageError, match=rf"^x\.bin: this is no adapter ROM: {problem}"):
        Memory(2).load_option_rom(image, "x.bin")


def test_a_reset_brings_back_what_is_in_the_roms() -> None:
    memory = Memory(2)
    memory.load_rom(system_rom(64), shadow=True)
    memory.load_option_rom(option_rom())
    assert memory.read_only == range(0xC1000, 0xF0000)
    before = bytes(memory.ram[ROM_AREA.start : ROM_AREA.stop])
    memory.ram[ROM_AREA.start : ROM_AREA.stop] = bytes(len(ROM_AREA))
    memory.ram[0x1000] = 0x42
    memory.reset()
    assert memory.ram[ROM_AREA.start : ROM_AREA.stop] == before
    assert memory.ram[0x1000] == 0x42, "RAM stays"


@pytest.mark.parametrize("mebibytes", [MIN_MIB - 1, 0, -1, MAX_MIB + 1])
def test_memory_of_another_size_is_refused(mebibytes: int) -> None:
    with pytest.raises(UsageError, match=rf"memory of {mebibytes} MiB was asked for; give 2 to 2048 MiB"):
        Memory(mebibytes)
