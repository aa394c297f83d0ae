"""Writing files and folders into a FAT volume.

What is written lies in clusters that were free, and nothing refers to it until :meth:`FatWriter.finish` does,
in this order, so that a crash in between loses clusters at worst::

    contents → FATs with the new chains → directories → FATs without the old chains → FSInfo

A volume that is not consistent is refused: what seems to be free on it may be some file's.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.fat import ENTRY_SIZE, FIRST_CLUSTER, FREE, MASK_32, Volume
from pcemu.drives.fat_folder import (
    ATTRIBUTE_ARCHIVE,
    ATTRIBUTE_FOLDER,
    ATTRIBUTE_LABEL,
    ATTRIBUTE_READ_ONLY,
    ATTRIBUTES_AT,
    DELETED,
    DOT,
    DOT_DOT,
    LONG_NAME,
    SHORT_LENGTH,
    Entry,
    parse_folder,
)
from pcemu.drives.fat_names import check_name, long_pieces, short_name
from pcemu.drives.fat_tree import MAX_FOLDER_BYTES, Tree
from pcemu.errors import ImageFormatError, UsageError

ROOT = 0
CHUNK = 1 << 20
MAX_FILE = (1 << 32) - 1
NO_CASE = 0
ENTRY = struct.Struct("<11sBBBHHHHHHHI")
START_HIGH_AT, START_LOW_AT = 20, 26
CHAIN_ENDS = {12: 0xFFF, 16: 0xFFFF, 32: MASK_32}
FSINFO_POINTER_AT = 48  # in the boot sector
FSINFO_SIGNATURES = ((0, b"RRaA"), (484, b"rrAa"))
FSINFO_FREE_AT = 488
FSINFO_NONE = (0, 0xFFFF)


class _Slot(NamedTuple):
    """A file or folder, and at which byte of its folder its short entry is."""

    place: int
    entry: Entry


class _OpenFolder:
    """A directory in memory. ``clusters`` is empty for the root of FAT12 and FAT16, which cannot grow."""

    def __init__(self, data: bytes, clusters: list[int], is_32: bool) -> None:
        self.data = bytearray(data)
        self.clusters = clusters
        self.dirty = False
        self.names: dict[str, _Slot] = {}
        places = {}
        end = len(data)
        for place in range(0, len(data), ENTRY_SIZE):
            head, attributes = data[place], data[place + ATTRIBUTES_AT]
            if head == 0:
                end = place
                break
            if head != DELETED and attributes != LONG_NAME and not attributes & ATTRIBUTE_LABEL:
                places[data[place : place + SHORT_LENGTH]] = place
        self.end = end  # where the first entry is that was never used
        self.shorts = set(places)
        for entry in parse_folder(data, is_32).entries:
            self.learn(entry, places[entry.short])

    def learn(self, entry: Entry, place: int) -> None:
        self.shorts.add(entry.short)
        self.names[entry.name.upper()] = _Slot(place, entry)

    def find(self, name: str) -> _Slot | None:
        """By its long or short name, in whatever case."""
        slot = self.names.get(name.upper())
        if slot is not None:
            return slot
        return next((each for each in self.names.values() if _dotted(each.entry.short) == name.upper()), None)

    def room_for(self, count: int) -> int | None:
        """Where ``count`` entries in a row are free; None when the folder has to grow."""
        size = count * ENTRY_SIZE
        if self.end + size <= len(self.data):
            return self.end
        deleted = bytes(self.data[: self.end : ENTRY_SIZE]).find(bytes([DELETED]) * count)
        return None if deleted < 0 else deleted * ENTRY_SIZE

    def put(self, place: int, entries: bytes) -> None:
        self.data[place : place + len(entries)] = entries
        behind = place + len(entries)
        if behind > self.end:
            self.end = behind
            self.data[behind : behind + 1] = b"\0"[: len(self.data) - behind]  # what follows was never in use
        self.dirty = True


def _dotted(short: bytes) -> str:
    text = short.decode("cp437")
    return f"{text[:8].rstrip()}.{text[8:].rstrip()}".rstrip(".")


class FatWriter:
    """Writes into the volume at ``start`` of a drive; NotFat, ImageFormatError, OSError from the host.

    Folders are known by the number of their first cluster, the root by ``ROOT``. ``name`` is the volume's in
    messages. A ``stamp`` is date and time as FAT packs them, date first (see :func:`stamp_of`).
    """

    def __init__(self, drive: Drive, start: int, sectors: int, name: str = "the volume") -> None:
        self.volume = Volume(drive, start, sectors)
        self._name = name
        problems = Tree(self.volume).problems
        if problems:
            raise ImageFormatError(
                f"{name}: its file system is damaged ({problems[0]}), expected a sound one to write to; "
                f"repair it first, with CHKDSK in the guest"
            )
        layout = self.volume.layout
        self._fat = bytearray(self.volume.read_fat(layout.active_fat))
        self._written_fat = bytes(self._fat)
        self._free: npt.NDArray[np.int64] = np.flatnonzero(self.volume.next == FREE)
        self._free = self._free[self._free >= FIRST_CLUSTER]
        self._used = 0
        self._folders: dict[int, _OpenFolder] = {}
        self._doomed: list[int] = []

    # -- what there is ------------------------------------------------------------------------------

    @property
    def free(self) -> int:
        """Bytes that are free."""
        return (len(self._free) - self._used) * self.volume.layout.cluster_size

    def find(self, folder: int, name: str) -> Entry | None:
        """A file or folder of ``folder`` by its name, in whatever case."""
        slot = self._open(folder).find(name)
        return None if slot is None else slot.entry

    def _open(self, start: int) -> _OpenFolder:
        folder = self._folders.get(start)
        if folder is None:
            layout = self.volume.layout
            is_32 = layout.kind == 32
            if start == ROOT and not is_32:
                folder = _OpenFolder(self.volume.read(layout.root_start, layout.root_sectors), [], is_32)
            else:
                most = max(1, MAX_FOLDER_BYTES // layout.cluster_size)
                runs = self.volume.follow(start or layout.root_cluster, most)
                assert runs is not None, "the tree was sound"
                clusters = [first + at for first, length in runs for at in range(length)]
                folder = _OpenFolder(self.volume.read_runs(runs), clusters, is_32)
            self._folders[start] = folder
        return folder

    # -- writing ------------------------------------------------------------------------------------

    def make_folder(self, parent: int, name: str, stamp: int) -> int:
        """The folder ``name`` in ``parent``, made when it is not there. UsageError when it is a file."""
        found = self.find(parent, name)
        if found is not None:
            if not found.is_folder:
                raise UsageError(f"{self._name}: {name} is a file there, expected a folder; rename one")
            return found.start
        start = int(self._allocate(1)[0])
        size = self.volume.layout.cluster_size
        dots = _entry(DOT, ATTRIBUTE_FOLDER, NO_CASE, start, 0, stamp)
        dots += _entry(DOT_DOT, ATTRIBUTE_FOLDER, NO_CASE, parent, 0, stamp)
        folder = _OpenFolder(dots.ljust(size, b"\0"), [start], self.volume.layout.kind == 32)
        folder.dirty = True
        self._folders[start] = folder
        self._add(parent, name, ATTRIBUTE_FOLDER, start, 0, stamp)
        return start

    def write_file(self, folder: int, name: str, content: BinaryIO, size: int, stamp: int) -> None:
        """The next ``size`` bytes of ``content`` as a file, in place of an old one of that name."""
        if size > MAX_FILE:
            raise UsageError(f"{name}: has {size} bytes, expected at most {MAX_FILE} in a file on FAT")
        slot = self._open(folder).find(name)
        if slot is not None and slot.entry.is_folder:
            raise UsageError(f"{self._name}: {name} is a folder there, expected a file; take another name")
        if slot is not None and slot.entry.attributes & ATTRIBUTE_READ_ONLY:
            raise UsageError(f"{self._name}: {name} is read-only there, expected a file that may be replaced")
        start = self._write_content(name, content, size)
        if slot is None:
            self._add(folder, name, ATTRIBUTE_ARCHIVE, start, size, stamp)
        else:
            self._replace(self._open(folder), slot, start, size, stamp)

    def set_label(self, label: bytes, stamp: int) -> None:
        """Give a volume without one a label of eleven bytes."""
        root = self._open(ROOT)
        place = root.room_for(1)
        assert place is not None, "the volume is new"
        root.put(place, _entry(label, ATTRIBUTE_LABEL, NO_CASE, 0, 0, stamp))

    def _write_content(self, name: str, content: BinaryIO, size: int) -> int:
        cluster_size = self.volume.layout.cluster_size
        clusters = self._allocate(-(-size // cluster_size), name, size)
        left = size
        for first, length in _runs(clusters):
            sector = self.volume.layout.place(first)
            room = length * cluster_size
            while room:
                want = min(left, room, CHUNK)
                data = content.read(want)
                if len(data) != want:
                    raise UsageError(
                        f"{name}: became shorter while it was read, expected {size} bytes; try again"
                    )
                left -= want
                padded = data.ljust(-(-want // cluster_size) * cluster_size, b"\0")
                self.volume.write(sector, padded)
                sector += len(padded) // SECTOR_SIZE
                room -= len(padded)
        return int(clusters[0]) if len(clusters) else 0

    def _allocate(self, count: int, name: str = "", size: int = 0) -> npt.NDArray[np.int64]:
        """A chain of new clusters."""
        clusters = self._free[self._used : self._used + count]
        if len(clusters) < count:
            what = f"{name} ({size} bytes)" if name else "a folder"
            raise UsageError(
                f"{self._name}: is full, expected room for {what} where {self.free} bytes are free; make the "
                f"disk larger, or put less on it"
            )
        self._used += count
        if count:
            self._link([int(cluster) for cluster in clusters])
        return clusters

    def _link(self, chain: Sequence[int]) -> None:
        kind = self.volume.layout.kind
        for cluster, following in zip(chain, [*chain[1:], CHAIN_ENDS[kind]], strict=True):
            self._set(cluster, following)

    def _get(self, cluster: int) -> int:
        """One entry of the FAT in memory."""
        fat, kind = self._fat, self.volume.layout.kind
        if kind == 12:
            place = cluster + cluster // 2
            pair = int.from_bytes(fat[place : place + 2], "little")
            return pair >> 4 if cluster & 1 else pair & 0xFFF
        size = kind // 8
        return int.from_bytes(fat[size * cluster : size * (cluster + 1)], "little") & MASK_32

    def _set(self, cluster: int, value: int) -> None:
        fat, kind = self._fat, self.volume.layout.kind
        if kind == 16:
            struct.pack_into("<H", fat, 2 * cluster, value)
        elif kind == 32:
            (old,) = struct.unpack_from("<I", fat, 4 * cluster)
            struct.pack_into("<I", fat, 4 * cluster, old & ~MASK_32 | value)
        else:
            place = cluster + cluster // 2
            pair = int.from_bytes(fat[place : place + 2], "little")
            pair = pair & 0x000F | value << 4 if cluster & 1 else pair & 0xF000 | value
            fat[place : place + 2] = pair.to_bytes(2, "little")

    def _add(self, parent: int, name: str, attributes: int, start: int, size: int, stamp: int) -> None:
        folder = self._open(parent)
        short = short_name(check_name(name), folder.shorts)
        pieces = long_pieces(name, short.raw) if short.is_alias else b""
        entries = pieces + _entry(short.raw, attributes, short.case, start, size, stamp)
        place = folder.room_for(len(entries) // ENTRY_SIZE)
        while place is None:
            self._grow(folder)
            place = folder.room_for(len(entries) // ENTRY_SIZE)
        folder.put(place, entries)
        folder.learn(Entry(name, attributes, start, size, stamp, short.raw), place + len(pieces))

    def _grow(self, folder: _OpenFolder) -> None:
        size = self.volume.layout.cluster_size
        if not folder.clusters:
            raise UsageError(f"{self._name}: its root directory is full; put the files into a folder")
        if len(folder.data) + size > MAX_FOLDER_BYTES:
            raise UsageError(f"{self._name}: a folder on it is full; put fewer files into one")
        new = int(self._allocate(1)[0])
        self._set(folder.clusters[-1], new)
        folder.clusters.append(new)
        folder.data += bytes(size)
        folder.dirty = True

    def _replace(self, folder: _OpenFolder, slot: _Slot, start: int, size: int, stamp: int) -> None:
        old = slot.entry
        if old.start:
            self._doomed.append(old.start)
        case = folder.data[slot.place + 12]
        attributes = old.attributes | ATTRIBUTE_ARCHIVE
        folder.put(slot.place, _entry(old.short, attributes, case, start, size, stamp))
        folder.learn(old._replace(start=start, size=size, stamp=stamp), slot.place)

    # -- the end ------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Make everything that was written part of the volume."""
        self._write_fats()
        for start, folder in self._folders.items():
            if folder.dirty:
                self._write_folder(start, folder)
                folder.dirty = False
        freed = self._free_doomed()
        if freed:
            self._write_fats()
        self._write_fsinfo(len(self._free) - self._used + freed)

    def _write_folder(self, start: int, folder: _OpenFolder) -> None:
        layout = self.volume.layout
        if not folder.clusters:
            self.volume.write(layout.root_start, bytes(folder.data))
            return
        at = 0
        for first, length in _runs(np.array(folder.clusters)):
            size = length * layout.cluster_size
            self.volume.write(layout.place(first), bytes(folder.data[at : at + size]))
            at += size

    def _free_doomed(self) -> int:
        freed = 0
        for start in self._doomed:
            cluster = start
            while FIRST_CLUSTER <= cluster < self.volume.layout.stop:
                following = self._get(cluster)
                self._set(cluster, FREE)
                cluster = following
                freed += 1
        self._doomed.clear()
        return freed

    def _write_fats(self) -> None:
        """Write the sectors of the FAT that changed, into all its copies."""
        layout = self.volume.layout
        new, old = bytes(self._fat), self._written_fat
        copies = range(layout.fats) if layout.mirrored else (layout.active_fat,)
        for sector in range(layout.fat_sectors):
            part = slice(sector * SECTOR_SIZE, (sector + 1) * SECTOR_SIZE)
            if new[part] != old[part]:
                for copy in copies:
                    self.volume.write(layout.fat_start + copy * layout.fat_sectors + sector, new[part])
        self._written_fat = new

    def _write_fsinfo(self, free: int) -> None:
        """FAT32 keeps the number of free clusters in a sector of its own."""
        if self.volume.layout.kind != 32:
            return
        (place,) = struct.unpack_from("<H", self.volume.read(0, 1), FSINFO_POINTER_AT)
        if place in FSINFO_NONE or place >= self.volume.layout.fat_start:
            return
        sector = bytearray(self.volume.read(place, 1))
        if all(sector[at : at + 4] == signature for at, signature in FSINFO_SIGNATURES):
            following = int(self._free[self._used]) if self._used < len(self._free) else FIRST_CLUSTER
            struct.pack_into("<II", sector, FSINFO_FREE_AT, free, following)
            self.volume.write(place, bytes(sector))


def _entry(short: bytes, attributes: int, case: int, start: int, size: int, stamp: int) -> bytes:
    date, time = stamp >> 16, stamp & 0xFFFF
    fields = (short, attributes, case, 0, time, date, date, start >> 16, time, date, start & 0xFFFF, size)
    return ENTRY.pack(*fields)


def _runs(clusters: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Neighbours together: (first, length)."""
    if not len(clusters):
        return []
    breaks = np.flatnonzero(np.diff(clusters) != 1) + 1
    return [(int(run[0]), len(run)) for run in np.split(clusters, breaks)]


def stamp_of(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """Date and time as FAT packs them; what lies outside 1980 to 2107 becomes the nearest that does not."""
    if year < 1980:
        return stamp_of(1980, 1, 1)
    if year > 2107:
        return stamp_of(2107, 12, 31, 23, 59, 58)
    return (year - 1980) << 25 | month << 21 | day << 16 | hour << 11 | minute << 5 | second // 2
