"""FAT12, FAT16 and FAT32 volumes, for reading: where things lie, and the chains of clusters.

Facts from Microsoft's FAT specification 1.03. All that is read may be garbage, for a guest wrote it: nothing
is used before it was checked, and no loop depends on what is read.

**Not implemented**: exFAT; volumes with a FAT above 64 MiB.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcemu.drives.drive import SECTOR_SIZE, Drive

Clusters = npt.NDArray[np.int32]

BOOT = struct.Struct("<HBHBHHBHHHII")  # from byte 11 on: BPB_BytsPerSec … BPB_TotSec32
BOOT_AT = 11
BOOT_32 = struct.Struct("<IHHI")  # from byte 36 on: BPB_FATSz32, BPB_ExtFlags, BPB_FSVer, BPB_RootClus
BOOT_32_AT = 36
NO_MIRROR = 0x80  # of BPB_ExtFlags; the active FAT's number is in the low four bits
SECTOR_SIZES = (512, 1024, 2048, 4096)
ENTRY_SIZE = 32
MAX_CLUSTERS_12 = 4084
MAX_CLUSTERS_16 = 65524
MAX_CLUSTERS_32 = 0x0FFFFFF5
MASK_32 = 0x0FFFFFFF
MAX_FAT_BYTES = 64 << 20
FIRST_CLUSTER = 2
BAD_MARKS = {12: 0xFF7, 16: 0xFFF7, 32: 0x0FFFFFF7}  # and the end of a chain is what is above

# Values of Fat.next besides the numbers of clusters.
FREE = 0
END = -1
BAD = -2
INVALID = -3

FEW = 256  # chains at a time are quicker followed one by one

# What can be wrong with a chain.
SOUND, BROKEN, ENDLESS = 0, 1, 2


class NotFat(Exception):
    """This is no FAT volume; the text says why."""


class Layout(NamedTuple):
    """Where the parts of a volume lie; places and lengths in sectors of 512 bytes from its start."""

    kind: int
    sectors: int
    cluster_sectors: int
    clusters: int
    fat_start: int
    fat_sectors: int
    fats: int
    active_fat: int
    mirrored: bool
    root_start: int
    root_sectors: int
    root_cluster: int
    data_start: int

    @property
    def name(self) -> str:
        """``FAT16``"""
        return f"FAT{self.kind}"

    @property
    def cluster_size(self) -> int:
        """Bytes in a cluster."""
        return self.cluster_sectors * SECTOR_SIZE

    @property
    def stop(self) -> int:
        """The first number behind the last cluster's."""
        return self.clusters + FIRST_CLUSTER

    def place(self, cluster: int) -> int:
        """The first sector of a cluster."""
        return self.data_start + (cluster - FIRST_CLUSTER) * self.cluster_sectors


