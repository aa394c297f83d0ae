"""`pcemu disk create`: new images."""

from __future__ import annotations

from pathlib import Path

import click

from pcemu.cli.disk_common import (
    DISK,
    FORMATS,
    NEW_FORMATS,
    PATH,
    Size,
    common_with_parents,
    epilog,
    format_for,
    human,
    say,
    warner,
    work,
)
from pcemu.drives.probe import Format
from pcemu.errors import UsageError

EPILOG = epilog("""
Examples:
  pcemu disk create disk.vhd 500M             a dynamic VHD, which grows as it is written
  pcemu disk create -f fixed disk.vhd 2G      a fixed one, for every program there is
  pcemu disk create disk.img 40M              a raw image
  pcemu disk create -b disk.img child.vhd     a child: disk.img stays as it is
  pcemu disk create -b old.vhd big.vhd 4G     a child that is larger than its parent
  pcemu disk create -b nbd://host/base child.vhd          a child of an image on a server

Keys of --json:
  image         the path as given
  format        raw, fixed, dynamic or differencing
  size          bytes of the drive
  file_size     bytes of the file
  parent        the path of its parent, or null
""")


@click.command(epilog=EPILOG)
@click.argument("image", type=PATH)
@click.argument("size", type=Size(), required=False)
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(NEW_FORMATS),
    help="[default: dynamic for .vhd, raw for .img]",
)
@click.option("-b", "--parent", metavar="PATH|URL", type=DISK, help="Make a child of this image.")
@click.option(
    "-F", "--parent-format", type=click.Choice(FORMATS), help="The parent's. [default: as it looks]"
)
@click.option(
    "--block-size",
    metavar="SIZE",
    type=Size(),
    help="Of a dynamic image or a child; Windows takes 512K and 2M. [default: 2M, the parent's, or more for "
    "drives above 40 GiB]",
)
@common_with_parents
def create(
    image: Path,
    size: int | None,
    form: str | None,
    parent: Path | None,
    parent_format: str | None,
    block_size: int | None,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make IMAGE, a new drive of SIZE bytes, all zeros; or with -b a child of another image.

    What is there is never written over. A parent that cannot be used itself is refused.
    """
    from pcemu.drives.create import create_differencing  # brings construct

    if parent is not None and form is not None:
        raise UsageError(f"{image}: a child is a differencing VHD, expected no --format; leave it out")
    if parent is None and size is None:
        raise UsageError(f"{image}: has no SIZE, expected such as 500M; or name its parent with -b")
    with work("creating", f"run it again if {image} is not there", quiet=quiet):
        if parent is not None:
            form = "differencing"
            known = None if parent_format is None else Format(parent_format)
            _check_parent(image, parent, known, allow_outside, quiet)
            create_differencing(image, parent, size=size, block_size=block_size, parent_format=known)
        else:
            form = format_for(image, form)
            assert size is not None
            _create(image, form, size, block_size)
    _report(image, form, parent, as_json, quiet)


def _create(image: Path, form: str, size: int, block_size: int | None) -> None:
    from pcemu.drives import create as engine  # brings construct

    if block_size is not None and form != "dynamic":
        raise UsageError(f"{image}: a {form} image has no blocks, expected no --block-size; leave it out")
    if form == "dynamic":
        engine.create_dynamic(image, size, block_size=block_size)
    elif form == "fixed":
        engine.create_fixed(image, size)
    else:
        engine.create_raw(image, size)


def _check_parent(image: Path, parent: Path, known: Format | None, allow_outside: bool, quiet: bool) -> None:
    """Refuse a parent that could not be used with all that it is built on, as its child could not be, too."""
    from pcemu.drives.chain import MAX_OWNERS
    from pcemu.drives.open import open_drive
    from pcemu.drives.tree import ancestors_of

    layers = 2 + len(ancestors_of(parent, allow_outside=allow_outside))
    if layers >= MAX_OWNERS:
        raise UsageError(
            f"{image}: would have {layers} layers, expected less than {MAX_OWNERS}; merge some of "
            "its parents with `pcemu disk merge`"
        )
    drive = open_drive(parent, read_only=True, format=known, allow_outside=allow_outside)
    for text in drive.warnings:
        warner(quiet=quiet)(text)
    drive.close()


def _report(image: Path, form: str, parent: Path | None, as_json: bool, quiet: bool) -> None:
    from pcemu.drives.facts import facts_about

    facts = facts_about(image, Format.RAW if form == "raw" else None)
    text = f"{image}: {form}, {human(facts.size)}"
    if parent is not None:
        text += f", a child of {parent}"
    keys = {
        "image": str(image),
        "format": form,
        "size": facts.size,
        "file_size": facts.file_size,
        "parent": None if parent is None else str(parent),
    }
    say(text, keys, as_json=as_json, quiet=quiet)
