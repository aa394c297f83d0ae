"""The drive of a remote image: sectors from the cache, and what is not there from the server.

To the rest of the package it is a raw image whose file is the cache::

    open_drive(path of the cache) ─► RemoteDrive ─► RemoteFile
                                                 ├─► CacheFile      has it, or
                                                 └─► Fetcher ─► Content ─► PatientSource ─► server

The server is asked when the drive is opened, whether the image is still the same, and for what is missing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import HOST, Host, HostFile
from pcemu.drives.raw import FlatDrive
from pcemu.drives.remote import waiting
from pcemu.drives.remote.address import check_url
from pcemu.drives.remote.cache_file import UNIT_SIZE, CacheFile, Origin, create_cache
from pcemu.drives.remote.cache_folder import Budget, cache_path, damage, origin_of, remove_damaged
from pcemu.drives.remote.content import NO_DESCRIPTOR, Content
from pcemu.drives.remote.fetcher import Fetcher
from pcemu.drives.remote.patience import PatientSource
from pcemu.drives.remote.settings import SETTINGS, Settings, Waiting
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import ImageAccessError, ImageFormatError, UsageError

CLOSED = -1  # in place of a descriptor


def stand_in(
    url: str, *, connect_early: bool = False, settings: Settings = SETTINGS, host: Host = HOST
) -> Path:
    """The local file that stands for a remote image: its cache, made when it is not there.

    It can be named wherever an image can, and sessions and children have it as their parent. With
    ``connect_early`` the connection is made meanwhile for who will open it. ImageError and UsageError tell
    what is wrong with the address, or with what is there.
    """
    url = check_url(url)
    folder = settings.folder()
    path = cache_path(url, folder)
    if path.exists() and damage(path, host):
        remove_damaged(path, host)  # all of it can be read again
    if path.exists():
        if connect_early:
            waiting.begin(url, settings)
        return path
    source = PatientSource(url, None, settings)
    try:
        facts = Content(source, url).facts
        origin = Origin(url, source.size, source.version, facts.format, facts.sectors, facts.geometry)
        folder.mkdir(parents=True, exist_ok=True)
        _create(path, origin, host)
        waiting.put(url, source)
    except OSError as error:
        source.close()
        if isinstance(error.__cause__, ImageFormatError):
            raise error.__cause__ from error
        raise ImageAccessError(f"{url}: cannot be read: {error.strerror or error}; try again") from error
    except BaseException:
        source.close()
        raise
    return path


def _create(path: Path, origin: Origin, host: Host) -> None:
    try:
        create_cache(os.fspath(path), origin, host)
    except UsageError:
        if not path.exists():  # another process was faster where it does
            raise


class RemoteFile(HostFile):
    """The bytes of a remote drive, as a file that is open without a descriptor."""

    __slots__ = ("_cache", "_fetcher", "_layer", "_size", "_source", "origin")

    def __init__(
        self,
        layer: SparseLayer,
        origin: Origin,
        source: PatientSource,
        budget: Budget,
        host: Host,
        waiting: Waiting,
    ) -> None:
        super().__init__(host.calls, NO_DESCRIPTOR, layer.file.path, read_only=True)
        self.identity = layer.file.identity
        self.written = layer.file.written
        self.origin = origin
        self._layer = layer
        self._size = origin.sectors * SECTOR_SIZE
        self._source = source
        self._cache = CacheFile(layer, host)
        content = _Late(source, origin)
        self._fetcher = Fetcher(self._cache, origin.sectors, content, budget.may_grow, origin.url, waiting)

    def read(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill ``buffer`` from byte ``offset`` on; OSError when the server cannot be reached for too long."""
        view = memoryview(buffer)
        if not view:
            return
        unit, at = divmod(offset, UNIT_SIZE)
        stop = (offset + len(view) - 1) // UNIT_SIZE + 1
        self._fetcher.reading(unit, stop)
        while view:
            data = self._fetcher.get(unit)
            if data is None:
                end = self._cache.together(unit, stop)
                part = view[: (end - unit) * UNIT_SIZE - at]
                self._cache.read(unit, at, part)
            else:
                end = unit + 1
                part = view[: UNIT_SIZE - at]
                part[:] = data[at : at + len(part)]
            view = view[len(part) :]
            unit, at = end, 0

    def size(self) -> int:
        """Of the drive."""
        return self._size

    def status(self) -> os.stat_result:
        """The cache's."""
        return self._layer.file.status()

    def sync(self) -> None:
        """Nothing here is written by those who use it."""

    def data_runs(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """All of it may be data: only the server knows."""
        if start < stop:
            yield start, stop

    def close(self) -> None:
        """Keep what was read, and let go of the server; closing twice does nothing."""
        if self.fd == CLOSED:
            return
        self.fd = CLOSED
        self._source.close()
        self._fetcher.close()
        try:
            self._cache.close()
        finally:
            self._layer.file.close()


class _Late:
    """The content behind a source, looked at when it is first needed; a VHD's headers are read then."""

    def __init__(self, source: PatientSource, origin: Origin) -> None:
        self._source = source
        self._origin = origin
        self._lock = threading.Lock()
        self._content: Content | None = None

    def __call__(self) -> Content:
        with self._lock:
            if self._content is None:
                self._content = Content(self._source, self._origin.url, self._origin.format)
            return self._content


class RemoteDrive(FlatDrive):
    """A remote image, read-only; ``url`` is its address."""

    file: RemoteFile

    def __init__(self, file: RemoteFile) -> None:
        super().__init__(file, file.origin.sectors, file.origin.geometry)
        self.url = file.origin.url
        self.unique_id = file.origin.unique_id

    def close(self) -> None:
        """Keep what was read, and let go of the server."""
        self.file.close()


def open_cached(layer: SparseLayer, host: Host, settings: Settings = SETTINGS) -> RemoteDrive:
    """The drive that an open file is the cache of; its server must be there, and have the same image."""
    origin = origin_of(layer)
    expected = (origin.size, origin.version)
    source = waiting.take(origin.url, expected, settings) or PatientSource(origin.url, expected, settings)
    try:
        budget = Budget(Path(layer.file.path), settings.cache_size, host)
        file = RemoteFile(layer, origin, source, budget, host, lambda url: settings.waiting(url))
    except BaseException:
        source.close()
        raise
    try:
        return RemoteDrive(file)
    except BaseException:
        file.close()
        raise
