"""Guest physical memory: RAM from address 0, with the ROM area of a PC inside its first megabyte.

========================  ==================================================================
00000000 – 0009FFFF       conventional RAM
000A0000 – 000BFFFF       the VGA window; plain RAM too, the VGA reads it (devices/vga.py)
000C0000 – 000FFFFF       adapter and system ROM: reads what :meth:`Memory.load_rom` put there
                          (all ones elsewhere), swallows writes
00100000 – size           extended RAM
size     – FFFEFFFF       nothing: reads as all ones, swallows writes
FFFF0000 – FFFFFFFF       the last 64 KiB of the system ROM again, where the processor starts
========================  ==================================================================

RAM is an anonymous host mapping, so only what the guest touched costs host memory.
"""

from __future__ import annotations

import mmap

from pcemu.errors import UsageError

PAGE_SIZE = 0x1000
MEBIBYTE = 0x100000
VGA_WINDOW = range(0xA0000, 0xC0000)
ROM_AREA = range(0xC0000, 0x100000)
TOP_ROM = range(0xFFFF0000, 0x1_0000_0000)
MIN_MIB, MAX_MIB = 2, 2048


class Memory:
    """``ram`` and ``top_rom`` are writable host buffers that the processor maps as they are."""

    def __init__(self, mebibytes: int) -> None:
        if not MIN_MIB <= mebibytes <= MAX_MIB:
            raise UsageError(f"memory of {mebibytes} MiB was asked for; give {MIN_MIB} to {MAX_MIB} MiB")
        self.size = mebibytes * MEBIBYTE
        self.ram = mmap.mmap(-1, self.size)
        self.top_rom = mmap.mmap(-1, len(TOP_ROM))
        self.ram[ROM_AREA.start : ROM_AREA.stop] = b"\xff" * len(ROM_AREA)

    def view(self, area: range) -> memoryview:
        """A writable window on RAM."""
        return memoryview(self.ram)[area.start : area.stop]

    def load_rom(self, image: bytes, name: str = "the image") -> None:
        """Put a system ROM image where it ends at 1 MiB, and its last 64 KiB where the processor starts.

        UsageError, which calls the image by its ``name``, when its size is wrong.
        """
        if len(image) % PAGE_SIZE or not len(TOP_ROM) <= len(image) <= len(ROM_AREA):
            raise UsageError(
                f"{name}: the system ROM has {len(image)} bytes; expected 64 to 256 KiB in whole 4 KiB pages"
            )
        self.ram[ROM_AREA.stop - len(image) : ROM_AREA.stop] = image
        self.top_rom[:] = image[-len(TOP_ROM) :]
