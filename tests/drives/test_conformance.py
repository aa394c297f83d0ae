"""Every format and every stack behaves as a row of sectors, whatever is asked of it in whatever order."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pcemu.drives.chain import Chain
from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.hostfile import HOST
from pcemu.drives.open import open_drive, open_layer
from pcemu.drives.overlay import MemoryOverlay
from pcemu.drives.probe import Format
from pcemu.drives.sparse import SparseLayer
from pcemu.testing.drive_conformance import check_refusals, contents, exercise
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.images import STACKS, make_stack

SIZES = (9 * 1024 * 1024, 5 * 1024 * 1024 + 3 * 512)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", STACKS)
def test_images_conform(name: str, size: int, tmp_path: Path) -> None:
    path, model = make_stack(tmp_path, name, size)
    drive = open_drive(path)
    assert contents(drive) == model
    exercise(drive, model, random.Random(7))
    check_refusals(drive)
    drive.close()
    for read_only in (True, False):
        again = open_drive(path, read_only=read_only)
        assert contents(again) == model
        assert not again.warnings
        again.close()


def test_drives_in_memory_conform() -> None:
    for drive in (MemoryDrive(1000), MemoryOverlay(MemoryDrive(1000))):
        exercise(drive, bytearray(1000 * 512), random.Random(3))
        check_refusals(drive)


@pytest.mark.parametrize("name", STACKS)
def test_read_only_drives_refuse_writes_and_stay_as_they_are(name: str, tmp_path: Path) -> None:
    path, model = make_stack(tmp_path, name, SIZES[1])
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    drive = open_drive(path, read_only=True)
    assert drive.read_only
    with pytest.raises(PermissionError):
        drive.write(0, bytes(512))
    with pytest.raises(PermissionError):
        drive.discard(0, 1)
    drive.flush()
    assert contents(drive) == model
    drive.close()
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before


class AnyOrder(RuleBasedStateMachine):
    """Requests, flushes, reopenings and new children in any order, against a bytearray."""

    drive: Chain
    path: Path

    @initialize(
        sectors=st.integers(17, 200),
        block=st.sampled_from([4096, 16384]),
        kind=st.sampled_from(["raw", "vhd"]),
    )
    def start(self, sectors: int, block: int, kind: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.model = bytearray(random.Random(sectors).randbytes(sectors * 512))
        base = Path(self.folder.name) / "base"
        base.write_bytes(self.model)
        self.children = 0
        self.path = base
        if kind == "vhd":  # a dynamic base that holds the same
            self.path = base.with_suffix(".vhd")
            create_dynamic(self.path, sectors * 512, block_size=block)
            drive = open_drive(self.path)
            drive.write(0, self.model)
            drive.close()
        self.block = block
        self.add_child_closed()

    def add_child_closed(self) -> None:
        child = self.new_name()
        create_differencing(child, self.path, block_size=self.block)
        self.path = child
        self.open()

    def new_name(self) -> Path:
        self.children += 1
        return Path(self.folder.name) / f"child{self.children}.vhd"

    def open(self) -> None:
        drive = open_drive(self.path)
        assert isinstance(drive, Chain)
        self.drive = drive

    def place(self, data: st.DataObject) -> tuple[int, int]:
        sectors = len(self.model) // 512
        lba = data.draw(st.integers(0, sectors - 1))
        return lba, data.draw(st.integers(1, min(40, sectors - lba)))

    @rule(data=st.data(), fill=st.integers(0, 3))
    def write(self, data: st.DataObject, fill: int) -> None:
        lba, count = self.place(data)
        content = bytes((fill,)) * (count * 512)
        self.drive.write(lba, content)
        self.model[lba * 512 : (lba + count) * 512] = content

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        lba, count = self.place(data)
        self.drive.discard(lba, count)
        self.model[lba * 512 : (lba + count) * 512] = bytes(count * 512)

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        lba, count = self.place(data)
        buffer = bytearray(count * 512)
        self.drive.read(lba, buffer)
        assert buffer == self.model[lba * 512 : (lba + count) * 512]

    @rule()
    def flush(self) -> None:
        self.drive.flush()

    @rule()
    def reopen(self) -> None:
        self.drive.close()
        self.open()

    @rule()
    def add_child(self) -> None:
        child = self.new_name()
        head = self.drive.head
        assert isinstance(head, SparseLayer)
        create_differencing(child, head, block_size=self.block)
        layer = open_layer(str(child), False, Format.DIFFERENCING, HOST)
        assert isinstance(layer, SparseLayer)
        self.drive.push(layer)
        self.path = child

    @invariant()
    def holds_the_model(self) -> None:
        if hasattr(self, "drive"):
            runs = list(self.drive.runs(0, self.drive.sectors))
            assert sum(run.sectors for run in runs) == self.drive.sectors
            assert contents(self.drive) == self.model

    def teardown(self) -> None:
        if hasattr(self, "drive"):
            self.drive.close()
            self.folder.cleanup()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
