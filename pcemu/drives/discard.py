"""Discard: throw a child away, with all that was written to it; its parent is as if it had never been."""

from __future__ import annotations

import os

from pcemu.drives.freeze import refuse_if_parent
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.intents import DISCARD, Intent, Retired, read_intent, write_removal
from pcemu.drives.lineage import StrPath, refuse_commit, told
from pcemu.drives.newfile import exists
from pcemu.drives.probe import Ends
from pcemu.drives.registry import Family, read_child
from pcemu.drives.replace import finish, remove_image
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.vhd_header import read_facts
from pcemu.drives.vhd_layout import TYPE_DIFFERENCING
from pcemu.errors import ImageNotFoundError, UsageError


def discard(path: StrPath, down_to: StrPath | None = None, *, host: Host = HOST) -> list[str]:
    """Remove a child that nobody uses and nothing is built on, also when its parent is missing.

    With ``down_to``, an image that it is built on, those between are removed too, the newest first; killed in
    between it can be run again. Returns what was removed. Refused while a commit of it is half done: its
    parent holds a part of it already, and it has the rest. Raises ImageError or UsageError, and then nothing
    was changed.
    """
    path = os.path.realpath(path)
    with told(path, "discarding", "what was not removed is whole: mend that and discard again"):
        target = None if down_to is None else os.path.realpath(down_to)
        if not exists(path, host):
            return _finish_earlier(path, target, host)
        doomed = [path] if target is None else _between(path, target, host)
        ids = [_look_at(each, doomed, host) for each in doomed]
        if target is None or len(doomed) == 1:
            remove_image(path, host)
            return doomed
        pending = read_intent(target, host)
        if pending is not None:
            refuse_commit(path, "discarding it", target, pending)
            finish(target, pending, host, doomed)
        retired = [Retired(*each) for each in zip(doomed, ids, strict=True)]
        intent = Intent(DISCARD, path, ids[0], tuple(reversed(retired)))
        write_removal(target, intent, host)
        return finish(target, intent, host)


def _finish_earlier(path: str, target: str | None, host: Host) -> list[str]:
    """Go on with what an earlier call noted; its last step may be what failed."""
    intent = None if target is None else read_intent(target, host)
    if target is not None and intent is not None and (intent.operation, intent.source) == (DISCARD, path):
        return finish(target, intent, host)
    host.sync_dir_of(path)
    raise ImageNotFoundError(f"{path}: no such file; give the path of an existing child")


def _between(path: str, stop: str, host: Host) -> list[str]:
    found: list[str] = []
    at = path
    while at != stop:
        child = read_child(at, host)
        if child is None or child.parent is None or at in found:
            raise UsageError(f"{stop}: is not what {path} is built on, expected an image below it")
        found.append(at)
        at = child.parent.real
    if not found:
        raise UsageError(f"{stop}: is the image to discard itself, expected one below it")
    return found


def _look_at(path: str, doomed: list[str], host: Host) -> bytes:
    """The id of an image that can go."""
    _refuse_half_committed(path, host)
    file = host.open_image(path, read_only=False)  # exclusive: nobody uses it
    try:
        ends = Ends(file)
        if not ends.have_vhd_traces() or (facts := read_facts(ends)).footer.type != TYPE_DIFFERENCING:
            raise UsageError(f"{path}: is no differencing image, expected one; remove it by hand")
        file.read_only = True  # it is looked at only: a lost footer does not matter any more
        intent = read_intent(path, host)
        if intent is not None:
            refuse_commit(path, "discarding it", path, intent)
            finish(path, intent, host, (path,))
        refuse_if_parent(SparseLayer(file, facts), Family(host), "discarding it", doomed)
        return facts.footer.unique_id
    finally:
        file.close()


def _refuse_half_committed(path: str, host: Host) -> None:
    """Look at the notes beside all that an image is built on, as far as it is there."""
    image = child = read_child(path, host)
    seen: set[str] = set()
    while child is not None and child.parent is not None and child.path not in seen:
        seen.add(child.path)
        target = child.parent.real
        intent = read_intent(target, host)
        if intent is not None and image is not None:
            own = image.unique_id == intent.source_id or path in [each.path for each in intent.retired]
            if own:
                refuse_commit(path, "discarding it", target, intent)
        child = read_child(target, host)
