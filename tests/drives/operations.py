"""Operations on the images of a chain: each can be cut off anywhere, and done again.

A new operation is a class with ``act``, how images read while it lasts (``fitting``), and ``check_done``, and
a line in OPERATIONS.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pcemu.drives.chain import Chain
from pcemu.drives.commit import commit
from pcemu.drives.compact import compact
from pcemu.drives.convert import flatten
from pcemu.drives.create import create_differencing
from pcemu.drives.discard import discard
from pcemu.drives.freeze import freeze, revert
from pcemu.drives.hostfile import Host
from pcemu.drives.merge import merge
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format
from pcemu.drives.relink import relink
from pcemu.drives.repair import repair
from pcemu.drives.resize import grow
from pcemu.errors import ImageError, UsageError
from pcemu.testing.recording import Link, RecordingCalls, Unlink
from tests.drives.independent_vhd import NOWHERE, SECTOR, ZEROS, ImageChain, Readable, VhdImage, files_in
from tests.drives.scenarios import (
    Attempt,
    Change,
    Guest,
    Log,
    Scenario,
    at_once,
    is_sync,
    is_sync_of_names,
    is_sync_of_new,
    make_base,
    noise,
    open_mended,
    without,
)

SECTORS = 45
SIDECARS = (".pcemu-pending", ".pcemu-children")

Content = dict[int, bytes]  # by sector
Fitting = dict[str, list[Content]]  # for each image all that it may read as
Files = Mapping[str, Readable]


class Operation(Scenario):
    """Something done to ``head``, the last of ``layers`` images on a base."""

    verb = ""
    going: tuple[str, ...] = ()  # images that may be gone

    def __init__(
        self, base: str, layers: int, *, sibling: int | None = None, sectors: int = SECTORS
    ) -> None:
        self.base = base
        self.layers = layers
        self.sibling = sibling
        self.sectors = sectors
        self.name = f"{self.verb}: {layers} layers on {base}"
        if sibling is not None:
            self.name += f", a sibling on {sibling}"
        if sectors != SECTORS:
            self.name += ", the head larger"
        self.raw = ("base",) if base == "raw" else ()
        self.head = f"layer{layers}" if layers else "base"
        self.changed = (self.head,)

    def prepare(self, folder: Path, rng: random.Random) -> None:
        make_base(folder / "base", self.base, SECTORS, range(SECTORS), rng)
        parent = "base"
        for number in range(self.layers):
            last = number == self.layers - 1
            make_child(folder, f"layer{number + 1}", parent, rng, self.sectors if last else SECTORS)
            if self.sibling == number:
                make_child(folder, "sibling", parent, rng)
            parent = f"layer{number + 1}"

    def format_of(self, name: str) -> Format | None:
        """The format to open an image as; None has it probed."""
        return Format.RAW if name in self.raw else None

    def act(self, folder: Path, host: Host) -> Any:
        """The call to the engine."""
        raise NotImplementedError

    def fitting(self, files: Files) -> Fitting:
        """How images may read at any instant, by what they read as before; here, all as before.

        One that may read as anything, for a while, has no contents.
        """
        return {name: [content_of(files, name, self.raw)] for name in images_in(files)}

    def check_done(self, files: Files, fitting: Fitting) -> None:
        """Raise when the operation has not done its work."""
        raise NotImplementedError

    def run(
        self, folder: Path, calls: RecordingCalls, rng: random.Random, attempt: Attempt = at_once
    ) -> None:
        fitting = self.fitting(files_in(folder))
        calls.promise((False, fitting))
        if attempt(lambda: self.act_or_find_done(folder, calls, fitting, again=len(calls.recording.log) > 1)):
            calls.promise((True, fitting))

    def resume(self, folder: Path, calls: RecordingCalls, fitting: Fitting) -> None:
        """Do again what was cut off."""
        calls.promise((False, fitting))
        if self.act_or_find_done(folder, calls, fitting, again=True):
            calls.promise((True, fitting))

    def act_or_find_done(self, folder: Path, calls: RecordingCalls, fitting: Fitting, *, again: bool) -> bool:
        """Act; False when that is refused as there is nothing left to do, which is right, too."""
        try:
            self.act(folder, Host(calls))
        except (ImageError, UsageError) as error:
            if not again:
                raise
            try:
                self.check(files_in(folder), (True, fitting))
            except AssertionError:
                raise error from None
            return False
        return True

    def check(self, files: Files, promise: Any) -> None:
        done, fitting = promise
        for name, contents in fitting.items():
            if contents and (name in files or name not in self.going):
                check_reads_as_one(files, name, contents, self.raw)
        assert set(images_in(files)) <= {*fitting, *self.going, "base"}
        if done:
            self.check_done(files, fitting)
            assert not any(name.endswith(".pcemu-pending") for name in files), "the note is left"

    def wrong_orders(self) -> dict[str, Change]:
        return {
            "no sync of new files": without(is_sync_of_new),
            "no sync of names": without(is_sync_of_names),
        }


class Committing(Operation):
    """The head's sectors, and those of all between, into the target; the head reads the same throughout.

    The target reads as before or as the head whenever no note beside it says that it holds half of it.
    """

    verb = "commit"

    def __init__(
        self, base: str, layers: int, *, into: int = 0, sibling: int | None = None, sectors: int = SECTORS
    ) -> None:
        super().__init__(base, layers, sibling=sibling, sectors=sectors)
        self.target = f"layer{into}" if into else "base"
        self.name += f", into {self.target}"
        self.going = tuple(f"layer{number + 1}" for number in range(into, layers - 1))
        self.changed = (self.target, *self.going, self.head, "sibling")

    def act(self, folder: Path, host: Host) -> Any:
        preserve = self.sibling is not None
        return commit(folder / self.head, folder / self.target, preserve_siblings=preserve, host=host)

    def fitting(self, files: Files) -> Fitting:
        lasting = [name for name in images_in(files) if name not in self.going]
        fitting = {name: [content_of(files, name, self.raw)] for name in lasting}
        fitting[self.target] += fitting[self.head]
        return fitting

    def check(self, files: Files, promise: Any) -> None:
        done, fitting = promise
        if f"{self.target}.pcemu-pending" in files:
            fitting = {**fitting, self.target: []}
        super().check(files, (done, fitting))

    def check_done(self, files: Files, fitting: Fitting) -> None:
        check_reads_as_one(files, self.target, fitting[self.head], self.raw)
        assert set(VhdImage(files[self.head]).bat) == {NOWHERE}, "the head is not empty"
        head = ImageChain(files, self.head, self.raw).images[0]
        assert isinstance(head, VhdImage) and head.parent_path() == self.target
        if self.sibling is None:
            assert not set(self.going) & set(files), "layers between are left"

    def wrong_orders(self) -> dict[str, Change]:
        orders = {
            "no sync of data": without(is_sync),
            "no sync of names": without(is_sync_of_names),
            "no note": without(is_of_note),
            **super().wrong_orders(),
        }
        if self.base != "fixed" or self.sectors == SECTORS:  # that one is written anew
            orders["no sync of the target"] = without(is_sync_of_old)
        return orders


def is_sync_of_old(log: Log, at: int) -> bool:
    """A sync of a file that was there before."""
    return is_sync(log, at) and not is_sync_of_new(log, at)


def is_of_note(log: Log, at: int) -> bool:
    """A note's name comes or goes."""
    call = log[at]
    return isinstance(call, Link | Unlink) and call.path.endswith(".pcemu-pending")


