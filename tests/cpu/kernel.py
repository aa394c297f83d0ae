"""Protected-mode programs for the processor: run here, and on QEMU for a second opinion.

A program is the kernel of kernel.inc and 32-bit code behind it; what it writes to port E9h is its result.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from pcemu.bus import PortBus
from pcemu.cpu import Cpu, Stop
from pcemu.memory import Memory
from tests.assembler import assemble, assemble_with_labels
from tests.conftest import require
from tests.cpu.guest import rom

ORIGIN = 0x7E00
_SECTOR = 512
_BOOT = 0x7C00
_MEBIBYTES = 16

# Reads the program behind the boot sector, a sector at a time (63 sectors a track, 16 heads).
_LOADER = """
        cli
        xor ax, ax
        mov ss, ax
        mov sp, 0x7C00
        mov ds, ax
        mov [drive], dl
        mov ax, 0x7E0
        mov es, ax
        mov si, {sectors}
        mov di, 1
again:  mov ax, di
        xor dx, dx
        mov bx, 63
        div bx
        mov cl, dl
        inc cl
        mov dh, al
        mov ch, 0
        mov dl, [drive]
        xor bx, bx
        mov ax, 0x0201
        int 0x13
        mov ax, es
        add ax, 0x20
        mov es, ax
        inc di
        dec si
        jnz again
        jmp 0:0x7E00
drive:  db 0
        times 510 - ($ - $$) db 0
        dw 0xAA55
"""


def program(code: str) -> tuple[bytes, dict[str, int]]:
    """The kernel with ``code``, and the addresses of its labels."""
    kernel = Path(__file__).with_name("kernel.inc").read_text()
    return assemble_with_labels(f"{kernel}\n{code}\njmp finish\n", ORIGIN)


class Board:
    """A processor with memory, port E9h and the A20 gate of port 92h, about to run ``code``."""

    def __init__(self, code: str, public_state: bool = False) -> None:
        image, self.labels = program(code)
        self.memory = Memory(_MEBIBYTES)
        self.memory.load_rom(rom())
        self.ram = self.memory.ram
        self.ram[_BOOT : _BOOT + 5] = bytes.fromhex("ea007e0000")
        self.ram[ORIGIN : ORIGIN + len(image)] = image
        self.bus = PortBus()
        self.said = bytearray()
        self.bus.attach("console", range(0xE9, 0xEA), lambda r: 0xE9, lambda r, v: self.said.append(v))
        self.cpu = Cpu(self.memory, self.bus, public_state)
        self.bus.attach("port 92h", range(0x92, 0x93), lambda r: 2 * self.cpu.mmu.a20, self._set_a20)

    def _set_a20(self, register: int, value: int) -> None:
        self.cpu.mmu.a20 = bool(value & 2)

    def run(self, ticks: int = 100_000, slices: int = 50) -> str:
        """Run to HLT; what was said."""
        for _ in range(slices):
            if self.cpu.run(ticks) is Stop.HALT:
                return self.said.decode("latin-1")
        raise AssertionError(f"the program did not end; it is at {self.cpu.location} and said {self.said!r}")


@cache
def qemu_says(code: str) -> str | None:
    """What the program says on QEMU; None where it is not installed."""
    emulator = shutil.which("qemu-system-i386")
    if emulator is None:
        return None
    image = program(code)[0]
    sectors = -(-len(image) // _SECTOR)
    boot = assemble(_LOADER.format(sectors=sectors))
    with tempfile.TemporaryDirectory() as folder:
        disk, said = Path(folder, "disk.img"), Path(folder, "said")
        disk.write_bytes((boot + image.ljust(sectors * _SECTOR, b"\0")).ljust(1 << 20, b"\0"))
        subprocess.run(
            [
                emulator, "-accel", "tcg", "-cpu", "pentium2", "-m", str(_MEBIBYTES), "-display", "none",
                "-nodefaults", "-no-reboot", "-drive", f"file={disk},format=raw,if=ide",
                "-debugcon", f"file:{said}", "-device", "isa-debug-exit,iobase=0x501,iosize=2",
            ],
            timeout=120, check=False, capture_output=True,
        )  # fmt: skip
        text = said.read_text("latin-1")
    return text[text.index("\0") + 1 :] if "\0" in text else text


class Runner:
    """Runs programs one way: ``"live"`` or ``"public"`` state, or on ``"qemu"``.

    ``resume_flag``: RF as a fault's frame has it; QEMU leaves it 0.
    """

    def __init__(self, way: str) -> None:
        self.way = way
        self.resume_flag = 0 if way == "qemu" else 0x10000

    def says(self, code: str) -> list[str]:
        """The lines that the program writes, without spaces at their ends."""
        if self.way == "qemu":
            text = qemu_says(code)
            require(text is not None, "qemu-system-i386")
            assert text is not None
        else:
            text = Board(code, self.way == "public").run()
        return [line.rstrip() for line in text.splitlines()]

    def expects(self, code: str, lines: list[list[int] | str]) -> None:
        """The program writes these lines; a list stands for hexadecimal numbers."""
        expected = [line if isinstance(line, str) else " ".join(f"{n:08X}" for n in line) for line in lines]
        assert self.says(code) == expected
