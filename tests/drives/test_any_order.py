"""Everything that can be done with a stack of images, in any order, beside plain bytearrays.

One machine starts from every format and from stacks of up to four layers. It writes, freezes, branches,
reverts, commits to any ancestor, merges, grows, compacts, discards, repairs and opens again; after each
operation every image of the family must read as its bytearray, for the engine and for the independent reader,
and what the operation made useless must be gone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pcemu.drives.chain import Chain
from pcemu.drives.commit import commit
from pcemu.drives.compact import compact
from pcemu.drives.convert import convert
from pcemu.drives.create import create_differencing, create_dynamic, create_fixed, create_raw
from pcemu.drives.discard import discard
from pcemu.drives.freeze import freeze, revert
from pcemu.drives.hostfile import Host, SystemCalls
from pcemu.drives.live import set_aside
from pcemu.drives.merge import merge
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format, probe
from pcemu.drives.raw import FlatDrive
from pcemu.drives.repair import repair
from pcemu.drives.resize import grow
from pcemu.errors import ImageFormatError, UsageError
from pcemu.testing.drive_conformance import contents
from tests.drives.independent_vhd import ImageChain, files_in
from tests.drives.proof import scaled

SECTOR = 512
BLOCKS = st.sampled_from([4096, 65536])
MOST_SECTORS = 400
MOST_LAYERS = 6
MOST_BRANCHES = 2


class Unsynced(SystemCalls):
    """What survives a crash is for others to prove: this is about what is read."""

    def fsync(self, fd: int) -> None:
        pass

    def fdatasync(self, fd: int) -> None:
        pass

    def fsync_dir(self, path: str) -> None:
        pass


HOST = Host(Unsynced())


class AnyOrder(RuleBasedStateMachine):
    """``line`` are the images from base to head; ``models`` holds what each image of the family reads.

    Images that are not in ``line`` are branches, and what those need.
    """

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.line: list[Path] = []
        self.models: dict[Path, bytearray] = {}
        self.parents: dict[Path, Path] = {}
        self.made = 0
        self.drive: Chain | FlatDrive

    # -- beginning ----------------------------------------------------------------------------------

    @initialize(
        sectors=st.integers(1, 200),
        kind=st.sampled_from(["raw", "fixed", "dynamic"]),
        block=BLOCKS,
        layers=st.lists(BLOCKS, min_size=1, max_size=4),
        data=st.data(),
    )
    def begin(
        self, sectors: int, kind: str, block: int, layers: Sequence[int], data: st.DataObject
    ) -> None:
        base = self.folder / ("base.img" if kind == "raw" else "base.vhd")
        size = sectors * SECTOR
        if kind == "raw":
            create_raw(base, size, host=HOST)
        elif kind == "fixed":
            create_fixed(base, size, host=HOST)
        else:
            create_dynamic(base, size, block_size=block, host=HOST)
        self.line, self.models = [base], {base: bytearray(size)}
        self.raw = (base.name,) if kind == "raw" else ()
        self.open()
        self.write(data, 0xBA)
        for each in layers:
            self.add_layer(data, each)

    def open(self) -> None:
        self.drive = open_drive(self.head, host=HOST)

    @property
    def head(self) -> Path:
        return self.line[-1]

    @property
    def model(self) -> bytearray:
        return self.models[self.head]

    def new_name(self) -> Path:
        self.made += 1
        return self.folder / f"image{self.made}.vhd"

    # -- requests -----------------------------------------------------------------------------------

    def place(self, data: st.DataObject) -> tuple[int, int]:
        sectors = len(self.model) // SECTOR
        lba = data.draw(st.integers(0, sectors - 1))
        return lba, data.draw(st.integers(1, min(40, sectors - lba)))

    @rule(data=st.data(), fill=st.integers(0, 255))
    def write(self, data: st.DataObject, fill: int) -> None:
        lba, count = self.place(data)
        content = bytes((fill,)) * (count * SECTOR)
        self.drive.write(lba, content)
        self.model[lba * SECTOR : (lba + count) * SECTOR] = content

    @rule(data=st.data())
    def discard_sectors(self, data: st.DataObject) -> None:
        lba, count = self.place(data)
        self.drive.discard(lba, count)
        self.model[lba * SECTOR : (lba + count) * SECTOR] = bytes(count * SECTOR)

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        lba, count = self.place(data)
        buffer = bytearray(count * SECTOR)
        self.drive.read(lba, buffer)
        assert buffer == self.model[lba * SECTOR : (lba + count) * SECTOR]

    @rule()
    def flush(self) -> None:
        self.drive.flush()
        chain = ImageChain(files_in(self.folder), self.head.name, self.raw)
        assert chain.content() == self.model

    @rule()
    def reopen(self) -> None:
        self.drive.close()
        self.check_family()
        self.open()

    # -- more layers --------------------------------------------------------------------------------

    @precondition(lambda self: len(self.line) < MOST_LAYERS)
    @rule(data=st.data(), block=BLOCKS)
    def add_layer(self, data: st.DataObject, block: int) -> None:
        """Freeze the head, and go on in a new child, which gets something of its own."""
        child = self.new_name()
        self.drive = freeze(self.drive, child, block_size=block, host=HOST)
        self.parents[child] = self.head
        self.models[child] = bytearray(self.model)
        self.line.append(child)
        self.write(data, self.made)

    @precondition(lambda self: len(self.line) > 1 and len(self.branches()) < MOST_BRANCHES)
    @rule(data=st.data(), block=BLOCKS)
    def branch(self, data: st.DataObject, block: int) -> None:
        """Another child of an image below the head, with a write of its own."""
        self.branch_from(data.draw(st.sampled_from(self.line[:-1])), block)

    def branch_from(self, parent: Path, block: int) -> None:
        child = self.new_name()
        create_differencing(child, parent, block_size=block, host=HOST)
        self.parents[child] = parent
        model = self.models[child] = bytearray(self.models[parent])
        drive = open_drive(child, host=HOST)
        drive.write(len(model) // SECTOR - 1, b"\xbb" * SECTOR)
        model[-SECTOR:] = b"\xbb" * SECTOR
        drive.close()

    def branches(self) -> list[Path]:
        """Images beside the line that nothing is built on."""
        return [path for path in self.models if path not in self.line and not self.children(path)]

    def children(self, image: Path) -> list[Path]:
        """What is built on an image, beside the line."""
        return [
            path for path, parent in self.parents.items() if parent == image and path not in self.line
        ]

    # -- operations ---------------------------------------------------------------------------------

    def ancestor(self, data: st.DataObject) -> int:
        """The number of an image below the head."""
        return data.draw(st.integers(0, len(self.line) - 2))

    @precondition(lambda self: len(self.line) > 1)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        self.commit_into(self.ancestor(data))

    @precondition(lambda self: len(self.line) > 2 and self.can_branch_between())
    @rule(data=st.data(), block=BLOCKS)
    def commit_past_a_branch(self, data: st.DataObject, block: int) -> None:
        """A layer between the head and the target must stay, as another image is built on it."""
        between = range(1, len(self.line) - 1)
        needed = [number for number in between if self.children(self.line[number])]
        kept = data.draw(st.sampled_from(needed or between))
        if not needed:
            self.branch_from(self.line[kept], block)
        number = data.draw(st.integers(0, kept - 1))
        self.commit_into(number)

    def can_branch_between(self) -> bool:
        return len(self.branches()) < MOST_BRANCHES or any(map(self.children, self.line[1:-1]))

    def commit_into(self, number: int) -> None:
        target, size = self.line[number], len(self.model)
        concerned = [path for image in self.line[number:-1] for path in self.children(image)]
        kept = self.kept_above(number)
        direct = self.children(target) + self.line[number + 1 : number + 2] * (kept > number)
        too_small = size > len(self.models[target]) and any(len(self.models[each]) < size for each in direct)
        assert isinstance(self.drive, Chain)
        with set_aside(self.drive, host=HOST) as head:
            if concerned:
                self.refused(lambda: commit(head, target, host=HOST))
            if too_small:
                self.refused(lambda: commit(head, target, preserve_siblings=True, host=HOST))
                return
            commit(head, target, preserve_siblings=bool(concerned), host=HOST)
        self.models[target][:] = self.model
        self.leave_out(number, kept)

    @precondition(lambda self: len(self.line) > 1)
    @rule(data=st.data())
    def revert(self, data: st.DataObject) -> None:
        number = self.ancestor(data)
        assert isinstance(self.drive, Chain)
        with set_aside(self.drive, host=HOST) as head:
            revert(head, self.line[number], host=HOST)
        self.model[:] = self.models[self.line[number]].ljust(len(self.model), b"\0")
        self.leave_out(number, self.kept_above(number))

    @precondition(lambda self: len(self.line) > 2)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        bottom = data.draw(st.integers(1, len(self.line) - 2))
        top = data.draw(st.integers(bottom + 1, len(self.line) - 1))
        assert isinstance(self.drive, Chain)
        with set_aside(self.drive, host=HOST):
            merge(self.line[top], self.line[bottom], host=HOST)
        self.leave_out(bottom - 1, self.kept_above(bottom - 1, top), top)

    def kept_above(self, number: int, top: int = -1) -> int:
        """The highest image above ``number`` and below ``top`` that branches need."""
        stop = len(self.line) + top if top < 0 else top
        return max([number, *(at for at in range(number + 1, stop) if self.children(self.line[at]))])

    def leave_out(self, number: int, kept: int, top: int = -1) -> None:
        """The images above ``number`` and below ``top`` leave the line; those above ``kept`` are gone."""
        stop = len(self.line) + top if top < 0 else top
        for path in self.line[kept + 1 : stop]:
            del self.models[path], self.parents[path]
        self.parents[self.line[stop]] = self.line[number]
        self.line = [*self.line[: number + 1], *self.line[stop:]]
        self.drive.close()
        self.check_family()
        self.open()

    @rule(more=st.integers(1, 100))
    def grow(self, more: int) -> None:
        size = min(MOST_SECTORS * SECTOR, len(self.model) + more * SECTOR)
        self.drive.close()
        grow(self.head, size, format=Format.RAW if self.head.name in self.raw else None, host=HOST)
        self.model.extend(bytes(size - len(self.model)))
        self.check_family()
        self.open()

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        image = data.draw(st.sampled_from(self.line))
        self.drive.close()
        if image.name in self.raw or open_format(image) is Format.FIXED:
            self.refused(lambda: compact(image, host=HOST))
        else:
            compact(image, host=HOST)
        self.check_family()
        self.open()

    @precondition(lambda self: len(self.line) > 2)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        """The head and those below it down to an ancestor; the next head is one that nobody needs."""
        number = self.ancestor(data)
        doomed = self.line[number + 1 :]
        self.drive.close()
        if any(self.children(image) for image in doomed):
            self.refused(lambda: discard(self.head, self.line[number], host=HOST))
            self.open()
            return
        assert discard(self.head, self.line[number], host=HOST) == list(map(str, reversed(doomed)))
        for path in doomed:
            del self.models[path], self.parents[path]
        self.line = self.line[: number + 1]
        if self.children(self.head):
            child = self.new_name()
            create_differencing(child, self.head, host=HOST)
            self.parents[child] = self.head
            self.models[child] = bytearray(self.model)
            self.line.append(child)
        self.check_family()
        self.open()

    @precondition(lambda self: len(self.line) > 1)
    @rule(which=st.sampled_from(["tail", "copy"]))
    def repair(self, which: str) -> None:
        """One of the footers is lost."""
        self.drive.close()
        content = self.head.read_bytes()
        zeros = bytes(SECTOR)
        lost = content[:-SECTOR] + zeros if which == "tail" else zeros + content[SECTOR:]
        self.head.write_bytes(lost)
        if which == "tail":
            with pytest.raises(ImageFormatError, match="disk repair"):
                open_drive(self.head, host=HOST)
        assert self.head.read_bytes() == lost
        assert len(repair(self.head, host=HOST)) == 1
        assert self.head.read_bytes() == content
        self.open()

    @rule(form=st.sampled_from([Format.RAW, Format.FIXED, Format.DYNAMIC]))
    def convert(self, form: Format) -> None:
        self.drive.close()
        target = self.folder / "converted"
        convert(self.head, target, form, source_format=self.source_format(self.head), host=HOST)
        made = open_drive(target, read_only=True, format=form, host=HOST)
        assert contents(made) == self.model
        made.close()
        target.unlink()
        self.open()

    # -- what must hold -----------------------------------------------------------------------------

    def refused(self, operation: Callable[[], object]) -> None:
        """UsageError, and nothing changed."""
        before = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        with pytest.raises(UsageError):
            operation()
        assert {path.name: path.read_bytes() for path in self.folder.iterdir()} == before

    def source_format(self, image: Path) -> Format | None:
        return Format.RAW if image.name in self.raw else None

    def check_family(self) -> None:
        """Every image reads as its model; there is no other file, and no lock is left."""
        assert {path.name for path in self.folder.iterdir()} == {path.name for path in self.models}
        files = files_in(self.folder)
        for path, model in self.models.items():
            assert ImageChain(files, path.name, self.raw).content() == model, path.name
            drive = open_drive(path, read_only=True, format=self.source_format(path), host=HOST)
            assert contents(drive) == model, path.name
            assert not drive.warnings
            drive.close()

    @invariant()
    def the_head_reads_as_its_model(self) -> None:
        if self.line:
            assert contents(self.drive) == self.model

    def teardown(self) -> None:
        try:
            if self.line:
                self.drive.close()
        finally:
            self.temporary.cleanup()


def open_format(image: Path) -> Format:
    """The format of an image that is no raw one."""
    return probe(image, host=HOST)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=scaled(30, 150),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
