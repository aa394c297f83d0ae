"""Telling a child where its parent is now, and what it looks like now."""

from __future__ import annotations

import os

from pcemu.drives import vhd_layout as layout
from pcemu.drives.chain import Chain
from pcemu.drives.create import Parent, facts_of
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import HOST, Host, HostFile
from pcemu.drives.intents import refuse_target
from pcemu.drives.lineage import StrPath, told
from pcemu.drives.open import open_drive, open_layer
from pcemu.drives.parents import (
    check_parent,
    fingerprint_kept,
    locators_for,
    parent_name,
    url_locators,
    url_name,
)
from pcemu.drives.probe import Ends, Format
from pcemu.drives.raw import FlatDrive
from pcemu.drives.registry import register
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.structures import switch_structures
from pcemu.drives.tree import ancestors_of
from pcemu.drives.vhd_header import VhdFacts, read_facts
from pcemu.errors import ImageFormatError, UsageError


def relink(
    child: StrPath,
    parent: StrPath,
    *,
    trust: bool = False,
    parent_format: Format | None = None,
    allow_outside: bool = True,
    host: Host = HOST,
) -> None:
    """Make ``parent`` the place where ``child`` looks for its parent.

    It must be the image that the child was made for. With ``trust`` another one of the same size or smaller
    is taken: then the caller vouches that its content is right. Killed in between it can be run again.
    Raises ImageError or UsageError, and then nothing was changed.
    """
    child = os.path.realpath(child)
    with told(child, "relinking", "it still has its old parent: mend that and run it again"):
        refuse_target(os.fspath(parent), host)
        file = host.open_image(child, read_only=False)
        try:
            ends = Ends(file)
            facts = read_facts(ends) if ends.have_vhd_traces() else None
            if facts is None or facts.footer.type != layout.TYPE_DIFFERENCING:
                raise UsageError(f"{child}: is no differencing image, expected one; it has no parent")
            found = _look_at(file, facts, os.fspath(parent), trust, parent_format, allow_outside, host)
            _write_parent(file, facts, found, host)
        finally:
            file.close()


def _look_at(
    file: HostFile,
    facts: VhdFacts,
    parent: str,
    trust: bool,
    format: Format | None,
    allow_outside: bool,
    host: Host,
) -> Parent:
    """The facts of the new parent, which fits, and is not built on the child."""
    file.read_only = True  # only so far: a footer that an earlier try left lost is written anew anyway
    child = SparseLayer(file, facts)
    file.read_only = False
    kept = fingerprint_kept(child)
    if kept is not None and not trust:
        format = Format.RAW
    if os.path.realpath(child.file.path) in ancestors_of(parent, allow_outside=allow_outside, host=host):
        raise UsageError(
            f"{parent}: is itself built on {child.file.path}, expected an image that is not; name another"
        )
    _check_whole(parent, child, format, allow_outside, host)
    layer = open_layer(parent, True, format, host)
    try:
        if not trust:
            check_parent(child, layer, kept)
        elif layer.sectors > child.sectors:
            raise ImageFormatError(
                f"{parent}: has {layer.sectors} sectors, expected at most {child.sectors} "
                f"as {file.path} has; name a smaller image"
            )
        return facts_of(layer)
    finally:
        layer.close()


def _check_whole(
    parent: str, child: SparseLayer, format: Format | None, allow_outside: bool, host: Host
) -> None:
    """Refuse a parent that is damaged itself, or is built on the child."""
    if os.path.realpath(parent) == os.path.realpath(child.file.path):
        raise UsageError(f"{parent}: is the child itself, expected another image; name its parent")
    drive = open_drive(parent, read_only=True, format=format, allow_outside=allow_outside, host=host)
    try:
        for layer in drive.layers if isinstance(drive, Chain) else ():
            if isinstance(layer, SparseLayer) and layer.unique_id == child.unique_id:
                raise UsageError(
                    f"{parent}: is itself built on {child.file.path}, expected an image that is not; "
                    f"name another"
                )
    finally:
        drive.close()


def _write_parent(file: HostFile, facts: VhdFacts, parent: Parent, host: Host) -> None:
    assert facts.header is not None
    locators = url_locators(parent.url) if parent.url else locators_for(file.path, parent.path)
    if parent.fingerprint is not None:
        locators.append((layout.LOCATOR_FINGERPRINT, parent.fingerprint.pack()))
    name = url_name(parent.url) if parent.url else parent_name(parent.path)
    header = facts.header._replace(
        parent_id=parent.unique_id, parent_time=parent.time, parent_name=name
    )
    register(file.path, parent.path, host)
    switch_structures(file, facts, facts.footer, header, locators)


def remember_parent(child: SparseLayer, parent: SparseLayer | FlatDrive) -> None:
    """Tell an open child what its parent looks like now; in place, as nothing of it moves.

    The id and the time are in the header's first sector, the fingerprint is in a sector of its own. A crash
    may leave one of them new: with a fingerprint the id is not looked at, and the time only warns.
    """
    now = facts_of(parent)
    if now.fingerprint is not None:
        for place in child.header.locators:
            if place.code == layout.LOCATOR_FINGERPRINT:
                child.file.write(now.fingerprint.pack(), place.data_offset)
        code = layout.LOCATOR_FINGERPRINT
        others = [each for each in child.locators if each[0] != code]
        child.locators = [*others, (code, now.fingerprint.pack())]
    child.header = child.header._replace(parent_id=now.unique_id, parent_time=now.time)
    child.file.write(child.header.pack()[:SECTOR_SIZE], child.footer.header_offset)
    child.file.sync()
