"""Operations under way, each noted beside an image before its first byte changes.

A kill in the middle then leaves a note that says what to finish. It lies beside the lowest image that the
operation is about, its *target*, under that image's name with ``.pcemu-pending``::

    commit      target: the image that is written to.    Until it has finished
                - the target by itself, and other images on it, are refused: they hold half of the changes;
                - the source with all below it reads right, as all that changes is in the source too;
                - the source cannot be discarded.
    merge, revert, discard   target: the image below the layers that go away. All images read right all the
                time; the layers that nobody needs any more may still be there.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from pcemu.drives.fingerprint import Fingerprint, unpack_fingerprint
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.newfile import write_new
from pcemu.drives.sidecar import PENDING, is_pending, read_sidecar, remove_sidecar
from pcemu.errors import ImageAccessError, ImageFormatError

VERSION = 1
COMMIT, MERGE, REVERT, DISCARD = "commit", "merge", "revert", "discard"
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class Retired(NamedTuple):
    """An image that goes away when the operation is done."""

    path: str
    unique_id: bytes


class Intent(NamedTuple):
    """What is under way. Paths are absolute here, and relative to the target's folder in the file.

    ``preserved`` are the ids of other images on the target that were made independent of what a commit
    changes; ``before`` is what a raw target looked like before it.
    """

    operation: str
    source: str
    source_id: bytes
    retired: tuple[Retired, ...] = ()
    preserved: tuple[bytes, ...] = ()
    before: Fingerprint | None = None

    def shows(self, ids_above: Sequence[bytes]) -> bool:
        """True when the target reads right below images of these ids, the head's first."""
        if self.operation != COMMIT or self.source_id in ids_above:
            return True
        return bool(ids_above) and ids_above[-1] in self.preserved


def read_intent(target: str, host: Host = HOST) -> Intent | None:
    """What is under way on an image, whose path must be without links; None when nothing is."""
    path = target + PENDING
    if not is_pending(target, host):
        return None
    try:
        data = read_sidecar(path, host)
    except OSError as error:
        raise ImageAccessError(
            f"{path}: cannot be read: {error.strerror}; check its permissions and its disk"
        ) from error
    if data is None:
        return None
    try:
        return _decode(json.loads(data), os.path.dirname(target))  # noqa: PTH120
    except (ValueError, KeyError, TypeError) as error:
        raise ImageFormatError(
            f"{path}: holds no note of an operation (version {VERSION}), expected one; it is damaged or of "
            f"another version of this program: use that, or restore the image from a copy and remove the note"
        ) from error


def write_intent(target: str, intent: Intent, host: Host = HOST) -> None:
    """Note an operation; it lasts from the return on."""
    content = json.dumps(_encode(intent, os.path.dirname(target)), indent=1)  # noqa: PTH120
    write_new(target + PENDING, [(0, content.encode())], host)


def write_removal(target: str, intent: Intent, host: Host = HOST) -> None:
    """As :func:`write_intent`, of layers that go away; without a note where none can be written.

    A kill then may leave layers that nobody needs.
    """
    try:
        write_intent(target, intent, host)
    except ImageAccessError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in FORBIDDEN:
            raise


def clear_intent(target: str, host: Host = HOST) -> None:
    """The operation is done."""
    remove_sidecar(target + PENDING, host)


def refuse_target(path: str, host: Host = HOST) -> None:
    """Refuse an image that holds half of a commit."""
    target = os.path.realpath(path)
    intent = read_intent(target, host)
    if intent is not None:
        refuse_half(target, intent, ())


def refuse_half(target: str, intent: Intent, ids_above: Sequence[bytes]) -> None:
    """Refuse to read ``target`` when the images above it, the head's id first, do not make up for it."""
    if not intent.shows(ids_above):
        raise ImageAccessError(
            f"{target}: holds half of a commit of {intent.source} that was interrupted, expected all of it; "
            f"commit {intent.source} again"
        )


def _encode(intent: Intent, folder: str) -> dict[str, object]:
    return {
        "version": VERSION,
        "operation": intent.operation,
        "source": os.path.relpath(intent.source, folder),
        "source_id": intent.source_id.hex(),
        "retired": [[os.path.relpath(each.path, folder), each.unique_id.hex()] for each in intent.retired],
        "preserved": [each.hex() for each in intent.preserved],
        "before": None if intent.before is None else intent.before.pack().hex(),
    }


def _decode(fields: dict[str, Any], folder: str) -> Intent:
    if fields["version"] != VERSION or fields["operation"] not in (COMMIT, MERGE, REVERT, DISCARD):
        raise ValueError("not of this version")

    def whole(path: str) -> str:
        return os.path.normpath(os.path.join(folder, path))  # noqa: PTH118

    before = None
    if fields["before"] is not None:
        before = unpack_fingerprint(bytes.fromhex(fields["before"]))
        if before is None:
            raise ValueError("no fingerprint")
    return Intent(
        fields["operation"],
        whole(fields["source"]),
        bytes.fromhex(fields["source_id"]),
        tuple([Retired(whole(path), bytes.fromhex(unique_id)) for path, unique_id in fields["retired"]]),
        tuple([bytes.fromhex(each) for each in fields["preserved"]]),
        before,
    )
