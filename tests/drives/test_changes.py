"""What changed on a disk: known sets of changes, made by mtools, found again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from pcemu.drives.changes import (
    ADDED,
    DELETED,
    MODIFIED,
    RENAMED,
    Changes,
    changed_runs,
    compare,
    count_sectors,
)
from pcemu.drives.changes_text import describe, summary
from pcemu.drives.create import create_differencing
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.open import open_drive
from pcemu.drives.raw import RawDrive
from pcemu.drives.sparse import SparseLayer
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.fat_images import KINDS, START, FatImage


def differing(before: bytes, after: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The sectors that differ, one run each."""
    old, new = (np.frombuffer(data, np.uint8).reshape(-1, SECTOR_SIZE) for data in (before, after))
    found = np.flatnonzero((old != new).any(axis=1))
    return np.stack([found, found + 1], axis=1).astype(np.int64)


def changes_of(before: bytes, image: FatImage) -> Changes:
    after = image.data()
    return compare(MemoryDrive(before), MemoryDrive(after), differing(before, after))


def found(changes: Changes) -> list[tuple[object, ...]]:
    (volume,) = changes.volumes
    return [(each.kind, each.path, each.old_size, each.size) for each in volume.files]


@pytest.fixture(params=KINDS)
def image(request: pytest.FixtureRequest, tmp_path: Path) -> FatImage:
    image = FatImage(tmp_path / "disk.img", request.param)
    image.folder("/WORK")
    image.folder("/WORK/DEEP")
    image.add("/WORK/ONE.TXT", b"1" * 5000)
    image.add("/WORK/DEEP/TWO.TXT", b"2" * 3000)
    image.add("/Three of them.txt", b"3" * 100)
    image.add("/AUTOEXEC.BAT", b"@echo off\r\n")
    return image


def test_nothing_changed(image: FatImage) -> None:
    changes = changes_of(image.data(), image)
    assert changes == Changes(0, False, False, 0, [], [])
    assert describe(changes) == ["0 sectors (0.0 KiB) changed"]


def test_a_known_set_of_changes(image: FatImage) -> None:
    before = image.data()
    image.folder("/NEW")
    image.folder("/NEW/DEEPER")
    image.add("/NEW/DEEPER/A new file with a long name.text", b"n" * 10_000)
    image.add("/AUTOEXEC.BAT", b"@echo on\r\npath c:\\\r\n")
    image.delete("/WORK/ONE.TXT")
    image.rename("/Three of them.txt", "FOUR.TXT")
    changes = changes_of(before, image)
    assert found(changes) == [
        (MODIFIED, "C:\\AUTOEXEC.BAT", 11, 20),
        (RENAMED, "C:\\FOUR.TXT", 100, 100),
        (ADDED, "C:\\NEW", None, 0),
        (ADDED, "C:\\NEW\\DEEPER", None, 0),
        (ADDED, "C:\\NEW\\DEEPER\\A new file with a long name.text", None, 10_000),
        (DELETED, "C:\\WORK\\ONE.TXT", 5000, None),
    ]
    assert changes.consistent
    lines = describe(changes)
    assert lines[1].startswith("C: FAT")
    assert lines[1].endswith("): 3 added, 1 modified, 1 deleted, 1 renamed")
    assert lines[2:] == [
        "  ~ C:\\AUTOEXEC.BAT  11 → 20 bytes",
        "  > C:\\Three of them.txt is now C:\\FOUR.TXT",
        "  + C:\\NEW\\",
        "  + C:\\NEW\\DEEPER\\",
        "  + C:\\NEW\\DEEPER\\A new file with a long name.text  10,000 bytes",
        "  - C:\\WORK\\ONE.TXT  5,000 bytes",
    ]
    assert summary(changes).endswith("; C: 3 added, 1 modified, 1 deleted, 1 renamed")


def test_a_renamed_folder_is_one_change(image: FatImage) -> None:
    before = image.data()
    image.rename("/WORK", "PLAY")
    image.add("/PLAY/DEEP/NEW.TXT", b"")
    assert found(changes_of(before, image)) == [
        (RENAMED, "C:\\PLAY", 0, 0),
        (ADDED, "C:\\PLAY\\DEEP\\NEW.TXT", None, 0),
    ]


def test_files_moved_into_a_new_folder(image: FatImage) -> None:
    before = image.data()
    image.folder("/NEW")
    image.move("/WORK/ONE.TXT", "/NEW")
    image.move("/WORK/DEEP", "/NEW")
    assert found(changes_of(before, image)) == [
        (ADDED, "C:\\NEW", None, 0),
        (RENAMED, "C:\\NEW\\DEEP", 0, 0),
        (RENAMED, "C:\\NEW\\ONE.TXT", 5000, 5000),
    ]


