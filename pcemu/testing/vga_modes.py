"""The VGA's standard text modes as register values, for tests that need a screen without a BIOS.

The values are those of the mode tables published for the VGA; the modes of 28, 43 and 50 lines change in
them what the font loading functions of a BIOS change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from pcemu.devices.vga import Vga


@dataclass(frozen=True)
class Registers:
    """Everything that a mode writes, the DAC excepted."""

    misc: int
    sequencer: bytes
    crtc: bytes
    graphics: bytes
    attribute: bytes

    def with_crtc(self, changes: dict[int, int]) -> Registers:
        """The same with other values in some CRT controller registers."""
        crtc = bytearray(self.crtc)
        for index, value in changes.items():
            crtc[index] = value
        return replace(self, crtc=bytes(crtc))


COLOUR_ATTRIBUTES = bytes.fromhex("00 01 02 03 04 05 14 07 38 39 3A 3B 3C 3D 3E 3F 0C 00 0F 08 00")

COLOUR_80X25 = Registers(
    misc=0x67,
    sequencer=bytes.fromhex("03 00 03 00 02"),
    crtc=bytes.fromhex("5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 1F 96 B9 A3 FF"),
    graphics=bytes.fromhex("00 00 00 00 00 10 0E 00 FF"),
    attribute=COLOUR_ATTRIBUTES,
)
COLOUR_40X25 = Registers(
    misc=0x67,
    sequencer=bytes.fromhex("03 08 03 00 02"),
    crtc=bytes.fromhex("2D 27 28 90 2B A0 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 14 1F 96 B9 A3 FF"),
    graphics=bytes.fromhex("00 00 00 00 00 10 0E 00 FF"),
    attribute=COLOUR_ATTRIBUTES,
)
COLOUR_80X25_350_LINES = Registers(
    misc=0xA3,
    sequencer=bytes.fromhex("03 01 03 00 02"),
    crtc=bytes.fromhex("5F 4F 50 82 55 81 BF 1F 00 4D 0B 0C 00 00 00 00 83 85 5D 28 1F 63 BA A3 FF"),
    graphics=bytes.fromhex("00 00 00 00 00 10 0E 00 FF"),
    attribute=COLOUR_ATTRIBUTES,
)
MONO_80X25 = Registers(
    misc=0x66,
    sequencer=bytes.fromhex("03 00 03 00 02"),
    crtc=bytes.fromhex("5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 0F 96 B9 A3 FF"),
    graphics=bytes.fromhex("00 00 00 00 00 10 0A 00 FF"),
    attribute=bytes.fromhex("00 08 08 08 08 08 08 08 10 18 18 18 18 18 18 18 0E 00 0F 08 00"),
)
COLOUR_80X28 = COLOUR_80X25.with_crtc({0x09: 0x4D, 0x0A: 0x0B, 0x0B: 0x0C, 0x12: 0x87})
COLOUR_80X43 = COLOUR_80X25_350_LINES.with_crtc({0x09: 0x47, 0x0A: 0x06, 0x0B: 0x07, 0x12: 0x57})
COLOUR_80X50 = COLOUR_80X25.with_crtc({0x09: 0x47, 0x0A: 0x06, 0x0B: 0x07})


def program(vga: Vga, registers: Registers) -> None:
    """Write the registers through the ports, as a BIOS does, and open the palette."""
    vga.write(0x3C2, registers.misc)
    base = 0x3D0 if registers.misc & 1 else 0x3B0
    for index, value in enumerate(registers.sequencer):
        write_indexed(vga, 0x3C4, index, value)
    write_indexed(vga, base + 4, 0x11, 0)  # Unprotects registers 0–7.
    for index, value in enumerate(registers.crtc):
        write_indexed(vga, base + 4, index, value)
    for index, value in enumerate(registers.graphics):
        write_indexed(vga, 0x3CE, index, value)
    vga.read(base + 10)
    for index, value in enumerate(registers.attribute):
        vga.write(0x3C0, index)
        vga.write(0x3C0, value)
    vga.write(0x3C0, 0x20)


def write_indexed(vga: Vga, port: int, index: int, value: int) -> None:
    """Write one register of a pair of index and data ports."""
    vga.write(port, index)
    vga.write(port + 1, value)


def load_palette(vga: Vga) -> None:
    """The 64 colours of the EGA, two bits a component, as a BIOS loads them for colour text."""
    vga.write(0x3C6, 0xFF)
    vga.write(0x3C8, 0)
    for index in range(64):
        for primary, secondary in ((0x04, 0x20), (0x02, 0x10), (0x01, 0x08)):
            vga.write(0x3C9, 0x2A * bool(index & primary) + 0x15 * bool(index & secondary))


def scribble(memory: memoryview, seed: int = 0) -> None:
    """Fill fonts and text with noise, so that no two dots agree by chance alone."""
    memory[:] = Random(seed).randbytes(len(memory))


def put(memory: memoryview, row: int, column: int, text: bytes, attribute: int = 0x07) -> None:
    """Write characters, in code page 437, into colour text memory of 80 columns."""
    at = 0x18000 + 2 * (row * 80 + column)
    for i, code in enumerate(text):
        memory[at + 2 * i] = code
        memory[at + 2 * i + 1] = attribute
