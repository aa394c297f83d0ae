"""Comparing what two drives hold, whatever their formats and layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pcemu.drives.content import Extent, extents, read_padded
from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.lineage import Progress, StrPath, Warn, no_progress, no_warning, told
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format
from pcemu.drives.transfer import BUFFER_SIZE


class Comparison(NamedTuple):
    """``first_difference`` is the first sector that differs, None when there is none.

    Where one drive is longer, the other counts as zeros; ``sectors`` has both sizes.
    """

    first_difference: int | None
    sectors: tuple[int, int]

    @property
    def same_content(self) -> bool:
        """True when no sector differs; their sizes may."""
        return self.first_difference is None


def compare(
    first: StrPath,
    second: StrPath,
    *,
    formats: tuple[Format | None, Format | None] = (None, None),
    allow_outside: bool = False,
    progress: Progress = no_progress,
    warn: Warn = no_warning,
    host: Host = HOST,
) -> Comparison:
    """Compare two images, with all that they are built on. Raises ImageError.

    Their ``formats`` are told from the content where they are None.
    """
    with told(first, "comparing", "mend that and run it again"):
        one = open_drive(first, read_only=True, format=formats[0], allow_outside=allow_outside, host=host)
        try:
            two = open_drive(
                second, read_only=True, format=formats[1], allow_outside=allow_outside, host=host
            )
            try:
                for text in dict.fromkeys([*one.warnings, *two.warnings]):
                    warn(text)
                return compare_drives(one, two, progress)
            finally:
                two.close()
        finally:
            one.close()


def compare_drives(one: Drive, two: Drive, progress: Progress = no_progress) -> Comparison:
    """As :func:`compare`, of open drives. What both have from the same place of the same file is not read."""
    sizes = (one.sectors, two.sectors)
    total = max(sizes)
    buffers = memoryview(bytearray(BUFFER_SIZE)), memoryview(bytearray(BUFFER_SIZE))
    step = BUFFER_SIZE // SECTOR_SIZE
    progress(0, total)
    for lba, sectors in _doubtful(one, two):
        for at in range(lba, lba + sectors, step):
            count = min(step, lba + sectors - at)
            parts = [buffer[: count * SECTOR_SIZE] for buffer in buffers]
            for drive, part in zip((one, two), parts, strict=True):
                read_padded(drive, at, part)
            if parts[0] != parts[1]:
                return Comparison(at + _first_difference(*parts), sizes)
            progress(at + count, total)
    progress(total, total)
    return Comparison(None, sizes)


def _doubtful(one: Drive, two: Drive) -> Iterator[tuple[int, int]]:
    """The ranges (first sector, how many) that have to be read to know."""
    total = max(one.sectors, two.sectors)
    sides = [_padded(drive, total) for drive in (one, two)]
    left, right = (next(side) for side in sides)
    lba = 0
    while lba < total:
        stop = min(left.lba + left.sectors, right.lba + right.sectors)
        if left.source != right.source:
            yield lba, stop - lba
        lba = stop
        if lba < total and left.lba + left.sectors == lba:
            left = next(sides[0])
        if lba < total and right.lba + right.sectors == lba:
            right = next(sides[1])


def _padded(drive: Drive, total: int) -> Iterator[Extent]:
    yield from extents(drive)
    if drive.sectors < total:
        yield Extent(drive.sectors, total - drive.sectors, None)


def _first_difference(one: memoryview, two: memoryview) -> int:
    differ = np.frombuffer(one, np.uint8) != np.frombuffer(two, np.uint8)
    return int(differ.argmax()) // SECTOR_SIZE
