"""Removing files and folders of disks that mkfs and mtools made, as they and fsck.fat see them then."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.fat import Volume
from pcemu.drives.fat_editor import FatEditor
from pcemu.drives.fat_folder import ATTRIBUTE_ARCHIVE, ATTRIBUTE_READ_ONLY
from pcemu.drives.fat_tree import Tree
from pcemu.drives.fat_writer import ROOT
from pcemu.drives.raw import RawDrive
from pcemu.errors import UsageError
from tests.drives.fat_images import KINDS, START, FatImage, run

LONG = "A long name that takes many entries.text"


class Edited:
    """A disk and what edits it; ``free`` is what mtools calls so."""

    def __init__(self, image: FatImage, kind: int) -> None:
        self.image = image
        self.drive = RawDrive(image.path)
        self.sectors = KINDS[kind] // 512
        self.editor = FatEditor(self.drive, START, self.sectors, "disk.img")

    def entry_start(self, name: str) -> int:
        tree = Tree(Volume(self.drive, START, self.sectors))
        return next(entry.start for entry in tree.root if entry.name == name)

    def done(self) -> set[str]:
        self.editor.finish()
        self.drive.close()
        self.image.check()
        return self.image.names()

    @property
    def free(self) -> str:
        return run("mdir", "-i", self.image.volume, "::/").splitlines()[-2]


@pytest.fixture(params=KINDS)
def edited(request: pytest.FixtureRequest, tmp_path: Path) -> Edited:
    kind = request.param
    image = FatImage(tmp_path / "disk.img", kind)
    image.folder("SUB")
    for path in ("ONE.TXT", LONG, "SUB/TWO.TXT", "EMPTY"):
        image.add(path, b"" if path == "EMPTY" else b"x" * 70_000)
    return Edited(image, kind)


def test_a_removed_file_is_gone_with_its_clusters(edited: Edited) -> None:
    before = edited.free
    for name in ("one.txt", LONG.upper(), "EMPTY", "NOTHING"):
        edited.editor.remove(ROOT, name)
    assert edited.image.names() >= {"\\ONE.TXT"}  # nothing is seen before the end
    assert edited.done() == {"\\SUB", "\\SUB\\TWO.TXT"}
    assert edited.free != before
    edited.image.add("ONE.TXT", b"x" * 70_000)
    edited.image.add(LONG, b"x" * 70_000)
    assert edited.free == before


def test_a_folder_is_removed_when_it_is_empty(edited: Edited) -> None:
    sub = edited.entry_start("SUB")
    assert edited.editor.has_entries(sub)
    with pytest.raises(UsageError, match=r"disk\.img: SUB is not empty"):
        edited.editor.remove(ROOT, "SUB")
    edited.editor.remove(sub, "TWO.TXT")
    assert not edited.editor.has_entries(sub)
    edited.editor.remove(ROOT, "SUB")
    assert edited.done() == {"\\ONE.TXT", f"\\{LONG}", "\\EMPTY"}


def test_a_name_that_was_removed_is_free(edited: Edited) -> None:
    edited.editor.remove(ROOT, LONG)
    sub = edited.entry_start("SUB")
    edited.editor.remove(sub, "TWO.TXT")
    names = edited.done()
    assert names == {"\\ONE.TXT", "\\EMPTY", "\\SUB"}
    edited.image.add(LONG, b"again")
    assert run("mtype", "-i", edited.image.volume, f"::{LONG}") == "again"
    edited.image.check()


def test_attributes_are_what_mtools_shows(edited: Edited) -> None:
    edited.editor.set_attributes(ROOT, LONG, ATTRIBUTE_READ_ONLY)
    edited.editor.set_attributes(ROOT, "ONE.TXT", ATTRIBUTE_ARCHIVE)
    before = edited.image.names()
    assert edited.done() == before
    shown = run("mattrib", "-i", edited.image.volume, "::*").splitlines()
    flags = {line.rpartition("/")[2]: line.split("::")[0].split() for line in shown}
    assert flags["ONE.TXT"] == ["A"] and flags[LONG] == ["R"]
