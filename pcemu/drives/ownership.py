"""Which layer holds which part of a drive."""

from __future__ import annotations

from collections.abc import Iterator

from pcemu.drives.chain import NO_LAYER, Chain, Run
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.lineage import Progress, no_progress
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import SparseLayer

CHUNK = 1 << 21  # sectors between two calls of the progress function


def layers_of(drive: Chain | FlatDrive) -> list[SparseLayer | FlatDrive]:
    """The images of a drive, the ultimate parent first."""
    layers = drive.layers if isinstance(drive, Chain) else (drive,)
    return [layer for layer in layers if isinstance(layer, SparseLayer | FlatDrive)]


def owned_runs(drive: Chain | FlatDrive, progress: Progress = no_progress) -> Iterator[Run]:
    """Ascending runs that cover a drive, none longer than it has to be cut.

    Holes in the file of a raw or fixed image belong to nobody (NO_LAYER), as what no layer has.
    """
    layers = layers_of(drive)
    last: Run | None = None
    for run in _runs(drive, progress):
        owner = None if run.layer == NO_LAYER else layers[run.layer]
        for part in _without_holes(run, owner) if isinstance(owner, FlatDrive) else (run,):
            if last is not None and _continues(last, part):
                last = last._replace(sectors=last.sectors + part.sectors)
            else:
                if last is not None:
                    yield last
                last = part
    if last is not None:
        yield last


def _runs(drive: Chain | FlatDrive, progress: Progress) -> Iterator[Run]:
    for lba in range(0, drive.sectors, CHUNK):
        progress(lba, drive.sectors)
        count = min(CHUNK, drive.sectors - lba)
        if isinstance(drive, Chain):
            yield from drive.runs(lba, count)
        else:
            yield Run(lba, count, 0, drive.locate(lba))
    progress(drive.sectors, drive.sectors)


def _without_holes(run: Run, owner: FlatDrive) -> Iterator[Run]:
    at, stop = run.lba, run.lba + run.sectors
    for start, end in owner.file.data_runs(owner.locate(at), owner.locate(stop)):
        first, last = start // SECTOR_SIZE, min(stop, -(-end // SECTOR_SIZE))
        if at < first:
            yield Run(at, first - at, NO_LAYER, 0)
        at = max(at, first)
        if at < last:
            yield Run(at, last - at, run.layer, owner.locate(at))
            at = last
    if at < stop:
        yield Run(at, stop - at, NO_LAYER, 0)


def _continues(run: Run, after: Run) -> bool:
    if run.layer != after.layer:
        return False
    return run.layer == NO_LAYER or run.offset + run.sectors * SECTOR_SIZE == after.offset
