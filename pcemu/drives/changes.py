"""What differs between two states of a disk, in terms of partitions and files.

``before`` and ``after`` are drives; ``runs`` are the sectors that may differ, as the layers between the two
know them (:func:`changed_runs`). Nothing else is compared, so that the cost goes with the changes and with
the directory trees of the volumes they lie in.

A file counts as modified when its size, time or content differs, as renamed when its first cluster is the
same under another name.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.fat import NotFat, Volume
from pcemu.drives.fat_folder import Entry
from pcemu.drives.fat_tree import ParsedFolders, Tree
from pcemu.drives.partitions import TABLE, Partition, drive_letters, read_partitions
from pcemu.drives.sparse import SparseLayer

MAX_COMPARED = 64 << 20  # bytes of a file; larger ones are taken to differ when they may

Runs = npt.NDArray[np.int64]

ADDED, MODIFIED, DELETED, RENAMED = "added", "modified", "deleted", "renamed"
KINDS = (ADDED, MODIFIED, DELETED, RENAMED)


class FileChange(NamedTuple):
    """One file or folder that differs. ``size`` in bytes, before and after; None where there is none.

    ``path`` is a DOS path such as ``C:\\GAMES\\DOOM.EXE``; ``old_path`` is there for renamed ones only.
    """

    kind: str
    path: str
    is_folder: bool
    old_size: int | None
    size: int | None
    old_path: str | None = None


class VolumeChanges(NamedTuple):
    """What changed in one partition. ``name`` is its letter or ``partition 3``; ``system`` such as ``FAT16``.

    ``unknown`` says why its files cannot be told, ``problems`` what is inconsistent in it: then ``files`` are
    as far as its directories can be read.
    """

    name: str
    system: str
    number: int
    sectors: int
    boot_sector: bool
    formatted: bool
    files: list[FileChange]
    unknown: str
    problems: list[str]


class Changes(NamedTuple):
    """What changed on a disk. ``outside`` counts sectors in no partition.

    ``preserved``: so many of the sectors were not written by the guest, but hold what the image held before
    files were committed to it: they are what keeps the rest undoable.
    """

    sectors: int
    partition_table: bool
    boot_code: bool
    outside: int
    volumes: list[VolumeChanges]
    problems: list[str]
    preserved: int = 0

    @property
    def size(self) -> int:
        """Bytes changed."""
        return self.sectors * SECTOR_SIZE

    @property
    def consistent(self) -> bool:
        """True when nothing was found that makes no sense."""
        return not self.problems and not any(volume.problems for volume in self.volumes)


def changed_runs(layers: Iterable[SparseLayer]) -> Runs:
    """The sectors that some of ``layers`` have: ascending rows (first, behind the last) that do not touch."""
    merged: list[list[int]] = []
    runs = [[(first, first + count) for first, count, _ in layer.owned_runs()] for layer in layers]
    for first, stop in heapq.merge(*runs):
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([first, stop])
    return np.array(merged, np.int64).reshape(-1, 2)


def count_sectors(runs: Runs) -> int:
    """How many sectors ``runs`` cover."""
    return int((runs[:, 1] - runs[:, 0]).sum())


def compare(before: Drive, after: Drive, runs: Runs, letters: dict[int, str] | None = None) -> Changes:
    """What ``runs`` changed. ``letters`` names partitions by number; the first disk's otherwise.

    OSError from the host.
    """
    old_table, table = read_partitions(before), read_partitions(after)
    if letters is None:
        letters = drive_letters([table.partitions])[0]
    old = {partition.start: partition for partition in old_table.partitions}
    volumes = []
    inside = 0
    for partition in table.partitions:
        part = _within(runs, partition)
        inside += count_sectors(part)
        if len(part):
            name = letters.get(partition.number, f"partition {partition.number}")
            was_there = partition.start in old
            volumes.append(_compare_volume(before, after, partition, part, name, was_there))
    records = {*old_table.records, *table.records}
    first, old_first = _sector(after, 0), _sector(before, 0)
    has_table = any(not each.partitions or each.partitions[0].number for each in (old_table, table))
    moved = has_table and first[TABLE:] != old_first[TABLE:]
    total = count_sectors(runs)
    return Changes(
        sectors=total,
        partition_table=moved or any(_sector(before, lba) != _sector(after, lba) for lba in records - {0}),
        boot_code=has_table and first[:TABLE] != old_first[:TABLE],
        outside=total - inside,
        volumes=volumes,
        problems=table.problems,
    )


def _within(runs: Runs, partition: Partition) -> Runs:
    """The part of ``runs`` inside a partition, counted from its start."""
    clipped = np.clip(runs, partition.start, partition.start + partition.sectors) - partition.start
    return clipped[clipped[:, 1] > clipped[:, 0]]


def _sector(drive: Drive, lba: int) -> bytes:
    data = bytearray(SECTOR_SIZE)
    if lba < drive.sectors:
        drive.read(lba, data)
    return bytes(data)


def _compare_volume(
    before: Drive, after: Drive, partition: Partition, runs: Runs, name: str, was_there: bool
) -> VolumeChanges:
    result = VolumeChanges(
        name=name,
        system=partition.type_name if partition.number else "no partitions",
        number=partition.number,
        sectors=count_sectors(runs),
        boot_sector=_sector(before, partition.start) != _sector(after, partition.start),
        formatted=False,
        files=[],
        unknown="",
        problems=[],
    )
    try:
        volume = Volume(after, partition.start, partition.sectors)
    except NotFat as reason:
        return result._replace(unknown=str(reason))
    parsed: ParsedFolders = {}
    tree = Tree(volume, parsed)
    result = result._replace(system=volume.layout.name, problems=tree.problems)
    try:
        if not was_there:
            raise NotFat("there was no such partition")
        old_volume = Volume(before, partition.start, partition.sectors)
    except NotFat:
        return result._replace(formatted=True, files=list(_all_added(tree, name)))
    old_tree = Tree(old_volume, parsed)
    formatted = old_volume.layout != volume.layout
    files = _TreeComparison(old_tree, tree, runs, name, formatted).changes()
    return result._replace(formatted=formatted, files=files)


def _all_added(tree: Tree, name: str) -> Iterator[FileChange]:
    for path, entry in tree.walk():
        yield FileChange(ADDED, name + path, entry.is_folder, None, entry.size)


class _Loose(NamedTuple):
    """A file or folder that is in one of the trees only, as far as names go."""

    path: str
    entry: Entry


class _TreeComparison:
    """Finds what differs between two trees of one volume.

    Names are compared folder by folder. What is left over on both sides may be the same file under another
    name: folders are matched first, as a moved folder takes all that is in it along.
    """

    def __init__(self, old: Tree, new: Tree, runs: Runs, name: str, formatted: bool) -> None:
        self._old, self._new, self._name = old, new, name
        self._formatted = formatted
        self._touched: set[int] = set() if formatted else new.touched(runs)
        self._gone: list[_Loose] = []
        self._come: list[_Loose] = []
        self._found: list[FileChange] = []

    def changes(self) -> list[FileChange]:
        """All differences, sorted by path."""
        self._compare_folders(0, 0, "", "")
        if not self._formatted:  # cluster numbers mean nothing across a format
            while self._match_folder():
                pass
            self._match_files()
        for loose, kind in ((self._gone, DELETED), (self._come, ADDED)):
            for path, entry in loose:
                old_size = entry.size if kind == DELETED else None
                size = entry.size if kind == ADDED else None
                self._found.append(FileChange(kind, self._name + path, entry.is_folder, old_size, size))
        return sorted(self._found, key=lambda change: (change.path.split("\\"), change.kind))

    def _compare_folders(self, old_start: int, start: int, old_path: str, path: str) -> None:
        waiting = [(old_start, start, old_path, path)]
        while waiting:
            old_start, start, old_path, path = waiting.pop()
            old = {entry.name: entry for entry in self._old.folders.get(old_start, ())}
            new = {entry.name: entry for entry in self._new.folders.get(start, ())}
            for name, entry in new.items():
                was = old.get(name)
                if was is None or was.is_folder != entry.is_folder:
                    self._take_all(self._come, self._new, f"{path}\\{name}", entry)
                elif entry.is_folder:
                    here = f"{path}\\{name}"
                    waiting.append((was.start, entry.start, f"{old_path}\\{name}", here))
                elif was is not entry or entry.start in self._touched or self._formatted:
                    self._compare_files(was, entry, f"{path}\\{name}")
            for name, was in old.items():
                entry_now = new.get(name)
                if entry_now is None or was.is_folder != entry_now.is_folder:
                    self._take_all(self._gone, self._old, f"{old_path}\\{name}", was)

    def _take_all(self, loose: list[_Loose], tree: Tree, path: str, entry: Entry) -> None:
        loose.append(_Loose(path, entry))
        if entry.is_folder:
            loose += [_Loose(*found) for found in tree.walk(entry.start, path)]

    def _differ(self, was: Entry, entry: Entry) -> bool:
        if (was.size, was.stamp) != (entry.size, entry.stamp):
            return True
        if not entry.size or (was.start == entry.start and entry.start not in self._touched):
            return False
        if entry.size > MAX_COMPARED:
            return True
        try:
            return self._old.read_file(was) != self._new.read_file(entry)
        except ValueError:  # a broken chain
            return True

    def _compare_files(self, was: Entry, entry: Entry, path: str) -> None:
        if self._differ(was, entry):
            self._found.append(FileChange(MODIFIED, self._name + path, False, was.size, entry.size))

    def _match_folder(self) -> bool:
        """Find one folder that has a new name, and compare its content in both places."""
        places = {entry.start: path for path, entry in self._gone if entry.is_folder}
        for path, entry in self._come:
            if not entry.is_folder or entry.start not in places:
                continue
            old_path = places[entry.start]
            self._gone = [each for each in self._gone if not _within_path(each.path, old_path)]
            self._come = [each for each in self._come if not _within_path(each.path, path)]
            self._found.append(
                FileChange(RENAMED, self._name + path, True, entry.size, entry.size, self._name + old_path)
            )
            self._compare_folders(entry.start, entry.start, old_path, path)
            return True
        return False

    def _match_files(self) -> None:
        files = [each for each in self._gone if not each.entry.is_folder]
        gone = {each.entry.start: each for each in files if each.entry.start}
        matched: set[str] = set()
        left = []
        for come in self._come:
            was = None if come.entry.is_folder else gone.pop(come.entry.start, None)
            if was is None or self._is_other_file(was.entry, come.entry):
                left.append(come)
                continue
            matched.add(was.path)
            self._found.append(
                FileChange(
                    RENAMED,
                    self._name + come.path,
                    False,
                    was.entry.size,
                    come.entry.size,
                    self._name + was.path,
                )
            )
        self._come = left
        self._gone = [each for each in self._gone if each.path not in matched]

    def _is_other_file(self, was: Entry, entry: Entry) -> bool:
        """True when only the place is the same: a new file may get the clusters of a deleted one."""
        return (was.size, was.stamp) != (entry.size, entry.stamp) or entry.start in self._touched


def _within_path(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}\\")
