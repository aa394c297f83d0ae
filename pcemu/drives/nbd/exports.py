"""What a server lends: drives under names, and the rules for touching one from the event loop and threads.

Small and cached requests are done by the event loop itself, which costs the least. What may take long (a
flush, a read that must wait for the disk, zeros over gigabytes) is done by a thread, so that other clients do
not wait. A drive is not made for two threads: its :class:`Gate` lets reads, also several, go beside each
other and beside a flush, and a write only alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pcemu.drives.chain import NO_LAYER, Chain
from pcemu.drives.content import extents
from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.hostfile import NOT_OFFERED, Host, HostFile, SystemCalls
from pcemu.drives.nbd_protocol import NBD_STATE_HOLE, NBD_STATE_ZERO
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import PcemuError

Done = Callable[[BaseException | None], None]
Launcher = Callable[[Callable[[], object], Done], None]
"""Has a thread call the first, and then the event loop the second with what it raised."""

STATUS_SECTORS = (64 << 20) // SECTOR_SIZE  # looked at for one BLOCK_STATUS, as a chain has to be asked
MAX_EXTENTS = 1024
HOLE = 64 << 10  # no file system has larger blocks


class ExportRefused(PcemuError):
    """No export of this name, or not for this client; the message is sent to it."""

    exit_code = 5


class Listed(NamedTuple):
    """An export as NBD_OPT_LIST tells of it."""

    name: str
    description: str


class _Waiting(NamedTuple):
    alone: bool
    go: Callable[[], None]


class Gate:
    """Who may touch a drive now. All methods are for the event loop's thread.

    ``threads`` counts the threads at work: the loop may read beside them, but for ``alone``, and write when
    there are none.
    """

    def __init__(self, launch: Launcher) -> None:
        self.threads = 0
        self.alone = False
        self._launch = launch
        self._queue: deque[_Waiting] = deque()

    def in_thread(self, work: Callable[[], object], done: Done, *, alone: bool = False) -> None:
        """Let a thread do ``work`` when it may, then call ``done`` with what it raised."""

        def go() -> None:
            self._enter(alone)
            self._launch(work, finish)

        def finish(error: BaseException | None) -> None:
            self._leave()
            done(error)
            self._next()

        self._queue.append(_Waiting(alone, go))
        self._next()

    def when_idle(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` when no thread is at work; at once if so."""
        self._queue.append(_Waiting(True, resume))
        self._next()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Keep everybody else away meanwhile."""
        entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def go() -> None:
            if not entered.cancelled():
                self._enter(True)
                entered.set_result(None)

        self._queue.append(_Waiting(True, go))
        self._next()
        await entered
        try:
            yield
        finally:
            self._leave()
            self._next()

    def _enter(self, alone: bool) -> None:
        self.threads += 1
        self.alone = alone

    def _leave(self) -> None:
        self.threads -= 1
        self.alone = False

    def _next(self) -> None:
        """Let in who waits, in turn: a write that waits is not overtaken by threads that come later."""
        while self._queue and not self.alone and not (self._queue[0].alone and self.threads):
            self._queue.popleft().go()


class Export:
    """A drive under a name; one object for all connections to it, so that a flush covers all of them.

    ``drive`` may be exchanged while the gate is held.
    """

    def __init__(
        self, name: str, drive: Drive, launch: Launcher, *, description: str = "", read_only: bool = False
    ) -> None:
        self.name = name
        self.drive = drive
        self.description = description
        self.size = drive.sectors * SECTOR_SIZE
        self.read_only = read_only or drive.read_only
        self.gate = Gate(launch)
        self.connections = 0
        self._flushing = threading.Lock()
        self._thread = threading.get_ident()
        self._slow = _is_slow(drive)
        self._zeroes_fast: bool | None = None

    def read(self, offset: int, target: memoryview) -> None:
        """Fill ``target`` from byte ``offset`` on, whole sectors or not; BlockingIOError: ask in a thread."""
        if self._slow and threading.get_ident() == self._thread:
            raise BlockingIOError
        size = len(target)
        if not (offset | size) % SECTOR_SIZE:
            self.drive.read(offset // SECTOR_SIZE, target)
            return
        lba, sectors = _covering(offset, size)
        buffer = bytearray(sectors * SECTOR_SIZE)
        self.drive.read(lba, buffer)
        start = offset - lba * SECTOR_SIZE
        target[:] = memoryview(buffer)[start : start + size]

    def write(self, offset: int, data: memoryview) -> None:
        """Write ``data`` from byte ``offset`` on; of sectors at its ends, what is not written stays.

        BlockingIOError: write in a thread.
        """
        size = len(data)
        if not (offset | size) % SECTOR_SIZE:
            self.drive.write(offset // SECTOR_SIZE, data)
            return
        lba, sectors = _covering(offset, size)
        buffer = bytearray(sectors * SECTOR_SIZE)
        view = memoryview(buffer)
        start = offset - lba * SECTOR_SIZE
        self.read(lba * SECTOR_SIZE, view[:SECTOR_SIZE])
        self.read((lba + sectors - 1) * SECTOR_SIZE, view[-SECTOR_SIZE:])
        view[start : start + size] = data
        self.drive.write(lba, view)

    def zero(self, offset: int, size: int, *, holes: bool) -> None:
        """Make a range read as zeros; with ``holes`` it need not keep its place on the host's disk."""
        first = -(-offset // SECTOR_SIZE)
        stop = (offset + size) // SECTOR_SIZE
        if first >= stop or not holes:
            for at in range(offset, offset + size, len(_ZEROS)):
                self.write(at, _ZEROS[: offset + size - at])
            return
        self.drive.discard(first, stop - first)
        if offset < first * SECTOR_SIZE:
            self.write(offset, _ZEROS[: first * SECTOR_SIZE - offset])
        if stop * SECTOR_SIZE < offset + size:
            self.write(stop * SECTOR_SIZE, _ZEROS[: offset + size - stop * SECTOR_SIZE])

    @property
    def zeroes_fast(self) -> bool:
        """True when zeros with holes cost less than writing them: where the host punches holes."""
        if self._zeroes_fast is None:
            head = self.drive.head if isinstance(self.drive, Chain) else self.drive
            layer = head if isinstance(head, SparseLayer | FlatDrive) else None
            self._zeroes_fast = layer is None or _punches_holes(layer.file)
        return self._zeroes_fast

    def trim(self, offset: int, size: int) -> None:
        """Give the space of whole sectors back."""
        first = -(-offset // SECTOR_SIZE)
        stop = (offset + size) // SECTOR_SIZE
        if first < stop:
            self.drive.discard(first, stop - first)

    def flush(self) -> None:
        """Return when all that was written survives power loss; for any thread."""
        with self._flushing:
            self.drive.flush()

    def status(self, offset: int, size: int, most: int = MAX_EXTENTS) -> list[tuple[int, int]]:
        """(length, NBD_STATE_*) of consecutive parts from byte ``offset`` on; maybe not up to the end."""
        lba, sectors = _covering(offset, size)
        found: list[tuple[int, int]] = []
        at = offset
        for extent in extents(self.drive, lba, min(sectors, STATUS_SECTORS)):
            stop = min(offset + size, (extent.lba + extent.sectors) * SECTOR_SIZE)
            flags = NBD_STATE_HOLE | NBD_STATE_ZERO if extent.source is None else 0
            if found and found[-1][1] == flags:
                found[-1] = (found[-1][0] + stop - at, flags)
            elif len(found) == most:
                break
            else:
                found.append((stop - at, flags))
            at = stop
        return found

    def is_hole(self, offset: int, size: int) -> bool:
        """True when a range is known to be zeros, without reading it."""
        drive = self.drive
        if not isinstance(drive, Chain):
            return False
        lba, sectors = _covering(offset, size)
        return next(drive.runs(lba, sectors))[1:3] == (sectors, NO_LAYER)


def _is_slow(drive: Drive) -> bool:
    """True when the file of some layer is on another host: nobody can tell how long a read takes."""
    layers = drive.layers if isinstance(drive, Chain) else (drive,)
    files = [layer.file for layer in layers if isinstance(layer, SparseLayer | FlatDrive)]
    return any(type(file) is not HostFile for file in files)


def _punches_holes(file: HostFile) -> bool:
    """Can a file get holes? Asked behind its end, where nothing is; of a device nobody knows."""
    try:
        SystemCalls().punch_hole(file.fd, -(-file.size() // HOLE) * HOLE, HOLE)
    except OSError:
        return False
    return True


_ZEROS = memoryview(bytes(1 << 20))


def _covering(offset: int, size: int) -> tuple[int, int]:
    """First and number of the sectors that a range of bytes touches."""
    first = offset // SECTOR_SIZE
    return first, -(-(offset + size) // SECTOR_SIZE) - first


class ExportProvider(Protocol):
    """Where a server gets its exports from. All methods are called in the event loop's thread."""

    def listed(self) -> Sequence[Listed]:
        """What NBD_OPT_LIST tells."""
        ...

    def check(self, name: str) -> None:
        """Raise ExportRefused when :meth:`open` would for the name alone."""
        ...

    async def open(self, name: str) -> Export:
        """The export of this name, which may come from anybody; ExportRefused, ImageError, OSError."""
        ...

    async def release(self, export: Export) -> None:
        """One connection less uses an export."""
        ...


class DriveExports:
    """Some open drives under fixed names; the first is the default export, too."""

    def __init__(self, drives: Mapping[str, Drive], *, read_only: bool = False) -> None:
        launch = launcher()
        self._exports = {
            name: Export(name, drive, launch, read_only=read_only) for name, drive in drives.items()
        }

    def listed(self) -> list[Listed]:
        """All names."""
        return [Listed(export.name, export.description) for export in self._exports.values()]

    def check(self, name: str) -> None:
        """ExportRefused."""
        if name and name not in self._exports:
            raise ExportRefused(f"{name!r}: no such export, expected {_known(self.listed())}")

    async def open(self, name: str) -> Export:
        """The export of this name; the first when there is none."""
        self.check(name)
        export = self._exports[name or next(iter(self._exports))]
        export.connections += 1
        return export

    async def release(self, export: Export) -> None:
        """Flush what the last one left; a close is the owner's affair."""
        export.connections -= 1


def _known(listed: Sequence[Listed]) -> str:
    return ", ".join(repr(each.name) for each in listed) or "none, as there are none"


def launcher() -> Launcher:
    """Threads of the running event loop's own pool."""
    loop = asyncio.get_running_loop()

    def launch(work: Callable[[], object], done: Done) -> None:
        def finished(future: asyncio.Future[Any]) -> None:
            done(asyncio.CancelledError() if future.cancelled() else future.exception())

        loop.run_in_executor(None, work).add_done_callback(finished)

    return launch


class ImpatientHost(Host):
    """Files whose reads raise BlockingIOError rather than wait for the disk, in the thread of an event loop.

    That is the thread that called :meth:`begin`, until :meth:`end`; in others, reads wait as ever.
    """

    def __init__(self) -> None:
        super().__init__(_ImpatientCalls() if hasattr(os, "preadv") else None)

    def begin(self) -> None:
        """The calling thread is going to serve."""
        if isinstance(self.calls, _ImpatientCalls):
            self.calls.thread = threading.get_ident()

    def end(self) -> None:
        """It has served."""
        if isinstance(self.calls, _ImpatientCalls):
            self.calls.thread = 0


class _ImpatientCalls(SystemCalls):
    def __init__(self) -> None:
        self.thread = 0
        get_ident = threading.get_ident
        preadv = os.preadv
        nowait = getattr(os, "RWF_NOWAIT", 0)

        def impatient(fd: int, buffers: Sequence[Any], offset: int) -> int:
            nonlocal nowait
            if get_ident() != self.thread or not nowait:
                return preadv(fd, buffers, offset)
            try:
                return preadv(fd, buffers, offset, nowait)
            except BlockingIOError:
                raise
            except OSError as error:
                if error.errno not in NOT_OFFERED:
                    raise
                nowait = 0  # a file system that cannot tell
                return preadv(fd, buffers, offset)

        self.preadv = impatient
