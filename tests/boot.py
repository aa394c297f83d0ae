"""A whole machine that boots a program of a few lines: what the tests of the board run."""

from __future__ import annotations

from typing import Any

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.machine import Machine, MachineConfig
from pcemu.testing.memory_drive import MemoryDrive
from tests.assembler import assemble

SIGNATURE = b"\x55\xaa"

# Says AL on the debug console.
SAY = "%macro say 1\nmov al, %1\nout 0xE9, al\n%endmacro\n"
IDLE = "sti\nidle: hlt\njmp idle\n"


def boot_drive(source: str, sectors: int = 2048) -> MemoryDrive:
    """A drive whose boot sector is ``source`` (NASM, at 0000:7C00, DL = 80h; ``say`` is defined)."""
    code = assemble(SAY + source)
    assert len(code) <= SECTOR_SIZE - len(SIGNATURE), f"{len(code)} bytes do not fit a boot sector"
    drive = MemoryDrive(sectors)
    drive.data[: len(code)] = code
    drive.data[SECTOR_SIZE - len(SIGNATURE) : SECTOR_SIZE] = SIGNATURE
    return drive


class Booted(Machine):
    """A machine with the program as its first disk; ``said`` is what it said on the debug console."""

    def __init__(self, source: str, **config: Any) -> None:
        self.said = bytearray()
        self.drive = boot_drive(source)
        more = config.pop("more_disks", ())
        super().__init__(MachineConfig(disks=[self.drive, *more], debug=self.said.append, **config))

    def run_until_said(self, count: int, timeout: float = 10.0) -> bytes:
        """Run until ``count`` bytes were said; returns all that were."""
        self.run_until(lambda: len(self.said) >= count, timeout)
        return bytes(self.said)
