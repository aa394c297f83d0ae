"""Damaged and hostile images: refused with an error of the ImageError family, or read within their bounds.

A driver with a seed damages images where it hurts (fields with their checksums made right again, table
entries, bits, locators, lengths, stray bytes), opens them, and reads. Nothing else may happen: no other
error, no read outside the file, no other file opened, no write, no hang, no memory beyond a bound. What opens
is read by the independent reader too, now and then, and must be the same.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest

from pcemu.drives.create import create_differencing
from pcemu.drives.facts import facts_about
from pcemu.drives.hostfile import Host, SystemCalls
from pcemu.drives.open import open_drive
from pcemu.drives.orphans import orphans_in
from pcemu.drives.probe import probe
from pcemu.drives.tree import tree_of
from pcemu.errors import ImageError
from tests.drives.independent_vhd import (
    SECTOR,
    Broken,
    ImageChain,
    checksum,
    files_in,
    make_fixed,
    make_sparse,
)
from tests.drives.proof import scaled

SHARDS = 20  # for pytest-xdist to spread
CASES = scaled(150, 10_000)  # in each
SECTORS = 64
TOO_LONG = 60  # seconds for one image
MEMORY = 256 << 20  # bytes that one image may take
COMPARE_EVERY = 16
LOOK_EVERY = 32
LINKED = "/etc/group"  # no image says so, but a link in the folder: who looks around there follows it

INTERESTING = (
    *range(9), 255, 256, 511, 512, 513, 1024, 1536, 2048, 4096, 0x7FFFFFFF, 0x80000000, 0xFF000000,
    0xFFFFFFFE, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 512, (1 << 64) - 1,
)  # fmt: skip
# (offset, size) of what a footer and a header hold, the checksums left out.
FOOTER_FIELDS = (
    (0, 8), (8, 4), (12, 4), (16, 8), (24, 4), (36, 4), (40, 8), (48, 8), (56, 2), (58, 1), (59, 1), (60, 4),
    (68, 8), (84, 1),
)  # fmt: skip
LOCATOR_FIELDS = ((0, 4), (4, 4), (8, 4), (16, 8))
HEADER_FIELDS = (
    *((0, 8), (8, 8), (16, 8), (24, 4), (28, 4), (32, 4), (40, 8), (56, 4), (64, 8)),
    *((576 + 24 * number + place, size) for number in range(4) for place, size in LOCATOR_FIELDS),
)
PATHS = (
    "..\\secret", "..\\..\\..\\etc\\passwd", "/etc/passwd", "C:\\Windows\\win.ini",
    "\\\\server\\share\\p.vhd", "//server/share", "/dev/zero", "/dev/stdin", "/proc/self/mem",
    "pipe", ".\\pipe", "folder", "link", ".\\link", ".", "..", "", "\0", "a\0b", "child",
    ".\\child", "base", ".\\base", "\ud800", "x" * 200, "./" * 120, "file:///etc/passwd",
    "file://server/p", "%00", "CON", "parent:stream",
)  # fmt: skip


class GuardedCalls(SystemCalls):
    """System calls that only read, only the folder's regular files, only inside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder) + os.sep
        self.images: set[str] = set()

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        """Open what is in the folder."""
        if path not in self.images:
            assert os.path.realpath(path).startswith(self.folder), f"opened {path}"
        assert not flags & (os.O_CREAT | os.O_TRUNC), f"made {path}"
        return super().open(path, flags, mode)

    def preadv(self, fd: int, buffers: Any, offset: int) -> int:
        """Read what is inside the file."""
        wanted = sum(map(len, buffers))
        assert offset >= 0 and offset + wanted <= os.fstat(fd).st_size, f"read {wanted} bytes at {offset}"
        return os.preadv(fd, buffers, offset)

    def _written(self, *arguments: object) -> NoReturn:
        raise AssertionError(f"changed a file: {arguments}")

    pwritev = ftruncate = punch_hole = reserve = rename = link = unlink = copy_file_range = _written  # type: ignore[assignment]