class Merging(Operation):
    """All layers into one in the head's place."""

    verb = "merge"

    def __init__(self, base: str, layers: int) -> None:
        super().__init__(base, layers)
        self.going = tuple(f"layer{number + 1}" for number in range(layers - 1))
        self.changed = (*self.going, self.head)

    def act(self, folder: Path, host: Host) -> Any:
        return merge(folder / self.head, folder / "layer1", host=host)

    def check_done(self, files: Files, fitting: Fitting) -> None:
        assert len(ImageChain(files, self.head, self.raw).images) == 2
        assert not set(self.going) & set(files), "layers between are left"


class MergingMiddle(Merging):
    """All layers but the head into one; the head is not touched."""

    verb = "merge the middle"

    def __init__(self, base: str, layers: int) -> None:
        super().__init__(base, layers)
        self.top = f"layer{layers - 1}"
        self.going = tuple(f"layer{number + 1}" for number in range(layers - 2))
        self.changed = (*self.going, self.top)

    def act(self, folder: Path, host: Host) -> Any:
        return merge(folder / self.top, folder / "layer1", host=host)

    def check_done(self, files: Files, fitting: Fitting) -> None:
        assert len(ImageChain(files, self.head, self.raw).images) == 3
        assert not set(self.going) & set(files), "layers between are left"


