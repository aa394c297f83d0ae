"""Reading whole drives: where they hold anything at all, and which parts of a buffer do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pcemu.drives.chain import NO_LAYER, Chain
from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import SparseLayer

GRAIN = 4096  # zeros are told in pieces of a page, as file systems keep them
GRAIN_SECTORS = GRAIN // SECTOR_SIZE


class Extent(NamedTuple):
    """``sectors`` sectors from ``lba`` on; ``source`` says where they lie, None: they are known to be zeros.

    Extents of two drives with equal sources hold the same.
    """

    lba: int
    sectors: int
    source: tuple[int, int, int] | None  # device, inode, offset of what would be sector 0


def extents(drive: Drive, lba: int = 0, sectors: int | None = None) -> Iterator[Extent]:
    """All sectors of a drive, or of a part of it, ascending, without gaps; holes in files count as zeros."""
    if sectors is None:
        sectors = drive.sectors - lba
    if isinstance(drive, FlatDrive):
        yield from _of_file(drive, lba, sectors, lba * SECTOR_SIZE)
    elif isinstance(drive, Chain):
        for run in drive.runs(lba, sectors):
            layer = None if run.layer == NO_LAYER else drive.layers[run.layer]
            if isinstance(layer, SparseLayer | FlatDrive):
                yield from _of_file(layer, run.lba, run.sectors, run.offset)
            else:
                yield Extent(run.lba, run.sectors, None if layer is None else (0, id(layer), 0))
    else:
        yield Extent(lba, sectors, (0, id(drive), 0))


def read_padded(drive: Drive, lba: int, buffer: memoryview) -> None:
    """Read whole sectors; those behind the drive's end are zeros."""
    inside = max(0, min(len(buffer), (drive.sectors - lba) * SECTOR_SIZE))
    if inside:
        drive.read(lba, buffer[:inside])
    buffer[inside:] = bytes(len(buffer) - inside)


def _of_file(layer: SparseLayer | FlatDrive, lba: int, sectors: int, offset: int) -> Iterator[Extent]:
    stop = lba + sectors
    source = (*layer.file.identity, offset - lba * SECTOR_SIZE)
    if sectors < GRAIN_SECTORS:
        yield Extent(lba, sectors, source)
        return
    at = lba
    for start, end in layer.file.data_runs(offset, offset + sectors * SECTOR_SIZE):
        first = lba + (start - offset) // SECTOR_SIZE
        last = min(stop, lba - (offset - end) // SECTOR_SIZE)
        if at < first:
            yield Extent(at, first - at, None)
            at = first
        if at < last:
            yield Extent(at, last - at, source)
            at = last
    if at < stop:
        yield Extent(at, stop - at, None)


def data_in(buffer: memoryview) -> list[tuple[int, int]]:
    """The parts (from, to) of a buffer of whole sectors that are not zeros, as whole pages of it."""
    whole = len(buffer) // GRAIN * GRAIN
    flags = np.zeros(-(-len(buffer) // GRAIN), np.bool_)
    if whole:
        words = np.frombuffer(buffer[:whole], np.uint64)
        flags[: whole // GRAIN] = words.reshape(-1, GRAIN // 8).any(axis=1)
    if whole < len(buffer):
        flags[-1] = np.frombuffer(buffer[whole:], np.uint8).any()
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False)).tolist()
    return [
        (first * GRAIN, min(last * GRAIN, len(buffer)))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]
