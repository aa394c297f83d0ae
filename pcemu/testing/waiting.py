"""A file between the calls that were made on it and what of them is safe, for :mod:`pcemu.testing.crash`."""

from __future__ import annotations

from collections.abc import Mapping

from pcemu.testing.recording import SECTOR_SIZE, ZERO_SECTOR, DataCall, Punch, Sectors, Truncate, Write


class WaitingFile:
    """One file: what is safe of it, and the calls since.

    ``doubtful`` are the versions of sectors, the newest last, that a failed sync may have left behind.
    """

    def __init__(self, size: int, safe: Sectors) -> None:
        self.size = size
        self.safe = safe
        self.doubtful: dict[int, list[bytes]] = {}
        self.waiting: list[DataCall] = []

    def shown(self) -> Sectors:
        """What a reader saw before the calls that wait."""
        return self.safe | {sector: versions[-1] for sector, versions in self.doubtful.items()}

    def sync(self) -> None:
        """Make safe what waits."""
        if self.waiting:
            # New dictionaries: states that were handed out go on with the old ones.
            shown, self.safe, self.doubtful = self.shown(), dict(self.safe), dict(self.doubtful)
            for call in self.waiting:
                changed = changes(call, self.size, shown)
                shown.update(changed)
                self.safe.update(changed)
                for sector in changed:
                    self.doubtful.pop(sector, None)
                self.size = size_after(call, self.size)
            self.waiting = []

    def fail_to_sync(self) -> None:
        """Forget the data that waits, which may be on disk or not; the size goes on waiting."""
        shown, size, left = self.shown(), self.size, list[DataCall]()
        self.doubtful = {sector: list(versions) for sector, versions in self.doubtful.items()}
        for call in self.waiting:
            changed = changes(call, size, shown)
            shown.update(changed)
            grown = size_after(call, size)
            if grown != size:
                left.append(Truncate(call.file, grown))
            if not isinstance(call, Truncate):
                for sector, data in changed.items():
                    self.doubtful.setdefault(sector, []).append(data)
            size = grown
        self.waiting = left

    def settle(self, sectors: Sectors) -> None:
        """End all doubt: this is what the medium holds."""
        self.safe = self.safe | sectors
        self.doubtful = {}


def size_after(call: DataCall, size: int) -> int:
    """The size of a file of ``size`` bytes after a call."""
    if isinstance(call, Write):
        return max(size, call.offset + len(call.data)) if call.data else size
    return call.size if isinstance(call, Truncate) else size


def changes(call: DataCall, size: int, sectors: Mapping[int, bytes]) -> Sectors:
    """The sectors that a call changes in a file of ``size`` bytes, with their new contents."""
    if isinstance(call, Write):
        offset, data = call.offset, call.data
    elif isinstance(call, Punch):
        offset, data = call.offset, bytes(max(0, min(call.size, size - call.offset)))
    else:
        offset, data = call.size, b""
        if call.size < size:
            known = [number for number in sectors if number * SECTOR_SIZE >= call.size]
            gone = dict.fromkeys(known, ZERO_SECTOR)
            if rest := call.size % SECTOR_SIZE:
                last = call.size // SECTOR_SIZE
                gone[last] = sectors.get(last, ZERO_SECTOR)[:rest].ljust(SECTOR_SIZE, b"\0")
            return gone
    changed = {}
    at = 0
    while at < len(data):
        number, skipped = divmod(offset + at, SECTOR_SIZE)
        part = data[at : at + SECTOR_SIZE - skipped]
        if len(part) < SECTOR_SIZE:
            old = sectors.get(number, ZERO_SECTOR)
            changed[number] = old[:skipped] + part + old[skipped + len(part) :]
        else:
            changed[number] = part
        at += len(part)
    return changed
