"""INT 13h against an independent BIOS: one guest, run by QEMU on our disk code and on its own BIOS.

The guest (disk_probe.asm) prints what each call returned; lines must be equal, but for those whose name
begins with ``~``, which the two BIOSes may answer differently and which are checked here one by one.
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require

HERE = Path(__file__).parent
BIOS = HERE.parent.parent / "bios"
SECTOR = 512
CYLINDER = 16 * 63 * SECTOR  # of a drive that reports 16 heads and 63 sectors
DEBUG_EXIT_OK = 3  # isa-debug-exit makes (value << 1) | 1 of the 1 that the guest writes
PROGRAM_SECTORS = 13
COPIED_FROM = 100  # the guest's writes copy sectors from here on

SIZES = {
    "64 MiB": 64 << 20,
    "504 MiB": 1024 * CYLINDER,
    "600 MiB": 600 << 20,
    "2 GiB": 2 << 30,
    "8.5 GB": 8_500_000_000 // SECTOR * SECTOR,
    "140 GB": 140_000_000_000 // SECTOR * SECTOR,
}


def pattern(sector: int) -> bytes:
    """The content that the tests' disks have at a sector."""
    return random.Random(sector).randbytes(SECTOR)


def assemble(source: Path, target: Path) -> Path:
    require(shutil.which("nasm") is not None, "nasm")
    subprocess.run(
        ["nasm", "-f", "bin", "-I", f"{BIOS}/", "-o", target, source], check=True, capture_output=True
    )
    return target


def make_disk(path: Path, size: int, program: bytes = b"") -> Path:
    """A sparse disk with the probe's program, patterns at its start, end and around sector 2^28."""
    sectors = size // SECTOR
    edge = 1 << 28
    with path.open("wb") as disk:
        disk.truncate(size)
        disk.write(program)
        spans = [range(PROGRAM_SECTORS, 1000), range(sectors - 300, sectors)]
        if sectors > edge:
            spans.append(range(edge - 40, edge + 40))
        for span in spans:
            disk.seek(span.start * SECTOR)
            disk.write(b"".join(map(pattern, span)))
    return path


