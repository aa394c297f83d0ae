"""A differencing drive that fills a whole block device, in place of a file.

The tail footer is in the last sector and stays there; blocks are put one behind the other in what is between,
until it is full. A device cannot be replaced by another under its name, as a file is, so it is emptied where
it is: first no block is left in the BAT, then the header goes, and another that tells of the new parent comes
last. That is for after a commit, when the parent has all that was here: a crash leaves an empty drive then,
or one that is refused.

**Not implemented**: merging into, compacting, resizing and relinking what is on a device.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from itertools import pairwise

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import Host, HostFile
from pcemu.drives.newfile import Part
from pcemu.drives.vhd_layout import BAT_ENTRY_SIZE, FOOTER_SIZE, HEADER_SIZE
from pcemu.errors import ImageFormatError, UsageError

EDGE = 1 << 20
ZEROS = bytes(EDGE)


def is_device(path: str, host: Host) -> bool:
    """True when ``path`` names a block device."""
    try:
        return stat.S_ISBLK(host.stat(path).st_mode)
    except OSError:
        return False


def create_on_device(path: str, parts: Sequence[Part], host: Host) -> None:
    """Put an empty image on a device, which must be blank. ImageError, UsageError."""
    file = host.open_image(path, read_only=False)
    try:
        size = file.size()
        for offset in (0, max(0, size - EDGE)):
            if file.read_bytes(offset, min(EDGE, size)).strip(b"\0"):
                raise UsageError(
                    f"{path}: holds something, expected a blank device; take another, or fill its first and "
                    f"last MiB with zeros if nobody needs it"
                )
        lay_down(file, parts)
    finally:
        file.close()


def lay_down(file: HostFile, parts: Sequence[Part]) -> None:
    """Write an empty image's only part: the footer at its end goes to the end of the device."""
    ((_, data),) = parts
    front, footer = data[:-FOOTER_SIZE], data[-FOOTER_SIZE:]
    last = file.size() // SECTOR_SIZE * SECTOR_SIZE - FOOTER_SIZE
    if len(front) > last:
        raise ImageFormatError(
            f"{file.path}: has {file.size()} bytes, expected more for a drive's structures; take a larger one"
        )
    file.write(ZEROS[:HEADER_SIZE], FOOTER_SIZE)
    file.sync()
    edges = (0, FOOTER_SIZE, FOOTER_SIZE + HEADER_SIZE, len(front))
    for start, stop in reversed(list(pairwise(edges))):  # locators and BAT, header, footer's copy
        file.write(front[start:stop], start)
        file.sync()
    file.write(footer, last)
    file.sync()


def empty_device(file: HostFile, bat_offset: int, bat_entries: int, parts: Sequence[Part]) -> None:
    """Replace an image on a device, whose BAT is given, by an empty one."""
    file.write(b"\xff" * (bat_entries * BAT_ENTRY_SIZE), bat_offset)
    file.sync()
    lay_down(file, parts)


def wipe(path: str, host: Host) -> None:
    """Take an image off a device: nothing there says any more that it is one."""
    file = host.open_image(path, read_only=False)
    try:
        for offset in (0, file.size() // SECTOR_SIZE * SECTOR_SIZE - FOOTER_SIZE):
            file.write(ZEROS[:FOOTER_SIZE], offset)
        file.write(ZEROS[: EDGE - FOOTER_SIZE], FOOTER_SIZE)
        file.sync()
    finally:
        file.close()
