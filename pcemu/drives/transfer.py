"""Sectors on their way from some layers to another image: the newest copy of each, in large pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.lineage import Progress
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import ALIGNMENT, SparseLayer, bit_runs
from pcemu.drives.writeback import Writeback

HOLE_SECTORS = 128  # shorter pieces are not looked through for holes
BUFFER_SIZE = 1 << 20
NEAR_SECTORS = 128  # pieces shorter and closer than that may go in one write
NEAR_PIECES = 3  # of which there must be so many
REPORT_SECTORS = 8192  # between calls of the progress function


class Piece(NamedTuple):
    """``sectors`` sectors from ``lba`` on, one behind the other at ``offset`` in the file of ``layer``."""

    lba: int
    sectors: int
    layer: SparseLayer
    offset: int


def pieces_of(layers: Sequence[SparseLayer]) -> Iterator[Piece]:
    """All sectors that are in any of ``layers``, the newest copy (the last layer's) of each, ascending."""
    pending: Piece | None = None
    for piece in _single(layers[0]) if len(layers) == 1 else _newest(layers):
        if pending is not None:
            if _joins(pending, piece):
                pending = pending._replace(sectors=pending.sectors + piece.sectors)
                continue
            yield pending
        pending = piece
    if pending is not None:
        yield pending


def _joins(first: Piece, second: Piece) -> bool:
    return (
        first.lba + first.sectors == second.lba
        and first.offset + first.sectors * SECTOR_SIZE == second.offset
        and first.layer is second.layer
    )


def _single(layer: SparseLayer) -> Iterator[Piece]:
    for lba, sectors, offset in layer.owned_runs():
        yield Piece(lba, sectors, layer, offset)


def _newest(layers: Sequence[SparseLayer]) -> Iterator[Piece]:
    unit = min(layer.page_sectors for layer in layers)
    for lba in _units(layers, unit):
        found = []
        rest = (1 << unit) - 1
        for layer in reversed(layers):
            bits = layer.owned(lba, unit) & rest
            if bits:
                rest ^= bits
                offset = layer.locate(lba)
                for first, stop in bit_runs(bits, unit):
                    found.append(Piece(lba + first, stop - first, layer, offset + first * SECTOR_SIZE))
        found.sort(key=lambda piece: piece.lba)
        yield from found


def _units(layers: Sequence[SparseLayer], unit: int) -> list[int]:
    """The first sectors of all units of ``unit`` sectors in which any layer has something, ascending."""
    starts: set[int] = set()
    for layer in layers:
        for block in layer.blocks():
            first = block * layer.block_sectors
            starts.update(range(first, min(first + layer.block_sectors, layer.sectors), unit))
    return sorted(starts)


def count_sectors(layers: Sequence[SparseLayer]) -> int:
    """How many sectors :func:`pieces_of` gives."""
    unit = min(layer.page_sectors for layer in layers)
    total = 0
    for lba in _units(layers, unit):
        bits = 0
        for layer in layers:
            bits |= layer.owned(lba, unit)
        total += bits.bit_count()
    return total


def missing_in(layer: SparseLayer, lba: int, sectors: int) -> Iterator[tuple[int, int]]:
    """The parts (first sector, how many) of a range that are not in ``layer``."""
    unit = layer.page_sectors
    stop = min(lba + sectors, layer.sectors)
    while lba < stop:
        base = lba // unit * unit
        end = min(stop, base + unit)
        wanted = (1 << (base + unit - lba)) - (1 << (base + unit - end))
        for first, last in bit_runs(wanted & ~layer.owned(base, unit), unit):
            yield base + first, last - first
        lba = end


def copy_layers(
    layers: Sequence[SparseLayer], target: SparseLayer | FlatDrive, total: int, progress: Progress
) -> None:
    """Write all that is in any of ``layers``, ``total`` sectors, to ``target``; holes become holes."""
    with Writeback(target.file) as writeback:
        copier = _Copier(target, total, progress, writeback)
        for piece in pieces_of(layers):
            copier.copy(piece)
        copier.finish()


class _Copier:
    """Writes pieces to ``target``; they must come in ascending order.

    To a flat target, small pieces close to each other go in one write, with what the target has between: a
    write costs more than some KiB in it. :meth:`finish` must be called at the end.
    """

    def __init__(
        self, target: SparseLayer | FlatDrive, total: int, progress: Progress, writeback: Writeback
    ) -> None:
        self._target = target
        self._writeback = writeback
        self._flat = target if isinstance(target, FlatDrive) else None
        self._total = total
        self._progress = progress
        self._done = 0
        self._told = 0
        self._buffer = memoryview(bytearray(BUFFER_SIZE))
        self._near: list[Piece] = []  # small pieces that may go in one write
        self._sparse: dict[SparseLayer, bool] = {}

    def copy(self, piece: Piece) -> None:
        """Copy one piece."""
        if self._flat is not None and piece.sectors < NEAR_SECTORS:
            if self._near and not _is_near(self._near[0], self._near[-1], piece):
                self._copy_near(self._flat)
            self._near.append(piece)
            return
        self.finish()
        if piece.sectors >= HOLE_SECTORS and self._has_holes(piece.layer):
            self._copy_with_holes(piece)
        else:
            self._copy_data(piece.layer, piece.offset, piece.lba, piece.sectors * SECTOR_SIZE)
        self._advance(piece.sectors)

    def finish(self) -> None:
        """Write what waits for more."""
        if self._flat is not None and self._near:
            self._copy_near(self._flat)

    def _copy_near(self, target: FlatDrive) -> None:
        pieces, self._near = self._near, []
        first, last = pieces[0], pieces[-1]
        size = (last.lba + last.sectors - first.lba) * SECTOR_SIZE
        at = target.locate(first.lba)
        if len(pieces) < NEAR_PIECES or not _is_data(target, at, size):
            for piece in pieces:
                offset = target.locate(piece.lba)
                target.file.copy_from(piece.layer.file, piece.offset, offset, piece.sectors * SECTOR_SIZE)
        else:
            whole = self._buffer[:size]
            target.file.read(whole, at)
            read = first.layer.file.read  # piece by piece: what is between are holes, slow to read
            for piece in pieces:
                start = (piece.lba - first.lba) * SECTOR_SIZE
                read(whole[start : start + piece.sectors * SECTOR_SIZE], piece.offset)
            target.file.write(whole, at)
        self._advance(sum([piece.sectors for piece in pieces]))

    def _advance(self, sectors: int) -> None:
        """So many sectors more are done."""
        self._writeback.wrote(sectors * SECTOR_SIZE)
        self._done += sectors
        if self._done - self._told >= REPORT_SECTORS or self._done == self._total:
            self._told = self._done
            self._progress(self._done, self._total)

    def _has_holes(self, layer: SparseLayer) -> bool:
        """True when a layer's file takes less space than what is in it: only then it is worth to look."""
        found = self._sparse.get(layer)
        if found is None:
            allocated = getattr(layer.file.status(), "st_blocks", 0) * SECTOR_SIZE
            found = self._sparse[layer] = allocated < count_sectors([layer]) * SECTOR_SIZE
        return found

    def _copy_with_holes(self, piece: Piece) -> None:
        at = piece.offset
        end = at + piece.sectors * SECTOR_SIZE
        for start, stop in piece.layer.file.data_runs(at, end):
            start = start // SECTOR_SIZE * SECTOR_SIZE if start > at else at
            stop = min(end, -(-stop // SECTOR_SIZE) * SECTOR_SIZE)
            self._zero(piece, at, start)
            self._copy_data(piece.layer, start, _lba(piece, start), stop - start)
            at = stop
        self._zero(piece, at, end)

    def _copy_data(self, source: SparseLayer, offset: int, lba: int, size: int) -> None:
        target = self._target
        if isinstance(target, FlatDrive):
            target.file.copy_from(source.file, offset, target.locate(lba), size)
            return
        while size:
            part = self._buffer[: min(size, BUFFER_SIZE)]
            source.file.read(part, offset)
            target.write(lba, part)
            offset += len(part)
            lba += len(part) // SECTOR_SIZE
            size -= len(part)

    def _zero(self, piece: Piece, start: int, stop: int) -> None:
        if start < stop:
            self._target.discard(_lba(piece, start), (stop - start) // SECTOR_SIZE)


def _is_near(first: Piece, last: Piece, piece: Piece) -> bool:
    """True when a piece lies a little behind ``last``, in source and target alike."""
    return (
        piece.layer is last.layer
        and piece.lba - last.lba <= NEAR_SECTORS
        and piece.offset - last.offset == (piece.lba - last.lba) * SECTOR_SIZE
        and piece.lba + piece.sectors - first.lba <= BUFFER_SIZE // SECTOR_SIZE
    )


def _is_data(target: FlatDrive, offset: int, size: int) -> bool:
    """True when a part of a file has no holes, which were lost if they were written."""
    return list(target.file.data_runs(offset, offset + size)) == [(offset, offset + size)]


def _lba(piece: Piece, offset: int) -> int:
    """The sector of a piece that lies at ``offset``."""
    return piece.lba + (offset - piece.offset) // SECTOR_SIZE


def space_for(target: SparseLayer | FlatDrive, layers: Sequence[SparseLayer], total: int, free: int) -> int:
    """Bytes that copying ``layers``, ``total`` sectors, to ``target`` may take; exact if above ``free``."""
    structures = 0
    if isinstance(target, SparseLayer):
        touched: set[int] = set()
        for layer in layers:
            for block in layer.blocks():
                first = block * layer.block_sectors
                last = min(first + layer.block_sectors, layer.sectors) - 1
                touched.update(range(first // target.block_sectors, last // target.block_sectors + 1))
        new = len(touched.difference(target.blocks()))
        structures = new * (target.block_sectors // 8 + 2 * ALIGNMENT)
    bound = total * SECTOR_SIZE + structures
    if bound <= free:
        return bound
    present = sum(_present(target, piece) for piece in pieces_of(layers))
    return bound - present


def space_for_new(image: SparseLayer, sectors: int) -> int:
    """Bytes that an image like ``image`` may take with so many sectors, wherever they are."""
    blocks = min(sectors, -(-image.sectors // image.block_sectors))
    return sectors * SECTOR_SIZE + blocks * (image.block_sectors // 8 + 2 * ALIGNMENT)


def _present(target: SparseLayer | FlatDrive, piece: Piece) -> int:
    """The bytes of a piece that have their space in the target already."""
    lba, present = piece.lba, 0
    end = min(piece.lba + piece.sectors, target.sectors)
    while lba < end:
        stop = end
        if isinstance(target, SparseLayer):
            stop = min(end, (lba // target.block_sectors + 1) * target.block_sectors)
        at = target.locate(lba)
        if at >= 0:
            runs = target.file.data_runs(at, at + (stop - lba) * SECTOR_SIZE)
            present += sum(last - first for first, last in runs)
        lba = stop
    return present
