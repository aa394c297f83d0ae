"""The memory layer against a bytearray."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pcemu.drives.overlay import BLOCK_SECTORS, MemoryOverlay
from pcemu.testing.memory_drive import MemoryDrive

SECTORS = 5 * BLOCK_SECTORS + 37  # the last block is cut
CONTENT = random.Random(2).randbytes(SECTORS * 512)


class OverlayMachine(RuleBasedStateMachine):
    """Random requests to an overlay and to a bytearray; the parent stays what it was until a commit."""

    def __init__(self) -> None:
        super().__init__()
        self.parent = MemoryDrive(CONTENT)
        self.overlay = MemoryOverlay(self.parent)
        self.base = bytearray(CONTENT)
        self.model = bytearray(CONTENT)
        self.changed: set[int] = set()

    spans = st.tuples(st.integers(0, SECTORS - 1), st.integers(0, 3 * BLOCK_SECTORS)).map(
        lambda span: (span[0], min(span[1], SECTORS - span[0]))
    )

    @rule(span=spans, seed=st.integers(0, 1 << 30))
    def write(self, span: tuple[int, int], seed: int) -> None:
        lba, count = span
        data = random.Random(seed).randbytes(count * 512)
        self.overlay.write(lba, data)
        self.model[lba * 512 : (lba + count) * 512] = data
        self.changed.update(range(lba, lba + count))

    @rule(span=spans)
    def discard(self, span: tuple[int, int]) -> None:
        lba, count = span
        self.overlay.discard(lba, count)
        self.model[lba * 512 : (lba + count) * 512] = bytes(count * 512)
        self.changed.update(range(lba, lba + count))

    @rule(span=spans)
    def read(self, span: tuple[int, int]) -> None:
        lba, count = span
        buffer = bytearray(count * 512)
        self.overlay.read(lba, buffer)
        assert buffer == self.model[lba * 512 : (lba + count) * 512]

    @rule()
    def discard_all(self) -> None:
        self.overlay.discard_all()
        self.model[:] = self.base
        self.changed.clear()

    @rule()
    def commit(self) -> None:
        progress: list[tuple[int, int]] = []
        self.overlay.commit(lambda done, total: progress.append((done, total)))
        self.base[:] = self.model
        if self.changed:
            assert progress[-1] == (len(self.changed), len(self.changed))
        self.changed.clear()

    @rule(bad=st.integers(0, SECTORS - 1))
    def fail_to_commit(self, bad: int) -> None:
        if bad in self.changed:
            self.parent.fail_writes = {bad}
            with pytest.raises(OSError):
                self.overlay.commit()
            self.parent.fail_writes = set()
            self.base[:] = self.parent.data
            self.whole_drive_reads_as_the_model()

    @invariant()
    def only_a_commit_changes_the_parent(self) -> None:
        assert self.parent.data == self.base
        assert self.overlay.changed_sectors == len(self.changed)

    def whole_drive_reads_as_the_model(self) -> None:
        buffer = bytearray(SECTORS * 512)
        self.overlay.read(0, buffer)
        assert buffer == self.model

    def teardown(self) -> None:
        self.whole_drive_reads_as_the_model()
        self.overlay.commit()
        assert self.parent.data == self.model


OverlayMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestOverlay = OverlayMachine.TestCase


def test_it_shows_its_parents_shape_and_is_writable() -> None:
    parent = MemoryDrive(2880, read_only=True)
    overlay = MemoryOverlay(parent)
    assert (overlay.sectors, overlay.geometry, overlay.read_only) == (2880, parent.geometry, False)
    overlay.write(0, b"x" * 512)
    with pytest.raises(PermissionError):
        overlay.commit()
    assert overlay.changed_sectors == 1
    overlay.flush()
    overlay.close()
    assert parent.closed and not any(parent.data)


def test_requests_outside_the_drive_are_refused() -> None:
    overlay = MemoryOverlay(MemoryDrive(10))
    for lba, size in ((-1, 512), (10, 512), (9, 1024), (0, 100)):
        with pytest.raises(ValueError):
            overlay.read(lba, bytearray(size))
        with pytest.raises(ValueError):
            overlay.write(lba, bytes(size))
    for lba, count in ((0, -1), (0, 11), (-1, 1)):
        with pytest.raises(ValueError):
            overlay.discard(lba, count)
    assert overlay.changed_sectors == 0


def test_one_request_reads_the_parent_once_per_run() -> None:
    parent = MemoryDrive(4096)
    overlay = MemoryOverlay(parent)
    buffer = bytearray(1024 * 512)
    overlay.read(0, buffer)
    assert parent.reads == 1
    overlay.write(500, b"x" * 512)
    overlay.read(0, buffer)
    assert parent.reads == 3  # before and behind the changed sector
    overlay.read(500, buffer[:512])
    assert parent.reads == 3


class OrderedDrive(MemoryDrive):
    """Notes where it was written."""

    def __init__(self, sectors: int) -> None:
        super().__init__(sectors)
        self.order: list[int] = []

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> None:
        self.order.append(lba)
        super().write(lba, data)


def test_commit_writes_in_ascending_order_joins_neighbours_and_flushes_once() -> None:
    parent = OrderedDrive(4096)
    overlay = MemoryOverlay(parent)
    for lba in (3000, 10, 2000, 128, 127, 4095):
        overlay.write(lba, b"y" * 512)
    overlay.commit()
    assert parent.order == [10, 127, 2000, 3000, 4095]
    assert parent.flushes == 1
    overlay.commit()
    assert parent.flushes == 1  # nothing to write, nothing to flush


def test_a_failed_flush_keeps_the_overlay() -> None:
    parent = MemoryDrive(128)
    overlay = MemoryOverlay(parent)
    overlay.write(5, b"z" * 512)
    parent.fail_flush = True
    with pytest.raises(OSError):
        overlay.commit()
    assert overlay.changed_sectors == 1
    parent.fail_flush = False
    overlay.commit()
    assert parent.data[5 * 512 : 6 * 512] == b"z" * 512 and overlay.changed_sectors == 0