def run_probe(drives: list[str], rom: Path | None) -> list[str]:
    """Boot the first drive; the lines that the guest printed, the last one being ``finished``."""
    require(shutil.which("qemu-system-i386") is not None, "qemu-system-i386")
    command = ["qemu-system-i386", "-M", "isapc", "-cpu", "486", "-m", "8", "-nodefaults", "-display", "none"]
    command += ["-vga", "none", "-boot", "c", "-chardev", "stdio,id=debug"]
    command += ["-device", "isa-debugcon,iobase=0xe9,chardev=debug"]
    command += ["-device", "isa-debug-exit,iobase=0xf4"]
    for drive in drives:
        command += ["-drive", f"{drive},format=raw,if=ide,cache=unsafe"]
    if rom is not None:
        command += ["-bios", str(rom)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == DEBUG_EXIT_OK, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    assert lines[-1] == "finished"
    return lines


def same(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("~")]


def answers(lines: list[str], name: str) -> list[str]:
    """The words behind the name, of the first line with that name."""
    return next(line for line in lines if line.startswith(name + " "))[len(name) :].split()


@pytest.fixture(scope="module")
def rom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assemble(HERE / "stub_rom.asm", tmp_path_factory.mktemp("rom") / "stub.rom")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return assemble(HERE / "disk_probe.asm", tmp_path_factory.mktemp("probe") / "probe.bin").read_bytes()


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_answers_and_transfers_as_another_bios(
    size: int, rom: Path, program: bytes, tmp_path: Path
) -> None:
    ours = make_disk(tmp_path / "ours.img", size, program)
    theirs = make_disk(tmp_path / "theirs.img", size, program)
    assert same(run_probe([f"file={ours}"], rom)) == same(run_probe([f"file={theirs}"], None))
    source = b"".join(pattern(COPIED_FROM + i) for i in range(127))
    with ours.open("rb") as disk, theirs.open("rb") as other:
        for sector, count in [(2000, 127), (3500, 5), (size // SECTOR - 127, 127)]:
            disk.seek(sector * SECTOR)
            assert disk.read(count * SECTOR) == source[: count * SECTOR]
        disk.seek(0)
        assert disk.read(6000 * SECTOR) == other.read(6000 * SECTOR)


def test_finds_the_drives_of_both_channels(rom: Path, program: bytes, tmp_path: Path) -> None:
    def drives(prefix: str) -> list[str]:
        paths = [
            make_disk(tmp_path / f"{prefix}0.img", 64 << 20, program),
            make_disk(tmp_path / f"{prefix}1.img", 3 << 30),
            make_disk(tmp_path / f"{prefix}3.img", 30 << 20),
        ]
        return [f"file={path},index={index}" for path, index in zip(paths, (0, 1, 3), strict=True)]

    ours = run_probe(drives("ours"), rom)
    assert same(ours) == same(run_probe(drives("theirs"), None))
    assert answers(ours, "count") == ["03"]


@pytest.fixture(scope="module")
def lines(rom: Path, program: bytes, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Our answers for a disk one cylinder above what CHS can say without translation."""
    disk = make_disk(tmp_path_factory.mktemp("disk") / "disk.img", 1025 * CYLINDER, program)
    return run_probe([f"file={disk}"], rom)


def test_translates_from_the_first_cylinder_too_many(lines: list[str]) -> None:
    # 512 cylinders, 32 heads, 63 sectors; QEMU's BIOS rounds down and loses the last cylinder here.
    cylinders, heads, sectors = 512, 32, 63
    last = cylinders - 2
    assert answers(lines, "08")[2] == f"{(last & 0xFF) << 8 | last >> 8 << 6 | sectors:04X}"
    assert answers(lines, "08")[3] == f"{(heads - 1) << 8 | 1:04X}"


def test_parameter_tables(lines: list[str]) -> None:
    table = bytes.fromhex(answers(lines, "~FDPT")[0])
    assert int.from_bytes(table[0:2], "little") == 512
    assert table[2] == 32 and table[14] == 63
    assert table[3] == 0xA0 and table[4] == 63 and table[11] == 16
    assert int.from_bytes(table[9:11], "little") == 1025
    assert sum(table) & 0xFF == 0
    extension = bytes.fromhex(answers(lines, "~DPTE")[0])
    assert extension[:4] == bytes.fromhex("F001 F603")
    assert extension[4] == 0xE0 and extension[6] == 14
    assert extension[7] == 16  # QEMU's drive moves at most 16 sectors per block
    assert int.from_bytes(extension[10:12], "little") == 0x21C  # blocks, CHS translated, LBA, LBA-assisted
    assert sum(extension) & 0xFF == 0


@pytest.mark.parametrize(("name", "size"), [("~48 Phoenix path", 66), ("~48 T13 path", 74)])
def test_device_path(lines: list[str], name: str, size: int) -> None:
    buffer = bytes.fromhex(answers(lines, name)[0])
    assert int.from_bytes(buffer[0:2], "little") == size
    assert buffer[30:32] == bytes.fromhex("DDBE") and buffer[32] == size - 30
    assert buffer[36:48] == b"ISA ATA     "
    assert int.from_bytes(buffer[48:56], "little") == 0x1F0
    assert sum(buffer[30:size]) & 0xFF == 0
    assert buffer[size : size + 2] == b"\xcc\xcc"  # not a byte further than the buffer's size


@pytest.mark.parametrize(
    ("name", "ah", "carry"),
    [
        ("~05", "01", "01"),
        ("~41 bad signature", "01", "01"),
        ("~4B", "01", "01"),
        ("~15 absent", "00", "00"),
        ("~00 floppy", "00", "00"),
        ("~02 floppy", "80", "01"),
        ("~08 floppy", "01", "01"),
        ("~15 floppy", "00", "00"),
        ("~42 300", "00", "00"),
        ("~42 across the end", "04", "01"),
        ("~42 short packet", "01", "01"),
        ("~42 flat", "00", "00"),
        ("~42 flat, too high", "01", "01"),
    ],
)
def test_answers_that_differ_between_bioses(lines: list[str], name: str, ah: str, carry: str) -> None:
    words = answers(lines, name)
    assert (words[0][:2], words[4]) == (ah, carry)


@pytest.mark.parametrize(("name", "address", "count"), [("~42 300", 0x2000F, 300), ("~42 flat", 0x20020, 2)])
def test_reads_that_only_our_bios_can(lines: list[str], name: str, address: int, count: int) -> None:
    memory = bytearray(b"\xcc") * (4 << 16)
    start = address - 0x10000  # the guest sums up 10000h–4FFFFh
    memory[start : start + count * SECTOR] = b"".join(pattern(COPIED_FROM + i) for i in range(count))
    total = 0
    for (dword,) in struct.iter_unpack("<I", memory):
        total = ((total << 5 | total >> 27) + dword) & 0xFFFFFFFF
    assert answers(lines, f"{name} sum") == [f"{total:08X}"]


def test_reports_a_sector_that_cannot_be_read(rom: Path, program: bytes, tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.img", 64 << 20, program)
    rules = tmp_path / "blkdebug.conf"
    rules.write_text('[inject-error]\nevent = "read_aio"\nsector = "150"\n')
    lines = run_probe([f"file=blkdebug:{rules}:{disk}"], rom)
    words = answers(lines, "42 127")
    assert (words[0][:2], words[4], words[5]) == ("20", "01", "20")
    done = int(answers(lines, "42 127 count")[0], 16)
    assert done == 48  # whole blocks of 16 sectors from sector 100 on
    assert answers(lines, "02 64 KiB")[4] == "00"  # sectors 19 to 146: untouched by the error
