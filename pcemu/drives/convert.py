"""Copying a drive, a whole chain or a single image, to a new image of any format; what is empty stays so."""

from __future__ import annotations

import os

from pcemu.drives import vhd_layout as layout
from pcemu.drives.content import data_in, extents
from pcemu.drives.create import DEFAULT_BLOCK_SIZE, block_size_for, check_size, new_footer, sparse_parts
from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.hostfile import HOST, Host, HostFile
from pcemu.drives.lineage import Progress, StrPath, Warn, no_progress, no_warning, told
from pcemu.drives.newfile import Part, write_new
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Ends, Format
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.transfer import BUFFER_SIZE
from pcemu.drives.vhd_header import read_facts
from pcemu.errors import ImageAccessError, UsageError


def convert(
    source: StrPath,
    target: StrPath,
    format: Format,
    *,
    source_format: Format | None = None,
    block_size: int | None = None,
    allow_outside: bool = False,
    progress: Progress = no_progress,
    warn: Warn = no_warning,
    host: Host = HOST,
) -> None:
    """Make ``target``, a new image that holds what ``source`` reads as, with no parent.

    Zeros take no space in it. It gets its name when it is whole: cancelled or killed there is nothing of that
    name, and it can be run again. Raises ImageError, or UsageError when the name is taken.
    """
    target = os.fspath(target)
    if format is Format.DIFFERENCING:
        raise UsageError(f"{target}: a child cannot be converted to, expected raw, fixed or dynamic")
    with told(target, "converting", "nothing was made: mend that and run it again"):
        drive = open_drive(
            source, read_only=True, format=source_format, allow_outside=allow_outside, host=host
        )
        try:
            for text in drive.warnings:
                warn(text)
            _convert(drive, target, format, block_size, progress, host)
        finally:
            drive.close()


def flatten(
    source: StrPath,
    target: StrPath,
    format: Format = Format.DYNAMIC,
    *,
    allow_outside: bool = False,
    progress: Progress = no_progress,
    warn: Warn = no_warning,
    host: Host = HOST,
) -> None:
    """Make one image of a child and all that it is built on, which stay as they are."""
    convert(source, target, format, allow_outside=allow_outside, progress=progress, warn=warn, host=host)


def _convert(
    drive: Drive, target: str, format: Format, block_size: int | None, progress: Progress, host: Host
) -> None:
    size = drive.sectors * SECTOR_SIZE
    parts: list[Part] = []
    if format is Format.FIXED:
        check_size(target, size)
        parts = [(size, new_footer(layout.TYPE_FIXED, size, layout.NO_OFFSET).pack())]
    elif format is Format.DYNAMIC:
        check_size(target, size)
        footer = new_footer(layout.TYPE_DYNAMIC, size, layout.FOOTER_SIZE)
        block_size = block_size_for(target, size, block_size, DEFAULT_BLOCK_SIZE)
        parts = sparse_parts(footer, block_size, None, target)
    needed = sum(extent.sectors for extent in extents(drive) if extent.source) * SECTOR_SIZE
    free = host.free_space(os.path.dirname(os.path.realpath(target)))  # noqa: PTH120
    if needed > free:
        raise ImageAccessError(
            f"{target}: its disk has {free} bytes free, expected {needed}; make room or take another place"
        )

    def fill(file: HostFile) -> None:
        if format is Format.DYNAMIC:
            layer = SparseLayer(file, read_facts(Ends(file)))
            copy_data(drive, layer, progress)
            layer.flush()
            return
        if format is Format.RAW:
            file.truncate(size)
        copy_data(drive, file, progress)

    write_new(target, parts, host, fill)


def copy_data(drive: Drive, target: SparseLayer | HostFile, progress: Progress) -> None:
    """Write all that is not zeros to a target that is empty."""
    progress(0, drive.sectors)
    buffer = memoryview(bytearray(BUFFER_SIZE))
    step = BUFFER_SIZE // SECTOR_SIZE
    for extent in extents(drive):
        stop = extent.lba + extent.sectors
        for lba in range(extent.lba, stop, step) if extent.source else ():
            part = buffer[: min(step, stop - lba) * SECTOR_SIZE]
            drive.read(lba, part)
            for first, last in data_in(part):
                if isinstance(target, HostFile):
                    target.write(part[first:last], lba * SECTOR_SIZE + first)
                else:
                    target.write(lba + first // SECTOR_SIZE, part[first:last])
            progress(min(stop, lba + step), drive.sectors)
    progress(drive.sectors, drive.sectors)
