"""`pcemu disk ls` and `get`: files inside the FAT partitions of any image, without running a guest.

They see a disk as the guest would see it next: with what its undo session holds.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from pcemu.cli.disk_common import Progress, common_with_parents, epilog, say, work
from pcemu.cli.remote import prepare, remote_disk
from pcemu.errors import ImageAccessError, ImageFormatError, UsageError
from pcemu.library.names import find_disk

if TYPE_CHECKING:
    from pcemu.drives.drive import Drive
    from pcemu.drives.fat_files import Place
    from pcemu.drives.fat_folder import Entry
    from pcemu.drives.fat_tree import Tree

STDOUT = "-"
CHUNK_CLUSTERS = 64
ATTRIBUTE_LETTERS = ((0x01, "r"), (0x02, "h"), (0x04, "s"), (0x20, "a"))

partition_option = click.option(
    "--partition",
    "number",
    metavar="N",
    type=int,
    help="Which one: 1 to 4, from 5 on logical ones. [default: the active one]",
)
session_option = click.option(
    "--session", "name", metavar="NAME", help="A session besides the usual one, as of `pcemu run --session`."
)
base_option = click.option("--base", is_flag=True, help="The image itself, without its undo session.")


def split_spec(text: str) -> tuple[Path, str]:
    """``IMAGE:PATH`` as image and path in it; the path may be missing, and either may hold colons.

    Behind an address of an image on a server the path begins with a slash of either kind.
    """
    prepare()  # the image may be built on one on a server
    scheme, mark, rest = text.partition("://")
    if mark:
        place = max(rest.rfind(":/"), rest.rfind(":\\"))
        found = remote_disk(text if place < 0 else f"{scheme}://{rest[:place]}")
        if found is not None:
            return found, "" if place < 0 else rest[place + 1 :]
    whole = find_disk(Path(text))
    if whole.exists():
        return whole, ""
    place = text.rfind(":")
    while place > 0:
        image = find_disk(Path(text[:place]))
        if image.exists():
            return image, text[place + 1 :]
        place = text.rfind(":", 0, place)
    image_text, colon, path = text.partition(":")
    if len(image_text) == 1 and colon:  # a drive letter of Windows
        more, colon, path = path.partition(":")
        image_text += ":" + more
    return Path(image_text), path


@contextmanager
def _looking(image: Path, name: str | None, *, base: bool, allow_outside: bool) -> Iterator[Drive]:
    """The drive, for reading, with what the undo session ``name`` holds. ImageError, UsageError."""
    from pcemu.drives.open import open_drive

    top = image if base else _head(image, name)
    drive = open_drive(top, read_only=True, allow_outside=allow_outside or top is not image)
    try:
        yield drive
    except OSError as error:
        raise ImageAccessError(f"{image}: cannot be read: {error.strerror}; check its disk") from error
    finally:
        drive.close()


def _head(image: Path, name: str | None) -> Path:
    """The newest drive of a session; the image, when it has no session and none was asked for by name."""
    from pcemu.cli.disks import session_folder
    from pcemu.drives.hostfile import HOST
    from pcemu.session.folder import DEFAULT_NAME, sessions_of

    if not image.exists():
        return image
    folders = {each.name: each for each in sessions_of(os.fspath(image), os.fspath(session_folder()), HOST)}
    found = folders.get(name or DEFAULT_NAME)
    drives = list(found.drives().values()) if found is not None else []
    if not drives and name is not None:
        typed = shlex.quote(str(image))
        known = f"expected one of {', '.join(folders)}" if folders else "as it has none at all"
        raise UsageError(f"{image}: has no session {name!r}, {known}; see `pcemu session list {typed}`")
    return Path(drives[-1]) if drives else image


def _tree(drive: Drive, image: Path, number: int | None) -> Tree:
    from pcemu.drives.fat import Volume
    from pcemu.drives.fat_files import choose_partition
    from pcemu.drives.fat_tree import Tree

    partition = choose_partition(drive, str(image), number)
    return Tree(Volume(drive, partition.start, partition.sectors))


# -- ls --------------------------------------------------------------------------------------------------

LS_EPILOG = epilog("""
Examples:
  pcemu disk ls freedos
  pcemu disk ls disk.vhd:/FDOS/BIN
  pcemu disk ls 'disk.vhd:/FDOS/*.TXT'
  pcemu disk ls -r disk.img

