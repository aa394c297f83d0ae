"""`pcemu session list` and `show`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcemu.cli.disk_common import DISK, common, epilog, human, say
from pcemu.cli.session_common import age_text, date_text, disk_argument, name_option, opened, session_row

if TYPE_CHECKING:
    from rich.text import Text

    from pcemu.drives.changes import Changes
    from pcemu.session.folder import SessionFolder
    from pcemu.session.journal import DriveNote
    from pcemu.session.session import Session

MAX_OF_ONE = 5  # files shown of one drive of many
NONE_HERE = "no sessions in this folder; `pcemu list` tells of the disks known by name"

LIST_EPILOG = epilog("""
Examples:
  pcemu session list                        of all images in this folder
  pcemu session list disk.img other/
  pcemu session list --json

Keys of --json: a list of image, session, state (active, kept, interrupted, committing, damaged), created
(seconds since 1970), checkpoints (how many), size (bytes on disk), in_use_by (process numbers), folder.
""")

SHOW_EPILOG = epilog("""
Keys of --json: image, session, state, created, changes (see below, of the whole session), and drives, from
the oldest to the newest, each with number, checkpoint (false for the newest), began, frozen, automatic, name,
note, pinned, size (bytes on disk), changes.

changes: sectors, size, preserved (sectors that hold what the image held before files were committed),
partition_table, boot_code, problems, and volumes, each with name, system, sectors, boot_sector, formatted,
unknown, problems, files: kind (added, modified, deleted, renamed), path, is_folder, old_size, size, old_path.
""")


@click.command(name="list", epilog=LIST_EPILOG)
@click.argument("places", nargs=-1, type=DISK, metavar="[DISK|FOLDER]...")
@common
def list_(places: tuple[Path, ...], as_json: bool, quiet: bool) -> None:
    """List the sessions of DISKs, or of all images in FOLDERs (this one), that were not decided yet.

    Nothing is locked: sessions may be in use.
    """
    from pcemu.cli.output import spoken
    from pcemu.cli.tables import drawn, table

    rows = [session_row(folder) for folder in _folders(places or (Path(),))]
    cells = [
        (
            spoken(row["image"]),
            row["session"],
            " ".join([row["state"], *(f"(process {number})" for number in row["in_use_by"])]),
            date_text(row["created"]),
            age_text(row["created"]),
            str(row["checkpoints"]),
            human(row["size"]),
        )
        for row in rows
    ]
    headings = ("image", "session", "state", "began", "age", "checkpoints", "size")
    none = "no sessions" if places else NONE_HERE
    text = drawn(table(headings, cells, right=(5, 6))) if rows else none
    say(text, rows, as_json=as_json, quiet=quiet)


def _folders(places: tuple[Path, ...]) -> list[SessionFolder]:
    from pcemu.cli.disks import session_folder
    from pcemu.drives.hostfile import HOST
    from pcemu.drives.lineage import told
    from pcemu.drives.sidecar import SESSIONS
    from pcemu.errors import ImageNotFoundError
    from pcemu.session.folder import sessions_of

    found = []
    for place in places:
        with told(place, "looking for its sessions", "check the path and its disk"):
            images = [place]
            if place.is_dir():
                names = [path.name.removesuffix(SESSIONS) for path in place.glob(f"*{SESSIONS}")]
                names += [path.name for path in _images_elsewhere() if path.parent == place.resolve()]
                images = [place / name for name in names]
            for image in sorted(set(images)):
                found += sessions_of(os.fspath(image), os.fspath(session_folder()), HOST)
            if not place.exists() and not sessions_of(os.fspath(place), os.fspath(session_folder()), HOST):
                raise ImageNotFoundError(f"{place}: no such image or folder; check the path")
    return found


def _images_elsewhere() -> list[Path]:
    """The images whose sessions are in the user's own folder, as nothing could be written beside them."""
    from pcemu.cli.disks import session_folder
    from pcemu.drives.hostfile import HOST
    from pcemu.errors import ImageError
    from pcemu.session.folder import JOURNAL
    from pcemu.session.journal import read_journal

    found = []
    for path in session_folder().glob(f"*/*{JOURNAL}"):
        with contextlib.suppress(ImageError):
            journal = read_journal(os.fspath(path), HOST)
            if journal is not None:
                found.append(Path(journal.image))
    return found


