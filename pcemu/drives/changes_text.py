"""What changed on a disk, in words: for the question at the end of a session, and for lists."""

from __future__ import annotations

from collections.abc import Sequence

from pcemu.drives.changes import ADDED, DELETED, KINDS, MODIFIED, RENAMED, Changes, FileChange, VolumeChanges
from pcemu.drives.drive import SECTOR_SIZE

SIGNS = {ADDED: "+", MODIFIED: "~", DELETED: "-", RENAMED: ">"}
MAX_FILES = 10
MAX_PROBLEMS = 3


def amount(sectors: int) -> str:
    """``1 sector (0.5 KiB)``"""
    return f"{sectors:,} sector{'' if sectors == 1 else 's'} ({size_text(sectors * SECTOR_SIZE)})"


def size_text(size: float) -> str:
    """``1.5 KiB``"""
    for unit in ("KiB", "MiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} GiB"


def summary(changes: Changes) -> str:
    """In one line: ``46 sectors (23.0 KiB); C: 2 files added, 1 deleted``."""
    parts = [amount(changes.sectors)]
    parts += [f"{volume.name} {counts}" for volume in changes.volumes if (counts := _counts(volume.files))]
    if changes.partition_table:
        parts.append("partition table changed")
    return "; ".join(parts)


def describe(changes: Changes, max_files: int = MAX_FILES) -> list[str]:
    """Line by line; of a volume's files at most ``max_files``, and how many more there are."""
    lines = [f"{amount(changes.sectors)} changed"]
    if changes.preserved:
        lines.append(f"{amount(changes.preserved)} of these keep what was there before files were committed")
    if changes.partition_table:
        lines.append("! partition table changed")
    if changes.boot_code:
        lines.append("! boot code before the partitions changed")
    lines += [f"! {problem}" for problem in changes.problems[:MAX_PROBLEMS]]
    for volume in changes.volumes:
        lines += _describe_volume(volume, max_files)
    loose = changes.outside - (changes.partition_table or changes.boot_code)
    if loose > 0:
        lines.append(f"{amount(loose)} outside the partitions")
    return lines


def _describe_volume(volume: VolumeChanges, max_files: int) -> list[str]:
    head = f"{volume.name} {volume.system}, {amount(volume.sectors)}"
    counts = _counts(volume.files)
    if volume.unknown:
        lines = [f"{head}: its files cannot be told, as {volume.unknown}"]
    else:
        lines = [f"{head}: {counts or 'no file changed'}"]
    if volume.formatted:
        lines.append("  ! newly formatted: all that was on it before is gone")
    elif volume.boot_sector:
        lines.append("  ! boot sector changed")
    if volume.problems:
        lines.append("  ! the file system is inconsistent, perhaps cut off while writing:")
        lines += [f"    {problem}" for problem in volume.problems[:MAX_PROBLEMS]]
        if len(volume.problems) > MAX_PROBLEMS:
            lines.append(f"    and {len(volume.problems) - MAX_PROBLEMS} problems more")
    shown = volume.files if len(volume.files) <= max_files + 1 else volume.files[:max_files]
    lines += [f"  {_describe_file(change)}" for change in shown]
    if len(shown) < len(volume.files):
        rest = volume.files[len(shown) :]
        lines.append(f"  … and {len(rest):,} more: {_counts(rest)}")
    return lines


def _describe_file(change: FileChange) -> str:
    sign = SIGNS[change.kind]
    if change.kind == RENAMED:
        return f"{sign} {change.old_path} is now {change.path}"
    if change.is_folder:
        return f"{sign} {change.path}\\"
    if change.kind == MODIFIED and change.size != change.old_size:
        return f"{sign} {change.path}  {change.old_size:,} → {change.size:,} bytes"
    size = change.old_size if change.size is None else change.size
    return f"{sign} {change.path}  {size:,} byte{'' if size == 1 else 's'}"


def _counts(files: Sequence[FileChange]) -> str:
    """``2 added, 1 deleted``"""
    found = [(sum(change.kind == kind for change in files), kind) for kind in KINDS]
    return ", ".join(f"{count:,} {kind}" for count, kind in found if count)
