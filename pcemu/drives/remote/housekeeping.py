"""Caches as a whole: listing, comparing with the servers, forgetting."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import NamedTuple

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.lineage import Progress, no_progress
from pcemu.drives.locks import holders
from pcemu.drives.registry import Family
from pcemu.drives.remote.cache_file import UNIT_SECTORS, allocated, cached_units, unit_sectors
from pcemu.drives.remote.cache_folder import damage, empty, opened_cache, origin_of, remove_damaged
from pcemu.drives.remote.content import Content
from pcemu.drives.remote.patience import PatientSource
from pcemu.drives.remote.settings import SETTINGS, Settings
from pcemu.drives.replace import remove_image
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import ImageAccessError, ImageFormatError

BATCH = 16  # units compared at a time


class CacheFacts(NamedTuple):
    """Sizes in bytes: of the drive, and what the cache takes on its disk.

    ``damaged`` says why it cannot be used, and then the address is not known; "" otherwise.
    """

    url: str
    path: str
    size: int
    allocated: int
    in_use_by: list[int]
    version: str
    children: int
    damaged: str = ""


class Verified(NamedTuple):
    """How many units were compared, and how many were not as on the server."""

    url: str
    path: str
    checked: int
    wrong: int


class Cleared(NamedTuple):
    """Bytes given back; ``forgotten`` when the cache itself is gone, as nothing is built on it."""

    url: str
    path: str
    freed: int
    forgotten: bool


def facts_of(path: Path, *, host: Host = HOST) -> CacheFacts:
    """Look at a cache; no server is asked. ImageError when it cannot be read."""
    children = len(Family(host).built_on(os.path.realpath(path)))
    if wrong := damage(path, host):
        return CacheFacts("", str(path), 0, allocated(path.stat()), [], "", children, wrong)
    with opened_cache(path, host, lock=False) as layer:
        origin = origin_of(layer)
        status = layer.file.status()
        users = holders(layer.file.fd)
    size = origin.sectors * SECTOR_SIZE
    return CacheFacts(origin.url, str(path), size, allocated(status), users, origin.version, children)


def verify(
    path: Path, *, progress: Progress = no_progress, settings: Settings = SETTINGS, host: Host = HOST
) -> Verified:
    """Compare all that is kept with the server; what differs is forgotten, if nobody else uses the cache.

    Raises ImageError when the server cannot be asked, or does not have this version any more, and OSError.
    """
    if wrong_with_it := damage(path, host):
        raise ImageFormatError(
            f"{wrong_with_it}; nothing is lost: `pcemu disk cache clear {shlex.quote(str(path))}`"
        )
    with opened_cache(path, host, lock=True) as layer:
        origin = origin_of(layer)
        units = list(cached_units(layer))
        source = PatientSource(origin.url, (origin.size, origin.version), settings)
        try:
            content = Content(source, origin.url, origin.format)
            wrong = []
            for start in range(0, len(units), BATCH):
                progress(start, len(units))
                wrong += [unit for unit in units[start : start + BATCH] if _differs(unit, layer, content)]
            progress(len(units), len(units))
        finally:
            source.close()
    if wrong and not empty(path, host):
        raise ImageAccessError(
            f"{path}: {len(wrong)} pieces are not as on the server, and it is in use, expected it free; end "
            f"what uses it, then clear it with `pcemu disk cache clear {shlex.quote(origin.url)}`"
        )
    return Verified(origin.url, str(path), len(units), len(wrong))


def _differs(unit: int, layer: SparseLayer, content: Content) -> bool:
    lba, count = unit * UNIT_SECTORS, unit_sectors(unit, layer.sectors)
    kept = layer.file.read_bytes(layer.locate(lba), count * SECTOR_SIZE)
    return content.read(lba, count) != kept


def clear(path: Path, *, host: Host = HOST) -> Cleared:
    """Forget what was read; and, where nothing is built on it, which version of the image it was.

    ImageAccessError when it is in use.
    """
    facts = facts_of(path, host=host)
    if facts.damaged:
        remove_damaged(path, host)
        return Cleared(facts.url, str(path), facts.allocated, not facts.children)
    if not empty(path, host):
        raise ImageAccessError(
            f"{path}: is in use by process {', '.join(map(str, facts.in_use_by)) or 'unknown'}, expected it "
            f"free; end that first"
        )
    if not facts.children:
        remove_image(os.fspath(path), host)
        return Cleared(facts.url, str(path), facts.allocated, True)
    return Cleared(facts.url, str(path), facts.allocated - allocated(path.stat()), False)
