"""What changed, in words: each line, what is left out of long lists, and amounts."""

from __future__ import annotations

import pytest

from pcemu.drives.changes import ADDED, DELETED, MODIFIED, RENAMED, Changes, FileChange, VolumeChanges
from pcemu.drives.changes_text import MAX_FILES, amount, describe, size_text, summary

NOTHING = Changes(0, False, False, 0, [], [])
VOLUME = VolumeChanges("C:", "FAT16", 1, 46, False, False, [], "", [])


def with_files(*files: FileChange) -> Changes:
    return NOTHING._replace(sectors=46, volumes=[VOLUME._replace(files=list(files))])


def added(number: int) -> FileChange:
    return FileChange(ADDED, f"C:\\F{number}", False, None, 1)


@pytest.mark.parametrize(
    ("sectors", "text"),
    [
        (0, "0 sectors (0.0 KiB)"),
        (1, "1 sector (0.5 KiB)"),
        (2047, "2,047 sectors (1023.5 KiB)"),
        (4096, "4,096 sectors (2.0 MiB)"),
    ],
)
def test_amounts(sectors: int, text: str) -> None:
    assert amount(sectors) == text
    assert size_text(3 << 30) == "3.0 GiB"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (FileChange(ADDED, "C:\\NEW", False, None, 7000), "  + C:\\NEW  7,000 bytes"),
        (FileChange(DELETED, "C:\\OLD", False, 12, None), "  - C:\\OLD  12 bytes"),
        (FileChange(MODIFIED, "C:\\GREW", False, 12, 2000), "  ~ C:\\GREW  12 → 2,000 bytes"),
        (FileChange(MODIFIED, "C:\\SAME", False, 12, 12), "  ~ C:\\SAME  12 bytes"),
        (FileChange(RENAMED, "C:\\B", False, 1, 1, "C:\\A"), "  > C:\\A is now C:\\B"),
        (FileChange(RENAMED, "C:\\TO", True, None, None, "C:\\FROM"), "  > C:\\FROM is now C:\\TO"),
        (FileChange(ADDED, "C:\\SAVES", True, None, None), "  + C:\\SAVES\\"),
    ],
)
def test_each_kind_of_change_has_its_line(change: FileChange, line: str) -> None:
    head = f"C: FAT16, 46 sectors (23.0 KiB): 1 {change.kind}"
    assert describe(with_files(change)) == ["46 sectors (23.0 KiB) changed", head, line]
    assert summary(with_files(change)) == f"46 sectors (23.0 KiB); C: 1 {change.kind}"


def test_long_lists_are_folded_unless_one_line_would_be_saved() -> None:
    for count, shown in ((MAX_FILES + 1, MAX_FILES + 1), (MAX_FILES + 2, MAX_FILES)):
        lines = describe(with_files(*map(added, range(count))))
        assert [line for line in lines if "  + " in line] == [f"  + C:\\F{n}  1 byte" for n in range(shown)]
        assert (lines[-1] == "  … and 2 more: 2 added") == (shown < count)
    gone = FileChange(DELETED, "C:\\X", False, 1, None)
    lines = describe(with_files(*map(added, range(1500)), gone), 1)
    assert lines[-1] == "  … and 1,500 more: 1,499 added, 1 deleted"


def test_what_is_not_in_files() -> None:
    changes = NOTHING._replace(sectors=9, partition_table=True, boot_code=True, outside=4, preserved=2)
    changes = changes._replace(problems=[f"problem {n}" for n in range(5)])
    assert describe(changes) == [
        "9 sectors (4.5 KiB) changed",
        "2 sectors (1.0 KiB) of these keep what was there before files were committed",
        "! partition table changed",
        "! boot code before the partitions changed",
        "! problem 0",
        "! problem 1",
        "! problem 2",
        "3 sectors (1.5 KiB) outside the partitions",  # but the first, of which was told
    ]
    assert summary(changes) == "9 sectors (4.5 KiB); partition table changed"
    assert describe(NOTHING) == ["0 sectors (0.0 KiB) changed"]


def test_volumes_that_cannot_be_told_or_are_broken() -> None:
    def lines(volume: VolumeChanges) -> list[str]:
        return describe(NOTHING._replace(volumes=[volume]))[1:]

    head = "C: FAT16, 46 sectors (23.0 KiB)"
    assert lines(VOLUME) == [f"{head}: no file changed"]
    assert lines(VOLUME._replace(unknown="it is NTFS")) == [
        f"{head}: its files cannot be told, as it is NTFS"
    ]
    assert lines(VOLUME._replace(boot_sector=True))[1:] == ["  ! boot sector changed"]
    assert lines(VOLUME._replace(boot_sector=True, formatted=True))[1:] == [
        "  ! newly formatted: all that was on it before is gone"
    ]
    assert lines(VOLUME._replace(problems=["a", "b", "c", "d", "e"]))[1:] == [
        "  ! the file system is inconsistent, perhaps cut off while writing:",
        "    a",
        "    b",
        "    c",
        "    and 2 problems more",
    ]