class Fuzzer:
    """Damages one image of a folder after the other, and mends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rng = random.Random()
        self.good = make_images(folder)
        calls = GuardedCalls(folder)
        calls.images = {str(folder / name) for name in self.good}
        self.host = Host(calls)
        looking = GuardedCalls(folder)
        looking.images = {*calls.images, LINKED}
        self.looking = Host(looking)
        self.files = {name: os.open(folder / name, os.O_RDWR) for name in self.good}
        self.outcomes: Counter[str] = Counter()

    def close(self) -> None:
        """Let go of the images."""
        for fd in self.files.values():
            os.close(fd)

    def fill(self, name: str, data: bytes | bytearray) -> None:
        """Make an image hold ``data``."""
        os.ftruncate(self.files[name], len(data))
        os.pwrite(self.files[name], data, 0)

    def damaged(self) -> tuple[str, bytearray]:
        """An image with one to four things wrong."""
        rng = self.rng
        name = rng.choice(("child", "child", "rawchild", "parent", "fixed", "dynamic"))
        data = bytearray(self.good[name])
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            rng.choice(DAMAGES)(data, rng)
        return name, data

    def one(self, number: int) -> None:
        """One case."""
        name, data = self.damaged()
        self.fill(name, data)
        read_only = self.rng.random() < 0.5
        head = self.folder / ("child" if name == "parent" else name)
        try:
            if number % 8 == 0:
                probe(self.folder / name, host=self.host)
            drive = open_drive(head, read_only=read_only, host=self.host)
        except ImageError as error:
            self.outcomes[type(error).__name__] += 1
            assert str(self.folder) in str(error), f"names no file: {error}"
        else:
            self.outcomes["opened"] += 1
            try:
                self.read(drive)
                if number % COMPARE_EVERY == 0:
                    self.compare(drive, head.name)
            finally:
                drive.close()
        if number % LOOK_EVERY == 1:
            self.look(head)
        self.fill(name, self.good[name])

    def look(self, image: Path) -> None:
        """What only tells of images, and of all others in the folder."""
        self.outcomes["looked at"] += 1
        orphans_in(self.folder, host=self.looking)
        with contextlib.suppress(ImageError):
            facts_about(image, host=self.looking)
            tree_of(image, host=self.looking)

    def read(self, drive: Any) -> None:
        """The drive's start, end and middle."""
        sectors = drive.sectors
        buffer = bytearray(SECTOR)
        for lba in (0, sectors - 1, self.rng.randrange(sectors)):
            drive.read(lba, buffer)
        assert drive.geometry.cylinders > 0

    def compare(self, drive: Any, head: str) -> None:
        """Bounds; and the whole drive against the independent reader, when that takes it."""
        sectors = drive.sectors
        for lba, count in ((-1, 1), (sectors, 1), (sectors - 1, 2)):
            with pytest.raises(ValueError):
                drive.read(lba, bytearray(count * SECTOR))
        if sectors > 4 * SECTORS:
            return
        try:
            expected = ImageChain(files_in(self.folder), head, ("base",)).content()
        except (Broken, UnicodeDecodeError):
            return
        whole = bytearray(sectors * SECTOR)
        drive.read(0, whole)
        self.outcomes["compared"] += 1
        assert whole == expected


def make_images(folder: Path) -> dict[str, bytes]:
    """Sound images of all kinds, and traps beside them."""
    rng = random.Random(0)
    data = {lba: rng.randbytes(SECTOR) for lba in range(0, SECTORS, 3)}
    size = SECTORS * SECTOR
    ids = [bytes((n,)) * 16 for n in range(4)]
    (folder / "dynamic").write_bytes(make_sparse(size, ids[0], data))
    (folder / "fixed").write_bytes(make_fixed(size, ids[1], data))
    (folder / "base").write_bytes(rng.randbytes(size))
    parent = make_sparse(size, ids[2], {5: data[3], 40: data[6]}, parent_id=ids[0], parent_name="dynamic")
    (folder / "parent").write_bytes(parent)
    create_differencing(folder / "child", folder / "parent")
    create_differencing(folder / "rawchild", folder / "base", block_size=4096)
    for name in ("child", "rawchild"):
        drive = open_drive(folder / name)
        drive.write(9, data[0] * 3)
        drive.write(50, data[3])
        drive.close()
    names = ("dynamic", "fixed", "parent", "child", "rawchild")
    good = {name: (folder / name).read_bytes() for name in names}
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to(LINKED)
    return good


def footers(data: bytearray) -> list[int]:
    """Where the footers are, or should be."""
    return [0, len(data) - SECTOR]


def mend(data: bytearray, start: int, size: int, place: int) -> None:
    """Make a checksum right."""
    data[start + place : start + place + 4] = checksum(bytes(data[start : start + size]), place)


def put(data: bytearray, at: int, size: int, rng: random.Random) -> None:
    """Something telling into a field."""
    kind = rng.random()
    old = int.from_bytes(data[at : at + size], "big")
    if kind < 0.5:
        value = rng.choice(INTERESTING)
    elif kind < 0.8:
        value = old + rng.choice((-4096, -512, -1, 1, 8, 512, 4096))
    else:
        value = old ^ (1 << rng.randrange(8 * size))
    data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "big")


def damage_footer(data: bytearray, rng: random.Random) -> None:
    """A field of one footer or of both, mostly with a good checksum."""
    if len(data) < 2 * SECTOR:
        return
    at, size = rng.choice(FOOTER_FIELDS)
    start = rng.choice(footers(data))
    put(data, start + at, size, rng)
    if rng.random() < 0.9:
        mend(data, start, SECTOR, 64)
    if rng.random() < 0.7:
        other = footers(data)[start == 0]
        data[other : other + SECTOR] = data[start : start + SECTOR]


