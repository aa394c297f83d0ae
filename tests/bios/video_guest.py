"""Runs lists of INT 10h calls on a BIOS: in QEMU with a ROM or with its own BIOS, and in pcemu.

A :class:`Scenario` collects operations for the guest program (video_probe.asm); :func:`run_scenarios` carries
them out and keeps what each operation found.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pcemu.machine import Machine, MachineConfig
from pcemu.testing.memory_drive import MemoryDrive
from tests.conftest import require

HERE = Path(__file__).parent
ROM = HERE.parent.parent / "bios" / "pcemu-bios.rom"
DEBUG_EXIT_OK = 3  # isa-debug-exit makes (value << 1) | 1 of the 1 that the guest writes
SECTOR = 512
DISK_SIZE = 2 << 20
PROGRAM_SECTORS = 60
REGISTERS = ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp")
BDA_LOW, BDA_HIGH = 0x49, 0x84
BDA_LOW_SIZE, BDA_HIGH_SIZE = 30, 7
CALL_SIZE = 4 * len(REGISTERS) + 2 * 2 + BDA_LOW_SIZE + BDA_HIGH_SIZE
OP_CALL, OP_DUMP, OP_INDEX, OP_IN, OP_OUT, OP_POKE, OP_WAIT = range(1, 8)
BUFFER = 0x1000  # segment that calls may write to and pokes fill
TEXT, MONO_TEXT = 0xB800, 0xB000
CRTC, SEQUENCER, GRAPHICS, MISC_OUTPUT = 0x3D4, 0x3C4, 0x3CE, 0x3CC


class Call(NamedTuple):
    """What the guest saw after an INT 10h."""

    registers: dict[str, int]
    ds: int
    es: int
    bda: dict[int, int]

    def __getattr__(self, name: str) -> int:
        """16-bit and 8-bit parts of the registers: ax, ah, al …"""
        if name[1:] in ("x", "i", "p"):
            return self.registers["e" + name] & 0xFFFF
        if name[1:] in ("h", "l"):
            return self.registers[f"e{name[0]}x"] >> (8 if name[1] == "h" else 0) & 0xFF
        raise AttributeError(name)

    def word(self, address: int) -> int:
        return self.bda[address] | self.bda[address + 1] << 8


Found = Call | bytes


class Scenario:
    """Collects operations; afterwards ``found`` has, for each run, what those found that answer."""

    def __init__(self, build: Callable[[Scenario], None]) -> None:
        self.name = build.__name__
        self.code = bytearray()
        self.answers: list[tuple[str, int]] = []  # what, bytes sent
        self.found: dict[str, list[Found]] = {}
        build(self)

    def call(
        self, ax: int, bx: int = 0, cx: int = 0, dx: int = 0, *, bp: int = 0, di: int = 0, es: int = BUFFER
    ) -> None:
        """INT 10h with these registers: answers a Call."""
        self.code += struct.pack("<B7H", OP_CALL, ax, bx, cx, dx, bp, di, es)
        self.answers.append((f"INT 10h AX={ax:04X} BX={bx:04X} CX={cx:04X} DX={dx:04X}", CALL_SIZE))

    def dump(self, segment: int, offset: int, length: int) -> None:
        """Answers the bytes of some memory."""
        self.code += struct.pack("<B3H", OP_DUMP, segment, offset, length)
        self.answers.append((f"memory {segment:04X}:{offset:04X}", length))

    def screen(self, length: int = 4000) -> None:
        """Answers text memory."""
        self.dump(TEXT, 0, length)

    def index(self, port: int, first: int, count: int = 1) -> None:
        """Answers registers behind an index port."""
        self.code += struct.pack("<B3H", OP_INDEX, port, first, count)
        self.answers.append((f"registers {port:03X}.{first:02X}", count))

    def port(self, port: int) -> None:
        """Answers one byte from a port."""
        self.code += struct.pack("<BH", OP_IN, port)
        self.answers.append((f"port {port:03X}", 1))

    def out(self, port: int, value: int) -> None:
        self.code += struct.pack("<B2H", OP_OUT, port, value)

    def poke(self, segment: int, offset: int, data: bytes) -> None:
        self.code += struct.pack("<B3H", OP_POKE, segment, offset, len(data)) + data

    def wait(self, ticks: int) -> None:
        self.code += struct.pack("<BH", OP_WAIT, ticks)

    def teletype(self, text: bytes) -> None:
        """AH=0Eh for each character: answers as many Calls."""
        for char in text:
            self.call(0x0E00 | char, 0x0007)

    def read_plane_2(self, offset: int, length: int) -> None:
        """Answers the bytes of plane 2, where fonts are."""
        opened = ((0x3C4, 0x0402), (0x3C4, 0x0604), (0x3CE, 0x0204), (0x3CE, 0x0005), (0x3CE, 0x0406))
        closed = ((0x3C4, 0x0302), (0x3C4, 0x0204), (0x3CE, 0x0004), (0x3CE, 0x1005), (0x3CE, 0x0E06))
        for port, value in opened:
            self.out(port, value)
        self.dump(0xA000, offset, length)
        for port, value in closed:
            self.out(port, value)

    def size(self) -> int:
        """Bytes that all answers take."""
        return sum(size for _, size in self.answers)

    def take(self, run: str, sent: memoryview) -> memoryview:
        """Cut this scenario's answers off the front of what the guest sent."""
        found: list[Found] = []
        for what, size in self.answers:
            part, sent = bytes(sent[:size]), sent[size:]
            found.append(decode_call(part) if what.startswith("INT") else part)
        self.found[run] = found
        return sent


