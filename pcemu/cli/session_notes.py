"""`pcemu session pin` and `note`."""

from __future__ import annotations

from pathlib import Path

import click

from pcemu.cli.disk_common import common, say
from pcemu.cli.session_common import disk_argument, name_option, opened


@click.command()
@disk_argument
@click.argument("checkpoint")
@click.option("--remove", is_flag=True, help="Take the pin out again.")
@name_option
@common
def pin(disk: Path, checkpoint: str, remove: bool, name: str, as_json: bool, quiet: bool) -> None:
    """Keep CHECKPOINT (number or name) from being merged with others.

    Keys of --json: image, session, checkpoint, pinned.
    """
    with opened(disk, name, started=False) as session:
        number = session.find(checkpoint)
        session.pin(number, not remove)
    document = {"image": str(disk), "session": name, "checkpoint": number, "pinned": not remove}
    text = f"checkpoint {number} is {'not pinned any more' if remove else 'pinned'}"
    say(text, document, as_json=as_json, quiet=quiet)


@click.command()
@disk_argument
@click.argument("checkpoint")
@click.argument("text")
@click.option("--name", "checkpoint_name", metavar="NAME", help="Name the checkpoint, too.")
@name_option
@common
def note(
    disk: Path,
    checkpoint: str,
    text: str,
    checkpoint_name: str | None,
    name: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write TEXT down about CHECKPOINT (number or name).

    Keys of --json: image, session, checkpoint, note, name.
    """
    with opened(disk, name, started=False) as session:
        number = session.find(checkpoint)
        session.note(number, text)
        if checkpoint_name is not None:
            session.name_checkpoint(number, checkpoint_name)
    facts = {"checkpoint": number, "note": text, "name": checkpoint_name}
    document = {"image": str(disk), "session": name, **facts}
    say(f"noted at checkpoint {number}", document, as_json=as_json, quiet=quiet)
