"""`pcemu session resume`, `commit`, `discard`, `keep`, `branch` and `revert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pcemu.cli.disk_common import common, epilog, say, work
from pcemu.cli.progress import ProgressBar
from pcemu.cli.server_control import ask_server
from pcemu.cli.session_common import (
    GO_ON_COMMITTING,
    allow_outside,
    disk_argument,
    name_option,
    opened,
)

COMMIT_EPILOG = epilog(r"""
Examples:
  pcemu session commit disk.img
  pcemu session commit disk.img --only 'C:\SAVES\**' --only 'C:\AUTOEXEC.BAT'
  pcemu session commit disk.img --except '**\*.TMP'

In a pattern * stands for letters of one name, ** for any path, ? for one letter; a pattern without a folder
is looked for everywhere.

Keys of --json: image, session, sectors (how many were written), files (paths, with --only or --except).
""")

REBASE_EPILOG = epilog(r"""
Examples:
  pcemu session rebase base.vhd --session alice
  pcemu session rebase base.vhd --session alice --save-as alices-old

Keys of --json: image, session, sectors (taken over as they are), files (taken over, paths), left (paths that
were not), branch (the image that has all; "" for none).
""")

AGAIN = "nothing is lost; run it again"
disconnect_option = click.option(
    "--disconnect", is_flag=True, help="Disconnect the session's client, if a server has one."
)


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
    files: list[str] = []
    selected = bool(only or except_)
    sectors = 0
    options = {"only": only, "except": except_, "preserve_siblings": preserve_siblings}
    done = _ask_server(disk, name, "commit", quiet, **options)
    if done is not None:
        files, sectors = done["files"], done["sectors"]
        _say_committed(disk, name, sectors, files, as_json=as_json, quiet=quiet)
        return
    with opened(disk, name) as session, work("writing", GO_ON_COMMITTING, quiet=quiet) as progress:
        if selected:
            files = session.commit_files(
                only, except_, preserve_siblings=preserve_siblings, progress=progress
            )
        else:
            sectors = session.finished + session.commit(progress, preserve_siblings=preserve_siblings)
    _say_committed(disk, name, sectors, files, as_json=as_json, quiet=quiet)


def _say_committed(
    disk: Path, name: str, sectors: int, files: list[str], *, as_json: bool, quiet: bool
) -> None:
    from pcemu.drives.changes_text import amount

    if files:
        text = "\n".join([f"committed to {disk}:", *(f"  {path}" for path in files)])
    else:
        text = f"committed {amount(sectors)} to {disk}"
    document = {"image": str(disk), "session": name, "sectors": sectors, "files": files}
    say(text, document, as_json=as_json, quiet=quiet)


@click.command()
@disk_argument
@name_option
@disconnect_option
@common
def discard(disk: Path, name: str, disconnect: bool, as_json: bool, quiet: bool) -> None:
    """Throw away what DISK's session changed; DISK stays as it is. There is no way back.

    Keys of --json: image, session.
    """
    if ask_server(disk, name, "discard", disconnect=disconnect) is None:
        with opened(disk, name, started=False) as session:
            session.discard()
    document = {"image": str(disk), "session": name}
    say(f"discarded; {disk} stays as it is", document, as_json=as_json, quiet=quiet)


@click.command()
@disk_argument
@name_option
@common
def keep(disk: Path, name: str, as_json: bool, quiet: bool) -> None:
    """Finish what was interrupted, and leave the session to be decided later.

    Keys of --json: image, session, drives (how many).
    """
    from pcemu.cli.disks import typed

    done = ask_server(disk, name, "keep")
    if done is None:
        with opened(disk, name) as session:
            session.keep()
            drives = len(session.drives)
    else:
        drives = done["drives"]
    document = {"image": str(disk), "session": name, "drives": drives}
    text = f"kept; `pcemu run {typed(str(disk), name)}` goes on with it"
    say(text, document, as_json=as_json, quiet=quiet)


@click.command()
@disk_argument
@click.argument("branch_name", metavar="NAME")
@name_option
@disconnect_option
@common
def branch(disk: Path, branch_name: str, name: str, disconnect: bool, as_json: bool, quiet: bool) -> None:
    """Save what DISK's session changed as NAME.vhd beside DISK, or at a path, and end the session.

    It is a child of DISK, which must not change any more: run it with `pcemu run NAME.vhd`.

    Keys of --json: image, session, path.
    """
    done = _ask_server(disk, name, "branch", quiet, name=_as_seen_here(branch_name), disconnect=disconnect)
    if done is None:
        with opened(disk, name, started=False) as session, work("writing", AGAIN, quiet=quiet) as progress:
            path = session.branch(branch_name, progress)
    else:
        path = done["path"]
    document = {"image": str(disk), "session": name, "path": path}
    say(f"saved as {path}; {disk} stays as it is", document, as_json=as_json, quiet=quiet)


def _ask_server(
    disk: Path, session: str, action: str, quiet: bool, /, **options: Any
) -> dict[str, Any] | None:
    """As :func:`ask_server`, which shows how far the server is. Ctrl-C does not stop it."""
    with ProgressBar("writing", quiet=quiet) as bar:
        return ask_server(disk, session, action, progress=bar, **options)


def _as_seen_here(name: str) -> str:
    """A path that a server in another folder understands; a bare name stays one."""
    return str(Path(name).absolute()) if Path(name).name != name else name


@click.command(epilog=REBASE_EPILOG)
@disk_argument
@name_option
@click.option(
    "--save-as",
    metavar="NAME",
    default="",
    help="Where there are conflicts: save all as a branch, leave them out.",
)
@disconnect_option
@common
def rebase(disk: Path, name: str, save_as: str, disconnect: bool, as_json: bool, quiet: bool) -> None:
    """Put what DISK's session changed on DISK as others left it, who committed since the session began.

    That is for sessions of `pcemu serve --per-client-undo`. What changed is taken over sector by sector
    where nobody else wrote, else file by file. Conflicts are named and nothing is done, unless --save-as
    first saves the session as a branch: then the rest is taken over.
    """
    from pcemu.drives.changes_text import amount

    done = _ask_server(disk, name, "rebase", quiet, save_as=_as_seen_here(save_as), disconnect=disconnect)
    if done is None:
        with opened(disk, name) as session, work("writing", AGAIN, quiet=quiet) as progress:
            done = session.rebase(save_as, progress)._asdict()
            session.keep()
    lines = [f"rebased {amount(done['sectors'])} of {disk}" if not done["files"] else f"rebased of {disk}:"]
    lines += [f"  {path}" for path in done["files"]]
    if done["branch"]:
        lines.append(f"all is saved as {done['branch']}; left out because of conflicts:")
        lines += [f"  {path}" for path in done["left"]] or ["  sectors that are in no file"]
    document = {"image": str(disk), "session": name, **done}
    say("\n".join(lines), document, as_json=as_json, quiet=quiet)


@click.command()
@disk_argument
@click.argument("checkpoint")
@name_option
@common
def revert(disk: Path, checkpoint: str, name: str, as_json: bool, quiet: bool) -> None:
    """Throw away what was written after CHECKPOINT: its number, its name, or "start".

    Keys of --json: image, session, checkpoint (a number, 0 for the start).
    """
    with opened(disk, name, started=False) as session:
        number = session.find(checkpoint)
        session.revert(number)
        session.keep()
    where = f"checkpoint {number}" if number else "the start"
    document = {"image": str(disk), "session": name, "checkpoint": number}
    say(f"{disk} is at {where} of its session", document, as_json=as_json, quiet=quiet)
