"""A stack of images that reads and writes as one drive.

``layers[0]`` is the ultimate parent, the last layer the head, which takes all writes. A sector belongs to
the newest layer that has it; to nobody, and reads as zeros, when none has.

Asking every layer for every sector would make reads slower with each layer. So there is a *map*: for each
unit of the drive (2 MiB, or the smallest block of the layers) who owns each of its sectors, worked out when
the unit is first touched and kept right by writes::

    map[unit] = (places, owners, start, length)
        places    the places of each 8 sectors, for the usual 4 KiB request: NOWHERE when owners differ, and
                  NOWHERE or none for those that are not all inside the drive
        owners    one byte per sector, the number of its layer; None when one layer has them all
        start     the place of the unit's first sector when one layer has them all
        length    bytes of the unit that are inside the drive

A *place* is an offset in a layer's file, a multiple of 512, plus the number of the layer. Zeros that nobody
has are NOWHERE, as is what lies in a base that is no file. A read is then a look-up and one transfer, at any
depth; so is a write over what the head has already. The map is bounded; what falls out is worked out again.

Writes often come in a row, and what they write is seldom read at once. So a unit in which the head has got
sectors goes from the map to the *late* ones, beside a list of what it got, and comes back with the next read.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeGuard

import numpy as np

from pcemu.drives.drive import SECTOR_SIZE, Drive, Geometry
from pcemu.drives.geometry import geometry_for
from pcemu.drives.hostfile import HOST, ZEROS, close_all
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import PAGE_SECTORS, SparseLayer
from pcemu.errors import ImageFormatError

MAX_OWNERS = 256  # the number of an owner is a byte; the zeros below a dynamic base are one
MAP_MEMORY = 32 << 20
ENTRY_MEMORY = 400  # roughly, without owners and places
MAX_LATE = 64  # units

NO_LAYER = -1
FEW_UNITS = 64  # of which each is looked at
NOWHERE = -1 << 40  # still negative when offsets inside a unit are added
LAYER_OF_PLACE = SECTOR_SIZE - 1
GRAIN = 8
GRAIN_SIZE = GRAIN * SECTOR_SIZE

Unit = tuple["array[int] | range", "bytearray | None", int, int]
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
        self._late: dict[int, tuple[Unit, list[int]]] = {}  # from, to, from, to … inside the unit
        self._geometry: Geometry | None = None
        self._set_layers(layers)

    def _set_layers(self, layers: Sequence[Layer]) -> None:
        sparse = [layer for layer in layers if isinstance(layer, SparseLayer)]
        zeros = isinstance(layers[0], SparseLayer) or layers[0].sectors < layers[-1].sectors
        if len(layers) + zeros > MAX_OWNERS:
            most = MAX_OWNERS - zeros
            name = getattr(layers[-1], "path", "the drive")
            raise ImageFormatError(f"{name}: has {len(layers)} layers, expected at most {most}; merge some")
        self._layers = list(layers)
        self._head = layers[-1]
        self._number = len(layers) - 1
        self._sectors = self._head.sectors
        self._unit_sectors = min([layer.page_sectors for layer in sparse], default=PAGE_SECTORS)
        self._unit_shift = self._unit_sectors.bit_length() - 1
        self._unit_mask = self._unit_sectors - 1
        self._full_unit = (1 << self._unit_sectors) - 1
        self._max_units = MAP_MEMORY // (2 * self._unit_sectors + ENTRY_MEMORY)
        self._map = {}
        self._late = {}
        images = [layer if _has_descriptor(layer) else None for layer in layers]
        self._nobody = len(layers)  # the owner of zeros that are in no layer
        self._images = [*images, None]
        self._fds = [NOWHERE if image is None else image.file.fd for image in self._images]
        self._preadv = HOST.calls.preadv if images[-1] is None else images[-1].file.preadv

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
        size = len(buffer)
        try:
            if size == GRAIN_SIZE and not lba & 7:
                place = self._map[lba >> self._unit_shift][0][(lba & self._unit_mask) >> 3]
            else:
                place = self._place_of(lba, size)
            if place >= 0:
                layer = place & LAYER_OF_PLACE
                preadv = self._preadv  # calling it as a method takes Python longer
                if preadv(self._fds[layer], (buffer,), place - layer) == size:
                    return
        except (LookupError, InterruptedError):  # not in the map, or not all inside the drive
            pass
        self._read_runs(lba, memoryview(buffer))

    def _place_of(self, lba: int, size: int) -> int:
        """Where a request lies; NOWHERE when not in one piece. KeyError when its unit is not in the map."""
        places, owners, start, length = self._map[lba >> self._unit_shift]
        at = (lba & self._unit_mask) << 9
        if at + size > length or size & 511:
            return NOWHERE
        if owners is None:
            return start + at
        if (at & 4095) + size <= GRAIN_SIZE:
            return places[at >> 12] + (at & 4095)
        first, count = at >> 9, size >> 9
        owner = owners[first]
        one = owners.count(owner, first, first + count) == count
        return self._place(owner, lba) if one else NOWHERE

    def _place(self, number: int, lba: int) -> int:
        """Where a layer has a sector; of one that is NOWHERE, too, the number is told."""
        image = self._images[number]
        offset = NOWHERE if image is None or self._fds[number] < 0 else image.locate(lba)
        return (offset if offset >= 0 else NOWHERE) + number

    def _read_runs(self, lba: int, view: memoryview) -> None:
        """Any request, owner by owner."""
        self._check(lba, len(view))
        at = 0
        for start, count, layer, offset in self.runs(lba, len(view) // SECTOR_SIZE):
            size = count * SECTOR_SIZE
            part = view[at : at + size]
            image = self._images[layer]  # the last one is None, as for NO_LAYER
            if image is not None:
                image.file.read(part, offset)
            elif layer == NO_LAYER:
                for done in range(0, size, len(ZEROS)):
                    part[done : done + len(ZEROS)] = ZEROS[: size - done]
            else:
                base = self._layers[layer]
                assert not isinstance(base, SparseLayer)
                base.read(start, part)
            at += size

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> None:
        """Write ``data`` from sector ``lba`` on; ValueError outside the drive, OSError from the host."""
        size = len(data)
        self._check(lba, size)
        head = self._head
        try:
            if isinstance(head, SparseLayer):
                if head.write(lba, data):
                    self._take_over(lba, lba + size // SECTOR_SIZE)
            else:
                head.write(lba, data)
        except BaseException:
            self._forget(lba, lba + size // SECTOR_SIZE)
            raise

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
        self._late.clear()
        close_all(reversed(self._layers))  # the head first

    def push(self, layer: SparseLayer) -> None:
        """Make ``layer``, an empty child of the head, the new head."""
        self._set_layers([*self._layers, layer])

    def replace_layers(self, layers: Sequence[Layer]) -> None:
        """Go on with other layers that hold the same sectors; closing those that left is the caller's."""
        self._set_layers(layers)

    def runs(self, lba: int, count: int) -> Iterator[Run]:
        """Who owns the sectors of a range: ascending runs that cover it without gaps."""
        end = lba + count
        if count >> self._unit_shift >= FEW_UNITS:
            yield from _joined(self._parts(lba, end))
            return
        run: Run | None = None
        while lba < end:
            index = lba >> self._unit_shift
            unit = self._map.get(index) or self._build(index)
            first = lba & self._unit_mask
            stop = min(self._unit_sectors, first + end - lba)
            for part in self._unit_runs(unit, lba, first, stop):
                if run is None:
                    run = part
                elif _follows(run, part):
                    run = run._replace(sectors=run.sectors + part.sectors)
                else:
                    yield run
                    run = part
            lba += stop - first
        if run is not None:
            yield run

    def _parts(self, lba: int, end: int) -> Iterator[Run]:
        """As :meth:`runs`, of a large range, not joined: where no layer has a block nothing is looked at."""
        step = self._unit_sectors * (FEW_UNITS // 2)
        for start, stop, written in self._stretches(lba, end):
            if written:
                for at in range(start, stop, step):
                    yield from self.runs(at, min(step, stop - at))
            else:
                yield from self._parts_below(start, stop)

    def _stretches(self, lba: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """(from, to, False where no layer has a block) of a range."""
        shift = self._unit_shift
        low, high = lba >> shift, -(-end >> shift)
        written = np.zeros(high - low, np.bool_)
        for layer in self._layers:
            if isinstance(layer, SparseLayer):
                per_block = layer.block_sectors >> shift
                units = layer.blocks_between(lba, end)[:, None] * per_block + np.arange(per_block) - low
                written[units[(units >= 0) & (units < high - low)]] = True
        edges = (np.flatnonzero(written[1:] != written[:-1]) + (low + 1)).tolist()
        flag = bool(written[0])
        for first, last in pairwise([low, *edges, high]):
            yield max(lba, first << shift), min(end, last << shift), flag
            flag = not flag

    def _parts_below(self, lba: int, end: int) -> Iterator[Run]:
        """The runs of a range in which no layer has a block: the flat base's, as far as it goes."""
        base = self._layers[0]
        stop = lba if isinstance(base, SparseLayer) else max(lba, min(end, base.sectors))
        if lba < stop:
            yield Run(lba, stop - lba, 0, lba * SECTOR_SIZE)
        if stop < end:
            yield Run(stop, end - stop, NO_LAYER, 0)

    def _unit_runs(self, unit: Unit, lba: int, first: int, stop: int) -> Iterator[Run]:
        """The runs of sectors ``first`` to before ``stop`` of a unit; ``lba`` is the first one's."""
        _, owners, start, _ = unit
        edges = [first, stop]
        if owners is not None:
            part = np.frombuffer(owners, np.uint8)[first:stop]
            edges[1:1] = (np.flatnonzero(part[1:] != part[:-1]) + (first + 1)).tolist()
        for this, after in pairwise(edges):
            owner = start & LAYER_OF_PLACE if owners is None else owners[this]
            at = lba + this - first
            if owner == self._nobody:
                yield Run(at, after - this, NO_LAYER, 0)
            else:
                image = self._images[owner]
                yield Run(at, after - this, owner, at * SECTOR_SIZE if image is None else image.locate(at))

    def _build(self, index: int) -> Unit:
        """A unit that is not in the map, and now is."""
        late = self._late.pop(index, None)
        unit = self._worked_out(index) if late is None else self._brought_up(index, *late)
        if len(self._map) >= self._max_units:
            del self._map[next(iter(self._map))]
        self._map[index] = unit
        return unit

    def _worked_out(self, index: int) -> Unit:
        """Ask the layers, from the head down, until every sector of a unit has its owner."""
        count = self._unit_sectors
        lba = index << self._unit_shift
        inside = min(count, self._sectors - lba)
        wanted = ((1 << inside) - 1) << (count - inside)
        shares: list[tuple[int, int]] = []  # number of a layer, and what it has as bits
        for number in range(self._number, -1, -1):
            layer = self._layers[number]
            if isinstance(layer, SparseLayer):
                bits = layer.owned(lba, count) & wanted
            else:
                beyond = max(0, min(count, lba + count - layer.sectors))
                bits = wanted >> beyond << beyond
            if bits:
                shares.append((number, bits))
                wanted ^= bits
                if not wanted:
                    break
        if wanted:
            shares.append((self._nobody, wanted))
        starts = [self._place(number, lba) for number, _ in shares]
        if len(shares) == 1:
            return _of_one(starts[0], inside)
        owners, places = _owners_and_places(shares, starts, count)
        _end(places, inside)
        return places, owners, NOWHERE, inside * SECTOR_SIZE

    def _take_over(self, lba: int, end: int) -> None:
        """The head has just got the sectors from ``lba`` to before ``end``."""
        while lba < end:
            index = lba >> self._unit_shift
            first = lba & self._unit_mask
            stop = min(self._unit_sectors, first + end - lba)
            late = self._late.get(index)
            if late is not None:
                edges = late[1]
                if edges[-1] == first:
                    edges[-1] = stop
                else:
                    edges += first, stop
            elif (unit := self._map.pop(index, None)) is not None:
                if len(self._late) >= MAX_LATE:
                    del self._late[next(iter(self._late))]
                self._late[index] = unit, [first, stop]
            lba += stop - first

    def _brought_up(self, index: int, unit: Unit, edges: list[int]) -> Unit:
        """A late unit in which the head has got the sectors between each pair of ``edges``."""
        head = self._head
        assert isinstance(head, SparseLayer)
        base = index << self._unit_shift
        places, owners, old, length = unit
        start = self._place(self._number, base)
        if start < 0 or old == start:  # zeros over zeros, not written; all was the head's before
            return unit
        inside = length // SECTOR_SIZE
        beyond = self._unit_sectors - inside
        if head.owned(base, self._unit_sectors) == self._full_unit >> beyond << beyond:
            return _of_one(start, inside)
        if owners is None or isinstance(places, range):
            owners = bytearray((old & LAYER_OF_PLACE,)) * self._unit_sectors
            places = _consecutive(old, 0, self._unit_sectors // GRAIN)
        for first, stop in zip(edges[::2], edges[1::2], strict=True):
            self._mark(owners, places, start, first, stop)
        _end(places, inside)
        return places, owners, NOWHERE, length

    def _mark(self, owners: bytearray, places: array[int], start: int, first: int, stop: int) -> None:
        """Some sectors of a unit are the head's now, whose place it is at ``start``."""
        owners[first:stop] = bytes((self._number,)) * (stop - first)
        whole = -(-first // GRAIN), stop // GRAIN
        places[slice(*whole)] = _consecutive(start, *whole)
        for grain in (first // GRAIN, (stop - 1) // GRAIN):
            alike = owners.count(self._number, grain * GRAIN, (grain + 1) * GRAIN) == GRAIN
            places[grain] = start + grain * GRAIN_SIZE if alike else NOWHERE

    def _forget(self, lba: int, end: int) -> None:
        for index in range(lba >> self._unit_shift, -(-end >> self._unit_shift)):
            self._map.pop(index, None)
            self._late.pop(index, None)

    def _check(self, lba: int, size: int) -> None:
        if size % SECTOR_SIZE:
            raise ValueError(f"{size} bytes are not whole sectors of {SECTOR_SIZE}")
        if lba < 0 or lba + size // SECTOR_SIZE > self._sectors:
            raise ValueError(f"sectors {lba}+{size // SECTOR_SIZE} are outside a drive of {self._sectors}")


def _has_descriptor(layer: Layer) -> TypeGuard[SparseLayer | FlatDrive]:
    """False for drives of other kinds, and for those whose file is on a server: their read() is asked."""
    return isinstance(layer, SparseLayer) or (isinstance(layer, FlatDrive) and layer.file.fd >= 0)


def _owners_and_places(
    shares: list[tuple[int, int]], starts: list[int], count: int
) -> tuple[bytearray, array[int]]:
    """The owners and places of a unit of ``count`` sectors.

    ``shares`` are the owners' numbers and bits, ``starts`` where each has the first sector of the unit.
    """
    owners = np.zeros(count, np.uint8)
    offsets = np.full(MAX_OWNERS, NOWHERE)
    for (number, bits), start in zip(shares, starts, strict=True):
        flags = np.unpackbits(np.frombuffer(bits.to_bytes(count // 8, "big"), np.uint8))
        owners[flags.view(np.bool_)] = number
        offsets[number] = start
    rows = owners.reshape(-1, GRAIN)
    alike = (rows == rows[:, :1]).all(axis=1)
    places = offsets[rows[:, 0]] + np.arange(0, count * SECTOR_SIZE, GRAIN_SIZE)
    return bytearray(owners.tobytes()), array("q", np.where(alike, places, NOWHERE).tobytes())


def _of_one(start: int, inside: int) -> Unit:
    """A unit with ``inside`` sectors, which one layer has, or nobody, from the place ``start`` on."""
    length = inside * SECTOR_SIZE
    return range(start, start + length - GRAIN_SIZE + 1, GRAIN_SIZE), None, start, length


def _end(places: array[int], inside: int) -> None:
    """Make those places NOWHERE that are not all among the ``inside`` sectors of a unit."""
    whole = inside // GRAIN
    if whole < len(places):
        places[whole:] = array("q", (NOWHERE,)) * (len(places) - whole)


def _consecutive(start: int, first: int, stop: int) -> array[int]:
    """The places of some grains of a unit that lies at ``start``."""
    return array("q", range(start + first * GRAIN_SIZE, start + stop * GRAIN_SIZE, GRAIN_SIZE))


def _follows(run: Run, part: Run) -> bool:
    """True when a part lies right behind a run, in the same layer."""
    return run.layer == part.layer and (
        run.layer == NO_LAYER or run.offset + run.sectors * SECTOR_SIZE == part.offset
    )


def _joined(parts: Iterator[Run]) -> Iterator[Run]:
    """The same, in as few pieces as they make."""
    run: Run | None = None
    for part in parts:
        if run is not None and _follows(run, part):
            run = run._replace(sectors=run.sectors + part.sectors)
        else:
            if run is not None:
                yield run
            run = part
    if run is not None:
        yield run
