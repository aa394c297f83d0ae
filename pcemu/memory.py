"""Guest physical memory: RAM from address 0, with the ROM area of a PC inside its first megabyte.

========================  ==================================================================
00000000 – 0009FFFF       conventional RAM
000A0000 – 000BFFFF       the VGA window; plain RAM too, the VGA reads it (devices/vga.py)
000C0000 – 000FFFFF       adapter and system ROM: the adapter's from C0000 on, the last 128 KiB
                          (shadow RAM: all) of the system's at the end; all ones elsewhere
00100000 – size           extended RAM
size     – FFFBFFFF       nothing: reads as all ones, swallows writes
FFFC0000 – FFFFFFFF       the whole system ROM at the end, where the processor starts
========================  ==================================================================

The ROM area below 1 MiB swallows writes. With *shadow RAM* it does so only where no ROM is: the adapter's ROM
and the last 128 KiB of the system's are copies in RAM, in which firmware that is made for it keeps variables.
Boards with a register for write protection let it lock them in the end; here they stay writable.

RAM is an anonymous host mapping, so only what the guest touched costs host memory.
"""

from __future__ import annotations

import mmap

from pcemu.errors import UsageError

PAGE_SIZE = 0x1000
MEBIBYTE = 0x100000
VGA_WINDOW = range(0xA0000, 0xC0000)
ROM_AREA = range(0xC0000, 0x100000)
LOW_ROM = range(0xE0000, 0x100000)  # as much of a system ROM as is seen below 1 MiB
TOP_ROM = range(0xFFFC0000, 0x1_0000_0000)
ROM_UNIT = 0x10000
RESET_VECTOR = -0x10  # from the end of the system ROM
MIN_MIB, MAX_MIB = 2, 2048

OPTION_ROM_SIGNATURE = b"\x55\xaa"
OPTION_ROM_UNIT = 512
OPTION_ROM_MAX = LOW_ROM.start - ROM_AREA.start

# What firmware may do before it jumps: NOP, CLI, CLD, WBINVD
_PRELUDE = (b"\x90", b"\xfa", b"\xfc", b"\x0f\x09")
_JUMPS = (0xE9, 0xEA, 0xEB)


class Memory:
    """``ram`` and ``top_rom`` are writable host buffers that the processor maps as they are.

    ``read_only``: physical addresses in RAM that swallow the guest's writes.
    """

    def __init__(self, mebibytes: int) -> None:
        if not MIN_MIB <= mebibytes <= MAX_MIB:
            raise UsageError(f"memory of {mebibytes} MiB was asked for; give {MIN_MIB} to {MAX_MIB} MiB")
        self.size = mebibytes * MEBIBYTE
        self.ram = mmap.mmap(-1, self.size)
        self.top_rom = mmap.mmap(-1, len(TOP_ROM))
        self.top_rom[:] = b"\xff" * len(TOP_ROM)
        self.read_only = ROM_AREA
        self._roms = bytearray(b"\xff" * len(ROM_AREA))
        self._option_rom = self._shadow = 0  # bytes in whole pages
        self.reset()

    def view(self, area: range) -> memoryview:
        """A writable window on RAM."""
        return memoryview(self.ram)[area.start : area.stop]

    def load_rom(self, image: bytes, name: str = "the image", *, shadow: bool = False) -> None:
        """Put a system ROM image where it ends at 4 GiB, and its last 128 KiB where they end at 1 MiB.

        ``shadow`` makes that and an adapter's ROM shadow RAM, and shows the rest of the image below it, where
        nothing else is: SeaBIOS' 256 KiB begin to run there. UsageError, which calls the image by its
        ``name``, when its size is wrong or the processor would find no program at its start.
        """
        if len(image) % ROM_UNIT or not ROM_UNIT <= len(image) <= len(TOP_ROM):
            raise UsageError(
                f"{name}: the system ROM has {len(image)} bytes; expected 64, 128, 192 or 256 KiB"
            )
        if not _jumps(image[RESET_VECTOR:]):
            found = image[RESET_VECTOR:][:5].hex(" ")
            raise UsageError(
                f"{name}: this is no system ROM: 16 bytes before its end, where the processor starts, "
                f"expected a jump, found {found}"
            )
        self.top_rom[-len(image) :] = image
        low = image if shadow else image[-len(LOW_ROM) :]
        self._roms[-len(low) :] = low
        self._shadow = min(len(image), len(LOW_ROM)) if shadow else 0
        self._protect()
        self.reset()

    def load_option_rom(self, image: bytes, name: str = "the image") -> None:
        """Put an adapter's ROM at C0000. UsageError when it is none, as firmware would find, too."""
        size = len(image)
        told = image[2] * OPTION_ROM_UNIT if size > 2 else 0
        total = sum(image[:told]) & 0xFF
        problem = ""
        if size % OPTION_ROM_UNIT or not OPTION_ROM_UNIT <= size <= OPTION_ROM_MAX:
            problem = f"it has {size} bytes; expected up to 128 KiB in units of 512 bytes"
        elif image[:2] != OPTION_ROM_SIGNATURE:
            problem = f"it begins with {image[:2].hex(' ')}; expected 55 aa"
        elif not 0 < told <= size:
            problem = f"its third byte says that it has {told} bytes; found {size}"
        elif total:
            problem = f"its bytes add up to {total:#04x}; expected 0"
        if problem:
            raise UsageError(f"{name}: this is no adapter ROM: {problem}")
        self._roms[:size] = image
        self._option_rom = -(-size // PAGE_SIZE) * PAGE_SIZE
        self._protect()
        self.reset()

    def _protect(self) -> None:
        start, stop = ROM_AREA.start, ROM_AREA.stop
        self.read_only = (
            range(start + self._option_rom, stop - self._shadow) if self._shadow else range(start, stop)
        )

    def reset(self) -> None:
        """Power-on and the reset button: the ROM area holds what is in the ROMs."""
        self.ram[ROM_AREA.start : ROM_AREA.stop] = bytes(self._roms)


def _jumps(start: bytes) -> bool:
    """Does code begin with a jump, but for instructions that get ready for one?"""
    while prelude := next((code for code in _PRELUDE if start.startswith(code)), b""):
        start = start[len(prelude) :]
    return start[:1] != b"" and start[0] in _JUMPS
