"""Benchmarks of the drives engine, without the machine: chains in process, beside qemu's tools and formats.

All images lie in one folder for the whole run and are warm. Where qemu reads and writes a chain it is one of
qcow2, its own format, with as many layers and the same places written; its VHD knows no children. Warm reads,
and opening, are a processor's work alone and measured in its time; what is written and synced, by the wall.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from pcemu.drives.chain import Chain
from pcemu.drives.commit import commit
from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.open import open_drive
from tools.benchmarks import qemu_img
from tools.benchmarks.figures import Benchmark, Figure, Sample
from tools.benchmarks.process import settle

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SECTOR = 512
PIECE = 64 * KIB
DRIVE = 256 * MIB
DEPTHS = (1, 64)
READS, TURNS = 200_000, 20
# 4 KiB on, and a distance that shares no factor with the drive's size in pages: as good as random.
READ_STEP = 10_007 * 4 * KIB
READS_OF_QEMU = 50_000
QUEUE = 16
SEQUENTIAL = 1 * GIB
WRITES = 1024
WRITE_STEP = 2 * MIB
COMMITTED = 256 * MIB
COMMIT_DRIVE = 1 * GIB
LARGEST = 2040 * GIB
OPENINGS = 20
PEER = "qemu-img"


class Drives:
    """The benchmarks, with the images that they share in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._peer = qemu_img.available()

    def benchmarks(self) -> list[Benchmark]:
        """All of them."""
        return [
            Benchmark("drives-read", READ_FIGURES, self.read),
            Benchmark("drives-write", WRITE_FIGURES, self.write),
            Benchmark("drives-commit", COMMIT_FIGURES, self.commit),
            Benchmark("drives-open", OPEN_FIGURES, self.open),
            Benchmark("drives-memory", MEMORY_FIGURES, self.memory),
        ]

    # -- images -----------------------------------------------------------------------------------

    @cached_property
    def base(self) -> Path:
        """A raw image full of data, which nothing writes to."""
        path = self._folder / "base.img"
        with path.open("wb") as file:
            for seed in range(DRIVE // MIB):
                file.write(random.Random(seed).randbytes(MIB))
        return path

    @cached_property
    def heads(self) -> dict[int, Path]:
        """Chains of that many children, by their heads; each layer wrote its share of the pieces."""
        return {depth: self._chain(depth) for depth in DEPTHS}

    def _chain(self, depth: int) -> Path:
        parent = self.base
        for layer, numbers in enumerate(_shares(depth)):
            path = self._folder / f"chain{depth}-{layer}.vhd"
            create_differencing(path, parent)
            drive = open_drive(path)
            for number in numbers:
                drive.write(number * PIECE // SECTOR, random.Random(number).randbytes(PIECE))
            drive.close()
            parent = path
        return parent

    @cached_property
    def qemu_heads(self) -> dict[int, Path]:
        return {depth: self._qemu_chain(depth) for depth in DEPTHS}

    def _qemu_chain(self, depth: int) -> Path:
        parent = self.base
        for layer, numbers in enumerate(_shares(depth)):
            path = self._folder / f"chain{depth}-{layer}.qcow2"
            qemu_img.create(path, "qcow2", parent=parent)
            commands = [f"write -q {number * PIECE} {PIECE}" for number in numbers]
            for start in range(0, len(commands), 500):
                batch = [part for line in commands[start : start + 500] for part in ("-c", line)]
                qemu_img.run(qemu_img.IO, "-f", "qcow2", *batch, path)
            parent = path
        return parent

    @cached_property
    def _commit_base(self) -> Path:
        """A raw image in a folder of its own: a commit looks at all images beside its target."""
        (self._folder / "commit").mkdir()
        path = self._folder / "commit" / "target.img"
        with path.open("wb") as file:
            block = random.Random(0).randbytes(MIB)
            for _ in range(COMMIT_DRIVE // MIB):
                file.write(block)
        return path

    # -- reading ------------------------------------------------------------------------------------

    def read(self) -> Sample:
        """Random and sequential reads through chains."""
        sample: Sample = {}
        drives = [open_drive(self.heads[depth], read_only=True) for depth in DEPTHS]
        with self.base.open("rb") as file:
            bare = _preadv(file.fileno())
            rates = _random_reads(*[drive.read for drive in drives], bare)
        for key, rate in zip(("random-1", "random-64", "random-1/bare preadv"), rates, strict=True):
            sample[key] = rate
        for drive in drives:
            drive.close()
        sample["random-64/1 layer"] = sample["random-1"]
        sample["sequential"] = _sequential_reads(self.heads[1])
        if not self._peer:
            return sample
        for depth in DEPTHS:
            took = qemu_img.bench(
                self.qemu_heads[depth],
                "qcow2",
                count=READS_OF_QEMU,
                size=4 * KIB,
                step=READ_STEP % DRIVE,
                depth=QUEUE,
            ).processor
            sample[f"random-{depth}/{PEER}"] = READS_OF_QEMU / took / 1000
        count = SEQUENTIAL // MIB
        took = qemu_img.bench(self.qemu_heads[1], "qcow2", count=count, size=MIB, step=MIB).processor
        sample[f"sequential/{PEER}"] = SEQUENTIAL / took / 1e9
        return sample

    # -- writing ------------------------------------------------------------------------------------

    def write(self) -> Sample:
        """64 KiB at a time, each to another block, then all synced."""
        parent, child = self._folder / "parent.vhd", self._folder / "strided.vhd"
        if not parent.exists():
            create_dynamic(parent, WRITES * WRITE_STEP)
        create_differencing(child, parent)
        drive = open_drive(child)
        data = random.Random(1).randbytes(PIECE)
        start = time.perf_counter()
        for lba in range(0, WRITES * WRITE_STEP // SECTOR, WRITE_STEP // SECTOR):
            drive.write(lba, data)
        drive.flush()
        sample = {"strided": WRITES * PIECE / 1e6 / (time.perf_counter() - start)}
        drive.close()
        child.unlink()
        if self._peer:
            path = self._folder / "strided-qemu.vhd"
            qemu_img.create(path, "vpc", WRITES * WRITE_STEP, force_size="on")
            took = qemu_img.bench(path, "vpc", count=WRITES, size=PIECE, step=WRITE_STEP, write=True).wall
            sample[f"strided/{PEER}"] = WRITES * PIECE / 1e6 / took
            path.unlink()
        return sample

    # -- commit -------------------------------------------------------------------------------------

    def commit(self) -> Sample:
        """256 MiB from a child into a raw image, until they are safe there."""
        sample: Sample = {}
        for key, size, step in COMMITS:
            child = self._commit_base.with_name("child.vhd")
            create_differencing(child, self._commit_base)
            _fill(child, size, step)
            os.sync()
            start = time.perf_counter()
            commit(child)
            sample[key] = time.perf_counter() - start
            child.unlink()
            settle()
            if self._peer:
                sample[f"{key}/{PEER}"] = self._qemu_commit(size, step)
        return sample

    def _qemu_commit(self, size: int, step: int) -> float:
        child = self._commit_base.with_name("child.qcow2")
        cluster = str(min(size, PIECE))  # larger ones would first be filled up from below
        qemu_img.create(child, "qcow2", parent=self._commit_base, cluster_size=cluster)
        count = COMMITTED // size
        qemu_img.bench(child, "qcow2", count=count, size=size, step=step, depth=QUEUE, write=True)
        os.sync()
        took = qemu_img.beyond_start(PEER, "commit", "-q", "-d", "-f", "qcow2", child)
        child.unlink()
        return took.wall

    # -- opening ------------------------------------------------------------------------------------

    def open(self) -> Sample:
        """Creating a child of the largest drive there is, and opening and closing a long chain."""
        parent = self._folder / "largest.vhd"
        if not parent.exists():
            create_dynamic(parent, LARGEST)
        children = [self._folder / f"large{number}.vhd" for number in range(OPENINGS)]
        start = time.perf_counter()
        for child in children:
            create_differencing(child, parent)
        sample = {"create": (time.perf_counter() - start) / OPENINGS * 1000}
        for child in children:
            child.unlink()
        head = self.heads[64]
        start = time.process_time()
        for _ in range(OPENINGS):
            open_drive(head).close()
        sample["open"] = (time.process_time() - start) / OPENINGS * 1000
        if self._peer:
            large, child = self._folder / "largest.qcow2", self._folder / "large.qcow2"
            if not large.exists():
                qemu_img.create(large, "qcow2", LARGEST)
            command = (PEER, "create", "-q", "-f", "qcow2", "-b", large, "-F", "qcow2", child)
            sample[f"create/{PEER}"] = qemu_img.beyond_start(*command).wall * 1000
            child.unlink()
            took = qemu_img.beyond_start(qemu_img.IO, "-f", "qcow2", "-c", "quit", self.qemu_heads[64])
            sample[f"open/{PEER}"] = took.processor * 1000
        return sample

    def memory(self) -> Sample:
        """The memory of a process that has the largest drive open, and wrote 10 GB to it."""
        path = self._folder / "huge.vhd"
        command = [sys.executable, "-m", "tools.benchmarks.drive_memory", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        path.unlink()
        nothing, all_in_all = map(float, done.stdout.split())
        return {"memory": all_in_all, "memory-own": all_in_all - nothing}


def _shares(depth: int) -> list[list[int]]:
    """Which pieces each of so many layers writes: all pieces but every fourth, dealt out at random."""
    rng = random.Random(depth)
    shares: list[list[int]] = [[] for _ in range(depth)]
    for number in range(DRIVE // PIECE):
        if number % 4:
            rng.choice(shares).append(number)
    return shares


Read = Callable[[int, bytearray], object]


def _random_reads(*reads: Read) -> list[float]:
    """Thousands of reads of 4 KiB in a second; taking turns, so that a busy host meets all alike."""
    pages = DRIVE // (4 * KIB)
    rng = random.Random(1)
    places = [rng.randrange(pages) * 8 for _ in range(READS // TURNS)]
    buffer = bytearray(4 * KIB)
    for read in reads:
        for lba in range(0, DRIVE // SECTOR, 8):  # once through all: the chain has looked at it
            read(lba, buffer)
    took = [0.0] * len(reads)
    for _ in range(TURNS):
        for number, read in enumerate(reads):
            start = time.process_time()
            for lba in places:
                read(lba, buffer)
            took[number] += time.process_time() - start
    return [len(places) * TURNS / seconds / 1000 for seconds in took]


def _preadv(fd: int) -> Read:
    """What a read costs without any engine."""
    return lambda lba, buffer: os.preadv(fd, (buffer,), lba * SECTOR)


def _sequential_reads(path: Path) -> float:
    """GB in a second, in requests of 1 MiB."""
    drive = open_drive(path, read_only=True)
    assert isinstance(drive, Chain)
    buffer = bytearray(MIB)
    places = range(0, drive.sectors, MIB // SECTOR)
    for lba in places:
        drive.read(lba, buffer)
    start = time.process_time()
    for _ in range(SEQUENTIAL // DRIVE):
        for lba in places:
            drive.read(lba, buffer)
    took = time.process_time() - start
    drive.close()
    return SEQUENTIAL / took / 1e9


def _fill(path: Path, size: int, step: int) -> None:
    drive = open_drive(path)
    data = random.Random(2).randbytes(size)
    for number in range(COMMITTED // size):
        drive.write(number * step // SECTOR, data)
    drive.close()


COMMITS = (
    ("scattered-64", PIECE, 4 * PIECE),
    ("contiguous", MIB, MIB),
    ("scattered-4", 4 * KIB, 16 * KIB),
)
READ_FIGURES = (
    Figure("random-1", "4 KiB random reads, 1 layer", "k/s", 300, at_least=True),
    Figure("random-64", "… 64 layers", "k/s", 0.9, at_least=True, against=("1 layer",)),
    Figure("sequential", "1 MiB sequential reads", "GB/s", 4, at_least=True),
)
WRITE_FIGURES = (
    Figure("strided", "64 KiB strided writes, new child", "MB/s", 3, at_least=True, against=(PEER,)),
)
COMMIT_FIGURES = (
    Figure("scattered-64", "Commit 256 MiB, scattered 64 KiB", "s", 0.6, against=(PEER,)),
    Figure("contiguous", "… contiguous", "s", 0.7, against=(PEER,)),
    Figure("scattered-4", "… scattered 4 KiB", "s", 1.0, against=(PEER,)),
)
OPEN_FIGURES = (
    Figure("create", "Create a child of 2040 GiB", "ms", 5),
    Figure("open", "Open and close 64 layers", "ms", 10),
)
MEMORY_FIGURES = (
    Figure("memory", "2040 GiB open, 10 GB written", "MiB", 100),
    Figure("memory-own", "… beyond Python and its libraries", "MiB"),
)
NAMES = ("drives-read", "drives-write", "drives-commit", "drives-open", "drives-memory")
