"""A branch: what a session wrote, saved as one child of the image that others can go on with."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from pcemu.drives.create import check_child_name, facts_of, new_footer, sparse_parts
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.facts import facts_about
from pcemu.drives.hostfile import Host, HostFile
from pcemu.drives.lineage import Progress, told
from pcemu.drives.newfile import abandoned, exists, is_temporary, remove_abandoned, write_new
from pcemu.drives.probe import Ends
from pcemu.drives.raw import FlatDrive
from pcemu.drives.registry import read_child, register, registered
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.transfer import copy_layers, count_sectors
from pcemu.drives.vhd_header import read_facts
from pcemu.drives.vhd_layout import FOOTER_SIZE, TYPE_DIFFERENCING
from pcemu.errors import UsageError


def branch_path(image: str, name: str, host: Host) -> str:
    """Where a branch is saved: ``name`` as a path, or in the image's folder; UsageError when that cannot be.

    The image on a server has no folder: then it is the present one.
    """
    folder, bare = os.path.split(name)
    if not bare or bare.startswith("."):
        raise UsageError(f"{name!r}: is no name for a branch, expected one such as before-install")
    if "." not in bare:
        bare += ".vhd"
    check_child_name(bare)
    if folder and not Path(folder).is_dir():
        raise UsageError(f"{folder}: no such folder, expected one to save the branch in; make it first")
    beside = os.curdir if facts_about(image, host=host).url else os.path.dirname(image)  # noqa: PTH120
    path = os.path.join(folder or beside, bare)  # noqa: PTH118
    with told(path, "looking whether that exists", "take another name"):
        taken = exists(path, host)
    if taken:
        raise UsageError(f"{path}: exists, expected a new name for the branch; take another")
    return path


def save_branch(
    path: str,
    base: SparseLayer | FlatDrive,
    layers: Sequence[SparseLayer],
    progress: Progress,
    host: Host,
) -> None:
    """Make ``path``, a child of ``base`` with what ``layers`` hold; whole after a crash, or not there."""
    facts = facts_of(base)
    head = layers[-1]
    footer = new_footer(TYPE_DIFFERENCING, head.sectors * SECTOR_SIZE, FOOTER_SIZE)
    total = count_sectors(layers)

    def fill(file: HostFile) -> None:
        branch = SparseLayer(file, read_facts(Ends(file)))
        copy_layers(layers, branch, total, progress)
        branch.flush()

    register(path, facts.path, host)
    write_new(path, sparse_parts(footer, head.header.block_size, facts, path), host, fill)


def sweep_branches(image: str, host: Host) -> None:
    """Remove what is left of branches of ``image``, a path without links, that a kill kept from a name."""
    for folder in {os.path.dirname(path) for path in (image, *registered(image, host))}:  # noqa: PTH120
        with contextlib.suppress(OSError):
            for name in host.names_in(folder):
                path = os.path.join(folder, name)  # noqa: PTH118
                if is_temporary(name) and abandoned(path, host):
                    child = read_child(path, host)
                    if child is not None and child.parent is not None and child.parent.real == image:
                        remove_abandoned(path, host)