def parse_boot_sector(boot: bytes, room: int) -> Layout:
    """The layout that a boot sector describes, on a partition of ``room`` sectors; NotFat."""
    values = BOOT.unpack_from(boot, BOOT_AT)
    sector_size, per_cluster, reserved, fats, root_entries, total_16, media, fat_16 = values[:8]
    total_32 = values[11]
    if sector_size not in SECTOR_SIZES:
        raise NotFat(f"its boot sector gives {sector_size} bytes for a sector")
    if not per_cluster or per_cluster & (per_cluster - 1):
        raise NotFat(f"its boot sector gives {per_cluster} sectors for a cluster")
    if not reserved or not 1 <= fats <= 4 or media < 0xF0:
        raise NotFat("its boot sector makes no sense")
    fat_32, flags, _, root_cluster = BOOT_32.unpack_from(boot, BOOT_32_AT)
    is_32 = fat_16 == 0
    fat_size = fat_32 if is_32 else fat_16
    total = total_16 or total_32
    if is_32 and root_entries:
        raise NotFat("its boot sector gives no size for the FAT")
    unit = sector_size // SECTOR_SIZE
    root_sectors = -(-root_entries * ENTRY_SIZE // sector_size)
    data_start = reserved + fats * fat_size + root_sectors
    clusters = (total - data_start) // per_cluster
    if total * unit > room:
        raise NotFat(f"its boot sector gives {total * unit} sectors, but its partition has {room}")
    if clusters < 1:
        raise NotFat("its boot sector leaves no room for files")
    kind = 32 if is_32 else 12 if clusters <= MAX_CLUSTERS_12 else 16
    if clusters > (MAX_CLUSTERS_32 if is_32 else MAX_CLUSTERS_16):
        raise NotFat(f"its boot sector gives {clusters} clusters, more than FAT{kind} can count")
    if fat_size * sector_size * 8 < (clusters + FIRST_CLUSTER) * kind:
        raise NotFat(f"its FAT is too small for {clusters} clusters")
    if fat_size * sector_size > MAX_FAT_BYTES:
        raise NotFat(f"its FAT takes {fat_size * sector_size >> 20} MiB, which is too large to look through")
    if is_32 and not FIRST_CLUSTER <= root_cluster < clusters + FIRST_CLUSTER:
        raise NotFat(f"its boot sector puts the root directory into cluster {root_cluster}")
    active = flags & 0x0F if is_32 and flags & NO_MIRROR else 0
    if active >= fats:
        raise NotFat(f"its boot sector makes FAT {active} the active one of {fats}")
    return Layout(
        kind=kind,
        sectors=total * unit,
        cluster_sectors=per_cluster * unit,
        clusters=clusters,
        fat_start=reserved * unit,
        fat_sectors=fat_size * unit,
        fats=fats,
        active_fat=active,
        mirrored=not (is_32 and flags & NO_MIRROR),
        root_start=(reserved + fats * fat_size) * unit,
        root_sectors=root_sectors * unit,
        root_cluster=root_cluster if is_32 else 0,
        data_start=data_start * unit,
    )


class Chains(NamedTuple):
    """Many chains at once.

    Run number i holds ``lengths[i]`` clusters from ``firsts[i]`` on of chain ``owners[i]``; ``totals`` and
    ``faults`` have one number for each chain.
    """

    owners: Clusters
    firsts: Clusters
    lengths: Clusters
    totals: Clusters
    faults: Clusters


class Volume:
    """A FAT volume inside a drive; NotFat when it is none, OSError from the host."""

    def __init__(self, drive: Drive, start: int = 0, sectors: int | None = None) -> None:
        self._drive = drive
        self._start = start
        room = drive.sectors - start if sectors is None else sectors
        self.layout = parse_boot_sector(self.read(0, 1), room)
        self._fat = self.read_fat(self.layout.active_fat)
        self.next = decode_fat(self._fat, self.layout.kind, self.layout.stop)
        self._run_ends = _run_ends(self.next)

    def read(self, sector: int, count: int) -> bytes:
        """``count`` sectors from ``sector`` of the volume on."""
        data = bytearray(count * SECTOR_SIZE)
        self._drive.read(self._start + sector, data)
        return bytes(data)

    def write(self, sector: int, data: bytes) -> None:
        """Write whole sectors from ``sector`` of the volume on."""
        self._drive.write(self._start + sector, data)

    def read_fat(self, number: int) -> bytes:
        """The bytes of one of the FATs."""
        layout = self.layout
        return self.read(layout.fat_start + number * layout.fat_sectors, layout.fat_sectors)

    def fats_differ(self) -> bool:
        """True when the copies of the FAT are not alike, and should be."""
        layout = self.layout
        return layout.mirrored and any(self.read_fat(number) != self._fat for number in range(1, layout.fats))

    def follow(self, start: int, limit: int) -> list[tuple[int, int]] | None:
        """The runs (first, length) of one chain; None when it is broken or longer than ``limit``."""
        runs = []
        while FIRST_CLUSTER <= start < self.layout.stop:
            last = int(self._run_ends[start])
            length = last - start + 1
            runs.append((start, length))
            limit -= length
            if limit < 0:
                return None
            start = int(self.next[last])
        return runs if start == END and runs else None

    def read_runs(self, runs: list[tuple[int, int]]) -> bytes:
        """The bytes of some runs of clusters."""
        layout = self.layout
        parts = [self.read(layout.place(first), length * layout.cluster_sectors) for first, length in runs]
        return b"".join(parts)

    def chains(self, starts: Clusters) -> Chains:
        """All chains from ``starts`` (numbers of clusters inside the volume); ends whatever the FAT holds."""
        current, owners = starts, np.arange(len(starts), dtype=np.int32)
        totals = np.zeros(len(starts), np.int32)
        faults = np.zeros(len(starts), np.int32)
        parts: list[tuple[Clusters, Clusters, Clusters]] = []
        room = self.layout.clusters
        while len(current) > FEW and room >= 0:
            ends = self._run_ends[current]
            lengths = ends - current + 1
            parts.append((owners, current, lengths))
            totals[owners] += lengths
            room -= int(lengths.sum(dtype=np.int64))
            following = self.next[ends]
            faults[owners[(following < FIRST_CLUSTER) & (following != END)]] = BROKEN
            going = following >= FIRST_CLUSTER
            current, owners = following[going], owners[going]
        if room < 0:
            faults[owners] = ENDLESS
        else:
            parts.append(self._follow_few(current.tolist(), owners.tolist(), room, totals, faults))
        joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return Chains(joined[0], joined[1], joined[2], totals, faults)

    def _follow_few(
        self, starts: list[int], owners: list[int], room: int, totals: Clusters, faults: Clusters
    ) -> tuple[Clusters, Clusters, Clusters]:
        runs: list[tuple[int, int, int]] = []
        following, ends = self.next.data, self._run_ends.data
        for owner, cluster in zip(owners, starts, strict=True):
            total = 0
            while cluster >= FIRST_CLUSTER:
                last = ends[cluster]
                length = last - cluster + 1
                runs.append((owner, cluster, length))
                total += length
                room -= length
                if room < 0:
                    break
                cluster = following[last]
            totals[owner] += total
            if room < 0:
                faults[owner] = ENDLESS
                room = 0
            elif cluster != END:
                faults[owner] = BROKEN
        columns = np.array(runs, np.int32).reshape(-1, 3).T
        return columns[0], columns[1], columns[2]


def decode_fat(data: bytes, kind: int, stop: int) -> Clusters:
    """For each cluster below ``stop`` the next one's number, or FREE, END, BAD or INVALID."""
    if kind == 12:
        size = -(-stop // 2) * 3
        raw = np.frombuffer(data.ljust(size, b"\0"), np.uint8, size).astype(np.int32)
        first, second, third = raw[0::3], raw[1::3], raw[2::3]
        values = np.empty(2 * len(first), np.int32)
        values[0::2] = first | (second & 0x0F) << 8
        values[1::2] = second >> 4 | third << 4
        values = values[:stop]
    elif kind == 16:
        values = np.frombuffer(data, "<u2", stop).astype(np.int32)
    else:
        values = np.frombuffer(data, "<i4", stop) & np.int32(MASK_32)
    special = np.flatnonzero(values >= stop)
    marks = values[special]
    values[special] = np.where(marks > BAD_MARKS[kind], END, np.where(marks == BAD_MARKS[kind], BAD, INVALID))
    values[values == 1] = INVALID
    values[:FIRST_CLUSTER] = INVALID
    return values


def _run_ends(following: Clusters) -> Clusters:
    """For each cluster the last one of the run of neighbours that it is in."""
    numbers = np.arange(len(following), dtype=np.int32)
    ends = np.where(following == numbers + 1, np.int32(len(following)), numbers)
    return np.minimum.accumulate(ends[::-1])[::-1].copy()