def damage_header(data: bytearray, rng: random.Random) -> None:
    """A field of the header, mostly with a good checksum."""
    if len(data) < 3 * SECTOR:
        return
    at, size = rng.choice(HEADER_FIELDS)
    put(data, SECTOR + at, size, rng)
    if rng.random() < 0.95:
        mend(data, SECTOR, 1024, 36)


def damage_table(data: bytearray, rng: random.Random) -> None:
    """An entry of the BAT."""
    start = int.from_bytes(data[SECTOR + 16 : SECTOR + 24], "big")
    if start + 4 * SECTORS > len(data):
        return
    put(data, start + 4 * rng.randrange(SECTORS // 8), 4, rng)


def damage_bits(data: bytearray, rng: random.Random) -> None:
    """A byte of a block's bitmap, or of what follows it."""
    start = int.from_bytes(data[SECTOR + 16 : SECTOR + 24], "big")
    for entry in range(SECTORS // 8):
        (block,) = struct.unpack(">I", data[start + 4 * entry : start + 4 * entry + 4].ljust(4, b"\xff"))
        if block * SECTOR + SECTOR <= len(data):
            data[block * SECTOR + rng.choice((0, 0, 1, 500))] = rng.randrange(256)
            return


def damage_path(data: bytearray, rng: random.Random) -> None:
    """What a locator says, or the parent's name."""
    text = rng.choice(PATHS)
    if len(data) < 3 * SECTOR:
        return
    if rng.random() < 0.3:
        name = text.encode("utf-16-be", "surrogatepass")[:512]
        data[SECTOR + 64 : SECTOR + 64 + len(name)] = name
    else:
        entry = SECTOR + 576 + 24 * rng.randrange(4)
        code, _, length, _, offset = struct.unpack_from(">4sIIIQ", data, entry)
        if offset > len(data) or rng.random() < 0.2:
            code, offset = rng.choice((b"W2ru", b"W2ku", b"MacX", b"pcFp", b"Wi2r")), 3 * SECTOR
        content = text.encode("utf-8" if code == b"MacX" else "utf-16-le", "surrogatepass")
        data[offset : offset + len(content)] = content
        length = len(content) if rng.random() < 0.9 else length
        struct.pack_into(">4sIIIQ", data, entry, code, SECTOR, length, 0, offset)
    mend(data, SECTOR, 1024, 36)


def damage_length(data: bytearray, rng: random.Random) -> None:
    """Too short, or too long."""
    kind = rng.random()
    if kind < 0.4:
        del data[rng.randrange(len(data) + 1) :]
    elif kind < 0.6:
        del data[len(data) - rng.choice((1, 2, 511, 512, 513, 1024, 4096)) :]
    elif kind < 0.8:
        data += bytes(rng.choice((1, 511, 512, 513, 4096)))
    else:
        data += rng.randbytes(rng.choice((1, 7, 512, 600)))


def damage_bytes(data: bytearray, rng: random.Random) -> None:
    """Bytes anywhere, the first kilobytes before others."""
    for _ in range(rng.choice((1, 2, 8))):
        if data:
            data[rng.randrange(min(len(data), rng.choice((1024, 4096, 1 << 20))))] = rng.randrange(256)


def damage_sectors(data: bytearray, rng: random.Random) -> None:
    """A sector where another was, or zeros."""
    count = len(data) // SECTOR
    if count:
        source, target = rng.randrange(count) * SECTOR, rng.randrange(count) * SECTOR
        sector = bytes(SECTOR) if rng.random() < 0.3 else data[source : source + SECTOR]
        data[target : target + SECTOR] = sector


Damage = Callable[[bytearray, random.Random], None]
DAMAGES: tuple[Damage, ...] = (
    damage_footer,
    damage_footer,
    damage_header,
    damage_header,
    damage_header,
    damage_table,
    damage_table,
    damage_bits,
    damage_path,
    damage_path,
    damage_length,
    damage_bytes,
    damage_sectors,
)


@pytest.fixture
def bounded() -> Iterator[None]:
    """An alarm against hangs, and a bound on memory, for this process while the test runs."""
    resource = pytest.importorskip("resource")

    def too_long(number: int, frame: FrameType | None) -> NoReturn:
        raise AssertionError(f"one image took more than {TOO_LONG} s")

    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, limits[1]))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_damaged_images_are_refused_or_read_within_bounds(shard: int, tmp_path: Path, bounded: None) -> None:
    fuzzer = Fuzzer(tmp_path)
    for number in range(CASES):
        signal.setitimer(signal.ITIMER_REAL, TOO_LONG)
        try:
            fuzzer.rng.seed(shard * CASES + number)  # so that a case can be tried alone
            fuzzer.one(number)
        except BaseException as error:
            error.add_note(f"shard {shard}, case {number}")
            raise
    fuzzer.close()
    print(dict(fuzzer.outcomes))
    assert fuzzer.outcomes["opened"] > CASES / 20
    assert fuzzer.outcomes["ImageFormatError"] > CASES / 20
