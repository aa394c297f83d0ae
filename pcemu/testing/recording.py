"""Writes down the system calls that an engine makes on the files of a folder.

:mod:`pcemu.testing.crash` replays them.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pcemu.drives.hostfile import SystemCalls

SECTOR_SIZE = 512
ZERO_SECTOR = bytes(SECTOR_SIZE)

Sectors = dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Write:
    """Data that reached a file's cache, by write or by a copy inside the kernel."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Punch:
    """A range of a file given back: it reads as zeros."""

    file: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file made shorter or longer."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """A file's data and size are safe."""

    file: int


@dataclass(frozen=True, slots=True)
class FailedSync:
    """A sync that failed: the host forgets what it did not write, and a later sync does not bring it back."""

    file: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What sectors turned out to hold that a failed sync left in doubt."""

    file: int
    sectors: Sectors


@dataclass(frozen=True, slots=True)
class Link:
    """A name for a file, new or one more."""

    path: str
    file: int


@dataclass(frozen=True, slots=True)
class Rename:
    """A name changed; what had the new name loses it."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Unlink:
    """A name removed."""

    path: str


@dataclass(frozen=True, slots=True)
class SyncDir:
    """The names in a folder are safe."""

    path: str


@dataclass(frozen=True, slots=True)
class Promise:
    """What has been promised from here on, in the words of who checks; ``kept`` before the next sync too."""

    value: Any
    kept: bool


DataCall = Write | Punch | Truncate
NameCall = Link | Rename | Unlink
Call = DataCall | NameCall | Sync | FailedSync | Settled | SyncDir | Promise


@dataclass(slots=True)
class Recording:
    """Files as they lay on disk, and the calls made since. Paths are relative to the recorded folder."""

    names: dict[str, int] = field(default_factory=dict)
    contents: dict[int, tuple[int, Sectors]] = field(default_factory=dict)  # size, sectors that are not zero
    log: list[Call] = field(default_factory=list)

    def with_log(self, log: Sequence[Call]) -> Recording:
        """The same files under other calls: for showing that a wrong order is found."""
        return Recording(self.names, self.contents, list(log))


class RecordingCalls(SystemCalls):
    """System calls on the files of one folder that are made and written down.

    Syncs are written down alone: the machine that runs this does not crash, and need not be slowed.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.realpath(root)
        self.recording = Recording()
        self._names: dict[str, int] = {}  # as they are now
        self._open: dict[int, int] = {}
        self._numbers = itertools.count()
        for path in sorted(Path(self.root).rglob("*")):
            if path.is_file():
                number = next(self._numbers)
                self._names[path.relative_to(self.root).as_posix()] = number
                self.recording.contents[number] = (path.stat().st_size, _sectors_of(path))
        self.recording.names = dict(self._names)

    def promise(self, value: Any, *, kept: bool = True) -> None:
        """Note what holds from here on. ``kept`` False: more is allowed than before, nothing less."""
        self.recording.log.append(Promise(value, kept))

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        """Open, and note when that makes the file or empties it."""
        name = self._relative(path)
        fd = super().open(path, flags, mode)
        if name is None:
            return fd
        if name not in self._names:
            number = self._names[name] = next(self._numbers)
            self.recording.log.append(Link(name, number))
        elif flags & os.O_TRUNC:
            self.recording.log.append(Truncate(self._names[name], 0))
        self._open[fd] = self._names[name]
        return fd

    def close(self, fd: int) -> None:
        """Close; that makes nothing safe."""
        self._open.pop(fd, None)
        super().close(fd)

    def pwritev(self, fd: int, buffers: Any, offset: int) -> int:
        """Write, and note what was written."""
        file = self._file(fd)
        count = os.pwritev(fd, buffers, offset)
        self.recording.log.append(Write(file, offset, b"".join(map(bytes, buffers))[:count]))
        return count

    def ftruncate(self, fd: int, size: int) -> None:
        """Resize, and note it."""
        file = self._file(fd)
        super().ftruncate(fd, size)
        self.recording.log.append(Truncate(file, size))

    def copy_file_range(self, source: int, target: int, count: int, source_offset: int, offset: int) -> int:
        """Copy, and note it as a write of what arrived."""
        file = self._file(target)
        done = super().copy_file_range(source, target, count, source_offset, offset)
        self.recording.log.append(Write(file, offset, os.pread(target, done, offset)))
        return done

    def punch_hole(self, fd: int, offset: int, size: int) -> None:
        """Punch, and note it."""
        file = self._file(fd)
        super().punch_hole(fd, offset, size)
        self.recording.log.append(Punch(file, offset, size))

    def fsync(self, fd: int) -> None:
        """Note a sync."""
        self.recording.log.append(Sync(self._file(fd)))

    def fdatasync(self, fd: int) -> None:
        """Note a sync: what this one leaves out, times and owner, is not modelled."""
        self.recording.log.append(Sync(self._file(fd)))

    def note_failed_sync(self, fd: int) -> None:
        """Note that a sync did not work; who lets it fail calls this."""
        self.recording.log.append(FailedSync(self._file(fd)))

    def fsync_dir(self, path: str) -> None:
        """Note a sync of names."""
        self.recording.log.append(SyncDir(os.path.relpath(os.path.realpath(path), self.root)))

    def rename(self, old: str, new: str) -> None:
        """Rename, and note it."""
        first, second = self._inside(old), self._inside(new)
        super().rename(old, new)
        self._names[second] = self._names.pop(first)
        self.recording.log.append(Rename(first, second))

    def link(self, old: str, new: str) -> None:
        """Link, and note it."""
        first, second = self._inside(old), self._inside(new)
        super().link(old, new)
        number = self._names[second] = self._names[first]
        self.recording.log.append(Link(second, number))

    def unlink(self, path: str) -> None:
        """Unlink, and note it."""
        name = self._inside(path)
        super().unlink(path)
        del self._names[name]
        self.recording.log.append(Unlink(name))

    def _relative(self, path: str) -> str | None:
        folder, name = os.path.split(os.fspath(path))
        whole = os.path.join(os.path.realpath(folder), name)  # noqa: PTH118
        return os.path.relpath(whole, self.root) if whole.startswith(self.root + os.sep) else None

    def _inside(self, path: str) -> str:
        name = self._relative(path)
        if name is None:
            raise ValueError(f"{path} is outside {self.root}: what happens to it cannot be replayed")
        return name

    def _file(self, fd: int) -> int:
        number = self._open.get(fd)
        if number is None:
            raise ValueError(f"this file is outside {self.root}: what happens to it cannot be replayed")
        return number


def _sectors_of(path: Path) -> Sectors:
    """The sectors of a file that are not zeros."""
    sectors = {}
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        at = 0
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // SECTOR_SIZE * SECTOR_SIZE
            except OSError:  # nothing but a hole from here on
                break
            hole = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            for offset in range(at, hole, SECTOR_SIZE):
                data = os.pread(file.fileno(), SECTOR_SIZE, offset).ljust(SECTOR_SIZE, b"\0")
                if data != ZERO_SECTOR:
                    sectors[offset // SECTOR_SIZE] = data
            at = max(hole, at + SECTOR_SIZE)
    return sectors
