"""What a guest does and what creates images, each with what holds at any instant of it.

test_crash and test_faults run these, and those of operations.py, where a new operation is a few lines.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pcemu.drives.chain import Chain
from pcemu.drives.create import create_differencing, create_dynamic, create_fixed
from pcemu.drives.drive import Drive
from pcemu.drives.hostfile import Host
from pcemu.drives.open import open_drive
from pcemu.drives.raw import FlatDrive
from pcemu.drives.repair import mend_tail
from pcemu.drives.sparse import SparseLayer
from pcemu.testing.recording import Call, Link, RecordingCalls, Sync, SyncDir, Write
from tests.drives.independent_vhd import (
    DIFFERENCING,
    DYNAMIC,
    FIXED,
    SECTOR,
    ZEROS,
    ImageChain,
    Readable,
    VhdImage,
    files_in,
    make_fixed,
    make_raw,
    make_sparse,
)

T = TypeVar("T")
Log = list[Call]
Change = Callable[[Log], Log]
Allowed = dict[int, frozenset[bytes]]  # for each sector what it may hold
Attempt = Callable[[Callable[[], Any]], Any]  # does a step; tests of faults do it again when it fails

REQUESTS = 14  # of a guest
FIRST_BLOCK = 4096  # or later, in these images



def at_once(step: Callable[[], T]) -> T:
    """The attempt that is no attempt: what fails, fails."""
    return step()


class Guest:
    """Uses some sectors of a drive, and promises what may be read from each after a crash."""

    def __init__(
        self,
        opening: Callable[[], Chain | FlatDrive],
        calls: RecordingCalls,
        content: Mapping[int, bytes],
        attempt: Attempt = at_once,
        promise: Callable[[Guest], Any] = lambda guest: guest.allowed,
    ) -> None:
        self.opening = opening
        self.promise = promise
        self.calls = calls
        self.attempt = attempt
        self.latest = dict(content)
        self.allowed: Allowed = {lba: frozenset((data,)) for lba, data in content.items()}
        self.lost = False  # True when a sync failed, until all was written again
        calls.promise(promise(self))
        self.drive: Chain | FlatDrive = attempt(opening)

    def write(self, lba: int, data: bytes) -> None:
        """Old or new may be there, until a flush."""
        self._may_change(lba, [data[at : at + SECTOR] for at in range(0, len(data), SECTOR)])
        self.attempt(lambda: self.drive.write(lba, data))

    def discard(self, lba: int, count: int) -> None:
        """Old or zeros may be there, until a flush."""
        self._may_change(lba, [ZEROS] * count)
        self.attempt(lambda: self.drive.discard(lba, count))

    def flush(self) -> None:
        """From its return on, only the latest may be there."""

        def flush() -> None:
            self.start_again_if_lost()
            self.drive.flush()

        self.attempt(flush)
        self.allowed = {lba: frozenset((data,)) for lba, data in self.latest.items()}
        self.calls.promise(self.promise(self))

    def start_again_if_lost(self) -> None:
        """After a sync that failed the drive is opened again, and what may be lost is written again."""
        head = self.drive.head if isinstance(self.drive, Chain) else self.drive
        assert isinstance(head, FlatDrive | SparseLayer)
        self.lost |= head.file.sync_failed
        if self.lost:
            with contextlib.suppress(OSError):
                self.drive.close()
            self.drive = self.opening()
            for lba, fitting in self.allowed.items():
                if len(fitting) > 1:
                    self.drive.write(lba, self.latest[lba])
            self.lost = False

    def read(self) -> None:
        """The drive must give what it was given, flushed or not."""
        for lba, data in self.latest.items():
            buffer = bytearray(SECTOR)
            self.attempt(partial(self.drive.read, lba, buffer))
            assert buffer == data, f"sector {lba} is read back wrong"

    def work(self, rng: random.Random, requests: int) -> None:
        """Random requests, a flush among them now and then, and at the end."""
        places = list(self.latest)
        for _ in range(requests):
            lba = rng.choice(places)
            wanted = rng.choice((1, 1, 2, 5, 12))
            count = next((n for n in range(wanted) if lba + n not in self.latest), wanted)
            kind = rng.random()
            if kind < 0.2:
                self.flush()
            elif kind < 0.3:
                self.discard(lba, count)
            elif kind < 0.35:
                self.write(lba, bytes(count * SECTOR))
            else:
                self.write(lba, noise(rng, count))
        self.read()
        self.flush()

    def _may_change(self, lba: int, parts: Sequence[bytes]) -> None:
        self.allowed = dict(self.allowed)
        for number, data in enumerate(parts, lba):
            self.allowed[number] |= {data}
            self.latest[number] = data
        self.calls.promise(self.promise(self), kept=False)


def open_mended(path: Path, host: Host) -> Chain | FlatDrive:
    """A drive whose image may lack its tail footer, as after a crash."""
    mend_tail(str(path), host)
    return open_drive(path, host=host)


def noise(rng: random.Random, sectors: int) -> bytes:
    """Sectors that are like no others."""
    return rng.randbytes(sectors * SECTOR)


def check_content(chain: ImageChain, allowed: Allowed) -> None:
    """Each sector reads as it may."""
    for lba, fitting in allowed.items():
        if chain.sector(lba) not in fitting:
            raise AssertionError(f"sector {lba} is wrong: {chain.sector(lba)[:8].hex()}…")


class Scenario:
    """An operation of the engine on the files of a folder, and what must hold whenever it is cut off."""

    name = ""
    raw: tuple[str, ...] = ()  # files that are raw images
    changed: tuple[str, ...] = ()  # files that may be written; all others stay as they are

    def __str__(self) -> str:
        return self.name

    def prepare(self, folder: Path, rng: random.Random) -> None:
        """Make the files."""
        raise NotImplementedError

    def run(
        self, folder: Path, calls: RecordingCalls, rng: random.Random, attempt: Attempt = at_once
    ) -> None:
        """Do it, promising as it goes; each step that can be repeated after a failure is an attempt."""
        raise NotImplementedError

    def check(self, files: Mapping[str, Readable], promise: Any) -> None:
        """Raise when something promised does not hold."""
        raise NotImplementedError

    def wrong_orders(self) -> dict[str, Change]:
        """Recordings that must be found wrong, by what is wrong with them."""
        raise NotImplementedError


def without(wrong: Callable[[Log, int], bool]) -> Change:
    """A recording without some of its calls."""
    return lambda log: [call for at, call in enumerate(log) if not wrong(log, at)]


def before_last_sync(wrong: Callable[[Log, int], bool]) -> Change:
    """A recording in which some calls do not wait for the sync before them."""

    def change(log: Log) -> Log:
        changed: Log = []
        for at, call in enumerate(log):
            syncs = [n for n, before in enumerate(changed) if isinstance(before, Sync)]
            if wrong(log, at) and syncs:
                changed.insert(syncs[-1], call)
            else:
                changed.append(call)
        return changed

    return change


def is_sync(log: Log, at: int) -> bool:
    """Any sync of data."""
    return isinstance(log[at], Sync)


def is_sync_of_new(log: Log, at: int) -> bool:
    """A sync of a file that was not there before."""
    call = log[at]
    return isinstance(call, Sync) and call.file in {each.file for each in log if isinstance(each, Link)}


def is_sync_of_names(log: Log, at: int) -> bool:
    """Any sync of a folder."""
    return isinstance(log[at], SyncDir)


def is_barrier(log: Log, at: int) -> bool:
    """A sync that data written in the same flush waits for: the next call is a write, no promise."""
    return is_sync(log, at) and at + 1 < len(log) and isinstance(log[at + 1], Write)


def is_late(log: Log, at: int) -> bool:
    """One of the writes behind a barrier: the BAT's, and bits of blocks that were there before."""
    while at and isinstance(log[at], Write):
        at -= 1
        if is_barrier(log, at):
            return True
    return False