@click.command(epilog=SHOW_EPILOG)
@disk_argument
@name_option
@common
def show(disk: Path, name: str, as_json: bool, quiet: bool) -> None:
    """Draw the drives of DISK's session from the image up: when each was made, and what it changed."""
    from pcemu.cli.tables import drawn
    from pcemu.drives.changes_text import MAX_FILES, describe

    with opened(disk, name) as session:
        whole = session.changes()
        sizes = session.sizes()
        changes = {drive.number: session.changes_of(drive.number) for drive in session.drives}
        document = {
            "image": str(disk),
            "session": name,
            "state": session.found.value,
            "created": session.created,
            "changes": _changes(whole),
            "drives": [
                _drive(drive, sizes.get(drive.number, 0), changes[drive.number]) for drive in session.drives
            ],
        }
        if as_json:
            text = ""
        elif len(session.drives) == 1:  # whose changes are all
            text = drawn(_picture(session, {session.drives[0].number: whole}, sizes, MAX_FILES))
        else:
            text = drawn(_picture(session, changes, sizes, MAX_OF_ONE), "", *describe(whole))
    say(text, document, as_json=as_json, quiet=quiet)


def _picture(session: Session, changes: dict[int, Changes], sizes: dict[int, int], max_files: int) -> Any:
    from rich.text import Text
    from rich.tree import Tree

    from pcemu.cli.output import spoken
    from pcemu.drives.changes_text import describe

    top = branch = Tree(Text(spoken(session.image), "bold"))
    top.label.append("  the image as it is", "not bold")  # type: ignore[union-attr]
    for drive in session.drives:
        branch = branch.add(_label(drive, changes[drive.number], sizes.get(drive.number, 0)))
        for line in describe(changes[drive.number], max_files)[1:]:
            branch.label.append(f"\n{line}", "not bold dim")  # type: ignore[union-attr]
    return top


def _label(drive: DriveNote, changes: Changes, size: int) -> Text:
    from rich.text import Text

    from pcemu.drives.changes_text import amount

    if drive.frozen is None:
        text = Text("now", "bold green")
        since = drive.began
    else:
        text = Text(f"{drive.number}", "bold")
        text.append(f" {drive.name}" if drive.name else (" (automatic)" if drive.automatic else ""))
        since = drive.frozen
    word = "since" if drive.frozen is None else "at"
    text.append(f"  {word} {date_text(since)}, {age_text(since)} ago, ", "not bold")
    text.append(f"{amount(changes.sectors)} changed, takes {human(size)}", "not bold")
    if drive.pinned:
        text.append("  pinned", "not bold yellow")
    if drive.note:
        text.append(f"\n“{drive.note}”", "not bold italic")
    return text


def _drive(drive: DriveNote, size: int, changes: Changes) -> dict[str, Any]:
    return {
        "number": drive.number,
        "checkpoint": drive.frozen is not None,
        "began": drive.began,
        "frozen": drive.frozen,
        "automatic": drive.automatic,
        "name": drive.name,
        "note": drive.note,
        "pinned": drive.pinned,
        "size": size,
        "changes": _changes(changes),
    }


def _changes(changes: Changes) -> dict[str, Any]:
    volumes = []
    for volume in changes.volumes:
        fields = volume._asdict()
        del fields["number"]
        volumes.append({**fields, "files": [change._asdict() for change in volume.files]})
    return {
        "sectors": changes.sectors,
        "size": changes.size,
        "preserved": changes.preserved,
        "partition_table": changes.partition_table,
        "boot_code": changes.boot_code,
        "problems": changes.problems,
        "volumes": volumes,
    }
