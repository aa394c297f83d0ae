"""Benchmarks of the undo session: what it costs to begin, to write, to look, to decide.

What a guest writes is measured in processor time, beside the same writes to a raw image; all that waits for
the host's disk, and what the user waits for, by the wall.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from pathlib import Path

from pcemu.drives.create import create_raw
from pcemu.drives.drive import Drive
from pcemu.drives.fat_format import format_volume, partition_disk
from pcemu.drives.fat_writer import ROOT, FatWriter, stamp_of
from pcemu.drives.hostfile import HOST
from pcemu.drives.raw import RawDrive
from pcemu.resources import resource
from pcemu.session.background import LiveCommit
from pcemu.session.session import Session
from tools.benchmarks import guests
from tools.benchmarks.figures import Benchmark, Figure, Sample
from tools.benchmarks.process import settle

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SECTOR = 512
SMALL, LARGE = 16 * MIB, 1000 * GIB  # images
STARTS = 5
FEW, MANY = 1 * MIB, 64 * MIB  # written before a discard
PIECE = 32 * KIB  # of what the host writes by itself
REQUESTS = 516  # of the guest: 32 MiB
FIRST, WRITTEN = 64, 32 * MIB  # sector, bytes: as the guest does
VOLUME, FOLDERS, FILES = 2 * GIB, 100, 100  # so many files in each folder
CHANGES = 20
COMMITTED = 128 * MIB
STAMP = stamp_of(1994, 4, 1)


class _Aside(RawDrive):
    """A raw image that is read, while all writes go to a new file: the least that undoing them takes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._new = path.with_suffix(".new")
        self._written = HOST.create(str(self._new))
        self._written.truncate(self.sectors * SECTOR)

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> None:
        """Write to the new file alone."""
        self._written.write(data, lba * SECTOR)

    def close(self) -> None:
        """Throw the new file away, too."""
        super().close()
        self._written.close()
        self._new.unlink()