def is_bat(log: Log, at: int) -> bool:
    """A write to what lies before all blocks."""
    call = log[at]
    return isinstance(call, Write) and call.offset < FIRST_BLOCK


def is_final(log: Log, at: int) -> bool:
    """The sync that a promise relies on."""
    return is_sync(log, at) and not is_barrier(log, at)


class Writing(Scenario):
    """A guest writes, discards and flushes on a drive of any make."""

    def __init__(
        self, base: str, *, layers: int, block_size: int = 4096, places: Sequence[range] = (range(69),)
    ) -> None:
        self.name = f"write to {layers} layers on {base}, up to {places[-1].stop} in blocks of {block_size}"
        self.base = base
        self.layers = layers
        self.block_size = block_size
        self.places = list(itertools.chain.from_iterable(places))
        self.sectors = places[-1].stop
        self.raw = ("base",) if base == "raw" else ()
        self.head = f"layer{layers}" if layers else "base"
        self.changed = (self.head,)

    def prepare(self, folder: Path, rng: random.Random) -> None:
        if not self.layers and self.block_size != 4096:
            size = self.sectors * SECTOR
            create_dynamic(folder / "base", size, block_size=self.block_size)
        else:
            make_base(folder / "base", self.base, self.sectors, self.places, rng)
        parent = "base"
        for number in range(self.layers):
            name = f"layer{number + 1}"
            create_differencing(folder / name, folder / parent, block_size=self.block_size)
            drive = open_drive(folder / name)
            for _ in range(3):
                drive.write(rng.choice(self.places), noise(rng, 1))
            drive.close()
            parent = name

    def run(
        self, folder: Path, calls: RecordingCalls, rng: random.Random, attempt: Attempt = at_once
    ) -> None:
        content = content_of(folder, self.head, self.raw, self.places)
        calls.promise({lba: frozenset((data,)) for lba, data in content.items()})
        guest = Guest(partial(open_mended, folder / self.head, Host(calls)), calls, content, attempt)
        guest.work(rng, REQUESTS)
        attempt(guest.drive.close)

    def check(self, files: Mapping[str, Readable], promise: Any) -> None:
        check_content(ImageChain(files, self.head, self.raw), promise)

    def wrong_orders(self) -> dict[str, Change]:
        orders = {"no sync at all": without(is_sync), "no sync behind a flush": without(is_final)}
        if self.layers or self.base == "dynamic":
            orders["no barrier"] = without(is_barrier)
            orders["BAT first"] = before_last_sync(lambda log, at: is_late(log, at) and is_bat(log, at))
        if self.layers:
            orders["bits first"] = before_last_sync(lambda log, at: is_late(log, at) and not is_bat(log, at))
        return orders


