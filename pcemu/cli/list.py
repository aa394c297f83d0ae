"""`pcemu list`: the disks that are known by name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from pcemu.cli.disk_common import allocated, common, epilog, human, say
from pcemu.errors import PcemuError
from pcemu.library.names import disks_folder, known_disks

EPILOG = epilog("""
Keys of --json, for each disk:
  name, path
  size          bytes of the drive, or null when the image cannot be opened
  file_size     bytes that its file takes
  problem       why it cannot be opened, or null
  sessions      of each undo session:
    name, state   kept, interrupted, committing, damaged, or in use
    size          bytes that its drives take
    checkpoints   how many there are
    processes     who uses it, as far as the system tells
""")

HINT = "No disks yet: `pcemu get freedos` downloads one, `pcemu new NAME` makes one."


@click.command(name="list", epilog=EPILOG)
@common
def list_(as_json: bool, quiet: bool) -> None:
    """List the disks that are known by name, their size and what waits to be decided.

    They are the images in pcemu's data folder; `pcemu get` and `pcemu new` put them there, and so may you.
    """
    facts = [_facts(disk.name, disk.path) for disk in known_disks()]
    text = ""
    if not as_json:
        from pcemu.cli.tables import drawn, table

        headings = ("name", "size", "on disk", "undo state")
        rows = [
            (each["name"], _size(each), human(each["file_size"]), _undo_state(each["sessions"]))
            for each in facts
        ]
        text = drawn(table(headings, rows, right=(1, 2)), f"\nin {disks_folder()}") if rows else HINT
    say(text, facts, as_json=as_json, quiet=quiet)


def _facts(name: str, path: Path) -> dict[str, Any]:
    from pcemu.drives.drive import SECTOR_SIZE
    from pcemu.drives.open import open_drive

    size, problem = None, None
    try:
        drive = open_drive(path, read_only=True)
        size = drive.sectors * SECTOR_SIZE
        drive.close()
    except PcemuError as error:
        problem = str(error)
    return {
        "name": name,
        "path": str(path),
        "size": size,
        "file_size": allocated(path),
        "problem": problem,
        "sessions": _sessions(path),
    }


def _sessions(path: Path) -> list[dict[str, Any]]:
    from pcemu.cli.disks import session_folder
    from pcemu.drives.hostfile import HOST
    from pcemu.drives.intents import COMMIT, read_intent
    from pcemu.session.folder import sessions_of
    from pcemu.session.journal import KEPT, JournalDamaged, read_journal

    found = []
    intent = read_intent(os.path.realpath(path), HOST)
    for folder in sessions_of(os.fspath(path), os.fspath(session_folder()), HOST):
        drives = folder.drives()
        checkpoints, state = 0, "interrupted"
        users = folder.holder()
        try:
            journal = read_journal(folder.journal, HOST)
        except JournalDamaged:
            journal, state = None, "damaged"
        if journal is not None:
            checkpoints = sum(drive.frozen is not None and not drive.emptied for drive in journal.drives)
            if journal.state == KEPT:
                state = "kept"
        if intent is not None and intent.operation == COMMIT and intent.source in drives.values():
            state = "committing"
        found.append(
            {
                "name": folder.name,
                "state": "in use" if users else state,
                "size": sum(allocated(Path(drive)) for drive in drives.values()),
                "checkpoints": checkpoints,
                "processes": users,
            }
        )
    return found


def _size(facts: dict[str, Any]) -> str:
    return "?" if facts["size"] is None else human(facts["size"])


def _undo_state(sessions: list[dict[str, Any]]) -> str:
    texts = []
    for session in sessions:
        count = session["checkpoints"]
        text = f"{session['state']}: {human(session['size'])}"
        if count:
            text += f" in {count} checkpoint{'' if count == 1 else 's'}"
        if len(sessions) > 1 or session["name"] != "default":
            text = f"{session['name']} {text}"
        texts.append(text)
    return "; ".join(texts) or "–"