class Sessions:
    """The benchmarks, with their images in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "sessions"

    def benchmarks(self) -> list[Benchmark]:
        """All of them."""
        return [
            Benchmark("session-start", START_FIGURES, self.start),
            Benchmark("session-write", WRITE_FIGURES, self.write),
            Benchmark("session-files", FILES_FIGURES, self.files),
            Benchmark("session-commit", COMMIT_FIGURES, self.commit),
        ]

    @contextmanager
    def _image(self, size: int) -> Iterator[Path]:
        """A raw image that is a hole, in a folder of its own for a while."""
        self._folder.mkdir(exist_ok=True)
        path = self._folder / "disk.img"
        create_raw(path, size)
        try:
            yield path
        finally:
            path.unlink()

    # -- beginning and throwing away ---------------------------------------------------------------

    def start(self) -> Sample:
        """Start, checkpoint and discard, on a large image and a small one, after much and little."""
        sample: Sample = {}
        for name, size in (("", LARGE), ("/16 MiB image", SMALL)):
            with self._image(size) as path:
                sample[f"start{name}"], sample[f"freeze{name}"], _ = _one_session(path, FEW)
        with self._image(SMALL + MANY) as path:
            sample["discard"] = _one_session(path, MANY)[2]
            sample["discard/1 MiB written"] = _one_session(path, FEW)[2]
        return sample

    # -- writing -------------------------------------------------------------------------------------

    def write(self) -> Sample:
        """The guest's writes, and the same without a guest."""
        self._folder.mkdir(exist_ok=True)
        path = self._folder / "guest.img"
        path.write_bytes(guests.assemble("disk", REQUESTS=REQUESTS) + bytes((REQUESTS + 1) * 127 * SECTOR))
        sample = {}
        marks = guests.run(RawDrive(path))  # which closes it
        sample["guest/raw image"] = (marks.seconds("W") or 0.0) / REQUESTS * 1e6
        marks = guests.run(_Aside(path))
        sample["guest/new file"] = (marks.seconds("W") or 0.0) / REQUESTS * 1e6
        raw = RawDrive(path)
        sample["again/raw image"] = _write(raw)
        raw.close()
        with Session(path) as session:
            for key in ("guest", "guest-again"):
                marks = guests.run(session.start())
                sample[key] = (marks.seconds("W") or 0.0) / REQUESTS * 1e6
            sample["guest-again/raw image"] = sample["guest/raw image"]
            session.discard()
        with Session(path) as session:
            drive = session.start()
            sample["fresh"] = _write(drive)
            sample["again"] = _write(drive)
            session.discard()
        path.unlink()
        with self._image(WRITTEN + MIB) as hole:
            raw = RawDrive(hole)
            sample["fresh/raw image"] = _write(raw)
            raw.close()
        return sample

    # -- looking -------------------------------------------------------------------------------------

    @cached_property
    def _volume(self) -> Path:
        """A disk of 2 GB with 10,000 files on FAT32."""
        self._folder.mkdir(exist_ok=True)
        path = self._folder / "volume.img"
        create_raw(path, VOLUME)
        drive = RawDrive(path)
        start, sectors, geometry, shape = partition_disk(drive, 32, resource("mbr.bin").read_bytes())
        code = resource("nosystem.bin").read_bytes()
        format_volume(drive, start, sectors, shape, geometry, code=code, label="", serial=1, stamp=STAMP)
        writer = FatWriter(drive, start, sectors)
        for number in range(FOLDERS):
            folder = writer.make_folder(ROOT, f"FOLDER{number}", STAMP)
            for name in range(FILES):
                writer.write_file(folder, f"A long name {name}.txt", BytesIO(bytes(100)), 100, STAMP)
        writer.finish()
        drive.close()
        return path

    def files(self) -> Sample:
        """Tell which files a session has changed, on a large volume."""
        with Session(self._volume) as session:
            drive = session.start()
            entry = bytearray(SECTOR)
            drive.read(446 // SECTOR, entry)
            start = int.from_bytes(entry[454:458], "little")
            sectors = int.from_bytes(entry[458:462], "little")
            writer = FatWriter(drive, start, sectors)
            for number in range(CHANGES):
                folder = writer.make_folder(ROOT, f"FOLDER{number}", STAMP)
                writer.write_file(folder, "NEW.TXT", BytesIO(bytes(5000)), 5000, STAMP)
            writer.finish()
            began = time.perf_counter()
            changes = session.changes()
            took = time.perf_counter() - began
            found = sum(len(volume.files) for volume in changes.volumes)
            session.discard()
        if found != CHANGES:
            raise ValueError(f"{found} changed files were found, expected {CHANGES}")
        return {"files": took}

    # -- deciding while the guest runs ---------------------------------------------------------------

    def commit(self) -> Sample:
        """The longest that the guest stands still while all is committed behind its back."""
        with self._image(COMMITTED) as path, Session(path) as session:
            drive = session.start()
            data = random.Random(1).randbytes(MIB)
            for lba in range(0, COMMITTED // SECTOR, MIB // SECTOR):
                drive.write(lba, data)
            pauses: list[float] = []
            began = time.perf_counter()
            work = LiveCommit(session)
            over = False
            while not over:
                drive.write(8 * len(pauses) % (COMMITTED // SECTOR), data[: 4 * KIB])
                time.sleep(0.001)  # what the guest computes
                stopped = time.perf_counter()
                over = work.poll()
                pauses.append(time.perf_counter() - stopped)
            took = time.perf_counter() - began
            session.discard()
            settle()
        return {"pause": max(pauses) * 1000, "live": took}


def _one_session(path: Path, written: int) -> tuple[float, float, float]:
    """Milliseconds that start, a checkpoint of what is safe already, and discard take; the best of some."""
    data = random.Random(2).randbytes(MIB)
    times = []
    for _ in range(STARTS):
        began = time.perf_counter()
        session = Session(path)
        drive = session.start()
        started = time.perf_counter()
        for lba in range(0, written // SECTOR, MIB // SECTOR):
            drive.write(lba, data)
        drive.flush()
        safe = time.perf_counter()
        session.checkpoint()
        frozen = time.perf_counter()
        session.discard()
        session.close()
        times.append((started - began, frozen - safe, time.perf_counter() - frozen))
        settle()
    start, freeze, discard = (min(each) * 1000 for each in zip(*times, strict=True))
    return start, freeze, discard


def _write(drive: Drive) -> float:
    """Microseconds for each write of a piece."""
    data = random.Random(3).randbytes(PIECE)
    began = time.thread_time()
    for lba in range(FIRST, FIRST + WRITTEN // SECTOR, PIECE // SECTOR):
        drive.write(lba, data)
    return (time.thread_time() - began) / (WRITTEN // PIECE) * 1e6


START_FIGURES = (
    Figure("start", "Start a session on 1000 GiB", "ms", 10),
    Figure("freeze", "… checkpoint, what was written being safe", "ms"),
    Figure("discard", "… discard 64 MiB", "ms", 10),
)
WRITE_FIGURES = (
    Figure("guest", "INT 13h writes of 127 sectors in a session", "µs", 1.3, against=("raw image",)),
    Figure("guest-again", "… once more", "µs", 1.3, against=("raw image",)),
    Figure("fresh", "32 KiB by the host, the raw image being a hole", "µs", 1.3, against=("raw image",)),
    Figure("again", "… once more", "µs", 1.3, against=("raw image",)),
)
FILES_FIGURES = (Figure("files", "Which of 10,000 files on FAT32 changed", "s", 0.3),)
COMMIT_FIGURES = (
    Figure("pause", "Longest pause of a live commit", "ms", 50),
    Figure("live", "… which takes in all", "s"),
)
NAMES = ("session-start", "session-write", "session-files", "session-commit")
