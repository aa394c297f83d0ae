"""Merging layers in the middle or at the end of a chain into one.

The layers from ``bottom`` up to ``top`` become one image in the place of ``top``, with its id and with the
parent of ``bottom``: what is built on ``top`` reads the same and notices nothing. In this order::

    new image under a temporary name → note beside the parent → synced → renamed over top → folder synced
    → the other layers removed, unless others are built on them → note removed
"""

from __future__ import annotations

import contextlib
import os

from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.intents import MERGE, Intent, write_removal
from pcemu.drives.lineage import Lineage, Progress, StrPath, Warn, no_progress, no_warning, told
from pcemu.drives.registry import register
from pcemu.drives.replace import finish, parts_as, replace_image, retired_of
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.transfer import copy_layers, count_sectors, space_for_new
from pcemu.errors import ImageAccessError, UsageError


def merge(
    top: StrPath,
    bottom: StrPath,
    *,
    allow_outside: bool = False,
    progress: Progress = no_progress,
    warn: Warn = no_warning,
    host: Host = HOST,
) -> list[str]:
    """Make one image of all layers from ``bottom`` up to ``top``; returns the paths that were removed.

    None of them may be in use. Killed or cancelled in between all reads as before, and the same call, or any
    other operation above the same parent, finishes it. Raises ImageError or UsageError.
    """
    with told(top, "merging", "nothing is lost: mend that and run it again"):
        return _merge(top, bottom, allow_outside, progress, warn, host)


def _merge(
    top: StrPath, bottom: StrPath, allow_outside: bool, progress: Progress, warn: Warn, host: Host
) -> list[str]:
    done = _finish_earlier(top, os.path.realpath(bottom), allow_outside, host)
    if done is not None:
        return done
    with contextlib.ExitStack() as locked:
        lineage = locked.enter_context(
            Lineage(
                top, writable_above=bottom, inclusive=True, allow_outside=allow_outside, warn=warn, host=host
            )
        )
        head = lineage.head
        number = lineage.border
        if number == 0 or number == len(lineage.layers) - 1:
            what = "the ultimate parent" if number == 0 else "the top layer itself"
            raise UsageError(f"{os.fspath(bottom)}: is {what}, expected a differencing image below the top")
        lineage.finish_pending("merging")
        layers = lineage.children()[number - 1 :]
        target = lineage.reals[number - 1]
        total = count_sectors(layers)
        free = host.free_space(lineage.path)
        needed = space_for_new(head, total)
        if needed > free:
            raise ImageAccessError(
                f"{lineage.path}: its disk has {free} bytes free, expected {needed} for the merged image; "
                f"make room, or merge fewer layers"
            )
        progress(0, total)

        def fill(merged: SparseLayer) -> None:
            copy_layers(layers, merged, total, progress)
            write_removal(target, intent, host)

        intent = Intent(MERGE, lineage.path, head.unique_id, retired_of(layers[:-1]))
        register(lineage.path, target, host)
        parts = parts_as(head, target, layers[0])
        locked.callback(replace_image(head, parts, host, fill=fill).close)
        lineage.close()
        return finish(target, intent, host)


def _finish_earlier(top: StrPath, bottom: str, allow_outside: bool, host: Host) -> list[str] | None:
    """What an earlier call left to remove, when the merged image is in its place; None when it is not."""
    with Lineage(
        top, writable_above=top, read_only=True, allow_outside=allow_outside, host=host
    ) as lineage:
        if bottom in lineage.reals:
            return None
        for number, intent in lineage.intents():
            mine = intent.operation == MERGE and intent.source_id == lineage.head.unique_id
            if mine and bottom in [each.path for each in intent.retired]:
                target = lineage.reals[number]
                break
        else:
            return None
    return finish(target, intent, host)
