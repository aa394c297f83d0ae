"""`pcemu disk check` and `repair`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from pcemu.cli.disk_common import (
    FORMATS,
    common,
    common_with_parents,
    epilog,
    image_argument,
    say,
    work,
)
from pcemu.drives.probe import Format
from pcemu.errors import ImageError

FOUND = 1  # exit code

CHECK_EPILOG = epilog("""
Examples:
  pcemu disk check child.vhd
  pcemu disk check --data disk.vhd            read every sector, too

Keys of --json, which is printed for damaged images, too:
  image         the path as given
  usable        false when opening it fails
  error         the sentence that opening it fails with, "" when it does not
  findings      a list of sentences: what should be seen to
  layers        the paths of all layers, the ultimate parent first; empty when opening fails

Exit codes: 0 all is well, 1 it can be used but something was found, 3 it or its parent is missing,
4 it is damaged or has a wrong parent, 5 it is busy, holds half of a commit, or cannot be read.
""")

REPAIR_EPILOG = epilog("""
Example:
  pcemu disk repair disk.vhd

Keys of --json: image, and done, a list of sentences; empty when all was well.
""")


@click.command(epilog=CHECK_EPILOG)
@image_argument
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), help="[default: as the image looks]")
@click.option("--data", is_flag=True, help="Read every sector, too.")
@common_with_parents
@click.pass_context
def check(
    ctx: click.Context,
    /,
    image: Path,
    form: str | None,
    data: bool,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Look whether IMAGE and all that it is built on are as they should be. Nothing is changed."""
    from pcemu.drives import check as engine

    known = None if form is None else Format(form)
    document = {"image": str(image), "usable": True, "error": "", "findings": [], "layers": []}
    try:
        with work("checking", "it was not checked to the end", quiet=quiet) as progress:
            found = engine.check(
                image, data=data, format=known, allow_outside=allow_outside, progress=progress
            )
    except ImageError as error:
        if as_json:
            say("", document | {"usable": False, "error": str(error)}, as_json=True, quiet=quiet)
        raise
    document |= {"findings": list(found.findings), "layers": list(found.layers)}
    count = len(found.layers)
    well = f"{image}: no errors{f' in {count} layers' if count > 1 else ''}"
    say("\n".join(found.findings) or well, document, as_json=as_json, quiet=quiet)
    ctx.exit(FOUND if found.findings else 0)


@click.command(epilog=REPAIR_EPILOG)
@image_argument
@common
def repair(image: Path, as_json: bool, quiet: bool) -> None:
    """Restore a footer of IMAGE that is lost or damaged from its copy at the other end of the file.

    Nothing else is changed, and nothing at all where there is nothing to repair.
    """
    from pcemu.drives import repair as engine

    again = f"run it again if `pcemu disk check {shlex.quote(str(image))}` finds anything"
    with work("repairing", again, quiet=quiet):
        done = engine.repair(image)
    text = "\n".join(done) or f"{image}: there is nothing to repair"
    say(text, {"image": str(image), "done": done}, as_json=as_json, quiet=quiet)
