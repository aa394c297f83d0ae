"""`pcemu disk put`: files of the host into the FAT partitions of any image, without running a guest.

What it writes goes into the disk's undo session, like a guest's writes, and is decided like those.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcemu.cli.disk_common import PATH, Progress, common_with_parents, epilog, say, work
from pcemu.cli.disk_files import partition_option, session_option, split_spec
from pcemu.errors import ImageAccessError, UsageError

if TYPE_CHECKING:
    from pcemu.drives.drive import Drive

PUT_EPILOG = epilog("""
Examples:
  pcemu disk put notes.txt freedos:/
  pcemu disk put game/ disk.vhd:/GAMES           a folder, with all in it
  pcemu disk put new.txt disk.img:/OLD.TXT       in place of a file
  pcemu disk put --commit notes.txt freedos:/    for good, at once

Keys of --json:
  files         how many were written
  size          bytes of all of them
  committed     whether they are in the image already
""")


@click.command(epilog=PUT_EPILOG)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=PATH)
@click.argument("spec", metavar="IMAGE:PATH")
@click.option("--commit", "for_good", is_flag=True, help="Write into the image at once.")
@partition_option
@session_option
@common_with_parents
def put(
    sources: tuple[Path, ...],
    spec: str,
    for_good: bool,
    number: int | None,
    name: str | None,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Copy files and folders of the host into a FAT partition.

    PATH is a folder that is there, or a new name. What is written goes into the disk's undo session, where
    the next `pcemu run` finds it, to be committed or discarded as what a guest wrote.
    """
    from pcemu.cli.disks import session_folder
    from pcemu.session.folder import DEFAULT_NAME
    from pcemu.session.record import State
    from pcemu.session.session import Session

    image, path = split_spec(spec)
    name = name or DEFAULT_NAME
    with Session(image, name, fallback=session_folder(), allow_outside=allow_outside) as session:
        began = session.found
        if for_good and began is not State.NEW:
            raise UsageError(
                f"{image}: has changes of an earlier session, expected none with --commit; decide that first"
            )
        drive = session.start()
        try:
            with work("copying", "nothing was changed; run it again", quiet=quiet) as progress:
                count, size = _put(drive, image, number, path, sources, progress)
            drive.flush()
        except BaseException:
            _give_up(session, began is State.NEW)
            raise
        if for_good:
            session.commit()
        else:
            session.keep()
    text = f"copied {count} file{'' if count == 1 else 's'} to {image}"
    text += "" if for_good else "'s undo session"
    say(text, {"files": count, "size": size, "committed": for_good}, as_json=as_json, quiet=quiet)


def _give_up(session: Any, is_new: bool) -> None:
    """Leave a session as it was: what was written without the end of it is in no directory."""
    with contextlib.suppress(Exception):  # the first error counts
        if is_new:
            session.discard()
        else:
            session.keep()


def _put(
    drive: Drive, image: Path, number: int | None, path: str, sources: tuple[Path, ...], progress: Progress
) -> tuple[int, int]:
    """Files and bytes that were written."""
    from pcemu.drives.fat_files import choose_partition
    from pcemu.drives.fat_writer import FatWriter
    from pcemu.library.build import write_items

    try:
        partition = choose_partition(drive, str(image), number)
        writer = FatWriter(drive, partition.start, partition.sectors, str(image))
        folder, new_name = _destination(writer, image, path, several=len(sources) > 1)
        items = []
        for source in sources:
            items += _items(source, new_name)
        write_items(writer, folder, items, progress)
        writer.finish()
    except OSError as error:
        raise ImageAccessError(
            f"{image}: cannot be written: {error.strerror}; nothing was changed"
        ) from error
    sizes = [item.size for item in items if item.size is not None]
    return len(sizes), sum(sizes)


def _destination(writer: Any, image: Path, path: str, *, several: bool) -> tuple[int, str]:
    """The folder to write into, and the new name of what is written ("" for its own)."""
    from pcemu.drives.fat_files import split_path

    folder = 0
    names = split_path(path)
    for index, name in enumerate(names):
        entry = writer.find(folder, name)
        last = index == len(names) - 1
        if entry is not None and entry.is_folder:
            folder = entry.start
        elif last and not several and not path.endswith(("/", "\\")):
            return folder, name
        else:
            what = "is a file" if entry is not None else "is not there"
            raise UsageError(f"{image}: {name} {what}, expected a folder; check the path")
    return folder, ""


def _items(source: Path, new_name: str) -> list[Any]:
    """A file or folder of the host, with all in it."""
    from pcemu.drives.fat_names import check_name
    from pcemu.library.build import Item, collect, host_stamp

    try:
        name = check_name(new_name or source.resolve().name)
        stamp = host_stamp(source)
        if not source.is_dir():
            if not source.is_file():
                raise UsageError(f"{source}: is neither a file nor a folder; give one of both")
            return [Item(source, (), name, source.stat().st_size, stamp)]
    except OSError as error:
        raise UsageError(f"{source}: cannot be read: {error.strerror}; check the path") from error
    inside = [item._replace(folders=(name, *item.folders)) for item in collect(source)]
    return [Item(source, (), name, None, stamp), *inside]