def test_a_sector_of_a_file_written_in_place(image: FatImage) -> None:
    before = image.data()
    with image.path.open("r+b") as file:
        file.seek(before.index(b"2" * 3000) + 1024)
        file.write(b"!")
    changes = changes_of(before, image)
    assert found(changes) == [(MODIFIED, "C:\\WORK\\DEEP\\TWO.TXT", 3000, 3000)]
    assert changes.sectors == 1


def test_another_file_in_the_clusters_of_a_deleted_one(image: FatImage) -> None:
    before = image.data()
    image.delete("/WORK/ONE.TXT")
    image.add("/OTHER.TXT", b"o" * 5000)
    kinds = {(kind, path) for kind, path, _, _ in found(changes_of(before, image))}
    assert kinds == {(DELETED, "C:\\WORK\\ONE.TXT"), (ADDED, "C:\\OTHER.TXT")}


def test_boot_sector_and_partition_table(image: FatImage) -> None:
    before = image.data()
    for place in (100, START * SECTOR_SIZE + 100):
        with image.path.open("r+b") as file:
            file.seek(place)
            file.write(b"boot")
    image.partition(2, 0x83, 4000, 100)
    changes = changes_of(before, image)
    assert changes.partition_table
    assert changes.boot_code
    assert changes.volumes[0].boot_sector
    lines = "\n".join(describe(changes))
    assert "partition table changed" in lines
    assert "boot code" in lines
    assert "boot sector changed" in lines
    assert "no file changed" in lines


def test_a_newly_formatted_volume(image: FatImage) -> None:
    before = image.data()
    with image.path.open("r+b") as file:
        file.seek(START * SECTOR_SIZE)
        file.write(bytes(len(before) - START * SECTOR_SIZE))
    size = (len(before) >> 10) - START // 2 - 1
    command = ["mkfs.fat", "--offset", str(START), "-F", "12", "-s", "64", str(image.path), str(size)]
    subprocess.run(command, check=True, capture_output=True)
    changes = changes_of(before, image)
    assert changes.volumes[0].formatted
    assert {kind for kind, *_ in found(changes)} == {DELETED}
    assert "newly formatted" in "\n".join(describe(changes))


def test_no_file_system_that_we_know(image: FatImage) -> None:
    before = image.data()
    with image.path.open("r+b") as file:
        file.seek(START * SECTOR_SIZE)
        file.write(bytes(SECTOR_SIZE))
    changes = changes_of(before, image)
    assert changes.volumes[0].unknown
    assert "its files cannot be told" in describe(changes)[1]


def test_cut_off_in_the_middle_of_writing(image: FatImage) -> None:
    """A directory entry that was written before its FAT was."""
    before = image.data()
    image.add("/WORK/NEW.TXT", b"x" * 5000)
    after = image.data()
    start = START * SECTOR_SIZE
    fats = slice(start + 512, before.index(b"AUTOEXECBAT") // SECTOR_SIZE * SECTOR_SIZE)
    cut = bytearray(after)
    cut[fats] = before[fats]
    changes = compare(MemoryDrive(before), MemoryDrive(cut), differing(before, bytes(cut)))
    assert not changes.consistent
    text = "\n".join(describe(changes))
    assert "inconsistent" in text
    assert "C:\\WORK\\NEW.TXT" in text


def test_a_volume_without_partitions(tmp_path: Path) -> None:
    image = FatImage(tmp_path / "disk.img", 12, start=0)
    before = image.data()
    image.add("/A.TXT", b"a")
    changes = changes_of(before, image)
    assert found(changes) == [(ADDED, "C:\\A.TXT", None, 1)]
    assert not changes.boot_code


def test_runs_come_from_the_layers(tmp_path: Path) -> None:
    base = tmp_path / "base.img"
    base.write_bytes(bytes(8 << 20))
    first, second = tmp_path / "1.vhd", tmp_path / "2.vhd"
    create_differencing(first, base)
    drive = open_drive(first)
    drive.write(10, bytes(4 * SECTOR_SIZE))
    drive.write(5000, bytes(SECTOR_SIZE))
    drive.close()
    create_differencing(second, first)
    drive = open_drive(second)
    drive.write(12, bytes(4 * SECTOR_SIZE))
    drive.write(5001, bytes(SECTOR_SIZE))
    layers = [layer for layer in drive.layers if isinstance(layer, SparseLayer)]  # type: ignore[union-attr]
    runs = changed_runs(layers)
    drive.close()
    assert runs.tolist() == [[10, 16], [5000, 5002]]
    assert count_sectors(runs) == 8
    assert changed_runs([]).tolist() == []
    RawDrive(base).close()
