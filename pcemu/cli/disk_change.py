"""`pcemu disk commit`, `discard`, `merge`, `compact`, `resize` and `relink`: commands that change images.

All are safe to interrupt and to kill: what is on disk then reads as before or as wanted.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from pcemu.cli.disk_common import (
    DISK,
    FORMATS,
    PATH,
    SizeOrMore,
    common,
    common_with_parents,
    epilog,
    human,
    image_argument,
    say,
    warner,
    work,
)
from pcemu.cli.output import ask
from pcemu.drives.probe import Format
from pcemu.errors import UsageError

UNCHANGED = "nothing was changed; run it again"

COMMIT_EPILOG = epilog("""
Examples:
  pcemu disk commit child.vhd                 into its ultimate parent, with all layers between
  pcemu disk commit --one child.vhd           into the image right below it
  pcemu disk commit -b middle.vhd child.vhd   into any image that it is built on
  pcemu disk commit -d child.vhd              and remove child.vhd, which is empty then

Keys of --json:
  image         the path as given
  target        the path of the image that was written to
  sectors       how many sectors were written
  removed       a list: the paths of the layers that are gone
""")

DISCARD_EPILOG = epilog("""
Examples:
  pcemu disk discard try.vhd
  pcemu disk discard --yes --down-to base.vhd newest.vhd

Keys of --json: image, and removed, a list of paths, the newest first.
""")

MERGE_EPILOG = epilog("""
Example, where day1 to day3 are children of one another:
  pcemu disk merge day3.vhd day1.vhd          day3.vhd holds all of it, and is a child of day1's parent

Keys of --json: image (TOP as given), and removed, a list of paths.
""")

COMPACT_EPILOG = epilog("""
Example:
  pcemu disk compact disk.vhd

Keys of --json: image, saved (bytes that the file is shorter now), and file_size.
""")

RESIZE_EPILOG = epilog("""
Examples:
  pcemu disk resize disk.vhd 2G
  pcemu disk resize disk.vhd +500M

Keys of --json: image, size (bytes of the drive), and before.
""")

RELINK_EPILOG = epilog("""
Examples:
  pcemu disk relink child.vhd moved/base.vhd
  pcemu disk relink --trust child.vhd copy.vhd    you vouch that it holds the same

Keys of --json: image, and parent (as given).
""")


@click.command(epilog=COMMIT_EPILOG)
@image_argument
@click.option(
    "-b", "--into", metavar="PATH", type=PATH, help="The image to write to. [default: the ultimate parent]"
)
@click.option("--one", is_flag=True, help="Write to the image right below, and leave those below that.")
@click.option("-d", "--remove", is_flag=True, help="Remove IMAGE afterwards; else it is an empty child.")
@click.option(
    "--preserve-siblings",
    is_flag=True,
    help="Other images on the same parent first get the sectors that would change under them.",
)
@common_with_parents
def commit(
    image: Path,
    into: Path | None,
    one: bool,
    remove: bool,
    preserve_siblings: bool,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write what IMAGE and the layers below it hold into an image that it is built on.

    The newest copy of each sector counts. Layers between are removed. Other images that are built on what
    changes are named, and it is refused, unless they are preserved. Killed or interrupted, IMAGE reads as
    before, its target is refused, and the same command goes on where it stopped.
    """
    from pcemu.drives import commit as engine
    from pcemu.drives.changes_text import amount
    from pcemu.drives.discard import discard as remove_image
    from pcemu.drives.tree import ancestors_of

    if one and into is not None:
        raise UsageError(f"{image}: --one and --into name two targets, expected one; leave one out")
    below = ancestors_of(image, allow_outside=allow_outside)
    go_on = f"nothing is lost, and {image} reads as before; commit it again to finish"
    with work("committing", go_on, quiet=quiet) as progress:
        commit_to = engine.commit_to_parent if one else partial(engine.commit, into=into)
        sectors = commit_to(
            image,
            preserve_siblings=preserve_siblings,
            allow_outside=allow_outside,
            progress=progress,
            warn=warner(quiet=quiet),
        )
        target = str(into) if into is not None else below[0 if one else -1]
        removed = [path for path in below if not Path(path).exists()]
        if remove:
            removed = [*remove_image(image), *removed]
    text = f"committed {amount(sectors)} to {target}{_gone(removed)}"
    document = {"image": str(image), "target": target, "sectors": sectors, "removed": removed}
    say(text, document, as_json=as_json, quiet=quiet)


