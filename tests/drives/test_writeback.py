"""Write-back: what was written is safe soon after, without a flush for every write."""

from __future__ import annotations

import errno
from itertools import pairwise
from pathlib import Path

import pytest

from pcemu.drives.chain import Chain
from pcemu.drives.create import create_dynamic
from pcemu.drives.open import open_drive
from pcemu.drives.writeback import WriteBack

MS = 1_000_000


class Watched:
    """Counts flushes; fails when told to."""

    def __init__(self) -> None:
        self.writes = 0
        self.flushes = 0
        self.failing = False

    def flush(self) -> None:
        if self.failing:
            raise OSError(errno.ENOSPC, "full")
        self.flushes += 1


@pytest.fixture
def watched() -> Watched:
    return Watched()


def make(watched: Watched) -> WriteBack:
    return WriteBack(watched, idle=1000 * MS, every=5000 * MS)


def test_nothing_is_flushed_before_anything_is_written(watched: Watched) -> None:
    writeback = make(watched)
    for now in range(0, 20_000 * MS, 10 * MS):
        writeback.tick(now)
    assert watched.flushes == 0
    assert not writeback.pending


def test_a_pause_brings_one_flush(watched: Watched) -> None:
    writeback = make(watched)
    watched.writes = 7
    writeback.tick(100 * MS)
    writeback.tick(1090 * MS)
    assert (watched.flushes, writeback.pending) == (0, True)
    writeback.tick(1100 * MS)
    writeback.tick(9000 * MS)
    assert (watched.flushes, writeback.pending) == (1, False)


def test_one_who_never_pauses_is_flushed_from_time_to_time(watched: Watched) -> None:
    writeback = make(watched)
    flushed = []
    for now in range(0, 30_000, 100):
        watched.writes += 1
        before = watched.flushes
        writeback.tick(now * MS)
        if watched.flushes != before:
            flushed.append(now)
    assert flushed[0] == 5000
    assert all(5000 <= after - first <= 5200 for first, after in pairwise(flushed))


def test_a_failure_is_reported_and_tried_again(watched: Watched) -> None:
    writeback = make(watched)
    watched.writes = 1
    watched.failing = True
    writeback.tick(0)
    with pytest.raises(OSError):
        writeback.tick(1000 * MS)
    for now in range(1000, 6000, 100):  # not at once again, as the host's disk needs a rest or a user
        writeback.tick(now * MS)
    with pytest.raises(OSError):
        writeback.tick(6000 * MS)
    assert writeback.pending
    watched.failing = False
    writeback.tick(11_000 * MS)
    assert (watched.flushes, writeback.pending) == (1, False)


def test_a_chain_counts_what_changes_it(tmp_path: Path) -> None:
    create_dynamic(tmp_path / "a.vhd", 1 << 20)
    with_head = open_drive(tmp_path / "a.vhd")
    assert isinstance(with_head, Chain)
    writeback = WriteBack(with_head, idle=MS, every=MS)
    with_head.write(0, b"x" * 512)
    assert writeback.pending
    writeback.tick(0)
    writeback.tick(MS)
    assert not with_head.head.dirty  # type: ignore[union-attr]
    with_head.discard(0, 1)
    with_head.read(0, bytearray(512))
    assert with_head.writes == 2
    with_head.close()
