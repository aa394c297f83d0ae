"""The directory tree of a FAT volume, and whether it is whole.

What does not fit is no error here: :attr:`Tree.problems` says what, and the rest of the tree is there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pcemu.drives.fat import BROKEN, END, ENDLESS, ENTRY_SIZE, FIRST_CLUSTER, SOUND, Chains, Volume
from pcemu.drives.fat_folder import Entry, Folder, parse_folder

ROOT = "\\"
MAX_FOLDER_BYTES = 65536 * ENTRY_SIZE
MAX_TREE_BYTES = 64 << 20
MAX_DEPTH = 128
MAX_PROBLEMS = 20
FAULTS = {BROKEN: "has a broken chain of clusters", ENDLESS: "shares clusters or runs in a circle"}

ParsedFolders = dict[bytes, Folder]


class Tree:
    """All files and folders of a volume.

    ``folders`` has the entries of each directory by its first cluster; the root's number is 0. ``problems``
    are in the words of who looks at a disk; without any the volume is consistent. ``lost`` counts clusters
    that are taken but belong to no file. ``parsed`` may be shared by trees of the same disk.
    """

    def __init__(self, volume: Volume, parsed: ParsedFolders | None = None) -> None:
        self.volume = volume
        self.folders: dict[int, tuple[Entry, ...]] = {}
        self.problems: list[str] = []
        self.label = ""
        self.lost = 0
        self._parsed = {} if parsed is None else parsed
        self._folder_runs: list[tuple[int, int, int]] = []  # number of its folder, first cluster, length
        self._folder_paths: list[str] = []
        self._claimed = {0, volume.layout.root_cluster}
        self._files: list[Entry] = []
        self._file_folders: list[int] = []
        self._read_folders()
        self.chains = self._check_chains()
        if volume.fats_differ():
            self._problem("the copies of the FAT differ")

    @property
    def root(self) -> tuple[Entry, ...]:
        """The entries of the root directory."""
        return self.folders.get(0, ())

    def walk(self, start: int = 0, path: str = "") -> Iterator[tuple[str, Entry]]:
        """All files and folders below a folder, each with its path (``\\GAMES\\DOOM.EXE``)."""
        for entry in self.folders.get(start, ()):
            its_path = f"{path}\\{entry.name}"
            yield its_path, entry
            if entry.is_folder:
                yield from self.walk(entry.start, its_path)

    def read_file(self, entry: Entry) -> bytes:
        """The content of a file of a consistent tree."""
        if not entry.size:
            return b""
        runs = self.volume.follow(entry.start, -(-entry.size // self.volume.layout.cluster_size))
        if runs is None:
            raise ValueError(f"the chain of {entry.name} is broken")
        return self.volume.read_runs(runs)[: entry.size]

    def touched(self, runs: npt.NDArray[np.int64]) -> set[int]:
        """The first clusters of the files of which some cluster lies in ``runs``.

        ``runs`` has a row (first, behind the last) of sectors of the volume for each.
        """
        layout = self.volume.layout
        inside = runs[runs[:, 1] > layout.data_start] - layout.data_start
        steps = np.zeros(layout.stop + 2, np.int64)
        first = np.clip(inside[:, 0], 0, None) // layout.cluster_sectors + FIRST_CLUSTER
        behind = -(-inside[:, 1] // layout.cluster_sectors) + FIRST_CLUSTER
        np.add.at(steps, np.minimum(first, layout.stop), 1)
        np.add.at(steps, np.minimum(behind, layout.stop), -1)
        changed = np.cumsum(np.cumsum(steps) > 0)  # how many up to and with each cluster
        chains = self.chains
        hits = changed[chains.firsts + chains.lengths - 1] > changed[chains.firsts - 1]
        return {self._files[owner].start for owner in np.unique(chains.owners[hits]).tolist()}

    # -- folders ------------------------------------------------------------------------------------

    def _read_folders(self) -> None:
        seen: dict[int, str] = {}  # clusters of folders, and whose
        waiting = [(0, 0, "", 0)]  # first cluster, its folder's first cluster, path, depth
        room = MAX_TREE_BYTES
        layout = self.volume.layout
        while waiting:
            start, parent, path, depth = waiting.pop()
            if depth > MAX_DEPTH or room <= 0:
                self._problem("its directories are too deep or too large to look through")
                return
            data = self._folder_data(start, path, seen)
            if data is None:
                self.folders.setdefault(start, ())
                continue
            room -= len(data)
            folder = self._parsed.get(data)
            if folder is None:
                folder = self._parsed[data] = parse_folder(data, layout.kind == 32)
            if folder.garbage:
                self._problem(f"directory {path or ROOT} holds garbage")
            if start and (folder.up or layout.root_cluster) != (parent or layout.root_cluster):
                self._problem(f"directory {path} does not lead back to where it is")
            self.label = self.label if start else folder.label
            self.folders[start] = tuple(self._sound_entries(folder.entries, path))
            waiting += [
                (entry.start, start, f"{path}\\{entry.name}", depth + 1)
                for entry in self.folders[start]
                if entry.is_folder
            ]

    def _sound_entries(self, entries: tuple[Entry, ...], path: str) -> Iterator[Entry]:
        """The entries of the folder ``path`` that begin where something can, and no folder twice."""
        number = len(self._folder_paths)
        self._folder_paths.append(path)
        stop = self.volume.layout.stop
        for entry in entries:
            start = entry.start
            if entry.is_folder:
                if not FIRST_CLUSTER <= start < stop or start in self._claimed:
                    self._problem(f"directory {path}\\{entry.name} cannot begin in cluster {start}")
                    continue
                self._claimed.add(start)
            elif FIRST_CLUSTER <= start < stop:
                self._files.append(entry)
                self._file_folders.append(number)
            elif start or entry.size:
                self._problem(f"{path}\\{entry.name} cannot begin in cluster {start}")
                continue
            yield entry

    def _folder_data(self, start: int, path: str, seen: dict[int, str]) -> bytes | None:
        layout = self.volume.layout
        cluster = start or layout.root_cluster
        if not cluster:
            return self.volume.read(layout.root_start, layout.root_sectors)
        runs = self.volume.follow(cluster, max(1, MAX_FOLDER_BYTES // layout.cluster_size))
        if runs is None:
            self._problem(f"the chain of directory {path or ROOT} is broken")
            return None
        for first, length in runs:
            for number in range(first, first + length):
                if number in seen:
                    self._problem(f"directories {path or ROOT} and {seen[number] or ROOT} share clusters")
                    return None
                seen[number] = path
        self._folder_runs += [(len(self._folder_paths), first, length) for first, length in runs]
        return self.volume.read_runs(runs)

    # -- chains -------------------------------------------------------------------------------------

    def _check_chains(self) -> Chains:
        """Every file has its own clusters, as many as its size says."""
        layout = self.volume.layout
        starts = np.array([entry.start for entry in self._files], np.int32)
        sizes = np.array([entry.size for entry in self._files], np.int64)
        chains = self.volume.chains(starts)
        expected = np.maximum(-(-sizes // layout.cluster_size), 0)
        for number in np.flatnonzero((chains.faults != SOUND) | (chains.totals != expected)).tolist():
            fault = int(chains.faults[number])
            what = FAULTS.get(fault, "")
            if fault == SOUND:
                have = int(chains.totals[number]) * layout.cluster_size
                what = f"has {self._files[number].size} bytes, but clusters for {have}"
            if not self._problem(f"{self._path(number)} {what}"):
                break
        self._check_sharing(chains)
        return chains

    def _check_sharing(self, chains: Chains) -> None:
        stop = self.volume.layout.stop
        folders = np.array(self._folder_runs, np.int32).reshape(-1, 3)
        firsts = np.concatenate([chains.firsts, folders[:, 1]])
        behind = np.concatenate([chains.firsts + chains.lengths, folders[:, 1] + folders[:, 2]])
        users = np.cumsum(
            np.bincount(firsts, minlength=stop + 1) - np.bincount(behind, minlength=stop + 1)
        )[:stop]
        shared = np.flatnonzero(users > 1)
        if len(shared):
            cluster = int(shared[0])
            inside = (chains.firsts <= cluster) & (cluster < chains.firsts + chains.lengths)
            names = [self._path(number) for number in np.unique(chains.owners[inside])[:2].tolist()]
            names += [
                self._folder_paths[number] or ROOT
                for number, first, length in self._folder_runs
                if first <= cluster < first + length
            ]
            self._problem(f"{' and '.join(names[:2])} share clusters")
        taken = (self.volume.next > 0) | (self.volume.next == END)
        taken[:FIRST_CLUSTER] = False
        self.lost = int(np.count_nonzero(taken & (users == 0)))

    def _path(self, number: int) -> str:
        return f"{self._folder_paths[self._file_folders[number]]}\\{self._files[number].name}"

    def _problem(self, text: str) -> bool:
        """Note a problem; False when there are enough."""
        if len(self.problems) < MAX_PROBLEMS and text not in self.problems:
            self.problems.append(text)
        return len(self.problems) < MAX_PROBLEMS
