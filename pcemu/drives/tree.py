"""The family of an image: its ultimate parent, and all that is built on that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from pcemu.drives.facts import ImageFacts, facts_about
from pcemu.drives.fingerprint import Fingerprint, fingerprint_of
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.lineage import StrPath, told
from pcemu.drives.probe import Format
from pcemu.drives.registry import Child, Family, read_child
from pcemu.errors import ImageError

MAX_DEPTH = 256  # no more layers than that can be opened


class Node(NamedTuple):
    """An image and its children. ``trouble`` says why it cannot be used, "" when it can.

    ``facts`` is None when even looking at it failed.
    """

    path: str
    facts: ImageFacts | None
    trouble: str
    children: tuple[Node, ...]

    def walk(self) -> Iterator[Node]:
        """This image and all that is built on it."""
        yield self
        for child in self.children:
            yield from child.walk()


def ancestors_of(path: StrPath, *, allow_outside: bool = False, host: Host = HOST) -> list[str]:
    """What an image is built on, as far as that can be found: from its parent to the ultimate one.

    Without ``allow_outside`` nobody is asked who lies outside the folder of a child: that may be a trap.
    """
    at = os.path.realpath(path)
    found: list[str] = []
    with told(path, "looking for its parents", "check its path and its disk"):
        while child := read_child(at, host, allow_outside=allow_outside):
            if child.parent is None:
                break
            at = child.parent.real
            if at in found:  # a cycle, which opening it will tell
                break
            found.append(at)
    return found


def tree_of(path: StrPath, *, allow_outside: bool = False, host: Host = HOST) -> Node:
    """The tree that ``path`` is in, from its base up. Nothing is locked. ImageError for the path itself.

    Where an ancestor is missing, or may not lie where it does, the tree begins above it, and says so.
    """
    with told(path, "looking for its family", "check its disk"):
        facts_about(path, host=host)
        lineage = [os.path.realpath(path), *ancestors_of(path, allow_outside=allow_outside, host=host)]
        top = _Grower(host).grow(lineage[-1], frozenset())
        lost = read_child(top.path, host, allow_outside=allow_outside)
        return top._replace(trouble=lost.missing) if lost is not None and lost.missing else top


class _Grower:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._family = Family(host)

    def grow(self, path: str, below: frozenset[str]) -> Node:
        """The node of ``path``; ``below`` are its ancestors."""
        if len(below) >= MAX_DEPTH:
            return Node(path, None, f"is on {len(below)} layers, expected fewer; merge some of them", ())
        try:
            # A raw parent may hold what looks like a footer: its children know better.
            children = [] if path in below else self._family.built_on(path)
            raw = any(each.kept is not None for each in children) or None
            facts = facts_about(path, Format.RAW if raw else None, host=self._host)
        except ImageError as error:
            return Node(path, None, str(error), ())
        look = look_at(path, self._host) if raw else None
        nodes = [self._grow_child(each, facts, look, below | {path}) for each in children]
        return Node(path, facts, "", tuple(nodes))

    def _grow_child(
        self, child: Child, parent: ImageFacts, look: Fingerprint | None, below: frozenset[str]
    ) -> Node:
        node = self.grow(child.path, below)
        if not node.trouble and not fits(child, parent, look):
            node = node._replace(trouble=f"{parent.path} was changed, or is not the parent it was made for")
        return node


def look_at(path: str, host: Host) -> Fingerprint:
    """The fingerprint of a raw image, which may be in use."""
    file = host.open_image(path, read_only=True, lock=False)
    try:
        return fingerprint_of(file)
    finally:
        file.close()


def fits(child: Child, parent: ImageFacts, look: Fingerprint | None) -> bool:
    """Does the parent look as the child remembers it, or as it did before a commit that is under way?"""
    if child.kept is None:
        return child.parent_id == parent.unique_id
    before = None if parent.pending is None else parent.pending.before
    return child.kept in (look, before)
