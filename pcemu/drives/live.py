"""Operations on the images of a drive that is in use: it is put aside for a moment, and taken up again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pcemu.drives.chain import Chain
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.open import open_layers
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import SparseLayer


@contextlib.contextmanager
def set_aside(
    drive: Chain, *, allow_outside: bool = False, host: Host = HOST
) -> Iterator[Path]:
    """Flush and close the images of a drive, so that commit, merge or revert can have them::

        with set_aside(drive) as path:
            commit(path)

    Afterwards the drive goes on with whatever the head is built on then, also when the operation failed. No
    request may come while it lasts.
    """
    head = drive.head
    if not isinstance(head, SparseLayer | FlatDrive):
        raise TypeError("the head of the chain is no image")
    path = Path(head.file.path)
    read_only = drive.read_only
    drive.close()
    try:
        yield path
    finally:
        drive.replace_layers(
            open_layers(path, read_only=read_only, allow_outside=allow_outside, host=host)
        )
