"""`pcemu disk info`: what an image is. It is not locked, and may be in use."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcemu.cli.disk_common import FORMATS, common_with_parents, epilog, human, image_argument, say
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.probe import Format

if TYPE_CHECKING:
    from pcemu.drives.facts import ImageFacts

EPILOG = epilog("""
Examples:
  pcemu disk info disk.vhd
  pcemu disk info --chain child.vhd           with all that it is built on, the ultimate parent last
  pcemu disk info --json child.vhd
  pcemu disk info nbd://host/export           an image on a server, and what is kept of it here

Keys of --json, with --chain of each object in a list:
  image         the path
  format        raw, fixed, dynamic or differencing
  size, sectors, geometry (cylinders, heads, sectors)     of the drive
  file_size     bytes of the file
  allocated     bytes that the file takes on its disk
  id            32 hexadecimal digits; null for a raw image
  creator       the program that made it, four letters; null for a raw image
  created       when, as ISO 8601 in UTC; null for a raw image
  block_size, blocks, blocks_used                         null for a raw or fixed image
  footer_lost   true when `pcemu disk repair` is needed
  parent        null, or path (null when it is missing), id, missing (a sentence, "" when it is there)
  pending       null, or the operation that was interrupted: operation, source
  in_use_by     a list of process numbers
  url           the address of the image on a server that this is the cache of, or null
""")


@click.command(epilog=EPILOG)
@image_argument
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), help="[default: as the image looks]")
@click.option("--chain", "whole", is_flag=True, help="Go on with its parent, and that one's.")
@common_with_parents
def info(
    image: Path, form: str | None, whole: bool, allow_outside: bool, as_json: bool, quiet: bool
) -> None:
    """Say what IMAGE is: format, sizes, geometry, parent, who uses it.

    A parent outside the child's folder is named, but looked into only when that is allowed.
    """
    from pcemu.cli.tables import drawn
    from pcemu.cli.tables import facts as facts_table
    from pcemu.drives.facts import facts_about
    from pcemu.drives.registry import read_child

    found = [facts_about(image, None if form is None else Format(form))]
    seen = {found[0].path}
    while whole and found[-1].child is not None:
        child = read_child(found[-1].path, allow_outside=allow_outside)
        found[-1] = found[-1]._replace(child=child)
        if child is None or child.parent is None or child.parent.real in seen:
            break
        seen.add(child.parent.real)
        raw = Format.RAW if child.kept is not None else None
        found.append(facts_about(child.parent.path, raw))
    text = "\n\n".join(drawn(facts_table(_rows(facts))) for facts in found)
    documents = [_document(facts) for facts in found]
    say(text, documents if whole else documents[0], as_json=as_json, quiet=quiet)


def _rows(facts: ImageFacts) -> list[tuple[str, str]]:
    cylinders, heads, sectors = facts.geometry
    rows = [
        *([] if facts.url is None else [("address", facts.url)]),
        ("image", facts.path),
        ("format", _format(facts)),
        ("drive", f"{human(facts.size)} ({facts.size // SECTOR_SIZE} sectors)"),
        ("geometry", f"{cylinders} cylinders, {heads} heads, {sectors} sectors"),
        ("file", f"{human(facts.file_size)}, takes {human(facts.allocated)}"),
    ]
    if facts.block_size is not None:
        rows.append(("blocks", f"{facts.blocks_used} of {facts.blocks} used, {human(facts.block_size)} each"))
    if facts.unique_id is not None:
        rows.append(("id", facts.unique_id.hex()))
        rows.append(("made", f"{_date(facts.created)} by {facts.creator!r}"))
    if facts.child is not None:
        place = facts.child.parent
        rows.append(("parent", facts.child.missing if place is None else place.path))
    if facts.footer_lost:
        rows.append(("damage", "the footer at its end is lost; `pcemu disk repair` restores it"))
    if facts.pending is not None:
        rows.append(("interrupted", f"a {facts.pending.operation} of {facts.pending.source}; run it again"))
    if facts.in_use_by:
        rows.append(("in use by", ", ".join(f"process {number}" for number in facts.in_use_by)))
    return rows


def _format(facts: ImageFacts) -> str:
    if facts.url is not None:
        return "the cache of an image on a server"
    return facts.format.value if facts.format is Format.RAW else f"VHD, {facts.format}"


def _date(seconds: int | None) -> str:
    return datetime.datetime.fromtimestamp(seconds or 0, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _document(facts: ImageFacts) -> dict[str, Any]:
    child, pending = facts.child, facts.pending
    parent = None
    if child is not None:
        path = None if child.parent is None else child.parent.path
        parent = {"path": path, "id": child.parent_id.hex(), "missing": child.missing}
    return {
        "image": facts.path,
        "format": facts.format.value,
        "size": facts.size,
        "sectors": facts.size // SECTOR_SIZE,
        "geometry": facts.geometry._asdict(),
        "file_size": facts.file_size,
        "allocated": facts.allocated,
        "id": None if facts.unique_id is None else facts.unique_id.hex(),
        "creator": facts.creator,
        "created": None if facts.created is None else _date(facts.created),
        "block_size": facts.block_size,
        "blocks": facts.blocks,
        "blocks_used": facts.blocks_used,
        "footer_lost": facts.footer_lost,
        "parent": parent,
        "pending": None if pending is None else {"operation": pending.operation, "source": pending.source},
        "in_use_by": list(facts.in_use_by),
        "url": facts.url,
    }