@click.command(epilog=DISCARD_EPILOG)
@image_argument
@click.option("--down-to", metavar="PATH", type=PATH, help="Remove the layers between, too; not PATH itself.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where nobody can be asked.")
@common
def discard(image: Path, down_to: Path | None, yes: bool, as_json: bool, quiet: bool) -> None:
    """Remove IMAGE, a child, with all that was written to it. Its parent stays as it is.

    Refused while it is in use, while others are built on it, and while a commit of it is half done.
    """
    from pcemu.drives import discard as engine
    from pcemu.drives.facts import facts_about

    child = facts_about(image).child
    empty = child is not None and child.empty and down_to is None
    if not (yes or empty):
        _ask(image, down_to)
    with work("discarding", f"what is left is whole; discard {image} again", quiet=quiet):
        removed = engine.discard(image, down_to)
    say(
        f"discarded {', '.join(removed)}",
        {"image": str(image), "removed": removed},
        as_json=as_json,
        quiet=quiet,
    )


def _ask(image: Path, down_to: Path | None) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{image}: would be lost and nobody can be asked, expected --yes; add it")
    what = f"{image}" if down_to is None else f"{image} and all down to {down_to}"
    ask(f"Discard {what}? What was written there is lost. [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError(f"{image}: was not discarded; nothing was changed")


@click.command(epilog=MERGE_EPILOG)
@click.argument("top", type=PATH)
@click.argument("bottom", type=PATH)
@common_with_parents
def merge(top: Path, bottom: Path, allow_outside: bool, as_json: bool, quiet: bool) -> None:
    """Make one layer, TOP, of all layers from BOTTOM up to it.

    What is built on TOP reads the same. The other layers are removed, unless others are built on them.
    """
    from pcemu.drives import merge as engine

    go_on = "nothing is lost, and all images read as before; run it again to finish"
    with work("merging", go_on, quiet=quiet) as progress:
        removed = engine.merge(
            top, bottom, allow_outside=allow_outside, progress=progress, warn=warner(quiet=quiet)
        )
    say(
        f"{top}: holds the merged layers{_gone(removed)}",
        {"image": str(top), "removed": removed},
        as_json=as_json,
        quiet=quiet,
    )


@click.command(epilog=COMPACT_EPILOG)
@image_argument
@common_with_parents
def compact(image: Path, allow_outside: bool, as_json: bool, quiet: bool) -> None:
    """Write IMAGE, dynamic or a child, anew, without what it does not need.

    These are zeros, sectors that its parent has alike, and gaps. Its disk must have room for it twice.
    """
    from pcemu.drives import compact as engine

    with work("compacting", UNCHANGED, quiet=quiet) as progress:
        saved = engine.compact(
            image, allow_outside=allow_outside, progress=progress, warn=warner(quiet=quiet)
        )
    size = image.stat().st_size
    say(
        f"{image}: {human(size)}, {human(max(0, saved))} less than before",
        {"image": str(image), "saved": saved, "file_size": size},
        as_json=as_json,
        quiet=quiet,
    )


@click.command(epilog=RESIZE_EPILOG)
@image_argument
@click.argument("size", type=SizeOrMore())
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), help="[default: as the image looks]")
@common
def resize(image: Path, size: tuple[bool, int], form: str | None, as_json: bool, quiet: bool) -> None:
    """Make the drive in IMAGE SIZE bytes large, or larger by +SIZE.

    It can only grow; the new part reads as zeros. Partitions stay as they are.
    """
    from pcemu.drives import resize as engine
    from pcemu.drives.facts import facts_about

    known = None if form is None else Format(form)
    more, amount = size
    before = facts_about(image, known).size
    wanted = before + amount if more else amount
    with work("resizing", UNCHANGED, quiet=quiet) as progress:
        engine.grow(image, wanted, format=known, progress=progress)
    say(
        f"{image}: {human(wanted)}, was {human(before)}",
        {"image": str(image), "size": wanted, "before": before},
        as_json=as_json,
        quiet=quiet,
    )


@click.command(epilog=RELINK_EPILOG)
@image_argument
@click.argument("parent", type=DISK)
@click.option("--trust", is_flag=True, help="Take another image than the one that IMAGE was made for.")
@click.option(
    "-F", "--parent-format", type=click.Choice(FORMATS), help="The parent's. [default: as it looks]"
)
@common
def relink(
    image: Path, parent: Path, trust: bool, parent_format: str | None, as_json: bool, quiet: bool
) -> None:
    """Tell IMAGE, a child, that its parent is PARENT now: it was moved, or renamed.

    It must be the image that IMAGE was made for. With --trust another one of at most the same size is taken;
    then what IMAGE reads is only as right as that.
    """
    from pcemu.drives import relink as engine

    known = None if parent_format is None else Format(parent_format)
    with work("relinking", "run it again if the parent is still not found", quiet=quiet):
        engine.relink(image, parent, trust=trust, parent_format=known)
    say(
        f"{image}: is a child of {parent}",
        {"image": str(image), "parent": str(parent)},
        as_json=as_json,
        quiet=quiet,
    )


def _gone(removed: list[str]) -> str:
    return f"; removed {', '.join(removed)}" if removed else ""
