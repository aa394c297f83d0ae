"""Committing some files: they are carried into a fresh child of the image by file, not by sector.

Both trees must be consistent for that. The child then goes into the image like any other, with the sectors
that change preserved in the session: what the session reads stays the same to the byte, and the rest of its
changes stay undoable.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pcemu.drives.changes import ADDED, DELETED, MODIFIED, RENAMED, Changes, FileChange
from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.fat import Volume
from pcemu.drives.fat_editor import FatEditor
from pcemu.drives.fat_folder import ATTRIBUTE_READ_ONLY, Entry
from pcemu.drives.fat_tree import Tree
from pcemu.drives.partitions import Partition, read_partitions
from pcemu.errors import UsageError

ROOT = 0
CHUNK = 1 << 20
PIECES = re.compile(r"\*\*\\|\\\*\*$|\*\*|\*|\?|[^*?\\]+|\\")
MEANINGS = {
    "**\\": r"(?:.*\\)?",
    "\\**": r"(?:\\.*)?",
    "**": ".*",
    "*": r"[^\\]*",
    "?": r"[^\\]",
}


class Patterns:
    """Which files: those that ``only`` names (all, when empty), but for those that ``except_`` names."""

    def __init__(self, only: Sequence[str], except_: Sequence[str]) -> None:
        self._only = [pattern_regex(pattern) for pattern in only]
        self._except = [pattern_regex(pattern) for pattern in except_]

    def choose(self, change: FileChange) -> bool:
        """Whether to take a change; a renamed file counts under both its names."""
        paths = [path for path in (change.path, change.old_path) if path is not None]
        wanted = not self._only or any(regex.fullmatch(path) for regex in self._only for path in paths)
        return wanted and not any(regex.fullmatch(path) for regex in self._except for path in paths)


def pattern_regex(pattern: str) -> re.Pattern[str]:
    """``C:\\SAVES\\**`` as a regular expression; without a folder it is looked for everywhere."""
    text = pattern.strip().replace("/", "\\")
    if not text:
        raise UsageError("an empty pattern: expected one such as C:\\SAVES\\**")
    parts = [MEANINGS.get(piece, re.escape(piece)) for piece in PIECES.findall(text)]
    start = ""
    if "\\" not in text:
        start = r"(?:.*\\)?"
    elif text.startswith("\\"):
        start = "[^\\\\]*"  # on any volume
    return re.compile(start + "".join(parts), re.IGNORECASE)


def choose(changes: Changes, patterns: Patterns, image: str) -> dict[str, list[FileChange]]:
    """The chosen changes by the volume's name; UsageError when that cannot be done by file."""
    chosen = {}
    for volume in changes.volumes:
        files = [change for change in volume.files if patterns.choose(change)]
        if not files:
            continue
        why = ""
        if volume.problems:
            why = f"its file system is inconsistent: {volume.problems[0]}"
        elif volume.formatted:
            why = "it was newly formatted"
        elif changes.partition_table:
            why = "the partition table was changed"
        if why:
            raise UsageError(
                f"{image}: files of {volume.name} cannot be committed one by one, as {why}; commit "
                f"everything, or run the guest and mend that"
            )
        chosen[volume.name] = files
    if not chosen:
        raise UsageError(
            f"{image}: none of the changed files is meant, expected one at least; see `pcemu session show`"
        )
    return chosen


def carry(
    before: Drive, after: Drive, target: Drive, changes: Changes, chosen: dict[str, list[FileChange]]
) -> list[str]:
    """Make the chosen changes on ``target``, which holds what ``before`` does; returns the paths."""
    partitions = {partition.number: partition for partition in read_partitions(after).partitions}
    done = []
    for volume in changes.volumes:
        if volume.name in chosen:
            partition = partitions[volume.number]
            _carry_volume(before, after, target, partition, volume.name, chosen[volume.name])
            done += [change.path for change in chosen[volume.name]]
    return done


