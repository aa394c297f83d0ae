"""What tests of operations share: images to work on, how they read, a progress function that cancels."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.hostfile import Host, SystemCalls
from pcemu.drives.lineage import Progress, no_progress
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format
from pcemu.testing.drive_conformance import contents

MIB = 1 << 20


def make_line(folder: Path, size: int = MIB) -> list[Path]:
    """Four layers, each with a sector of its own number."""
    images = [folder / f"{number}.vhd" for number in range(4)]
    create_dynamic(images[0], size)
    for number, image in enumerate(images):
        if number:
            create_differencing(image, images[number - 1])
        write(image, number, number + 1)
    return images


def write(image: Path, lba: int, fill: int, count: int = 1) -> None:
    """Sectors of one byte; by the file's times, before any child was made."""
    with times_kept(image):
        drive = open_drive(image)
        drive.write(lba, bytes((fill,)) * (512 * count))
        drive.close()


@contextlib.contextmanager
def times_kept(image: Path) -> Iterator[None]:
    """What is written meanwhile is no reason for children to warn, whenever a second of the clock ends."""
    status = image.stat()
    yield
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))


def read(image: Path, format: Format | None = None) -> bytes:
    """All of a drive; what it was opened with in spite of is no part of these tests."""
    drive = open_drive(image, read_only=True, format=format)
    content = contents(drive)
    assert drive.warnings == []
    drive.close()
    return bytes(content)


def readings(folder: Path) -> dict[str, bytes]:
    """How each image of a folder reads."""
    return {path.name: read(path) for path in sorted(folder.iterdir()) if path.suffix in (".vhd", ".img")}


def files(folder: Path) -> dict[str, bytes]:
    """What is in the files."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Full(SystemCalls):
    """A disk that has hardly any room left."""

    def free_space(self, path: str) -> int:
        return 100


class Opening(SystemCalls):
    """A host that remembers which files were opened."""

    def __init__(self) -> None:
        self.opened: set[str] = set()

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        self.opened.add(path)
        return super().open(path, flags, mode)


class Stuck(SystemCalls):
    """A host that does not remove files of one name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def unlink(self, path: str) -> None:
        if os.path.basename(path) == self.name:  # noqa: PTH119
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        super().unlink(path)


def stuck(name: str) -> Host:
    """As Stuck, to be given to an operation."""
    return Host(Stuck(name))


class Cancelled(Exception):
    """What a progress function may raise."""


class Watch:
    """A progress function that remembers what it was told, and cancels at call number ``stop``."""

    def __init__(self, stop: int | None = None) -> None:
        self.calls: list[tuple[int, int]] = []
        self._stop = stop

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))
        if len(self.calls) - 1 == self._stop:
            raise Cancelled

    def check(self) -> None:
        """It only went up, and to the end."""
        total = self.calls[-1][1]
        assert self.calls == sorted(self.calls) and self.calls[-1] == (total, total)
        assert {each for _, each in self.calls} == {total} and self.calls[0][0] >= 0


def check_progress(folder: Path, operation: Callable[[Path, Progress], object], least: int) -> None:
    """Do an operation on a copy of a folder, and on others cancelled at each of its ``least`` calls or more.

    Cancelled, it has changed nothing and left nothing, no lock either; done again, it does all.
    """
    before = files(folder)
    whole = shutil.copytree(folder, folder.with_name("whole"))
    operation(whole, watch := Watch())
    watch.check()
    assert len(watch.calls) >= least
    for stop in range(len(watch.calls)):
        copy = shutil.copytree(folder, folder.with_name(f"stopped{stop}"))
        with pytest.raises(Cancelled):
            operation(copy, Watch(stop))
        assert files(copy) == before
        operation(copy, no_progress)
        assert readings(copy) == readings(whole)
        shutil.rmtree(copy)


def require_read_times(folder: Path) -> None:
    """Skip the test where the host does not keep the times at which files were last read."""
    (probe := folder / "probe").write_bytes(b"x")
    os.utime(probe, (1000, 2000))
    probe.read_bytes()
    kept = probe.stat().st_atime != 1000
    probe.unlink()
    if not kept:
        pytest.skip("the host keeps no times of the last read")
