"""Compacting: an image written anew without what it does not need.

From a dynamic image go pages that are all zeros, from a differencing one sectors that its parent has alike;
from both the gaps that crashes, resizing and relinking left. It reads the same, and keeps its id and time, so
that neither its parent nor its children notice.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from pcemu.drives.chain import Chain
from pcemu.drives.content import data_in, read_padded
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.lineage import Lineage, Progress, StrPath, Warn, no_progress, no_warning, told
from pcemu.drives.replace import parts_as, replace_image
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.transfer import BUFFER_SIZE, count_sectors, pieces_of, space_for_new
from pcemu.errors import ImageAccessError, UsageError


def compact(
    path: StrPath,
    *,
    allow_outside: bool = False,
    progress: Progress = no_progress,
    warn: Warn = no_warning,
    host: Host = HOST,
) -> int:
    """Write a dynamic or differencing image anew; how many bytes shorter its file is now.

    It must not be in use, and its disk must have room for it a second time. Killed or cancelled in between
    nothing was changed. Raises ImageError or UsageError.
    """
    with told(path, "compacting", "nothing was changed: mend that and run it again"):
        lineage = Lineage(path, writable_above=path, allow_outside=allow_outside, warn=warn, host=host)
        with lineage:
            image = lineage.layers[-1]
            if not isinstance(image, SparseLayer):
                raise UsageError(
                    f"{os.fspath(path)}: is raw or fixed, expected a dynamic or differencing image; "
                    f"convert it to a dynamic one"
                )
            lineage.finish_pending("compacting")
            total = count_sectors([image])
            free, needed = host.free_space(lineage.path), space_for_new(image, total)
            if needed > free:
                raise ImageAccessError(
                    f"{lineage.path}: its disk has {free} bytes free, expected {needed} for the new image; "
                    f"make room"
                )
            before = image.file.size()
            below = Chain(lineage.layers[:-1]) if image.is_child else None

            def fill(made: SparseLayer) -> None:
                _copy(image, made, below, total, progress)

            parent = lineage.reals[-2] if image.is_child else ""
            made = replace_image(image, parts_as(image, parent, image), host, fill=fill)
            try:
                return before - made.size()
            finally:
                made.close()


def _copy(image: SparseLayer, made: SparseLayer, below: Chain | None, total: int, progress: Progress) -> None:
    own, other = memoryview(bytearray(BUFFER_SIZE)), memoryview(bytearray(BUFFER_SIZE))
    step = BUFFER_SIZE // SECTOR_SIZE
    done = 0
    progress(0, total)
    for piece in pieces_of([image]):
        for at in range(0, piece.sectors, step):
            count = min(step, piece.sectors - at)
            part = own[: count * SECTOR_SIZE]
            image.file.read(part, piece.offset + at * SECTOR_SIZE)
            lba = piece.lba + at
            if below is None:
                needed: Sequence[tuple[int, int]] = data_in(part)
            else:
                parents = other[: len(part)]
                read_padded(below, lba, parents)
                needed = _unlike(part, parents)
            for first, last in needed:
                made.write(lba + first // SECTOR_SIZE, part[first:last])
            done += count
            progress(done, total)


def _unlike(one: memoryview, two: memoryview) -> list[tuple[int, int]]:
    """The parts (from, to) of two buffers that differ, as whole sectors."""
    words = np.frombuffer(one, np.uint64) != np.frombuffer(two, np.uint64)
    flags = words.reshape(-1, SECTOR_SIZE // 8).any(axis=1)
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False)).tolist()
    return [(a * SECTOR_SIZE, b * SECTOR_SIZE) for a, b in zip(edges[::2], edges[1::2], strict=True)]
