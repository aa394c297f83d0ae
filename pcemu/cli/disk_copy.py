"""`pcemu disk convert`, `flatten` and `compare`: commands that read a drive from end to end."""

from __future__ import annotations

from pathlib import Path

import click

from pcemu.cli.disk_common import (
    DISK,
    FORMATS,
    NEW_FORMATS,
    PATH,
    Size,
    allocated,
    common_with_parents,
    epilog,
    format_for,
    human,
    say,
    warner,
    work,
)
from pcemu.drives.probe import Format

DIFFERENT = 1  # exit code

KEYS = """
Keys of --json:
  source, target  the paths as given
  format          the target's: raw, fixed or dynamic
  size            bytes of the drive
  file_size       bytes of the target's file
  allocated       bytes that it takes on its disk
"""

CONVERT_EPILOG = epilog(f"""
Examples:
  pcemu disk convert disk.img disk.vhd        to a dynamic VHD
  pcemu disk convert -O fixed disk.img fixed.vhd
  pcemu disk convert child.vhd whole.img      a child, with all that it reads from its parents
  pcemu disk convert s3://bucket/base.vhd base.img        an image on a server
{KEYS}""")

FLATTEN_EPILOG = epilog(f"""
Example:
  pcemu disk flatten child.vhd whole.vhd
{KEYS}""")

COMPARE_EPILOG = epilog("""
Examples:
  pcemu disk compare disk.img disk.vhd && echo the same
  pcemu disk compare --strict a.img b.img     their sizes have to be the same, too

Keys of --json:
  images            the two paths as given
  same              what the exit code says
  sizes             bytes of the two drives
  first_difference  the first sector that differs, or null

Exit codes: 0 they hold the same, 1 they do not, 3 to 5 one of them cannot be read.
""")

new_format_option = click.option(
    "-O",
    "--output-format",
    type=click.Choice(NEW_FORMATS),
    help="TARGET's. [default: dynamic for .vhd, raw for .img]",
)
block_size_option = click.option(
    "--block-size",
    metavar="SIZE",
    type=Size(),
    help="Of a dynamic TARGET; Windows takes 512K and 2M. [default: 2M, or more for drives above 40 GiB]",
)


@click.command(epilog=CONVERT_EPILOG)
@click.argument("source", type=DISK)
@click.argument("target", type=PATH)
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), help="SOURCE's. [default: as it looks]")
@new_format_option
@block_size_option
@common_with_parents
def convert(
    source: Path,
    target: Path,
    form: str | None,
    output_format: str | None,
    block_size: int | None,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make TARGET, a new image that holds what SOURCE reads as, and has no parent.

    What is empty in SOURCE takes no space in TARGET. SOURCE is not changed; TARGET must not exist.
    """
    known = None if form is None else Format(form)
    _convert(source, target, known, output_format, block_size, allow_outside, as_json, quiet)


@click.command(epilog=FLATTEN_EPILOG)
@click.argument("source", type=DISK)
@click.argument("target", type=PATH)
@new_format_option
@block_size_option
@common_with_parents
def flatten(
    source: Path,
    target: Path,
    output_format: str | None,
    block_size: int | None,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make TARGET, one image of a child and all that it is built on, which stay as they are.

    That is convert, for those who think of layers.
    """
    _convert(source, target, None, output_format, block_size, allow_outside, as_json, quiet)


def _convert(
    source: Path,
    target: Path,
    known: Format | None,
    output_format: str | None,
    block_size: int | None,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from pcemu.drives import convert as engine
    from pcemu.drives.facts import facts_about

    form = Format(format_for(target, output_format))
    with work("copying", f"there is no {target}; run it again", quiet=quiet) as progress:
        engine.convert(
            source,
            target,
            form,
            source_format=known,
            block_size=block_size,
            allow_outside=allow_outside,
            progress=progress,
            warn=warner(quiet=quiet),
        )
    facts = facts_about(target, form)
    text = f"{target}: {form}, {human(facts.size)}, takes {human(facts.allocated)}"
    document = {
        "source": str(source),
        "target": str(target),
        "format": form.value,
        "size": facts.size,
        "file_size": facts.file_size,
        "allocated": allocated(target),
    }
    say(text, document, as_json=as_json, quiet=quiet)


@click.command(epilog=COMPARE_EPILOG)
@click.argument("first", type=DISK)
@click.argument("second", type=DISK)
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), help="FIRST's. [default: as it looks]")
@click.option("-F", "--second-format", type=click.Choice(FORMATS), help="SECOND's. [default: as it looks]")
@click.option("-s", "--strict", is_flag=True, help="Drives of different sizes differ.")
@common_with_parents
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    first: Path,
    second: Path,
    form: str | None,
    second_format: str | None,
    strict: bool,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare what two images hold, whatever their formats, with all that they are built on.

    What one drive has more than the other counts as the same when it is all zeros.
    """
    from pcemu.drives import compare as engine
    from pcemu.drives.drive import SECTOR_SIZE

    formats = (
        None if form is None else Format(form),
        None if second_format is None else Format(second_format),
    )
    with work("comparing", "they were not compared to the end", quiet=quiet) as progress:
        found = engine.compare(
            first,
            second,
            formats=formats,
            allow_outside=allow_outside,
            progress=progress,
            warn=warner(quiet=quiet),
        )
    sizes = [sectors * SECTOR_SIZE for sectors in found.sectors]
    same = found.same_content and not (strict and sizes[0] != sizes[1])
    text = "they hold the same"
    if found.first_difference is not None:
        text = f"they differ, first in sector {found.first_difference}"
    if sizes[0] != sizes[1]:
        text += f"; their sizes differ: {sizes[0]} and {sizes[1]} bytes"
    document = {
        "images": [str(first), str(second)],
        "same": same,
        "sizes": sizes,
        "first_difference": found.first_difference,
    }
    say(text, document, as_json=as_json, quiet=quiet)
    ctx.exit(0 if same else DIFFERENT)