class Creating(Scenario):
    """A new image, whole or not there; for a child, the parent's writes are safe before it exists."""

    NEW = "new.vhd"

    def __init__(self, kind: int, base: str = "dynamic") -> None:
        self.kind = kind
        self.base = base
        self.name = {FIXED: "create fixed", DYNAMIC: "create dynamic"}.get(kind, f"create child of {base}")
        self.raw = ("base",) if base == "raw" else ()
        self.changed = ("base", self.NEW)

    def prepare(self, folder: Path, rng: random.Random) -> None:
        make_base(folder / "base", self.base, 69, range(69), rng)

    def run(
        self, folder: Path, calls: RecordingCalls, rng: random.Random, attempt: Attempt = at_once
    ) -> None:
        host = Host(calls)
        path = folder / self.NEW
        if self.kind == DIFFERENCING:
            self._create_child(folder, calls, rng, attempt)
            return
        calls.promise((False, {}))
        if self.kind == FIXED:
            attempt(lambda: create_fixed(path, 40 * SECTOR, host=host))
        else:
            attempt(lambda: create_dynamic(path, 40 * SECTOR, block_size=4096, host=host))
        calls.promise((True, dict.fromkeys(range(40), ZEROS)))

    def _create_child(
        self, folder: Path, calls: RecordingCalls, rng: random.Random, attempt: Attempt
    ) -> None:
        host = Host(calls)
        known = content_of(folder, "base", self.raw, range(69))
        opening = partial(open_mended, folder / "base", host)
        parent = Guest(opening, calls, known, attempt, lambda guest: (False, dict(guest.latest)))
        for _ in range(2):
            parent.write(rng.randrange(60), noise(rng, 3))

        def create() -> None:
            parent.start_again_if_lost()
            layer = parent.drive.layers[0] if isinstance(parent.drive, Chain) else parent.drive
            assert isinstance(layer, FlatDrive | SparseLayer)
            create_differencing(folder / self.NEW, layer, block_size=4096, host=host)

        attempt(create)
        calls.promise((True, parent.latest))
        attempt(parent.drive.close)

    def check(self, files: Mapping[str, Readable], promise: Any) -> None:
        made, content = promise
        left = set(files) - {"base", self.NEW}
        assert all(name.startswith(f".{self.NEW}.") and name.endswith(".new") for name in left), left
        if self.NEW in files:
            image = VhdImage(files[self.NEW])
            assert image.type == self.kind and not image.tail_lost
            assert self.kind == FIXED or not image.footers_differ
            if self.kind != DIFFERENCING:
                content = dict.fromkeys(range(40), ZEROS)
            chain = ImageChain(files, self.NEW, self.raw)
            check_content(chain, {lba: frozenset((data,)) for lba, data in content.items()})
        else:
            assert not made, "the new image is gone"

    def wrong_orders(self) -> dict[str, Change]:
        orders = {
            "no sync of the file": without(is_sync_of_new),
            "no sync of the folder": without(is_sync_of_names),
            "named before its sync": before_last_sync(lambda log, at: isinstance(log[at], Link)),
        }
        if self.kind == DIFFERENCING:
            orders["no sync of the parent"] = without(
                lambda log, at: is_sync(log, at) and not is_sync_of_new(log, at)
            )
        return orders


