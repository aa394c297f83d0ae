"""The folder with the caches of all remote images: their names, what they take, and making room."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from pcemu.drives.hostfile import Host
from pcemu.drives.probe import Ends
from pcemu.drives.remote.cache_file import PAGE_UNITS, UNIT_SIZE, CacheFile, Origin, allocated, unpack_origin
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.vhd_header import read_facts
from pcemu.drives.vhd_layout import LOCATOR_CACHE
from pcemu.errors import ImageAccessError, ImageError, ImageFormatError

SUFFIX = ".vhd"
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
NAME_LENGTH = 40
NAME = re.compile(r"[^.].*-[0-9a-f]{16}\.vhd")
RECOUNT_EVERY = 16 << 20  # bytes written between two looks at all caches


def cache_path(url: str, folder: Path) -> Path:
    """Where the cache of an address is, or would be: named by the last part of the address, and a hash."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    last = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    readable = NOT_IN_NAMES.sub("-", last.removesuffix(SUFFIX))[:NAME_LENGTH].strip("-.") or "image"
    return folder / f"{readable}-{digest}{SUFFIX}"


def caches_in(folder: Path) -> list[Path]:
    """All caches, the one that was not used for the longest time first."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if NAME.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    status = path.stat()
                    found.append((max(status.st_atime, status.st_mtime), path))
    return [path for _, path in sorted(found)]


def origin_of(layer: SparseLayer) -> Origin:
    """Which image a file is the cache of; ImageFormatError."""
    data = next((data for code, data in layer.locators if code == LOCATOR_CACHE), b"")
    return unpack_origin(data, layer.file.path)


@contextlib.contextmanager
def opened_cache(path: Path, host: Host, *, lock: bool) -> Iterator[SparseLayer]:
    """A cache as a VHD, read-only, without asking its server."""
    file = host.open_image(os.fspath(path), read_only=True, lock=lock)
    try:
        yield SparseLayer(file, read_facts(Ends(file)))
    finally:
        file.close()


def damage(path: Path, host: Host) -> str:
    """What is wrong with a cache that cannot be used; "" when nothing is."""
    try:
        with opened_cache(path, host, lock=False) as layer:
            origin_of(layer)
            if layer.file.size() < layer.locate(layer.sectors - 1):
                return f"{path}: is cut off"
    except ImageFormatError as error:
        return str(error)
    return ""


def remove_damaged(path: Path, host: Host) -> None:
    """Have done with a cache that cannot be used. What is built on it finds its image again by the address.

    ImageAccessError when it is in use.
    """
    file = host.open_image(os.fspath(path), read_only=False)  # nobody else has it then
    try:
        host.unlink(file.path)
        host.sync_dir_of(file.path)
    finally:
        file.close()


def empty(path: Path, host: Host) -> bool:
    """Forget what was read; False when the cache is in use. What is built on it stays right."""
    from pcemu.drives.locks import lock_file

    with opened_cache(path, host, lock=False) as layer:
        try:
            lock_file(layer.file.fd, layer.file.path, shared=False)  # nobody reads while bits go away
        except ImageAccessError:
            return False
        cache = CacheFile(layer, host)
        try:
            cache.clear()
        finally:
            cache.close()
    return True


class Budget:
    """How much all caches in a folder may take; ``own`` is the one that is being filled."""

    def __init__(self, own: Path, limit: int, host: Host) -> None:
        self._own = own
        self._limit = limit
        self._host = host
        self._lock = threading.Lock()
        self._left: int | None = None  # bytes until the next look

    def may_grow(self) -> bool:
        """May one more unit be kept?"""
        with self._lock:
            if self._left is None or 0 < self._left < UNIT_SIZE:
                self._left = min(RECOUNT_EVERY, self._limit - self._make_room())
            if self._left < UNIT_SIZE:
                self._left = 0  # full, until this cache is opened again
                return False
            self._left -= UNIT_SIZE
            return True

    def _make_room(self) -> int:
        """Empty other caches, the longest unused first, until there is room; bytes that all take then."""
        sizes = {}
        for path in caches_in(self._own.parent):
            with contextlib.suppress(OSError):
                sizes[path] = allocated(path.stat())
        for path in list(sizes):
            if sum(sizes.values()) + PAGE_UNITS * UNIT_SIZE <= self._limit:
                break
            with contextlib.suppress(OSError, ImageError):
                if path != self._own and empty(path, self._host):
                    sizes[path] = allocated(path.stat())
        return sum(sizes.values())