class Reverting(Operation):
    """The head reads as it did or as the base; images between may be gone."""

    verb = "revert"

    def __init__(self, base: str, layers: int) -> None:
        super().__init__(base, layers)
        self.going = tuple(f"layer{number + 1}" for number in range(layers - 1))
        self.changed = (*self.going, self.head)

    def act(self, folder: Path, host: Host) -> Any:
        return revert(folder / self.head, folder / "base", host=host)

    def fitting(self, files: Files) -> Fitting:
        fitting = super().fitting(files)
        fitting[self.head] += fitting["base"]
        return fitting

    def check_done(self, files: Files, fitting: Fitting) -> None:
        check_reads_as_one(files, self.head, fitting["base"], self.raw)
        assert len(ImageChain(files, self.head, self.raw).images) == 2
        assert not set(self.going) & set(files), "layers between are left"


class Discarding(Operation):
    """The head and all layers below it go, the newest first."""

    verb = "discard"

    def __init__(self, base: str, layers: int) -> None:
        super().__init__(base, layers)
        self.going = tuple(f"layer{number + 1}" for number in range(layers))
        self.changed = ()

    def act(self, folder: Path, host: Host) -> Any:
        return discard(folder / self.head, folder / "base", host=host)

    def check_done(self, files: Files, fitting: Fitting) -> None:
        assert images_in(files) == ["base"]

    def wrong_orders(self) -> dict[str, Change]:
        def oldest_first(log: Log) -> Log:
            unlinks = [call for call in log if isinstance(call, Unlink)]
            last = iter(reversed(unlinks))
            return [next(last) if isinstance(call, Unlink) else call for call in log]

        return {
            "no sync of names": without(is_sync_of_names),
            "the oldest first": oldest_first,
        }


class Freezing(Operation):
    """A drive in use goes on in a new child; what was written before is safe in the old head."""

    verb = "freeze"

    def run(
        self, folder: Path, calls: RecordingCalls, rng: random.Random, attempt: Attempt = at_once
    ) -> None:
        host = Host(calls)
        before = content_of(files_in(folder), self.head, self.raw)
        opening = partial(open_mended, folder / self.head, host)
        guest = Guest(opening, calls, before, attempt, lambda guest: (False, before, dict(guest.latest)))
        guest.write(rng.randrange(SECTORS - 3), noise(rng, 3))

        def go_on_in_a_child() -> Chain:
            guest.start_again_if_lost()
            return freeze(guest.drive, folder / "frozen", host=host)

        drive = attempt(go_on_in_a_child)
        calls.promise((True, before, guest.latest))
        attempt(drive.close)

    def check(self, files: Files, promise: Any) -> None:
        done, before, after = promise
        frozen = "frozen" in files
        read = content_of(files, self.head, self.raw)
        for lba, data in read.items():
            assert data == after[lba] or (not frozen and data == before[lba]), f"sector {lba}"
        assert frozen or not done, "the child is gone"
        if frozen:
            check_reads_as_one(files, "frozen", [after], self.raw)

    def wrong_orders(self) -> dict[str, Change]:
        return {
            "no sync of data": without(is_sync),
            "no sync of names": without(is_sync_of_names),
        }


class Compacting(Operation):
    """The head written anew."""

    verb = "compact"

    def act(self, folder: Path, host: Host) -> Any:
        return compact(folder / self.head, host=host)

    def prepare(self, folder: Path, rng: random.Random) -> None:
        super().prepare(folder, rng)
        drive = open_drive(folder / self.head)
        drive.write(0, bytes(8 * SECTOR))
        drive.close()

    def check_done(self, files: Files, fitting: Fitting) -> None:
        VhdImage(files[self.head]).check_hidden_zeros()

    def wrong_orders(self) -> dict[str, Change]:
        return {"no sync of new files": without(is_sync_of_new)}


class Growing(Operation):
    """The head larger, with zeros behind what it had."""

    verb = "grow"
    new_sectors = 2000  # the BAT needs more sectors

    def act(self, folder: Path, host: Host) -> Any:
        return grow(folder / self.head, self.new_sectors * SECTOR, host=host)

    def check_done(self, files: Files, fitting: Fitting) -> None:
        chain = ImageChain(files, self.head, self.raw)
        assert chain.sectors == self.new_sectors

    def wrong_orders(self) -> dict[str, Change]:
        return {"no sync of data": without(is_sync)}


class Relinking(Operation):
    """The head built on a copy of the base, under another name."""

    verb = "relink"

    def __init__(self, base: str, layers: int) -> None:
        super().__init__(base, layers)
        self.raw = ("base", "copy") if base == "raw" else ()

    def prepare(self, folder: Path, rng: random.Random) -> None:
        super().prepare(folder, rng)
        (folder / "copy").write_bytes((folder / "base").read_bytes())

    def act(self, folder: Path, host: Host) -> Any:
        return relink(folder / self.head, folder / "copy", host=host)

    def check_done(self, files: Files, fitting: Fitting) -> None:
        head = ImageChain(files, self.head, self.raw).images[0]
        assert isinstance(head, VhdImage) and head.parent_path() == "copy"

    def wrong_orders(self) -> dict[str, Change]:
        return {"no sync of data": without(is_sync)}


