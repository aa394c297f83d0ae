"""What a crash may leave behind: records the system calls of the real engine, then replays every outcome.

::

    calls = RecordingCalls(folder)              # the files in the folder are taken as safe on disk
    engine(Host(calls))                         # runs as ever; calls.promise(…) notes what it has promised
    for state in crash_states(calls.recording, limit=1000):
        state.files["child.vhd"].read(0, 512)   # what a reader finds after that crash

The model of the disk is harsher than any file system is, so that what survives here survives there:

* The atom is a sector of 512 bytes. A larger write tears anywhere.
* Between two syncs of a file every sector it wrote may be on disk or not, whatever the order of the writes.
  A sector written several times holds any of its versions.
* The file's size is any that it had since its last sync, whatever has become of the data. What it grew by
  reads as zeros, or, in pages of 4 KiB that were written to and did not arrive, as garbage.
* Names (create, link, rename, unlink) reach the disk in their order, at any time up to a sync of their
  folder; a name may be there before what its file holds, and a synced file may have no name yet.
* What was synced is safe.
* A sync that fails makes nothing safe, and a later one only what was written after the failure: hosts forget
  the pages that they could not write, and go on showing them. The size waits for the next sync.

A crash can come before any call. The states that a crash may leave only become more until the next sync,
so that taking all of them just before each sync, at each promise and at the end takes all there are. Up to
``limit`` states a point is explored exhaustively; beyond it by every prefix of the calls, every single loss
and every single survivor, and then by a seeded choice.

**Not modelled**: a disk that lies about syncs, sectors that change by themselves.
"""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pcemu.testing.recording import (
    SECTOR_SIZE,
    ZERO_SECTOR,
    Call,
    DataCall,
    FailedSync,
    Link,
    NameCall,
    Promise,
    Recording,
    Rename,
    Sectors,
    Settled,
    Sync,
    SyncDir,
    Write,
)
from pcemu.testing.waiting import WaitingFile, changes, size_after

GARBAGE_SECTOR = b"\xa5" * SECTOR_SIZE  # as bitmap: bits set that nobody set; as BAT: blocks far outside
PAGE_SECTORS = 8  # what a host allocates and writes together
DEFAULT_LIMIT = 1000
SHOWN = 5


