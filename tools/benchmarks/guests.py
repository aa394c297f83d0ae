"""Programs that run inside: built by NASM when they are wanted, run on pcemu, bare Unicorn and QEMU."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pcemu.drives.drive import Drive
from pcemu.machine import Machine, MachineConfig
from pcemu.testing.memory_drive import MemoryDrive
from tools.benchmarks.figures import Unavailable
from tools.benchmarks.marks import Marks

SOURCES = Path(__file__).parent / "guests"
ORIGIN, BODY, BODY_SECTORS = 0x7C00, 0x7E00, 24
SECTOR = 512
CYLINDER = 16 * 63 * SECTOR
VIRTUAL_TIMEOUT = 600.0


@cache
def assemble(name: str, **definitions: int) -> bytes:
    """The guest ``name`` as a disk: boot sector, body, zeros up to a whole cylinder."""
    if shutil.which("nasm") is None:
        raise Unavailable("nasm is missing, which builds the guest programs; install the package nasm")
    options = [f"-D{key}={value}" for key, value in definitions.items()]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, name)
        source = SOURCES / f"{name}.asm"
        subprocess.run(["nasm", *options, "-I", f"{SOURCES}/", "-o", target, source], check=True)
        program = target.read_bytes()
    if len(program) > (1 + BODY_SECTORS) * SECTOR:
        raise ValueError(f"{name}.asm makes {len(program)} bytes, more than its boot sector loads")
    return program.ljust(CYLINDER, b"\0")


def run(drive: Drive, clock: Callable[[], float] = time.thread_time) -> Marks:
    """Boot a guest on pcemu; mark 0 is when the machine is switched on."""
    marks = Marks(clock)
    with Machine(MachineConfig(disks=[drive], debug=marks.set)) as pc:
        marks.set(ord("0"))
        pc.run_until(lambda: marks.ended, VIRTUAL_TIMEOUT)
    return marks


def run_program(name: str) -> Marks:
    """Boot the guest ``name`` from a disk in memory."""
    return run(MemoryDrive(assemble(name)))
