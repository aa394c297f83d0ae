"""New disks: a folder of the host's as a bootable FAT disk."""

from __future__ import annotations

import os
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from pcemu.drives.create import check_size, new_footer, sparse_parts
from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.fat import NotFat, Volume
from pcemu.drives.fat_files import choose_partition, find_place
from pcemu.drives.fat_format import System, format_volume, label_bytes, partition_disk, system_of
from pcemu.drives.fat_names import check_name
from pcemu.drives.fat_tree import Tree
from pcemu.drives.fat_writer import MAX_FILE, ROOT, FatWriter, stamp_of
from pcemu.drives.hostfile import HOST, HostFile
from pcemu.drives.newfile import write_new
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Ends
from pcemu.drives.raw import RawDrive
from pcemu.errors import ImageAccessError, ImageFormatError, UsageError
from pcemu.resources import resource

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

KERNEL, SHELL = "KERNEL.SYS", "COMMAND.COM"
START_UP = ("AUTOEXEC.BAT", "FDAUTO.BAT")
PLAIN_START_UP = b"@ECHO OFF\r\nPROMPT $P$G\r\n"
VHD = ".vhd"


class Item(NamedTuple):
    """A file or folder of the host; ``folders`` are the names above it on the disk."""

    source: Path
    folders: tuple[str, ...]
    name: str
    size: int | None  # None for a folder
    stamp: int


class SystemFiles(NamedTuple):
    """What makes a disk start FreeDOS."""

    system: System
    kernel: bytes
    shell: bytes


def host_stamp(path: Path) -> int:
    """When a file was last written, as FAT packs it, in local time."""
    return stamp_of(*time.localtime(path.stat().st_mtime)[:6])