Keys of --json, for each file and folder:
  path          from the root, with backslashes
  short         the name of 8 + 3 characters
  folder        true or false
  size          bytes
  modified      2024-02-29T13:14:15, or null
  attributes    some of r, h, s, a: read-only, hidden, system, archive
""")


@click.command(epilog=LS_EPILOG)
@click.argument("spec", metavar="IMAGE[:PATH]")
@click.option("-r", "--recursive", is_flag=True, help="Folders inside, too.")
@partition_option
@session_option
@base_option
@common_with_parents
def ls(
    spec: str,
    recursive: bool,
    number: int | None,
    name: str | None,
    base: bool,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """List the files in a folder of a FAT partition, or one file, or those that fit * and ?."""
    from pcemu.drives.fat_files import find_places, has_wildcards

    image, path = split_spec(spec)
    with _looking(image, name, base=base, allow_outside=allow_outside) as drive:
        tree = _tree(drive, image, number)
        inside = recursive or not has_wildcards(path)
        facts = [
            _facts(at, entry)
            for place in find_places(tree, path, str(image))
            for at, entry in _listed(tree, place, recursive=recursive, inside=inside)
        ]
    text = ""
    if not as_json and facts:
        from pcemu.cli.tables import drawn, table

        rows = [
            (
                "<DIR>" if each["folder"] else str(each["size"]),
                (each["modified"] or "").replace("T", " "),
                each["attributes"],
                _shown(each["path"] if recursive else each["path"].rpartition("\\")[2]),
            )
            for each in facts
        ]
        text = drawn(table(("size", "modified", "attr", "name"), rows, right=(0,)))
    say(text, facts, as_json=as_json, quiet=quiet)
    _warn(tree, image)


def _warn(tree: Tree, image: Path) -> None:
    if tree.problems:
        from pcemu.cli.output import note

        note(f"{image}: its file system is damaged ({tree.problems[0]}); some files may be missing here")


def _listed(tree: Tree, place: Place, *, recursive: bool, inside: bool) -> Iterator[tuple[str, Entry]]:
    if place.entry is not None and not (place.is_folder and inside):
        yield place.path, place.entry
        return
    above = place.path.rstrip("\\")
    if recursive:
        yield from tree.walk(place.start, above)
    else:
        for entry in tree.folders.get(place.start, ()):
            yield f"{above}\\{entry.name}", entry


def _facts(path: str, entry: Entry) -> dict[str, Any]:
    from pcemu.drives.fat_files import short_of

    letters = (letter for bit, letter in ATTRIBUTE_LETTERS if entry.attributes & bit)
    return {
        "path": path,
        "short": short_of(entry),
        "folder": entry.is_folder,
        "size": entry.size,
        "modified": _date(entry.stamp),
        "attributes": "".join(letters),
    }


def _date(stamp: int) -> str | None:
    date, time = stamp >> 16, stamp & 0xFFFF
    year, month, day = 1980 + (date >> 9), date >> 5 & 15, date & 31
    hour, minute, second = time >> 11, time >> 5 & 63, (time & 31) * 2
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return None
    return f"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def _shown(name: str) -> str:
    """A guest's name, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)


# -- get -------------------------------------------------------------------------------------------------

GET_EPILOG = epilog("""
Examples:
  pcemu disk get freedos:/AUTOEXEC.BAT
  pcemu disk get disk.vhd:/WORK ~/work            a folder, with all in it
  pcemu disk get 'disk.vhd:/WORK/*.TXT' ~/work
  pcemu disk get disk.img:/NOTE.TXT -             to stdout

Keys of --json:
  files         the paths that were written
  size          bytes of all of them
""")


