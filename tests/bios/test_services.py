"""The BIOS' services against an independent BIOS: one guest, on QEMU with our ROM and its own, and on pcemu.

The guests print a line for each call. Lines must be equal, but for those whose name begins with ``~``, which
BIOSes may answer differently and which are checked here one by one.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from pcemu.machine import Machine, MachineConfig
from pcemu.testing.memory_drive import MemoryDrive
from tests.conftest import require

HERE = Path(__file__).parent
ROM = HERE.parent.parent / "bios" / "pcemu-bios.rom"
DISK_SIZE = 2 << 20
MEMORY = 24  # MiB
DEBUG_EXIT_OK = 3  # isa-debug-exit makes (value << 1) | 1 of the 1 that the guest writes


class Run(NamedTuple):
    """What a guest printed at port E9h, on COM1 and on LPT1."""

    lines: list[str]
    serial: bytes
    printed: bytes

    def answer(self, name: str) -> str:
        """The words behind the name, of the only line with that name."""
        (line,) = (line for line in self.lines if line.startswith(name + ":"))
        return line[len(name) + 2 :]

    @property
    def comparable(self) -> list[str]:
        return [line for line in self.lines if not line.startswith("~")]


def assemble(name: str, folder: Path, *options: str) -> bytes:
    """The guest's program, to be a boot disk."""
    require(shutil.which("nasm") is not None, "nasm")
    target = folder / Path(name).with_suffix(".bin")
    command = ["nasm", "-f", "bin", "-I", f"{HERE}/", *options, "-o", str(target), str(HERE / name)]
    subprocess.run(command, check=True, capture_output=True)
    return target.read_bytes()