def collect(folder: Path) -> list[Item]:
    """All files and folders in a folder, as they would be on a FAT disk. UsageError, ImageAccessError."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: is no folder, expected one whose files go on the disk")
    try:
        return list(_walk(folder, ()))
    except OSError as error:
        raise ImageAccessError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _walk(folder: Path, above: tuple[str, ...]) -> Iterator[Item]:
    seen: dict[str, str] = {}
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        try:
            name = check_name(entry.name)
        except UsageError as error:
            raise UsageError(f"{folder}: {error}") from None
        if name.upper() in seen:
            raise UsageError(
                f"{path}: differs from {seen[name.upper()]} in the case of its letters alone, expected names "
                f"that DOS can tell apart; rename one"
            )
        seen[name.upper()] = name
        status = entry.stat()
        if stat.S_ISREG(status.st_mode):
            if status.st_size > MAX_FILE:
                raise UsageError(
                    f"{path}: has {status.st_size} bytes, expected at most {MAX_FILE} in a file on FAT"
                )
            yield Item(path, above, name, status.st_size, host_stamp(path))
        elif stat.S_ISDIR(status.st_mode) and not entry.is_symlink():
            yield Item(path, above, name, None, host_stamp(path))
            yield from _walk(path, (*above, name))
        else:
            raise UsageError(f"{path}: is neither a file nor a folder; move it away")


def read_system(image: Path) -> SystemFiles:
    """Kernel, shell and boot sector of an image with FreeDOS. ImageError."""
    drive = open_drive(image, read_only=True)
    try:
        partition = choose_partition(drive, str(image))
        tree = Tree(Volume(drive, partition.start, partition.sectors))
        files = [_system_file(tree, name, image) for name in (KERNEL, SHELL)]
        return SystemFiles(system_of(drive, partition.start, partition.sectors), *files)
    except (NotFat, ValueError) as error:
        raise ImageFormatError(f"{image}: {error}, expected a sound disk with FreeDOS") from error
    except OSError as error:
        raise ImageAccessError(f"{image}: cannot be read: {error.strerror}") from error
    finally:
        drive.close()


def _system_file(tree: Tree, name: str, image: Path) -> bytes:
    """A system file, from the root, or from wherever it is."""
    try:
        entry = find_place(tree, name, str(image)).entry
    except UsageError:
        entry = next((each for _, each in tree.walk() if each.name.upper() == name), None)
    if entry is None:
        raise ImageFormatError(
            f"{image}: has no {name}, expected a disk with FreeDOS; name another with --system"
        )
    return tree.read_file(entry)


class NewDisk(NamedTuple):
    """What a new disk is to be; ``size`` in bytes, ``kind`` 16 or 32 or None for the usual."""

    size: int
    items: list[Item]
    system: SystemFiles | None
    label: str = ""
    kind: int | None = None


def build_disk(path: Path, new: NewDisk, progress: Progress) -> str:
    """Make the image ``path``, a VHD or raw as its suffix says; ``FAT16``. UsageError, ImageError.

    It gets its name when it is whole; nothing is ever written over.
    """
    size = -(-new.size // SECTOR_SIZE) * SECTOR_SIZE
    check_size(path, size)
    if new.label:
        label_bytes(new.label)
    kind = new.kind
    if new.system is not None:
        kind = new.system.system.kind
        if new.kind not in (None, kind):
            raise UsageError(
                f"the system's boot sector is for FAT{kind}, expected one for FAT{new.kind}; leave --fat out"
            )
    made = []

    def fill(file: HostFile) -> None:
        drive = _drive_on(file, path)
        made.append(_fill(drive, new, kind, progress))
        drive.flush()

    parts = [(size - SECTOR_SIZE, bytes(SECTOR_SIZE))]
    if path.suffix.lower() == VHD:
        from pcemu.drives.create import DEFAULT_BLOCK_SIZE, block_size_for
        from pcemu.drives.vhd_layout import FOOTER_SIZE, TYPE_DYNAMIC

        footer = new_footer(TYPE_DYNAMIC, size, FOOTER_SIZE)
        block_size = block_size_for(path, size, None, DEFAULT_BLOCK_SIZE)
        parts = sparse_parts(footer, block_size, None, str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageAccessError(f"{path.parent}: cannot be made: {error.strerror}") from error
    write_new(str(path), parts, HOST, fill)
    return made[0]


def _drive_on(file: HostFile, path: Path) -> Drive:
    if path.suffix.lower() != VHD:
        return RawDrive.on(file)
    from pcemu.drives.chain import Chain
    from pcemu.drives.sparse import SparseLayer
    from pcemu.drives.vhd_header import read_facts

    return Chain([SparseLayer(file, read_facts(Ends(file)))])


def _fill(drive: Drive, new: NewDisk, kind: int | None, progress: Progress) -> str:
    now = int(time.time())
    stamp = stamp_of(*time.localtime(now)[:6])
    start, sectors, geometry, shape = partition_disk(drive, kind, resource("mbr.bin").read_bytes())
    code = resource("nosystem.bin").read_bytes() if new.system is None else new.system.system
    serial = zlib.crc32(f"{now} {os.getpid()}".encode())
    format_volume(
        drive, start, sectors, shape, geometry, code=code, label=new.label, serial=serial, stamp=stamp
    )
    writer = FatWriter(drive, start, sectors, "the new disk")
    if new.system is not None:
        _write_system(writer, new.items, new.system, stamp)
    write_items(writer, ROOT, new.items, progress)
    writer.finish()
    return f"FAT{shape.kind}"


def _write_system(writer: FatWriter, items: list[Item], system: SystemFiles, stamp: int) -> None:
    """The kernel comes first, as some boot sectors want it; what the user brings along wins."""
    own = {item.name.upper() for item in items if not item.folders}
    files = [(KERNEL, system.kernel), (SHELL, system.shell)]
    if own.isdisjoint(START_UP):  # without any, the shell asks for date and time at each start
        files.append((START_UP[0], PLAIN_START_UP))
    for name, content in files:
        if name not in own:
            writer.write_file(ROOT, name, BytesIO(content), len(content), stamp)


def write_items(writer: FatWriter, into: int, items: list[Item], progress: Progress) -> None:
    """Write files and folders of the host into a folder of a volume. UsageError, ImageAccessError."""
    total = sum(item.size or 0 for item in items)
    done = 0
    folders: dict[tuple[str, ...], int] = {(): into}
    for item in items:
        parent = folders[item.folders]
        if item.size is None:
            folders[(*item.folders, item.name)] = writer.make_folder(parent, item.name, item.stamp)
            continue
        try:
            content = item.source.open("rb")
        except OSError as error:
            raise ImageAccessError(f"{item.source}: cannot be read: {error.strerror}") from error
        with content:
            writer.write_file(parent, item.name, content, item.size, item.stamp)
        done += item.size
        progress(done, total)
