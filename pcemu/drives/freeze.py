"""Checkpoints: freeze an image as it is and go on in a new child, or go back to how it was.

Freezing, of a drive that is open and in use::

    flush → child created → the caller notes it (record) → writes go to the child

A crash before the note leaves an empty child that `pcemu disk orphans` finds; the image below it is whole.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection

from pcemu.drives.chain import Chain
from pcemu.drives.create import create_differencing
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.intents import REVERT, Intent, write_removal
from pcemu.drives.lineage import Lineage, StrPath, told
from pcemu.drives.locks import lock_file
from pcemu.drives.open import open_layer
from pcemu.drives.probe import Format
from pcemu.drives.raw import FlatDrive
from pcemu.drives.registry import Family, names_of
from pcemu.drives.replace import finish, make_empty, retired_of
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import UsageError


def freeze(
    drive: Chain | FlatDrive,
    child: StrPath,
    *,
    block_size: int | None = None,
    record: Callable[[], None] | None = None,
    host: Host = HOST,
) -> Chain:
    """Flush a drive, and go on in ``child``, a new image; what was the head is read-only from here on.

    ``record`` is to note durably that the child is the one to go on with; if it raises, the drive is as
    before. Returns the drive, which is another one only if a single image was given. No request may be
    under way. Raises ImageError, or UsageError when the name is taken.
    """
    child = os.fspath(child)
    head = drive.head if isinstance(drive, Chain) else drive
    if not isinstance(head, SparseLayer | FlatDrive) or head.read_only:
        raise UsageError(f"{child}: its parent is not open for writing, expected it to be; open it so")
    with told(head.path, "freezing it", "the drive is as before: mend that and try again"):
        create_differencing(child, head, block_size=block_size, host=host)
        try:
            layer = open_layer(child, False, Format.DIFFERENCING, host)
        except BaseException:
            _take_back(child, host)
            raise
        assert isinstance(layer, SparseLayer)
        try:
            if record is not None:
                record()
            if isinstance(drive, Chain):
                drive.push(layer)
            else:
                drive = Chain([drive, layer])
        except BaseException:
            layer.file.close()
            _take_back(child, host)
            raise
        head.file.read_only = True
        lock_file(head.file.fd, head.file.path, shared=True)
    return drive


def _take_back(child: str, host: Host) -> None:
    host.unlink(child)
    host.sync_dir_of(child)


def revert(
    path: StrPath, to: StrPath | None = None, *, allow_outside: bool = False, host: Host = HOST
) -> list[str]:
    """Empty an image, so that it reads as its parent, or as ``to``, any image that it is built on.

    The images between are removed, unless others are built on them; their paths are returned. All that was
    written to ``path`` and to them is lost. Killed in between it can be run again. Raises ImageError or
    UsageError, and then nothing was changed.
    """
    with told(path, "reverting", "nothing is lost: mend that and run it again"):
        return _revert(path, to, allow_outside, host)


def _revert(path: StrPath, to: StrPath | None, allow_outside: bool, host: Host) -> list[str]:
    border = parent_path(path, allow_outside, host) if to is None else to
    with contextlib.ExitStack() as locked:
        lineage = locked.enter_context(
            Lineage(path, writable_above=border, allow_outside=allow_outside, host=host)
        )
        head = lineage.head
        refuse_if_parent(head, Family(host), "reverting")
        lineage.finish_pending("reverting")
        number = lineage.border
        between = lineage.children()[number : len(lineage.layers) - 2]
        target = lineage.reals[number]
        intent = Intent(REVERT, lineage.path, head.unique_id, retired_of(between))
        if between:
            write_removal(target, intent, host)
        made = make_empty(head, lineage.layers[number], host, same_content=False)
        locked.callback(made.close)
        lineage.close()
        return finish(target, intent, host) if between else []


def parent_path(path: StrPath, allow_outside: bool, host: Host) -> str:
    """Where the parent of an image is."""
    with Lineage(
        path, writable_above=path, read_only=True, allow_outside=allow_outside, host=host
    ) as lineage:
        assert lineage.head
        return lineage.reals[-2]


def refuse_if_parent(
    image: SparseLayer, family: Family, operation: str, but: Collection[str] = ()
) -> None:
    """Refuse an operation on an image that others ``but`` some are built on."""
    children = [child for child in family.children_of(image) if child.path not in but]
    if children:
        raise UsageError(
            f"{image.file.path}: {names_of(children)} built on it, expected no child before {operation}; "
            f"discard, commit or convert that first"
        )
