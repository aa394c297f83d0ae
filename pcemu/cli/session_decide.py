"""`pcemu session resume`, `commit`, `discard`, `keep`, `branch` and `revert`."""

from __future__ import annotations

from pathlib import Path

import click

from pcemu.cli.disk_common import common, epilog, say, work
from pcemu.cli.session_common import allow_outside, disk_argument, name_option, opened

COMMIT_EPILOG = epilog(r"""
Examples:
  pcemu session commit disk.img
  pcemu session commit disk.img --only 'C:\SAVES\**' --only 'C:\AUTOEXEC.BAT'
  pcemu session commit disk.img --except '**\*.TMP'

In a pattern * stands for letters of one name, ** for any path, ? for one letter; a pattern without a folder
is looked for everywhere.

Keys of --json: image, session, sectors (how many were written), files (paths, with --only or --except).
""")


@click.command(context_settings={"ignore_unknown_options": True})
@disk_argument
@name_option
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTION OF pcemu run]...")
@click.pass_context
def resume(ctx: click.Context, /, disk: Path, name: str, options: tuple[str, ...]) -> None:
    """Go on with DISK's session: as `pcemu run DISK`, which must have one."""
    from pcemu.cli.run import run

    with opened(disk, name, started=False):
        pass
    outside = ["--allow-outside"] if allow_outside() else []
    arguments = ["--session", name, *outside, *options, str(disk)]
    with run.make_context("run", arguments, parent=ctx.find_root()) as context:
        run.invoke(context)


@click.command(epilog=COMMIT_EPILOG)
@disk_argument
@name_option
@click.option("--only", metavar="PATTERN", multiple=True, help="These files alone; the rest stays undoable.")
@click.option("--except", "except_", metavar="PATTERN", multiple=True, help="All but these files.")
@click.option("--preserve-siblings", is_flag=True, help="First copy what changes to other sessions of DISK.")
@common
def commit(
    disk: Path,
    name: str,
    only: tuple[str, ...],
    except_: tuple[str, ...],
    preserve_siblings: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write what DISK's session changed into DISK, and end the session.

    With --only or --except the chosen files are written, and the session goes on with the rest.
    """
    from pcemu.drives.changes_text import amount

    files: list[str] = []
    selected = bool(only or except_)
    sectors = 0
    go_on = "nothing is lost; commit again, which goes on there"
    with opened(disk, name, started=selected) as session, work("writing", go_on, quiet=quiet) as progress:
        if selected:
            files = session.commit_files(
                only, except_, preserve_siblings=preserve_siblings, progress=progress
            )
        else:
            sectors = session.commit(progress, preserve_siblings=preserve_siblings)
    if selected:
        text = "\n".join([f"committed to {disk}:", *(f"  {path}" for path in files)])
    else:
        text = f"committed {amount(sectors)} to {disk}"
    document = {"image": str(disk), "session": name, "sectors": sectors, "files": files}
    say(text, document, as_json=as_json, quiet=quiet)


@click.command()
@disk_argument
@name_option
@common
def discard(disk: Path, name: str, as_json: bool, quiet: bool) -> None:
    """Throw away what DISK's session changed; DISK is as it was. There is no way back.

    Keys of --json: image, session.
    """
    with opened(disk, name, started=False) as session:
        session.discard()
    document = {"image": str(disk), "session": name}
    say(f"discarded; {disk} is as it was", document, as_json=as_json, quiet=quiet)


@click.command()
@disk_argument
@name_option
@common
def keep(disk: Path, name: str, as_json: bool, quiet: bool) -> None:
    """Finish what was interrupted, and leave the session to be decided later.

    Keys of --json: image, session, drives (how many).
    """
    with opened(disk, name) as session:
        session.keep()
        drives = len(session.drives)
    document = {"image": str(disk), "session": name, "drives": drives}
    say(f"kept; `pcemu run {disk}` goes on with it", document, as_json=as_json, quiet=quiet)


@click.command()
@disk_argument
@click.argument("branch_name", metavar="NAME")
@name_option
@common
def branch(disk: Path, branch_name: str, name: str, as_json: bool, quiet: bool) -> None:
    """Save what DISK's session changed as NAME.vhd beside DISK, or at a path, and end the session.

    It is a child of DISK, which must not change any more: run it with `pcemu run NAME.vhd`.

    Keys of --json: image, session, path.
    """
    go_on = "nothing is lost; run it again"
    with opened(disk, name, started=False) as session, work("writing", go_on, quiet=quiet) as progress:
        path = session.branch(branch_name, progress)
    document = {"image": str(disk), "session": name, "path": path}
    say(f"saved as {path}; {disk} is as it was", document, as_json=as_json, quiet=quiet)


@click.command()
@disk_argument
@click.argument("checkpoint")
@name_option
@common
def revert(disk: Path, checkpoint: str, name: str, as_json: bool, quiet: bool) -> None:
    """Throw away what was written after CHECKPOINT: its number, its name, or "start".

    Keys of --json: image, session, checkpoint (a number, 0 for the start).
    """
    with opened(disk, name) as session:
        number = session.find(checkpoint)
        session.revert(number)
        session.keep()
    where = f"checkpoint {number}" if number else "the start"
    document = {"image": str(disk), "session": name, "checkpoint": number}
    say(f"{disk} is at {where} of its session", document, as_json=as_json, quiet=quiet)
