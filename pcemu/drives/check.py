"""Checking an image with all that it is built on, without changing anything.

What makes the drive unusable is raised, as opening it does: fields, checksums, places of blocks, parents that
are missing, changed, or traps. What it can be used with is returned, to be seen to.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from pcemu.drives.chain import Chain
from pcemu.drives.content import extents
from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.intents import read_intent
from pcemu.drives.lineage import Progress, StrPath, no_progress, told
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Ends, Format
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.transfer import BUFFER_SIZE
from pcemu.drives.vhd_layout import FOOTER_SIZE


class CheckResult(NamedTuple):
    """``layers`` from the ultimate parent up; ``findings`` are sentences about what should be seen to."""

    layers: tuple[str, ...]
    findings: tuple[str, ...]


def check(
    path: StrPath,
    *,
    data: bool = False,
    format: Format | None = None,
    allow_outside: bool = False,
    progress: Progress = no_progress,
    host: Host = HOST,
) -> CheckResult:
    """Open an image as a drive, and look closer; with ``data`` read every sector, too. ImageError."""
    with told(path, "checking it", "its disk may be failing: copy what can be read"):
        drive = open_drive(path, read_only=True, format=format, allow_outside=allow_outside, host=host)
        try:
            layers = drive.layers if isinstance(drive, Chain) else (drive,)
            findings = list(drive.warnings)
            names = []
            for layer in layers:
                file = getattr(layer, "file", None)
                if file is None:
                    continue
                names.append(file.path)
                intent = read_intent(os.path.realpath(file.path), host)
                if intent is not None:
                    findings.append(
                        f"{file.path}: a {intent.operation} of {intent.source} was interrupted; run it again"
                    )
                if isinstance(layer, SparseLayer) and _copy_lost(layer):
                    findings.append(
                        f"{file.path}: the copy of the footer at its start is lost, the footer is good; "
                        f"`pcemu disk repair` restores it"
                    )
            if data:
                _read_all(drive, progress)
            return CheckResult(tuple(names), tuple(findings))
        finally:
            drive.close()


def _copy_lost(layer: SparseLayer) -> bool:
    return Ends(layer.file).read(0, FOOTER_SIZE) != layer.footer.pack()


def _read_all(drive: Drive, progress: Progress) -> None:
    buffer = memoryview(bytearray(BUFFER_SIZE))
    step = BUFFER_SIZE // SECTOR_SIZE
    for extent in extents(drive):
        stop = extent.lba + extent.sectors
        for lba in range(extent.lba, stop, step) if extent.source else ():
            drive.read(lba, buffer[: min(step, stop - lba) * SECTOR_SIZE])
            progress(lba, drive.sectors)
    progress(drive.sectors, drive.sectors)
