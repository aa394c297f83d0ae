"""A processor with memory and a bus, and nothing else: what the tests of pcemu/cpu run their programs on."""

from __future__ import annotations

from pcemu.bus import PortBus
from pcemu.cpu import Cpu, Stop
from pcemu.memory import Memory
from tests.assembler import assemble_with_labels

START = 0x7C00
JUMP_TO_START = bytes.fromhex("ea007c0000")  # at FFFF0: jmp 0000:7C00
RESULTS = 0x2000


def rom() -> bytes:
    """A ROM that jumps to the program, with a pattern in its first bytes."""
    image = bytearray(b"\x90" * 0x10000)
    image[:4] = b"ROM!"
    image[0xFFF0 : 0xFFF0 + len(JUMP_TO_START)] = JUMP_TO_START
    return bytes(image)


class Guest:
    """Runs ``source`` (NASM, at 0000:7C00, stack below it) until HLT."""

    def __init__(self, source: str, mebibytes: int = 4, *, shadow: bool = False) -> None:
        self.memory = Memory(mebibytes)
        self.memory.load_rom(rom(), shadow=shadow)
        self.bus = PortBus()
        self.cpu = Cpu(self.memory, self.bus)
        self.ram = self.memory.ram
        code, self.labels = assemble_with_labels(f"mov sp, {START:#x}\n{source}\nhlt")
        self.ram[START : START + len(code)] = code

    def run(self, ticks: int = 1_000_000, slices: int = 1000) -> Guest:
        """Run to HLT, ``ticks`` at a time."""
        for _ in range(slices):
            if self.cpu.run(ticks) is Stop.HALT:
                return self
        raise AssertionError(f"the program did not halt; it is at {self.cpu.location}")

    def word(self, address: int = RESULTS) -> int:
        """A little-endian word of RAM."""
        return int.from_bytes(self.ram[address : address + 2], "little")
