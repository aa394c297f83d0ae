"""A stack of images that reads and writes as one drive.

``layers[0]`` is the ultimate parent, the last layer the head, which takes all writes. A sector belongs to
the newest layer that has it; to nobody, and reads as zeros, when none has.

Asking every layer for every sector would make reads slower with each layer. So there is a *map*: for each
unit of the drive (2 MiB, or the smallest block of the layers) who owns each of its sectors, worked out when
the unit is first touched and kept right by writes::

    map[unit] = (owners, grains, sources, length)
        sources   the (descriptor, file offset of the unit, layer) that own anything in the unit
        owners    one byte per sector, the number of its source; None when the first has them all
        grains    the source of each 8 sectors, for the usual 4 KiB request; MIXED when they differ
        length    bytes of the unit that are inside the drive

A read is then a look-up and one transfer, at any depth. The map is bounded; what falls out is worked out
again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pcemu.drives.drive import SECTOR_SIZE, Drive, Geometry
from pcemu.drives.geometry import geometry_for
from pcemu.drives.hostfile import ZEROS
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import PAGE_SECTORS, SparseLayer
from pcemu.errors import UsageError

MAX_OWNERS = 256  # the number of an owner is a byte; the zeros below a dynamic base are one
MAP_MEMORY = 32 << 20
ENTRY_MEMORY = 400  # roughly, without owners and grains

ZERO_FD = -1
DRIVE_FD = -2  # a base that is no file: asked through its read()
NO_LAYER = -1

Source = tuple[int, int, int]
MIXED: Source = (ZERO_FD, 0, NO_LAYER)
GRAIN = 8
Unit = tuple[bytearray | None, list[Source], list[Source], int]
Layer = SparseLayer | Drive


class Run(NamedTuple):
    """``sectors`` sectors from ``lba`` on that lie one behind the other in one layer.

    ``layer`` is its number, NO_LAYER for zeros. ``offset`` is where they lie in the layer's file.
    """

    lba: int
    sectors: int
    layer: int
    offset: int


class Chain:
    """The drive that ``layers`` make together; closing it closes them.

    All but the first must be differencing images, each the child of the one before: who opens them checks
    that. ``warnings`` gathers what the layers warn of.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers: list[Layer] = []
        self._map: dict[int, Unit] = {}
        self._geometry: Geometry | None = None
        self._set_layers(layers)

    def _set_layers(self, layers: Sequence[Layer]) -> None:
        sparse = [layer for layer in layers if isinstance(layer, SparseLayer)]
        owners = len(layers) + isinstance(layers[0], SparseLayer)
        if owners > MAX_OWNERS:
            raise UsageError(f"{len(layers)} layers are too many, expected at most {MAX_OWNERS}; merge some")
        self._layers = list(layers)
        self._head = layers[-1]
        self._sectors = self._head.sectors
        self._unit_sectors = min([layer.page_sectors for layer in sparse], default=PAGE_SECTORS)
        self._unit_shift = self._unit_sectors.bit_length() - 1
        self._unit_mask = self._unit_sectors - 1
        self._full_unit = (1 << self._unit_sectors) - 1
        self._max_units = MAP_MEMORY // (2 * self._unit_sectors + ENTRY_MEMORY)
        self._map = {}
        files = [layer.file for layer in layers if isinstance(layer, SparseLayer | FlatDrive)]
        self._preadv = files[-1].preadv if files else os.preadv

    @property
    def layers(self) -> tuple[Layer, ...]:
        """From the ultimate parent to the head."""
        return tuple(self._layers)

    @property
    def head(self) -> Layer:
        """The layer that takes the writes."""
        return self._head

    @property
    def warnings(self) -> list[str]:
        """Sentences for the user, from all layers."""
        return [text for layer in self._layers for text in getattr(layer, "warnings", ())]

    @property
    def sectors(self) -> int:
        """Number of sectors."""
        return self._sectors

    @property
    def geometry(self) -> Geometry:
        """What the partition table was made with, else what the ultimate parent says."""
        if self._geometry is None:
            base = self._layers[0]
            first = bytearray(SECTOR_SIZE)
            self.read(0, first)
            fallback = (base if base.sectors == self._sectors else self._head).geometry
            self._geometry = geometry_for(self._sectors, bytes(first), fallback)
        return self._geometry

    @property
    def read_only(self) -> bool:
        """True when writes are refused (PermissionError)."""
        return self._head.read_only

    def read(self, lba: int, buffer: bytearray | memoryview) -> None:
        """Fill ``buffer`` from sector ``lba`` on; ValueError outside the drive, OSError from the host."""
        unit = self._map.get(lba >> self._unit_shift)
        if unit is not None:
            owners, grains, sources, length = unit
            at = lba & self._unit_mask
            size = len(buffer)
            if owners is None:
                fd, start, _ = sources[0]
            elif (at & 7) + (size >> 9) <= GRAIN:
                fd, start, _ = grains[at >> 3]
            else:
                owner = owners[at]
                fd, start, _ = sources[owner]
                count = size >> 9
                if owners.count(owner, at, at + count) != count:
                    fd = ZERO_FD
            at <<= 9
            if fd >= 0 and at + size <= length and not size & 511:
                try:
                    if self._preadv(fd, (buffer,), start + at) == size:
                        return
                except InterruptedError:
                    pass
        self._read_runs(lba, memoryview(buffer))

    def _read_runs(self, lba: int, view: memoryview) -> None:
        """Any request, owner by owner."""
        self._check(lba, len(view))
        at = 0
        for start, count, layer, offset in self.runs(lba, len(view) // SECTOR_SIZE):
            size = count * SECTOR_SIZE
            part = view[at : at + size]
            if layer == NO_LAYER:
                for done in range(0, size, len(ZEROS)):
                    part[done : done + len(ZEROS)] = ZEROS[: size - done]
            else:
                owner = self._layers[layer]
                if isinstance(owner, SparseLayer | FlatDrive):
                    owner.file.read(part, offset)
                else:
                    owner.read(start, part)
            at += size

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> None:
        """Write ``data`` from sector ``lba`` on; ValueError outside the drive, OSError from the host."""
        size = len(data)
        self._check(lba, size)
        try:
            self._head.write(lba, data)
        except BaseException:
            self._forget(lba, lba + size // SECTOR_SIZE)
            raise
        self._take_over(lba, lba + size // SECTOR_SIZE)

    def discard(self, lba: int, count: int) -> None:
        """Make ``count`` sectors read as zeros, whatever ancestors have there."""
        if count < 0:
            raise ValueError(f"cannot discard {count} sectors")
        self._check(lba, count * SECTOR_SIZE)
        try:
            self._head.discard(lba, count)
        finally:
            self._forget(lba, lba + count)

    def flush(self) -> None:
        """Return when all that was written survives power loss."""
        self._head.flush()

    def close(self) -> None:
        """Flush, then close all layers, whatever fails on the way."""
        self._map.clear()
        with contextlib.ExitStack() as stack:  # the last in is the first out: the head
            for layer in self._layers:
                stack.callback(layer.close)

    def push(self, layer: SparseLayer) -> None:
        """Make ``layer``, an empty child of the head, the new head."""
        self._set_layers([*self._layers, layer])

    def replace_layers(self, layers: Sequence[Layer]) -> None:
        """Go on with other layers that hold the same sectors; closing those that left is the caller's."""
        self._set_layers(layers)

    def runs(self, lba: int, count: int) -> Iterator[Run]:
        """Who owns the sectors of a range: ascending runs that cover it without gaps."""
        end = lba + count
        run: Run | None = None
        while lba < end:
            index = lba >> self._unit_shift
            unit = self._map.get(index) or self._build(index)
            first = lba & self._unit_mask
            stop = min(self._unit_sectors, first + end - lba)
            for part in _unit_runs(unit, lba, first, stop):
                if run is None:
                    run = part
                elif run.layer == part.layer and (
                    run.layer == NO_LAYER or run.offset + run.sectors * SECTOR_SIZE == part.offset
                ):
                    run = run._replace(sectors=run.sectors + part.sectors)
                else:
                    yield run
                    run = part
            lba += stop - first
        if run is not None:
            yield run

    def _build(self, index: int) -> Unit:
        """Ask the layers, from the head down, until every sector of a unit has its owner."""
        count = self._unit_sectors
        lba = index << self._unit_shift
        inside = min(count, self._sectors - lba)
        wanted = ((1 << inside) - 1) << (count - inside)
        shares: list[int] = []
        sources: list[Source] = []
        for number in range(len(self._layers) - 1, -1, -1):
            layer = self._layers[number]
            if isinstance(layer, SparseLayer):
                bits = layer.owned(lba, count) & wanted
                source = (layer.file.fd, layer.locate(lba), number) if bits else None
            else:
                beyond = max(0, min(count, lba + count - layer.sectors))
                bits = wanted >> beyond << beyond
                fd = layer.file.fd if isinstance(layer, FlatDrive) else DRIVE_FD
                source = (fd, lba * SECTOR_SIZE, number)
            if bits and source is not None:
                shares.append(bits)
                sources.append(source)
                wanted ^= bits
                if not wanted:
                    break
        if wanted:
            shares.append(wanted)
            sources.append((ZERO_FD, 0, NO_LAYER))
        if len(shares) == 1:
            unit: Unit = (None, [], sources, inside * SECTOR_SIZE)
        else:
            unit = (*_owners_and_grains(shares, sources, count), sources, inside * SECTOR_SIZE)
        if len(self._map) >= self._max_units:
            del self._map[next(iter(self._map))]
        self._map[index] = unit
        return unit

    def _take_over(self, lba: int, end: int) -> None:
        """The head has just got the sectors from ``lba`` to before ``end``."""
        head = self._head
        if not isinstance(head, SparseLayer):
            return
        number = len(self._layers) - 1
        while lba < end:
            index = lba >> self._unit_shift
            stop = min(end, (index + 1) << self._unit_shift)
            unit = self._map.get(index)
            if unit is not None and (unit[0] is not None or unit[2][0][2] != number):
                self._take_over_in(index, unit, lba, stop, head, number)
            lba = stop

    def _take_over_in(
        self, index: int, unit: Unit, lba: int, stop: int, head: SparseLayer, number: int
    ) -> None:
        owners, grains, sources, length = unit
        base = index << self._unit_shift
        start = head.locate(base)
        if start < 0:  # zeros over zeros: not written
            return
        beyond = self._unit_sectors - length // SECTOR_SIZE
        if head.owned(base, self._unit_sectors) == self._full_unit >> beyond << beyond:
            self._map[index] = (None, [], [(head.file.fd, start, number)], length)
            return
        if owners is None:
            owners = bytearray(self._unit_sectors)
            grains = sources * (self._unit_sectors // GRAIN)
            self._map[index] = (owners, grains, sources, length)
        owner = next((at for at, source in enumerate(sources) if source[2] == number), len(sources))
        if owner == len(sources):
            sources.append((head.file.fd, start, number))
        first, last = lba - base, stop - base
        owners[first:last] = bytes((owner,)) * (last - first)
        for grain in range(first // GRAIN, -(-last // GRAIN)):
            whole = owners.count(owner, grain * GRAIN, (grain + 1) * GRAIN) == GRAIN
            grains[grain] = sources[owner] if whole else MIXED

    def _forget(self, lba: int, end: int) -> None:
        for index in range(lba >> self._unit_shift, -(-end >> self._unit_shift)):
            self._map.pop(index, None)

    def _check(self, lba: int, size: int) -> None:
        if size % SECTOR_SIZE:
            raise ValueError(f"{size} bytes are not whole sectors of {SECTOR_SIZE}")
        if lba < 0 or lba + size // SECTOR_SIZE > self._sectors:
            raise ValueError(f"sectors {lba}+{size // SECTOR_SIZE} are outside a drive of {self._sectors}")


def _owners_and_grains(
    shares: list[int], sources: list[Source], count: int
) -> tuple[bytearray, list[Source]]:
    """The owners of a unit of ``count`` sectors, of which each source has the share with its bits."""
    owners = np.zeros(count, np.uint8)
    for number, bits in enumerate(shares[1:], 1):
        flags = np.unpackbits(np.frombuffer(bits.to_bytes(count // 8, "big"), np.uint8))
        owners[flags.view(np.bool_)] = number
    rows = owners.reshape(-1, GRAIN)
    alike = (rows == rows[:, :1]).all(axis=1)
    choice = [*sources, MIXED]
    grains = [choice[number] for number in np.where(alike, rows[:, 0], np.uint16(len(sources))).tolist()]
    return bytearray(owners.tobytes()), grains


def _unit_runs(unit: Unit, lba: int, first: int, stop: int) -> Iterator[Run]:
    """The runs of sectors ``first`` to before ``stop`` of a unit; ``lba`` is the first one's."""
    owners, _, sources, _ = unit
    if owners is None:
        edges = [first, stop]
    else:
        part = np.frombuffer(owners, np.uint8)[first:stop]
        edges = [first, *(np.flatnonzero(part[1:] != part[:-1]) + (first + 1)).tolist(), stop]
    for start, end in pairwise(edges):
        _, offset, layer = sources[0 if owners is None else owners[start]]
        yield Run(lba + start - first, end - start, layer, offset + start * SECTOR_SIZE)
