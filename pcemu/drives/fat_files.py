"""Finding a volume on a disk, and a file in a volume, by what a person calls them."""

from __future__ import annotations

import fnmatch
import re
from typing import NamedTuple

from pcemu.drives.drive import Drive
from pcemu.drives.fat import NotFat, Volume
from pcemu.drives.fat_folder import Entry
from pcemu.drives.fat_tree import ROOT, Tree
from pcemu.drives.partitions import Partition, read_partitions
from pcemu.errors import ImageFormatError, UsageError

SEPARATORS = re.compile(r"[/\\]+")
DRIVE_LETTER = re.compile(r"[A-Za-z]:")
WILDCARDS = re.compile(r"[*?]")
UNSAFE_ON_HOSTS = re.compile(r"[/\\\0]|^\.{1,2}$")


class Place(NamedTuple):
    """A file or folder: ``entry`` is None for the root. ``start`` is the number of a folder."""

    path: str
    entry: Entry | None

    @property
    def is_folder(self) -> bool:
        """True for a directory."""
        return self.entry is None or self.entry.is_folder

    @property
    def start(self) -> int:
        """The first cluster; 0 for the root."""
        return 0 if self.entry is None else self.entry.start


def choose_partition(drive: Drive, image: str, number: int | None = None) -> Partition:
    """A FAT partition by its number; the active one, or the first, when that is None. ImageError."""
    partitions = read_partitions(drive).partitions
    found = {}
    reasons = []
    for partition in partitions:
        try:
            Volume(drive, partition.start, partition.sectors)
            found[partition.number] = partition
        except NotFat as error:
            reasons.append(f"{partition.number} ({partition.type_name}): {error}")
    if number is None and found:
        return min(found.values(), key=lambda each: (not each.active, each.number))
    if number in found:
        return found[number]
    if number is not None and found:
        known = ", ".join(map(str, found))
        raise UsageError(f"{image}: has no FAT partition {number}, expected {known}")
    why = "; ".join(reasons) or "it has no partitions"
    raise ImageFormatError(f"{image}: has no FAT volume ({why}), expected one; format it in a guest first")


def split_path(path: str) -> list[str]:
    """The names in a path with slashes of either kind. UsageError for one with the letter of a drive."""
    if DRIVE_LETTER.match(path):
        raise UsageError(
            f"{path}: begins with a drive letter, expected a path from the partition's root; leave it out, "
            f"and choose among partitions by --partition"
        )
    return [name for name in SEPARATORS.split(path) if name]


def find_place(tree: Tree, path: str, image: str) -> Place:
    """What is at a path, in whatever case; UsageError when nothing is."""
    place = Place(ROOT, None)
    for name in split_path(path):
        if not place.is_folder:
            raise UsageError(f"{image}: {place.path} is a file, expected a folder; check the path")
        entry = _find(tree.folders.get(place.start, ()), name)
        if entry is None:
            raise UsageError(
                f"{image}: has no {name} in {place.path}, expected a file or folder; see `pcemu disk ls`"
            )
        place = Place(f"{place.path.rstrip(ROOT)}{ROOT}{entry.name}", entry)
    return place


def find_places(tree: Tree, path: str, image: str) -> list[Place]:
    """What is at a path whose last name may have the wildcards * and ?; UsageError when nothing is."""
    *above, pattern = split_path(path) or [""]
    if not WILDCARDS.search(pattern):
        return [find_place(tree, path, image)]
    folder = find_place(tree, ROOT.join(above), image)
    wanted = "*" if pattern == "*.*" else pattern.upper().replace("[", "[[]")
    places = [
        Place(f"{folder.path.rstrip(ROOT)}{ROOT}{entry.name}", entry)
        for entry in (tree.folders.get(folder.start, ()) if folder.is_folder else ())
        if any(fnmatch.fnmatchcase(name, wanted) for name in (entry.name.upper(), short_of(entry)))
    ]
    if not places:
        raise UsageError(f"{image}: has no {pattern} in {folder.path}; see `pcemu disk ls`")
    return places


def has_wildcards(path: str) -> bool:
    """Whether a path may mean many files."""
    return WILDCARDS.search(path) is not None


def _find(entries: tuple[Entry, ...], name: str) -> Entry | None:
    wanted = name.upper()
    for entry in entries:
        if entry.name.upper() == wanted:
            return entry
    return next((entry for entry in entries if short_of(entry) == wanted), None)


def short_of(entry: Entry) -> str:
    """The short name with its dot."""
    text = entry.short.decode("cp437")
    return f"{text[:8].rstrip()}.{text[8:].rstrip()}".rstrip(".")


def host_name(entry: Entry) -> str:
    """A name that is safe as one name on the host: what a guest wrote may lead elsewhere."""
    if UNSAFE_ON_HOSTS.search(entry.name):
        return UNSAFE_ON_HOSTS.sub("_", entry.name)
    return entry.name
