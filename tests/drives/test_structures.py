"""Switching the structures of an image: an independent reader sees old or new ones after every write."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives.hostfile import Host, HostFile, SystemCalls
from pcemu.drives.probe import Ends
from pcemu.drives.structures import switch_structures
from pcemu.drives.vhd_header import read_facts
from pcemu.drives.vhd_layout import NO_BLOCK
from tests.drives.independent_vhd import BytesFile, VhdImage, make_sparse
from tests.drives.small_images import MIB

ID = bytes(range(16))
SECTORS = {lba: bytes((lba + 1,)) * 512 for lba in (0, 5, 9)}


class Cut(Exception):
    """The power is gone."""


class Failing(SystemCalls):
    """Takes so many writes and truncations and no more."""

    def __init__(self, left: int) -> None:
        self.left = left

    def _count(self) -> None:
        if not self.left:
            raise Cut
        self.left -= 1

    def pwritev(self, fd: int, buffers: Sequence[Any], offset: int) -> int:
        self._count()
        return os.pwritev(fd, buffers, offset)

    def ftruncate(self, fd: int, size: int) -> None:
        self._count()
        super().ftruncate(fd, size)


def open_for(path: Path, calls: SystemCalls) -> HostFile:
    return Host(calls).open_image(str(path), read_only=False)


def grow_to(path: Path, size: int, calls: SystemCalls) -> None:
    """New structures with a BAT for ``size``, in the way that resize has it."""
    file = open_for(path, calls)
    try:
        facts = read_facts(Ends(file))
        assert facts.header is not None and facts.bat is not None
        missing = size // facts.header.block_size - len(facts.bat)
        bat = facts.bat + array("I", [NO_BLOCK]) * missing
        footer = facts.footer._replace(current_size=size)
        switch_structures(file, facts, footer, facts.header, facts.locators, bat)
    finally:
        file.close()


def seen(path: Path) -> tuple[int, dict[int, bytes | None]]:
    image = VhdImage(BytesFile(path.read_bytes()))
    return image.sectors * 512, {lba: image.sector(lba) for lba in range(12)}


@pytest.mark.parametrize("parent", [None, ID[::-1]])
def test_the_new_ones_hold_the_same_blocks(parent: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    path.write_bytes(make_sparse(MIB, ID, SECTORS, parent_id=parent, parent_name="p.vhd" if parent else ""))
    _, before = seen(path)
    grow_to(path, 9 * MIB, SystemCalls())
    assert seen(path) == (9 * MIB, before)
    content = path.read_bytes()
    assert content[:512] == content[-512:]
    if parent:
        assert VhdImage(BytesFile(content)).parent_path() == "p.vhd"


def test_cut_off_anywhere_it_has_old_or_new_ones_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    original = make_sparse(MIB, ID, SECTORS)
    path.write_bytes(original)
    _, before = seen(path)
    sizes = []
    for writes in range(20):
        path.write_bytes(original)
        try:
            grow_to(path, 2 * MIB, Failing(writes))
            break
        except Cut:
            pass
        file = Host(SystemCalls()).open_image(str(path), read_only=True, lock=False)
        facts = read_facts(Ends(file))  # a lost tail footer is made up for by the copy
        file.close()
        sizes.append(facts.footer.current_size)
        grow_to(path, 3 * MIB, SystemCalls())
        assert seen(path) == (3 * MIB, before)
    assert seen(path) == (2 * MIB, before)
    assert sizes == sorted(sizes) and set(sizes) == {MIB, 2 * MIB}