class CrashFile:
    """A file as a crash left it."""

    __slots__ = ("_changed", "_garbage", "_garbage_from", "_safe", "size")

    def __init__(
        self,
        size: int,
        safe: Sectors,
        changed: Sectors,
        garbage: Collection[int] = (),
        garbage_from: int = 0,
    ) -> None:
        """``garbage`` are pages that hold it from sector ``garbage_from`` on, where nothing else is known."""
        self.size = size
        self._safe = safe
        self._changed = changed
        self._garbage = garbage
        self._garbage_from = garbage_from

    def sector(self, number: int) -> bytes:
        """The 512 bytes of sector ``number``; zeros behind the end."""
        data = self._changed.get(number)
        if data is None:
            data = self._safe.get(number)
            if data is None:
                data = ZERO_SECTOR
                if self._garbage and number >= self._garbage_from and number // PAGE_SECTORS in self._garbage:
                    data = GARBAGE_SECTOR
        if (number + 1) * SECTOR_SIZE > self.size:
            return data[: max(0, self.size - number * SECTOR_SIZE)].ljust(SECTOR_SIZE, b"\0")
        return data

    def read(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from byte ``offset`` on; fewer at the end of the file."""
        number, skipped = divmod(offset, SECTOR_SIZE)
        if skipped + size <= SECTOR_SIZE and (number + 1) * SECTOR_SIZE <= self.size:  # most reads
            return self.sector(number)[skipped : skipped + size]
        stop = min(offset + size, self.size)
        if stop <= offset:
            return b""
        data = b"".join(map(self.sector, range(number, -(-stop // SECTOR_SIZE))))
        return data[skipped : skipped + stop - offset]

    def write_to(self, path: str | os.PathLike[str]) -> None:
        """Make a real file of it."""
        numbers = {*self._safe, *self._changed}
        for page in self._garbage:
            numbers.update(range(page * PAGE_SECTORS, (page + 1) * PAGE_SECTORS))
        with Path(path).open("wb") as file:
            for number in sorted(numbers):
                if number * SECTOR_SIZE < self.size:
                    file.seek(number * SECTOR_SIZE)
                    file.write(self.sector(number))
            file.truncate(self.size)


@dataclass(frozen=True, slots=True)
class CrashState:
    """One outcome of a crash before call number ``position``.

    ``promise`` is the value of the last promise before it, None when there was none.
    """

    position: int
    promise: Any
    files: Mapping[str, CrashFile]
    row: tuple[int, ...]

    def write_to(self, folder: str | os.PathLike[str]) -> None:
        """Make real files of it, in a folder that is empty."""
        for name, file in self.files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            file.write_to(path)


@dataclass(slots=True)
class Exploration:
    """What came of checking all states: how many there were, how many were wrong, and the first of those."""

    states: int = 0
    violations: int = 0
    examples: list[str] = field(default_factory=list)

    def __iadd__(self, other: Exploration) -> Exploration:
        self.states += other.states
        self.violations += other.violations
        self.examples = (self.examples + other.examples)[:SHOWN]
        return self


def explore(
    recording: Recording,
    check: Callable[[CrashState], object],
    *,
    limit: int = DEFAULT_LIMIT,
    seed: int = 0,
) -> Exploration:
    """Call ``check`` with every state; what it raises is a violation."""
    result = Exploration()
    for state in crash_states(recording, limit=limit, seed=seed):
        result.states += 1
        try:
            check(state)
        except Exception as error:
            result.violations += 1
            if len(result.examples) < SHOWN:
                before = recording.log[state.position - 1] if state.position else "nothing"
                result.examples.append(
                    f"crash after call {state.position} ({_short(before)}), choices {state.row}: {error!r}"
                )
    return result


def crash_states(recording: Recording, *, limit: int = DEFAULT_LIMIT, seed: int = 0) -> Iterator[CrashState]:
    """All states a crash may leave; at most ``limit`` of them for each stretch between two syncs."""
    rng = random.Random(seed)
    disk = _Disk(recording)
    promise: Any = None
    fresh = False  # something has changed since states were last taken
    for position, call in enumerate(recording.log):
        if isinstance(call, Sync | SyncDir | Promise):
            if fresh and not (isinstance(call, Promise) and not call.kept):
                yield from disk.states(position, promise, limit, rng)
                fresh = False
            if isinstance(call, Promise):
                promise = call.value
                fresh = True
        else:
            fresh = True
        disk.apply(call)
    if fresh:
        yield from disk.states(len(recording.log), promise, limit, rng)


class _Disk:
    """What is safe, and what waits for a sync."""

    def __init__(self, recording: Recording) -> None:
        self._files = {
            number: WaitingFile(size, dict(data)) for number, (size, data) in recording.contents.items()
        }
        self._safe_names = dict(recording.names)
        self._name_calls: list[NameCall] = []  # not safe yet

    def apply(self, call: Call) -> None:
        """Take one call."""
        if isinstance(call, DataCall):
            self._files[call.file].waiting.append(call)
        elif isinstance(call, NameCall):
            if isinstance(call, Link):
                self._files.setdefault(call.file, WaitingFile(0, {}))
            self._name_calls.append(call)
        elif isinstance(call, Sync):
            self._files[call.file].sync()
        elif isinstance(call, FailedSync):
            self._files[call.file].fail_to_sync()
        elif isinstance(call, Settled):
            self._files[call.file].settle(call.sectors)
        elif isinstance(call, SyncDir):
            touching = [n for n, each in enumerate(self._name_calls, 1) if call.path in _folders_of(each)]
            safe = max(touching, default=0)
            for each in self._name_calls[:safe]:
                self._safe_names = _renamed(self._safe_names, each)
            del self._name_calls[:safe]

    def doubts(self, number: int) -> dict[int, list[bytes]]:
        """For each sector of a file that is in doubt, what it may hold."""
        file = self._files[number]
        return {
            sector: [file.safe.get(sector, ZERO_SECTOR), *versions]
            for sector, versions in file.doubtful.items()
        }

    def states(self, position: int, promise: Any, limit: int, rng: random.Random) -> Iterator[CrashState]:
        """What a crash now may leave, each once."""
        namings = [self._safe_names]
        for call in self._name_calls:
            namings.append(_renamed(namings[-1], call))
        named = sorted({number for names in namings for number in names.values()})
        choices = [_Choices(number, self._files[number]) for number in named]
        for row in _rows(len(namings), choices, limit, rng):
            at = 1
            images = {}
            for choice in choices:
                images[choice.number] = choice.image(row, at)
                at += len(choice.counts)
            files = {name: images[number] for name, number in namings[row[0]].items()}
            yield CrashState(position, promise, files, row)


def doubts(recording: Recording, number: int) -> dict[int, list[bytes]]:
    """For each sector that failed syncs of a file left in doubt, what it may hold."""
    disk = _Disk(recording)
    for call in recording.log:
        disk.apply(call)
    return disk.doubts(number)


class _Choices:
    """What may have become of one file: zeros or garbage in what it grew by, its size, each sector's version.

    ``counts`` says how many possibilities each has; number 0 is the oldest. ``steps`` holds, for each
    waiting call, the possibilities that are the case when it arrived: (which, number).
    """

    def __init__(self, number: int, file: WaitingFile) -> None:
        self.number = number
        self._file = file
        self._sizes = [file.size]
        self._sectors: list[int] = []
        self._versions: list[list[bytes | None]] = []
        self.steps: list[list[tuple[int, int]]] = []
        places: dict[int, int] = {}
        for sector, doubts in file.doubtful.items():
            places[sector] = len(self._sectors)
            self._sectors.append(sector)
            self._versions.append([None, *dict.fromkeys(doubts)])
        current = file.shown() if file.waiting else {}
        size = file.size
        for call in file.waiting:
            step = []
            changed = changes(call, size, current)
            for sector, data in changed.items():
                place = places.get(sector)
                if place is None:
                    place = places[sector] = len(self._sectors)
                    self._sectors.append(sector)
                    self._versions.append([None])
                inside = sector * SECTOR_SIZE < file.size
                version = None if inside and data == file.safe.get(sector, ZERO_SECTOR) else data
                versions = self._versions[place]
                if version not in versions:
                    versions.append(version)
                step.append((2 + place, versions.index(version)))
            current.update(changed)
            if size != size_after(call, size):
                size = size_after(call, size)
                if size not in self._sizes:
                    self._sizes.append(size)
                step.append((1, self._sizes.index(size)))
            self.steps.append(step)
        self._grown_from = -(-file.size // SECTOR_SIZE)
        written = {sector // PAGE_SECTORS for sector in self._sectors if sector >= self._grown_from}
        self._garbage: list[Collection[int]] = [(), written] if written else [()]
        self.counts = [len(self._garbage), len(self._sizes), *map(len, self._versions)]
        self._certain = CrashFile(file.size, file.safe, {})

    def image(self, row: Sequence[int], at: int) -> CrashFile:
        """The file for the choices from ``row[at]`` on."""
        if not (self._file.waiting or self._file.doubtful):
            return self._certain
        changed = {}
        place = at + 2
        for sector, versions in zip(self._sectors, self._versions, strict=True):
            data = versions[row[place]]
            if data is not None:
                changed[sector] = data
            place += 1
        size, garbage = self._sizes[row[at + 1]], self._garbage[row[at]]
        return CrashFile(size, self._file.safe, changed, garbage, self._grown_from)


Row = tuple[int, ...]


def _rows(namings: int, choices: Sequence[_Choices], limit: int, rng: random.Random) -> Iterator[Row]:
    """One number per possibility: all combinations, or ``limit`` of them."""
    counts = [namings, *itertools.chain.from_iterable(choice.counts for choice in choices)]
    if math.prod(counts) <= limit:
        yield from itertools.product(*map(range, counts))
        return
    seen = set()
    telling = list(_telling_rows(namings, counts, choices))
    if len(telling) > limit // 2:
        telling = rng.sample(telling, limit // 2)
    for row in itertools.chain(telling, _random_rows(counts, choices, rng)):
        if row not in seen:
            seen.add(row)
            yield row
            if len(seen) == limit:
                return


def _steps(choices: Sequence[_Choices]) -> list[list[tuple[int, int]]]:
    """The steps of all files, with places in the whole row."""
    steps = []
    at = 1
    for choice in choices:
        steps += [[(at + place, number) for place, number in step] for step in choice.steps]
        at += len(choice.counts)
    return steps


def _telling_rows(namings: int, counts: Sequence[int], choices: Sequence[_Choices]) -> Iterator[Row]:
    """Every prefix of the calls, every single loss and every single survivor, with each state of names."""
    steps = _steps(choices)
    newest = [0] * len(counts)
    for step in steps:
        for place, number in step:
            newest[place] = number
    for names in range(namings):
        prefix = [0] * len(counts)
        prefix[0] = names
        yield tuple(prefix)
        for step in steps:
            for place, number in step:
                prefix[place] = number
            yield tuple(prefix)
            survivor, loss = [0] * len(counts), list(newest)
            survivor[0] = loss[0] = names
            for place, number in step:
                survivor[place] = number
                loss[place] = max(0, number - 1)
            yield tuple(survivor)
            yield tuple(loss)


def _random_rows(counts: Sequence[int], choices: Sequence[_Choices], rng: random.Random) -> Iterator[Row]:
    """Half of them sector by sector, half call by call: some arrived, in any order, others did not."""
    steps = _steps(choices)
    pick = rng.random
    while True:
        if pick() < 0.5:
            yield tuple([int(pick() * count) for count in counts])
            continue
        row = [int(pick() * counts[0])] + [0] * (len(counts) - 1)
        share = pick()
        at = 1
        for choice in choices:
            row[at] = int(pick() * choice.counts[0])
            at += len(choice.counts)
        for step in steps:
            if pick() < share:
                for place, number in step:
                    row[place] = number
        yield tuple(row)


def _renamed(names: dict[str, int], call: NameCall) -> dict[str, int]:
    """``names`` after a call."""
    after = dict(names)
    if isinstance(call, Link):
        after[call.path] = call.file
    elif isinstance(call, Rename):
        after[call.new] = after.pop(call.old)
    else:
        del after[call.path]
    return after


def _folders_of(call: NameCall) -> set[str]:
    paths = (call.old, call.new) if isinstance(call, Rename) else (call.path,)
    return {os.path.dirname(path) or "." for path in paths}  # noqa: PTH120


def _short(call: object) -> str:
    if isinstance(call, Write):
        return f"Write(file={call.file}, offset={call.offset}, {len(call.data)} bytes)"
    return "Promise" if isinstance(call, Promise) else str(call)