def run_guest(image: bytes, folder: Path, rom: Path | None) -> Run:
    """Boot the image on QEMU with ``rom``, or with QEMU's own BIOS."""
    require(shutil.which("qemu-system-i386") is not None, "qemu-system-i386")
    folder.mkdir()
    disk, serial, parallel = (folder / name for name in ("disk.img", "serial", "parallel"))
    disk.write_bytes(image.ljust(DISK_SIZE, b"\0"))
    command = ["qemu-system-i386", "-M", "isapc", "-cpu", "486", "-m", str(MEMORY), "-nodefaults"]
    command += ["-display", "none", "-vga", "std", "-drive", f"file={disk},format=raw,if=ide,cache=unsafe"]
    command += ["-serial", f"file:{serial}", "-parallel", f"file:{parallel}"]
    command += ["-chardev", "stdio,id=debug", "-device", "isa-debugcon,iobase=0xe9,chardev=debug"]
    command += ["-device", "isa-debug-exit,iobase=0xf4"]
    if rom is not None:
        command += ["-bios", str(rom)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == DEBUG_EXIT_OK, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    assert lines.pop() == "finished"
    return Run(lines, serial.read_bytes(), parallel.read_bytes())


def run_pcemu(image: bytes) -> Run:
    """Boot the image on our own machine, which has no printer port."""
    printed, serial = bytearray(), bytearray()
    disk = MemoryDrive(image.ljust(DISK_SIZE, b"\0"))
    config = MachineConfig(disks=[disk], memory=MEMORY, debug=printed.append, serial=serial.append)
    with Machine(config) as pc:
        pc.run_until(lambda: printed.endswith(b"finished\n"))
    return Run(printed.decode("ascii").splitlines()[:-1], bytes(serial), b"")


def run_both(ours: bytes, theirs: bytes, folder: Path) -> tuple[Run, Run]:
    """In QEMU, the images on our BIOS and on QEMU's."""
    with ThreadPoolExecutor() as pool:
        first = pool.submit(run_guest, ours, folder / "ours", ROM)
        second = pool.submit(run_guest, theirs, folder / "theirs", None)
        return first.result(), second.result()


# ---------------------------------------------------------------------------------------------------------
# INT 11h, 12h, 14h, 15h, 17h, 1Ah
# ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return assemble("system_probe.asm", tmp_path_factory.mktemp("program"), "-DOURS")


@pytest.fixture(scope="module")
def system(program: bytes, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    folder = tmp_path_factory.mktemp("system")
    return run_both(program, assemble("system_probe.asm", folder), folder)


@pytest.fixture(scope="module")
def own(program: bytes) -> Run:
    return run_pcemu(program)


def without_ax(line: str) -> str:
    """The line without AX, for those functions of INT 1Ah that leave it undefined."""
    name, _, rest = line.partition(": ")
    return f"{name}: {rest[5:]}" if name in ("01", "02", "04") else line


def test_answers_as_another_bios(system: tuple[Run, Run]) -> None:
    ours, theirs = system
    assert [without_ax(line) for line in ours.comparable] == [without_ax(line) for line in theirs.comparable]


def test_bytes_arrive_at_the_ports(system: tuple[Run, Run]) -> None:
    assert system[0].serial == system[0].printed == b"Hello\r\n"


OWN_ANSWERS = {
    # name: AX BX CX DX flags (01 carry, 40 zero)
    "~E820 without SMAP": "8620 0000 0014 0000 41",
    "~E820 with little room": "8620 0000 0013 4150 41",
    "~E820 behind the end": "8620 004D 0014 4150 41",
    "~C0": "0000 E6F5 0000 0000 40",
    "~table": "08 00 FC 01 00 74 40 00 00 00 F000",
    "~87 too much": "0200 0000 8001 0000 41",
    "~53": "8600 0000 0000 0000 41",
    "~C2": "8600 0100 0000 0000 41",
    "~80": "0000 0000 0000 0000 40",
    "~85": "0000 0000 0000 0000 40",
    "~90": "0000 0000 0000 0000 40",
    "~91": "0000 0000 0000 0000 40",
    "~83 busy": "8300 0000 0000 0001 41",
    "~86 busy": "8300 0000 0000 0001 41",
    "~86 inside INT 08h": "01",
    "~03": "0300 0000 2359 5900 40",
    "~05": "0500 0000 1999 1231 40",
    "~06": "0600 0000 0000 0000 40",
    "~06 busy": "0600 0000 0000 0200 41",
    "~04 behind midnight": "0400 0000 2000 0101 40",
    "~07": "0700 0000 0000 0000 40",
    "~06 afterwards": "0600 0000 1200 0000 40",
    "~07 again": "0700 0000 0000 0000 40",
    "~B101": "B101 0000 0000 0000 41",
    "~1402 nothing there": "E000 0000 0000 0000 40",
    "~1404": "60B0 0002 0308 0000 40",
    "~divisor": "03 0006",  # 115 200 / 19 200
    "~1405 set": "60B0 0003 0000 0000 40",
    "~1405": "60B0 0003 0000 0000 40",
    "~1403 absent": "8000 0000 0000 0003 40",
    "~1702 absent": "0100 0000 0000 0002 40",
}


@pytest.mark.parametrize("name", OWN_ANSWERS)
def test_own_answer(system: tuple[Run, Run], own: Run, name: str) -> None:
    assert system[0].answer(name) == own.answer(name) == OWN_ANSWERS[name]


def test_every_own_answer_is_checked(own: Run) -> None:
    names = [line.partition(":")[0] for line in own.lines if line.startswith("~")]
    ticks = "~ticks in 330 ms"
    assert sorted(names) == sorted([*OWN_ANSWERS, "~E820", "~02 behind midnight", ticks, ticks])


PRINTER = {"equipment", "1701", "1702"}  # lines that tell of QEMU's printer port


def test_same_on_our_machine(system: tuple[Run, Run], own: Run) -> None:
    for line, other in zip(own.comparable, system[0].comparable, strict=True):
        assert line == other or line.partition(":")[0] in PRINTER
    assert own.answer("1702") == "0100 0000 0000 0000 40"
    assert own.serial == b"Hello\r\n"


def test_waits_last_as_long_as_asked(own: Run) -> None:
    """330 ms are 6.008 ticks, and the waits began behind a tick. (QEMU's time is the host's.)"""
    waits = [line for line in own.lines if line.startswith("~ticks")]
    assert waits == ["~ticks in 330 ms: 0006"] * 2


def test_memory_map(own: Run) -> None:
    words = [int(word, 16) for word in own.answer("~E820").split()]
    entries = [words[i : i + 7] for i in range(0, len(words), 7)]
    assert all(entry[:2] == [0x534D4150, 20] for entry in entries)
    assert all(entry[3] == entry[5] == 0 for entry in entries)  # upper halves of start and size
    ranges = [(entry[2], entry[4], entry[6]) for entry in entries]
    assert ranges == [
        (0x0, 0x9FC00, 1),
        (0x9FC00, 0x400, 2),  # the extended BIOS data area
        (0xF0000, 0x10000, 2),  # the ROM
        (0x100000, 23 << 20, 1),
    ]


def test_time_goes_over_midnight(own: Run) -> None:
    ax, bx, cx, _, flags = own.answer("~02 behind midnight").split()
    assert (ax, bx, cx, flags) == ("0200", "0000", "0000", "40")
    assert own.answer("alarms") == "01"  # set for midnight


# ---------------------------------------------------------------------------------------------------------
# INT 09h and INT 16h
# ---------------------------------------------------------------------------------------------------------

E0 = 0xE0
OLD, ENHANCED = 0, 1
SHIFTS = {"plain": [], "shift": [0x2A], "ctrl": [0x1D], "alt": [0x38]}
SPECIAL = {0x1D, 0x2A, 0x36, 0x38, 0x3A, 0x45, 0x46, 0x54, 0x55}  # shift keys, locks, SysReq, nothing
INTERCEPTED = {0x3D, 0x3E}  # F3 and F4, by the guest's INT 15h AH=4Fh
GREY = [0x1C, 0x35, 0x47, 0x48, 0x49, 0x4B, 0x4D, 0x4F, 0x50, 0x51, 0x52, 0x53]
KEYPAD_DIGITS = {0x47: 7, 0x48: 8, 0x49: 9, 0x4B: 4, 0x4C: 5, 0x4D: 6, 0x4F: 1, 0x50: 2, 0x51: 3}
INSERT = 0x52
Combination = tuple[str, tuple[int, ...]]
"""Shift keys, and a key's scan code with its prefix."""

MAIN = [(code,) for code in range(1, 0x59) if code not in SPECIAL | INTERCEPTED]
COMBINATIONS: list[Combination] = [
    (shift, key)
    for shift in SHIFTS
    for key in [*MAIN, *((E0, code) for code in GREY)]
]

# IBM's table of INT 16h: what AH=10h knows and AH=00h does not.
ENHANCED_ONLY: set[Combination] = {
    *((shift, (code,)) for shift in SHIFTS for code in (0x57, 0x58)),
    ("plain", (0x4C,)),
    *(("ctrl", (code,)) for code in (0x0F, 0x37, 0x48, 0x4A, 0x4C, 0x4E, 0x50, 0x52, 0x53)),
    *(("ctrl", (E0, code)) for code in (0x35, 0x48, 0x50, 0x52, 0x53)),
    *(("alt", (code,)) for code in (0x01, 0x0E, 0x0F, 0x1A, 0x1B, 0x1C, 0x27, 0x28, 0x29, 0x2B)),
    *(("alt", (code,)) for code in (0x33, 0x34, 0x35, 0x37, 0x4A, 0x4E)),
    *(("alt", (E0, code)) for code in GREY),
}


def released(key: Iterable[int]) -> list[int]:
    return [code if code == E0 else code | 0x80 for code in key]


def record(kind: int, codes: list[int]) -> bytes:
    return bytes([kind, len(codes), *codes])


def play(records: list[bytes], folder: Path) -> tuple[list[list[str]], list[list[str]]]:
    """For each record the words that our BIOS and QEMU's gave."""
    program = assemble("keyboard_probe.asm", folder)
    image = program + b"".join(records) + b"\xff"
    ours, theirs = run_both(image, image, folder)
    assert len(ours.lines) == len(theirs.lines) == len(records)
    return [line.split() for line in ours.lines], [line.split() for line in theirs.lines]


def test_key_codes_as_another_bios(tmp_path: Path) -> None:
    records = [
        record(kind, [*SHIFTS[shift], *key, *released(key), *released(SHIFTS[shift])])
        for kind in (ENHANCED, OLD)
        for shift, key in COMBINATIONS
    ]
    ours, theirs = play(records, tmp_path)
    for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        old = index >= len(COMBINATIONS)
        shift, key = COMBINATIONS[index % len(COMBINATIONS)]
        expected = other[:-2]
        if shift == "alt" and key[0] in KEYPAD_DIGITS:
            expected = [f"{KEYPAD_DIGITS[key[0]]:04X}"]  # Alt + digit types a character
        elif old and (shift, key) in ENHANCED_ONLY:
            expected = []
        assert mine[:-2] == expected, (shift, key, old)


def test_shift_states_and_locks(tmp_path: Path) -> None:
    letter, digit = [0x1E, 0x9E], [0x48, 0xC8]
    stories: list[tuple[list[int], str]] = [
        # scan codes; keys, flags (AH=12h: AH AL), Alt + digits so far, events
        ([0x2A], "0002 00"),
        ([0x36], "0003 00"),
        ([0xAA], "0001 00"),
        ([0xB6], "0000 00"),
        ([0x1D], "0104 00"),
        ([E0, 0x1D], "0504 00"),
        ([0x9D], "0404 00"),
        ([E0, 0x9D], "0000 00"),
        ([0x38], "0208 00"),
        ([E0, 0x38], "0A08 00"),
        ([0xB8], "0808 00"),
        ([E0, 0xB8], "0000 00"),
        ([E0, 0x2A, E0, 0x36], "0000 00"),  # shift codes around grey keys are no shift
        ([0x3A, 0x3A], "4040 00"),  # repeats do not toggle
        ([0xBA, *letter], "1E41 0040 00"),
        ([0x2A, *letter, 0xAA], "1E61 0040 00"),
        ([0x02, 0x82], "0231 0040 00"),  # Caps Lock is for letters
        ([0x3A, 0xBA], "0000 00"),
        ([0x45], "2020 00"),
        ([0xC5, *digit], "4838 0020 00"),
        ([0x2A, *digit, 0xAA], "4800 0020 00"),
        ([E0, *digit[:1], E0, *digit[1:]], "48E0 0020 00"),
        ([0x45, 0xC5], "0000 00"),
        ([0x46], "1010 00"),
        ([0xC6, 0x46, 0xC6], "0000 00"),
        ([INSERT], "5200 0080 00"),
        ([INSERT, INSERT | 0x80], "5200 0080 00"),
        ([E0, INSERT, E0, INSERT | 0x80], "52E0 0000 00"),
        ([0x2A, INSERT, INSERT | 0x80, 0xAA], "5230 0000 00"),
        ([0x38, 0x50, 0xD0, 0x4B, 0xCB], "0208 18"),  # Alt + 2 4: 18h so far
        ([0x48, 0xC8, 0xB8], "00F8 0000 00"),
        ([0x38, 0x50, 0x1E, 0x9E, 0xB8], "1E00 0000 00"),  # another key spoils the number
        ([0x1D, E0, 0x46, E0, 0xC6, 0x9D], "0000 0000 00 B"),
        ([E0, 0x37, E0, 0xB7], "0000 00 S"),
        ([0x1D, E0, 0x37, E0, 0xB7, 0x9D], "7200 0000 00"),
        ([0x38, 0x54, 0x54], "8208 00 +"),
        ([0xD4, 0xB8], "0000 00 -"),
        ([0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5], "0000 00 P"),
        ([0x9E, *letter], "1E61 0000 00"),
        ([0x1D, 0x45, 0xC5, 0x9D], "0000 00 P"),
        ([0x9E, 0x3D, 0xBD], "3C00 0000 00"),  # INT 15h AH=4Fh turns F3 into F2
        ([0x3E, 0xBE], "0000 00"),  # and takes F4 away
        ([0x00, 0xFF, 0x60, E0, 0x5B], "0000 00"),  # overrun and keys without a code
    ]
    program = assemble("keyboard_probe.asm", tmp_path)
    script = b"".join(record(ENHANCED, codes) for codes, _ in stories) + b"\xff"
    for run in (run_guest(program + script, tmp_path / "ours", ROM), run_pcemu(program + script)):
        assert [line.split() for line in run.lines] == [expected.split() for _, expected in stories]


def test_full_buffer_keeps_the_first_15_keys(tmp_path: Path) -> None:
    program = assemble("keyboard_probe.asm", tmp_path)
    script = record(ENHANCED, list(range(0x10, 0x1A)) + list(range(0x1E, 0x26))) + b"\xff"
    run = run_pcemu(program + script)
    keys = "1071 1177 1265 1372 1474 1579 1675 1769 186F 1970 1E61 1F73 2064 2166 2267"
    assert run.lines[0].startswith(f" {keys}  ")