@click.command(epilog=GET_EPILOG)
@click.argument("spec", metavar="IMAGE:PATH")
@click.argument("target", metavar="[DEST]", type=click.Path(), required=False)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@partition_option
@session_option
@base_option
@common_with_parents
def get(
    spec: str,
    target: str | None,
    force: bool,
    number: int | None,
    name: str | None,
    base: bool,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Copy a file or folder, or those that fit * and ?, out of a FAT partition, here or to DEST."""
    from pcemu.drives.fat_files import find_places, has_wildcards, host_name

    image, path = split_spec(spec)
    with (
        _looking(image, name, base=base, allow_outside=allow_outside) as drive,
        work("copying", "what was copied is whole; run it again for the rest", quiet=quiet) as progress,
    ):
        tree = _tree(drive, image, number)
        places = find_places(tree, path, str(image))
        if target == STDOUT:
            for place in places:
                if place.entry is None or place.is_folder:
                    raise UsageError(f"{spec}: is a folder, expected a file for stdout; name a file in it")
                _copy(tree, place.entry, sys.stdout.buffer, image)
            return
        names = [image.stem if each.entry is None else host_name(each.entry) for each in places]
        if has_wildcards(path):
            where = _folder(target or ".")
            wanted = [(each, where / own) for each, own in zip(places, names, strict=True)]
        else:
            where = _destination_of(places[0], names[0], target)
            wanted = [(places[0], where)]
        files = {to: entry for place, start in wanted for to, entry in _out(tree, place, start)}
        written = _copy_all(tree, files, where, image, progress, force=force)
    size = sum(entry.size for entry in files.values())
    text = f"copied {len(written)} file{'' if len(written) == 1 else 's'} to {where}"
    say(text, {"files": [str(each) for each in written], "size": size}, as_json=as_json, quiet=quiet)
    _warn(tree, image)


def _folder(path: str | Path) -> Path:
    if not Path(path).is_dir():
        raise UsageError(f"{path}: is no folder, expected one to copy into; make it, or give another DEST")
    return Path(path)


def _destination_of(place: Place, own: str, target: str | None) -> Path:
    """The name to copy to: in DEST where that is a folder, else DEST itself."""
    where = Path(target or own)
    if target and where.is_dir():
        return where / own
    if not place.is_folder:
        _folder(target if target and target.endswith(os.sep) else where.parent)
    return where


def _out(tree: Tree, place: Place, where: Path) -> Iterator[tuple[Path, Entry]]:
    """Where each file goes. A guest chose the names: none leads out of the folder."""
    from pcemu.drives.fat_files import Place, host_name

    if place.entry is not None and not place.is_folder:
        yield where, place.entry
        return
    for entry in tree.folders.get(place.start, ()):
        yield from _out(tree, Place(f"{place.path}\\{entry.name}", entry), where / host_name(entry))


def _copy_all(
    tree: Tree, files: dict[Path, Entry], where: Path, image: Path, progress: Progress, *, force: bool
) -> list[Path]:
    for path in files:
        if (path.exists() or path.is_symlink()) and not force:
            raise UsageError(f"{path}: exists, expected a new name; remove it, or use --force")
    total = sum(entry.size for entry in files.values())
    done = 0
    if not files:
        where.mkdir(parents=True, exist_ok=True)
    for path, entry in files.items():
        part = path.with_name(f".{path.name[:200]}.{os.getpid()}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as file:
                _copy(tree, entry, file, image)
            part.replace(path)
        except OSError as error:
            raise ImageAccessError(f"{path}: cannot be written: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        done += entry.size
        progress(done, total)
    return list(files)


def _copy(tree: Tree, entry: Entry, file: BinaryIO, image: Path) -> None:
    volume = tree.volume
    size = volume.layout.cluster_size
    runs = volume.follow(entry.start, -(-entry.size // size)) if entry.size else []
    if runs is None or sum(length for _, length in runs) * size < entry.size:
        raise ImageFormatError(
            f"{image}: the clusters of {entry.name} are damaged, expected {entry.size} bytes; repair it with "
            f"CHKDSK in the guest"
        )
    left = entry.size
    for first, length in runs:
        for at in range(0, length, CHUNK_CLUSTERS):
            data = volume.read_runs([(first + at, min(CHUNK_CLUSTERS, length - at))])[:left]
            file.write(data)
            left -= len(data)