FAR = [range(40), range(1030, 1090)]  # their BAT entries are in two sectors
LARGE = [range(20), range(4090, 4104), range(8180, 8200), range(16380, 16390)]  # both sides of some bounds
SCENARIOS: list[Scenario] = [
    Writing("raw", layers=0),
    Writing("dynamic", layers=0),
    Writing("dynamic", layers=0, block_size=4 << 20, places=LARGE),
    Writing("raw", layers=1),
    Writing("fixed", layers=1),
    Writing("dynamic", layers=1),
    Writing("dynamic", layers=3),
    Writing("dynamic", layers=1, places=FAR),
    Writing("dynamic", layers=1, block_size=512 << 10, places=LARGE),
    Writing("dynamic", layers=1, block_size=4 << 20, places=LARGE),
    Creating(FIXED),
    Creating(DYNAMIC),
    Creating(DIFFERENCING, "raw"),
    Creating(DIFFERENCING, "fixed"),
    Creating(DIFFERENCING, "dynamic"),
]


def make_base(path: Path, kind: str, sectors: int, places: Sequence[int], rng: random.Random) -> None:
    """An ultimate parent with data in some of ``places``."""
    data = {lba: noise(rng, 1) for lba in rng.sample(places, 10)}
    size, unique_id = sectors * SECTOR, rng.randbytes(16)
    if kind == "raw":
        path.write_bytes(make_raw(size, data))
    elif kind == "fixed":
        path.write_bytes(make_fixed(size, unique_id, data))
    else:
        path.write_bytes(make_sparse(size, unique_id, data))


def content_of(folder: Path, name: str, raw: tuple[str, ...], places: Iterable[int]) -> dict[int, bytes]:
    """Sectors of an image, by the independent reader."""
    chain = ImageChain(files_in(folder), name, raw)
    return {lba: chain.sector(lba) for lba in places}


def read_back(drive: Drive) -> dict[int, bytes]:
    """The sectors of a drive, by the engine."""
    data = bytearray(drive.sectors * SECTOR)
    drive.read(0, data)
    return {lba: bytes(data[lba * SECTOR : (lba + 1) * SECTOR]) for lba in range(drive.sectors)}


def record(scenario: Scenario, folder: Path, seed: int) -> RecordingCalls:
    """One run of a scenario in an empty folder."""
    rng = random.Random(seed)
    folder.mkdir()
    scenario.prepare(folder, rng)
    calls = RecordingCalls(folder)
    scenario.run(folder, calls, rng)
    return calls
