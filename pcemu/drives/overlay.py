"""Writes kept in memory above another drive, until they are thrown away or written back.

The memory is taken in blocks of 64 KiB, each with one bit per sector that tells who owns the sector: a
set bit the overlay, a clear bit the parent. A request is split into runs of one owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pcemu.drives.drive import SECTOR_SIZE, Drive, Geometry

BLOCK_SECTORS = 128
BLOCK_SIZE = BLOCK_SECTORS * SECTOR_SIZE
ALL_OWNED = (1 << BLOCK_SECTORS) - 1
COMMIT_SECTORS = 2048  # gathered into one write to the parent


class _Block:
    """64 KiB of the drive. ``data`` is None when all of its owned sectors are zeros."""

    __slots__ = ("data", "owned")

    def __init__(self) -> None:
        self.data: bytearray | None = None
        self.owned = 0


class MemoryOverlay:
    """A writable drive above ``parent``, which it changes in :meth:`commit` alone.

    ``changed_sectors`` counts the sectors that the overlay owns.
    """

    def __init__(self, parent: Drive) -> None:
        self.parent = parent
        self.changed_sectors = 0
        self._sectors = parent.sectors
        self._blocks: dict[int, _Block] = {}

    @property
    def sectors(self) -> int:
        """Number of sectors."""
        return self._sectors

    @property
    def geometry(self) -> Geometry:
        """The parent's geometry."""
        return self.parent.geometry

    @property
    def read_only(self) -> bool:
        """Never: also a read-only parent can be written over in memory."""
        return False

    def read(self, lba: int, buffer: bytearray | memoryview) -> None:
        """Fill ``buffer`` from sector ``lba`` on: changed sectors from memory, the others from the parent."""
        view = memoryview(buffer)
        self._check(lba, len(view))
        end = lba + len(view) // SECTOR_SIZE
        if not self._blocks:
            self.parent.read(lba, view)
            return
        parent_from = lba  # start of the run that still has to be read from the parent
        for start, stop in self._owned_runs(lba, end):
            if parent_from < start:
                self.parent.read(parent_from, view[_offset(parent_from - lba) : _offset(start - lba)])
            self._copy_run(start, stop, view[_offset(start - lba) : _offset(stop - lba)])
            parent_from = stop
        if parent_from < end:
            self.parent.read(parent_from, view[_offset(parent_from - lba) :])

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> None:
        """Keep ``data`` in memory from sector ``lba`` on."""
        view = memoryview(data)
        self._check(lba, len(view))
        end = lba + len(view) // SECTOR_SIZE
        for block, first, last in self._pieces(lba, end):
            if block.data is None:
                block.data = bytearray(BLOCK_SIZE)
            size = _offset(last - first)
            block.data[_offset(first) : _offset(last)] = view[:size]
            view = view[size:]
            self._own(block, first, last)

    def discard(self, lba: int, count: int) -> None:
        """Make ``count`` sectors read as zeros, without memory for blocks that hold nothing else."""
        if count < 0:
            raise ValueError(f"cannot discard {count} sectors")
        self._check(lba, _offset(count))
        for block, first, last in self._pieces(lba, lba + count):
            if last - first == BLOCK_SECTORS:
                block.data = None
            elif block.data is not None:
                block.data[_offset(first) : _offset(last)] = bytes(_offset(last - first))
            self._own(block, first, last)

    def flush(self) -> None:
        """Nothing to do: memory outlives neither power loss nor the process, commit is what lasts."""

    def close(self) -> None:
        """Forget the writes and close the parent."""
        self.discard_all()
        self.parent.close()

    def commit(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Write the changed sectors to the parent in ascending order, flush it, and start empty again.

        ``progress`` is called with (sectors done, sectors in all). Raises PermissionError when the parent
        is read-only and OSError when the host fails; the overlay is whole then, and commit can be retried.
        """
        done = 0
        total = self.changed_sectors
        for start, stop, block_is_zero in self._commit_runs():
            if block_is_zero:
                self.parent.discard(start, stop - start)
            else:
                data = bytearray(_offset(stop - start))
                self._copy_run(start, stop, memoryview(data))
                self.parent.write(start, data)
            done += stop - start
            if progress is not None:
                progress(done, total)
        if total:
            self.parent.flush()
        self.discard_all()

    def discard_all(self) -> None:
        """Forget all writes: the drive reads as its parent again."""
        self._blocks.clear()
        self.changed_sectors = 0

    def _check(self, lba: int, size: int) -> None:
        if size % SECTOR_SIZE:
            raise ValueError(f"{size} bytes are not whole sectors of {SECTOR_SIZE}")
        if lba < 0 or lba + size // SECTOR_SIZE > self._sectors:
            raise ValueError(f"sectors {lba}+{size // SECTOR_SIZE} are outside a drive of {self._sectors}")

    def _pieces(self, lba: int, end: int) -> Iterator[tuple[_Block, int, int]]:
        """The blocks of a range, made where missing, with the first and behind the last sector in each."""
        while lba < end:
            index, first = divmod(lba, BLOCK_SECTORS)
            last = min(BLOCK_SECTORS, first + end - lba)
            block = self._blocks.get(index)
            if block is None:
                block = self._blocks[index] = _Block()
            yield block, first, last
            lba += last - first

    def _own(self, block: _Block, first: int, last: int) -> None:
        """Make the sectors from ``first`` to before ``last`` of a block the overlay's."""
        mask = (1 << last) - (1 << first)
        self.changed_sectors += (mask & ~block.owned).bit_count()
        block.owned |= mask

    def _owned_runs(self, lba: int, end: int) -> Iterator[tuple[int, int]]:
        """The runs [start, stop) of owned sectors in a range, ascending; a run stays inside its block."""
        while lba < end:
            index, first = divmod(lba, BLOCK_SECTORS)
            last = min(BLOCK_SECTORS, first + end - lba)
            block = self._blocks.get(index)
            if block is not None:
                base = index * BLOCK_SECTORS
                if block.owned == ALL_OWNED:
                    yield lba, base + last
                else:
                    for start, stop in _runs(block.owned, first, last):
                        yield base + start, base + stop
            lba += last - first

    def _copy_run(self, start: int, stop: int, target: memoryview) -> None:
        """Copy owned sectors, of one block or of several, to ``target``."""
        at = 0
        while start < stop:
            index, first = divmod(start, BLOCK_SECTORS)
            last = min(BLOCK_SECTORS, first + stop - start)
            size = _offset(last - first)
            data = self._blocks[index].data
            target[at : at + size] = (
                bytes(size) if data is None else memoryview(data)[_offset(first) : _offset(last)]
            )
            at += size
            start += last - first

    def _commit_runs(self) -> Iterator[tuple[int, int, bool]]:
        """All owned sectors as ascending runs (start, stop, zeros); neighbours joined up to 1 MiB."""
        pending: tuple[int, int, bool] | None = None
        for index in sorted(self._blocks):
            zeros = self._blocks[index].data is None
            base = index * BLOCK_SECTORS
            for start, stop in self._owned_runs(base, base + BLOCK_SECTORS):
                if pending is not None:
                    joined = pending[1:] == (start, zeros) and stop - pending[0] <= COMMIT_SECTORS
                    if joined:
                        start = pending[0]
                    else:
                        yield pending
                pending = (start, stop, zeros)
        if pending is not None:
            yield pending


def _offset(sectors: int) -> int:
    return sectors * SECTOR_SIZE


def _runs(mask: int, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The runs [start, stop) of set bits in ``mask`` between bits ``first`` and ``last``."""
    rest = (mask & ((1 << last) - 1)) >> first << first
    while rest:
        start = (rest & -rest).bit_length() - 1
        # Adding the lowest set bit turns the run it starts to zeros and sets the bit behind it.
        carried = rest + (1 << start)
        yield start, (carried & -carried).bit_length() - 1
        rest &= carried