def decode_call(part: bytes) -> Call:
    *registers, ds, es = struct.unpack_from("<7I2H", part)
    low = dict(enumerate(part[32 : 32 + BDA_LOW_SIZE], BDA_LOW))
    high = dict(enumerate(part[32 + BDA_LOW_SIZE :], BDA_HIGH))
    return Call(dict(zip(REGISTERS, registers, strict=True)), ds, es, low | high)


Run = Callable[[Path, int], bytes]
"""Boots a disk; the number of bytes that its guest is going to send; what it sent to port E9h."""


def run_scenarios(scenarios: Iterable[Scenario], runs: dict[str, Run], folder: Path) -> None:
    """Carry out all scenarios in each run, several in one boot."""
    require(shutil.which("nasm") is not None, "nasm")
    probe = folder / "probe.bin"
    subprocess.run(["nasm", "-f", "bin", "-o", probe, HERE / "video_probe.asm"], check=True)
    disk = folder / "disk.img"
    for batch in batches(scenarios):
        program = probe.read_bytes() + b"".join(s.code for s in batch) + b"\0"
        disk.write_bytes(program.ljust(DISK_SIZE, b"\0"))
        expected = sum(s.size() for s in batch)
        for name, run in runs.items():
            sent = memoryview(run(disk, expected))
            assert len(sent) == expected, f"{name} sent {len(sent)} bytes, expected {expected}"
            for s in batch:
                sent = s.take(name, sent)


def batches(scenarios: Iterable[Scenario]) -> Iterator[list[Scenario]]:
    """Groups of scenarios that fit into one guest program."""
    batch: list[Scenario] = []
    for s in scenarios:
        if sum(len(other.code) for other in [*batch, s]) >= PROGRAM_SECTORS * SECTOR:
            yield batch
            batch = []
        batch.append(s)
    yield batch


def qemu(disk: Path, rom: Path | None) -> bytes:
    """QEMU with a ROM, or with its own BIOS."""
    require(shutil.which("qemu-system-i386") is not None, "qemu-system-i386")
    output = disk.with_name("sent.bin")
    command = ["qemu-system-i386", "-M", "isapc", "-m", "8", "-nodefaults", "-display", "none", "-vga", "std"]
    command += ["-boot", "c", "-drive", f"file={disk},format=raw,if=ide,snapshot=on"]
    command += ["-chardev", f"file,id=debug,path={output}"]
    command += ["-device", "isa-debugcon,iobase=0xe9,chardev=debug", "-device", "isa-debug-exit,iobase=0xf4"]
    if rom is not None:
        command += ["-bios", str(rom)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == DEBUG_EXIT_OK, run.stdout + run.stderr
    return output.read_bytes()


def run_qemu_with_our_rom(disk: Path, expected: int) -> bytes:
    return qemu(disk, ROM)


def run_qemu_with_its_bios(disk: Path, expected: int) -> bytes:
    return qemu(disk, None)


def run_pcemu(disk: Path, expected: int) -> bytes:
    """Our own machine, which has no other way to tell that the guest has ended than the count of bytes."""
    sent = bytearray()
    with Machine(MachineConfig(disks=[MemoryDrive(disk.read_bytes())], debug=sent.append)) as pc:
        pc.run_until(lambda: len(sent) >= expected)
    return bytes(sent)


OUR_RUNS: dict[str, Run] = {"our ROM in QEMU": run_qemu_with_our_rom, "our ROM in pcemu": run_pcemu}
