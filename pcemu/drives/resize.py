"""Making an image larger; what it grows by reads as zeros.

raw             the file grows
dynamic, differencing   a larger BAT and new footers, in the order of :mod:`pcemu.drives.structures`
fixed           written anew, sparse as it was: its one footer is the last sector, and moving that in place
                has an instant without any
"""

from __future__ import annotations

import os
from array import array

from pcemu.drives.create import check_size, facts_of
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.facts import facts_about
from pcemu.drives.hostfile import HOST, Host, HostFile
from pcemu.drives.intents import refuse_target
from pcemu.drives.lineage import Progress, StrPath, no_progress, told
from pcemu.drives.open import open_layer
from pcemu.drives.probe import Ends, Format
from pcemu.drives.raw import FlatDrive
from pcemu.drives.registry import Family, names_of
from pcemu.drives.repair import mend_tail
from pcemu.drives.replace import replace_image
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.structures import switch_structures
from pcemu.drives.vhd import FixedVhd, vhd_geometry
from pcemu.drives.vhd_header import read_facts
from pcemu.drives.vhd_layout import NO_BLOCK, Footer
from pcemu.errors import ImageAccessError, UsageError

COPY_SIZE = 8 << 20


def grow(
    path: StrPath,
    size: int,
    *,
    format: Format | None = None,
    progress: Progress = no_progress,
    host: Host = HOST,
) -> None:
    """Make an image ``size`` bytes large, which must be more than it has.

    One that others are built on is refused: they are as large as it is. Killed in between it can be run
    again. Raises ImageError or UsageError, and then nothing was changed.
    """
    path = os.path.realpath(path)
    check_size(path, size)
    with told(path, "resizing", "it still has its old size: mend that and run it again"):
        refuse_target(path, host)
        if facts_about(path, format, host=host).footer_lost:  # when an earlier try was cut off
            _check(path, size, format, host)
            mend_tail(path, host)
        layer = open_layer(path, False, format, host)
        try:
            _refuse(layer, size, host)
            if size > layer.sectors * SECTOR_SIZE:
                layer = grow_layer(layer, size, host, progress)
            else:
                layer.file.sync()  # which may be what failed in an earlier try
                host.sync_dir_of(path)
        finally:
            layer.close()


def _check(path: str, size: int, format: Format | None, host: Host) -> None:
    """Refuse what is to be refused before the footer is mended."""
    layer = open_layer(path, True, format, host)
    try:
        _refuse(layer, size, host)
    finally:
        layer.close()


def _refuse(layer: SparseLayer | FlatDrive, size: int, host: Host) -> None:
    path, found = layer.file.path, layer.sectors * SECTOR_SIZE
    if size < found:
        raise UsageError(
            f"{path}: a size of {size} bytes was asked for, expected more than the {found} it has; "
            f"it can only grow: make a smaller one and copy the files"
        )
    looks = [] if isinstance(layer, SparseLayer | FixedVhd) else [facts_of(layer).fingerprint]
    children = Family(host).children_of(layer, [look for look in looks if look is not None])
    if children:
        raise UsageError(
            f"{path}: {names_of(children)} built on it, expected no child; resize the child instead"
        )


def grow_layer(
    layer: SparseLayer | FlatDrive, size: int, host: Host, progress: Progress = no_progress
) -> SparseLayer | FlatDrive:
    """As :func:`grow`, of an image that is open for writing; returned open again, the old one is closed."""
    path = layer.file.path
    layer.flush()
    format = Format.RAW
    if isinstance(layer, SparseLayer):
        format = Format.DIFFERENCING if layer.is_child else Format.DYNAMIC
        _grow_sparse(layer, size)
    elif isinstance(layer, FixedVhd):
        format = Format.FIXED
        _rewrite_fixed(layer, size, host, progress).close()
    else:
        layer.file.truncate(size)
        layer.file.sync()
    layer.close()
    return open_layer(path, False, format, host)


def resized(footer: Footer, size: int) -> Footer:
    """A footer for another size."""
    geometry = vhd_geometry(size // SECTOR_SIZE)
    return footer._replace(
        current_size=size,
        cylinders=geometry.cylinders,
        heads=geometry.heads,
        sectors_per_track=geometry.sectors,
    )


def _grow_sparse(layer: SparseLayer, size: int) -> None:
    facts = read_facts(Ends(layer.file))
    assert facts.header is not None and facts.bat is not None
    bat = facts.bat
    missing = -(-size // facts.header.block_size) - len(bat)
    if missing > 0:
        bat = bat + array("I", [NO_BLOCK]) * missing
    switch_structures(layer.file, facts, resized(facts.footer, size), facts.header, facts.locators, bat)


def _rewrite_fixed(layer: FixedVhd, size: int, host: Host, progress: Progress) -> HostFile:
    old = layer.sectors * SECTOR_SIZE
    free = host.free_space(layer.file.path)
    needed = sum(stop - start for start, stop in layer.file.data_runs(0, old))
    if needed > free:
        raise ImageAccessError(
            f"{layer.file.path}: its disk has {free} bytes free, expected {needed}, as a fixed image is "
            f"written anew; make room, or convert it to a dynamic one"
        )

    def fill(file: HostFile) -> None:
        for start, stop in layer.file.data_runs(0, old):
            for at in range(start, stop, COPY_SIZE):
                file.copy_from(layer.file, at, at, min(COPY_SIZE, stop - at))
                progress(min(stop, at + COPY_SIZE) // SECTOR_SIZE, old // SECTOR_SIZE)
        progress(old // SECTOR_SIZE, old // SECTOR_SIZE)

    footer = resized(layer.footer, size)
    return replace_image(layer, [(size, footer.pack())], host, fill_file=fill)