def _carry_volume(
    before: Drive, after: Drive, target: Drive, partition: Partition, name: str, files: list[FileChange]
) -> None:
    start, sectors = partition.start, partition.sectors
    editor = FatEditor(target, start, sectors, name)
    old = dict(Tree(Volume(before, start, sectors)).walk())
    tree = Tree(Volume(after, start, sectors))
    new = dict(tree.walk())
    gone, come = _paths(files, name, old, new)
    for path in sorted(gone, key=_depth, reverse=True):
        folder = _find(editor, _parts(path)[:-1])
        if folder is not None and not (old[path].is_folder and _has_rest(editor, folder, path)):
            editor.remove(folder, _parts(path)[-1])
    for path in sorted(come, key=_depth):
        _write(editor, tree, new, path)
    editor.finish()


def _paths(
    files: Iterable[FileChange], name: str, old: dict[str, Entry], new: dict[str, Entry]
) -> tuple[set[str], set[str]]:
    """What to remove and what to write, as paths inside the volume.

    A moved folder takes all that is in it along.
    """
    gone: set[str] = set()
    come: set[str] = set()
    for change in files:
        path = change.path.removeprefix(name)
        if change.kind == RENAMED:
            assert change.old_path is not None
            gone |= _below(change.old_path.removeprefix(name), old)
            come |= _below(path, new)
        elif change.kind == DELETED:
            gone.add(path)
        elif change.kind in (ADDED, MODIFIED):
            come.add(path)
    return gone, come


def _below(path: str, entries: dict[str, Entry]) -> set[str]:
    return {each for each in entries if each == path or each.startswith(f"{path}\\")}


def _has_rest(editor: FatEditor, folder: int, path: str) -> bool:
    """True for a folder in which something stays."""
    entry = editor.find(folder, _parts(path)[-1])
    return entry is not None and editor.has_entries(entry.start)


def _write(editor: FatEditor, tree: Tree, new: dict[str, Entry], path: str) -> None:
    parts = _parts(path)
    folder = ROOT
    for depth in range(1, len(parts)):
        above = new["\\" + "\\".join(parts[:depth])]
        folder = editor.make_folder(folder, above.name, above.stamp)
    entry = new[path]
    if entry.is_folder:
        editor.make_folder(folder, entry.name, entry.stamp)
    else:
        found = editor.find(folder, entry.name)
        if found is not None and found.attributes & ATTRIBUTE_READ_ONLY:
            editor.set_attributes(folder, entry.name, found.attributes & ~ATTRIBUTE_READ_ONLY)
        content = io.BufferedReader(_Content(tree, entry), CHUNK)
        editor.write_file(folder, entry.name, content, entry.size, entry.stamp)
    editor.set_attributes(folder, entry.name, entry.attributes)


def _find(editor: FatEditor, parts: Sequence[str]) -> int | None:
    folder = ROOT
    for part in parts:
        entry = editor.find(folder, part)
        if entry is None or not entry.is_folder:
            return None
        folder = entry.start
    return folder


def _parts(path: str) -> list[str]:
    return path.strip("\\").split("\\")


def _depth(path: str) -> tuple[int, str]:
    return path.count("\\"), path


class _Content(io.RawIOBase):
    """The content of a file of a sound tree, cluster by cluster."""

    def __init__(self, tree: Tree, entry: Entry) -> None:
        super().__init__()
        layout = tree.volume.layout
        runs = tree.volume.follow(entry.start, layout.clusters) if entry.size else []
        assert runs is not None, "the tree is sound"
        self._volume = tree.volume
        self._sectors = [(layout.place(first), length * layout.cluster_sectors) for first, length in runs]
        self._left = entry.size

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes, whole sectors but for the last."""
        if not self._left:
            return 0
        sector, count = self._sectors.pop(0)
        take = max(1, min(count, len(buffer) // SECTOR_SIZE))
        if take < count:
            self._sectors.insert(0, (sector + take, count - take))
        data = self._volume.read(sector, take)[: min(self._left, len(buffer))]
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)