class Flattening(Operation):
    """One new image of all."""

    verb = "flatten"

    def __init__(self, base: str, layers: int) -> None:
        super().__init__(base, layers)
        self.changed = ()

    def act(self, folder: Path, host: Host) -> Any:
        return flatten(folder / self.head, folder / "flat", Format.DYNAMIC, host=host)

    def check(self, files: Files, promise: Any) -> None:
        if "flat" in files:
            check_reads_as_one(files, "flat", promise[1][self.head], self.raw)
        super().check({name: file for name, file in files.items() if name != "flat"}, (False, promise[1]))
        assert "flat" in files or not promise[0], "the new image is gone"

    def wrong_orders(self) -> dict[str, Change]:
        return {
            "no sync of data": without(is_sync),
            "no sync of names": without(is_sync_of_names),
        }


class Repairing(Operation):
    """The head's lost tail footer restored."""

    verb = "repair"

    def prepare(self, folder: Path, rng: random.Random) -> None:
        super().prepare(folder, rng)
        with (folder / self.head).open("r+b") as file:
            file.truncate(file.seek(0, 2) - SECTOR)
            file.seek(0, 2)
            file.write(rng.randbytes(rng.choice((0, 512, 4096, 5000))))

    def act(self, folder: Path, host: Host) -> Any:
        return repair(folder / self.head, host=host)

    def check_done(self, files: Files, fitting: Fitting) -> None:
        assert not VhdImage(files[self.head]).tail_lost

    def wrong_orders(self) -> dict[str, Change]:
        return {"no sync of data": without(is_sync)}


def make_child(
    folder: Path, name: str, parent: str, rng: random.Random, sectors: int = SECTORS
) -> None:
    """A child with a few writes, zeros among them."""
    create_differencing(folder / name, folder / parent, block_size=4096, size=sectors * SECTOR)
    drive = open_drive(folder / name)
    drive.write(sectors - 1, noise(rng, 1))
    for count in (1, 3, 9):
        drive.write(rng.randrange(SECTORS - count), noise(rng, count))
    drive.write(rng.randrange(SECTORS), ZEROS)
    drive.close()


def images_in(files: Files) -> list[str]:
    """All that are no notes and no leftovers."""
    return [name for name in files if not name.startswith(".") and not name.endswith(SIDECARS)]


def content_of(files: Files, name: str, raw: tuple[str, ...]) -> Content:
    """The sectors of an image, by the independent reader."""
    chain = ImageChain(files, name, raw)
    return {lba: chain.sector(lba) for lba in range(chain.sectors)}


def check_reads_as_one(files: Files, name: str, contents: list[Content], raw: tuple[str, ...]) -> None:
    """The whole image reads as one of ``contents``; when it is larger, as zeros behind."""
    read = content_of(files, name, raw)
    behind = {lba for lba, data in read.items() if data == ZEROS}
    if not any(
        content == read or (behind >= read.keys() - content.keys() and content.items() <= read.items())
        for content in contents
    ):
        wrong = [lba for lba, data in contents[0].items() if read.get(lba) != data]
        raise AssertionError(f"{name} reads as none of the {len(contents)} contents: sectors {wrong}")


OPERATIONS: list[Operation] = [
    Freezing("raw", 0),
    Freezing("dynamic", 1),
    Committing("raw", 1),
    Committing("fixed", 2),
    Committing("dynamic", 1),
    Committing("dynamic", 3),
    Committing("dynamic", 3, into=1),
    Committing("raw", 1, sibling=0),
    Committing("dynamic", 2, sibling=0),
    Committing("fixed", 3, sibling=1),
    Committing("raw", 2, sectors=70),
    Committing("fixed", 1, sectors=70),
    Committing("dynamic", 1, sectors=70),
    Merging("dynamic", 3),
    MergingMiddle("raw", 4),
    Reverting("dynamic", 3),
    Discarding("raw", 3),
    Compacting("dynamic", 0),
    Compacting("raw", 1),
    Growing("raw", 0),
    Growing("fixed", 0),
    Growing("dynamic", 0),
    Growing("dynamic", 1),
    Relinking("fixed", 1),
    Relinking("raw", 1),
    Flattening("dynamic", 2),
    Repairing("dynamic", 1),
]
