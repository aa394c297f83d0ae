"""What an image is, told without locking it or opening its parents: it may be in use, or damaged above."""

from __future__ import annotations

import os
from typing import NamedTuple

from pcemu.drives.drive import SECTOR_SIZE, Geometry
from pcemu.drives.geometry import geometry_for
from pcemu.drives.hostfile import HOST, Host, HostFile
from pcemu.drives.intents import Intent, read_intent
from pcemu.drives.lineage import StrPath, told
from pcemu.drives.locks import holders
from pcemu.drives.probe import Ends, Format, is_raw
from pcemu.drives.raw import RawDrive
from pcemu.drives.registry import Child, read_child
from pcemu.drives.vhd_header import VhdFacts, footer_geometry, read_facts
from pcemu.drives.vhd_layout import EPOCH, LOCATOR_CACHE, NO_BLOCK, TYPE_NAMES
from pcemu.errors import ImageFormatError


class ImageFacts(NamedTuple):
    """Sizes are bytes: ``size`` of the drive, ``file_size`` of the file, ``allocated`` what that takes.

    ``created`` counts seconds since 1970. ``child`` says what a differencing image knows of its parent,
    ``pending`` which operation on the image was interrupted or is under way, ``in_use_by`` the processes that
    have it locked, as far as the kernel tells.
    """

    path: str
    format: Format
    size: int
    file_size: int
    allocated: int
    geometry: Geometry
    in_use_by: tuple[int, ...]
    pending: Intent | None
    unique_id: bytes | None = None
    creator: str | None = None
    created: int | None = None
    block_size: int | None = None
    blocks: int | None = None
    blocks_used: int | None = None
    footer_lost: bool = False
    child: Child | None = None
    url: str | None = None  # of the image on a server that this is the cache of


def facts_about(path: StrPath, format: Format | None = None, *, host: Host = HOST) -> ImageFacts:
    """Look at one image, of a known format or of what its content says. ImageError when it is none."""
    path = os.fspath(path)
    with told(path, "looking at it", "check its disk"):
        file = host.open_image(path, read_only=True, lock=False)
        try:
            ends = Ends(file)
            if format is Format.RAW or (format is None and is_raw(ends)):
                return _of_raw(file, host)
            facts = read_facts(ends)
            found = Format(TYPE_NAMES[facts.footer.type])
            if format not in (None, found):
                raise ImageFormatError(f"{path}: is a {found} VHD, expected {format}; leave the format out")
            return _of_vhd(file, found, facts, host)
        finally:
            file.close()


def _of_raw(file: HostFile, host: Host) -> ImageFacts:
    common = _common(file, Format.RAW, host)
    drive = RawDrive.on(file)
    return common._replace(size=drive.sectors * SECTOR_SIZE, geometry=drive.geometry)


def _of_vhd(file: HostFile, format: Format, facts: VhdFacts, host: Host) -> ImageFacts:
    footer = facts.footer
    found = _common(file, format, host)._replace(
        size=footer.current_size,
        geometry=footer_geometry(footer) or geometry_for(footer.current_size // SECTOR_SIZE, b""),
        unique_id=footer.unique_id,
        creator=footer.creator.decode("latin-1").rstrip("\0 "),
        created=footer.time + EPOCH,
        footer_lost=facts.tail_lost,
    )
    if facts.header is None or facts.bat is None:
        return found
    total = -(-footer.current_size // facts.header.block_size)
    return found._replace(
        block_size=facts.header.block_size,
        blocks=total,
        blocks_used=total - facts.bat[:total].count(NO_BLOCK),
        child=read_child(file.path, host) if format is Format.DIFFERENCING else None,
        url=_url(facts),
    )


def _url(facts: VhdFacts) -> str | None:
    for code, data in facts.locators:
        if code == LOCATOR_CACHE:
            from pcemu.drives.remote.cache_file import unpack_origin

            return unpack_origin(data, "").url
    return None


def _common(file: HostFile, format: Format, host: Host) -> ImageFacts:
    status = file.status()
    allocated: int = getattr(status, "st_blocks", -1) * 512
    size = file.size()
    return ImageFacts(
        file.path,
        format,
        size,
        size,
        allocated if allocated >= 0 else size,
        Geometry(0, 0, 0),
        tuple(holders(file.fd)),
        read_intent(os.path.realpath(file.path), host),
    )
