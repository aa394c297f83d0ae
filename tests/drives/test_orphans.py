"""What is left behind in a folder, of each kind, and what of it can be removed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.hostfile import HOST, Host, SystemCalls
from pcemu.drives.intents import COMMIT, Intent, write_intent
from pcemu.drives.newfile import temporary_file
from pcemu.drives.orphans import Kind, Orphan, orphans_in, remove_leftovers
from pcemu.drives.relink import relink
from pcemu.errors import UsageError
from tests.drives.small_images import MIB, Opening, files, read, write
from tests.drives.test_parents import point_to

LEFT = ".9.vhd.0123abcd.new"


def test_a_folder_in_order_has_none(line: list[Path]) -> None:
    (line[0].parent / "text.txt").write_text("somebody's")
    (line[0].parent / ".vimrc.new").write_text("somebody's, too")
    assert orphans_in(line[0].parent) == []


def one_in(folder: Path) -> Orphan:
    (orphan,) = orphans_in(folder)
    assert orphan.size == Path(orphan.path).stat().st_size
    return orphan


def test_a_child_without_its_parent(line: list[Path]) -> None:
    line[0].rename(line[0].parent.parent / "0.vhd")
    orphan = one_in(line[0].parent)
    assert (orphan.path, orphan.kind) == (str(line[1]), Kind.MISSING)
    assert "0.vhd" in orphan.text


def test_a_child_whose_parent_is_another_one_now(line: list[Path]) -> None:
    line[0].unlink()
    create_dynamic(line[0], MIB)
    orphan = one_in(line[0].parent)
    assert (orphan.path, orphan.kind) == (str(line[1]), Kind.CHANGED)
    assert orphan.text == (
        f"{line[0]} was changed, or is not the parent it was made for; restore it, or relink"
    )


def test_a_raw_parent_that_was_written(tmp_path: Path) -> None:
    (tmp_path / "base.img").write_bytes(bytes(MIB))
    create_differencing(tmp_path / "child.vhd", tmp_path / "base.img")
    write(tmp_path / "child.vhd", 1, 1)
    assert orphans_in(tmp_path) == []
    write(tmp_path / "base.img", 0, 1)
    assert one_in(tmp_path).kind is Kind.CHANGED


def test_of_several_places_one_outside_is_not_looked_into(line: list[Path]) -> None:
    """A trap in front, and behind it the parent, where it may be opened."""
    (trap := line[0].parent.parent / "trap").write_bytes(bytes(MIB))
    point_to(line[1], [(b"W2ru", "..\\trap".encode("utf-16-le"))], "0.vhd")
    host = Host(calls := Opening())
    assert orphans_in(line[0].parent, host=host) == []
    assert str(trap) not in calls.opened
    (orphan,) = orphans_in(line[0].parent, allow_outside=True, host=host)
    assert (orphan.path, orphan.kind) == (str(line[1]), Kind.CHANGED)
    assert str(trap) in calls.opened


def test_a_parent_outside_is_looked_into_only_when_that_is_allowed(line: list[Path]) -> None:
    line[0].rename(away := line[0].parent.parent / "away.vhd")
    relink(line[1], away)
    away.write_bytes(b"no image")
    host = Host(calls := Opening())
    assert orphans_in(line[0].parent, host=host) == [] and str(away) not in calls.opened
    (orphan,) = orphans_in(line[0].parent, allow_outside=True, host=host)
    assert (orphan.path, orphan.kind) == (str(line[1]), Kind.CHANGED)


def test_an_empty_child_that_nothing_is_built_on(line: list[Path]) -> None:
    create_differencing(empty := line[0].with_name("empty.vhd"), line[3])
    orphan = one_in(line[0].parent)
    assert (orphan.path, orphan.kind) == (str(empty), Kind.EMPTY)
    assert orphan.text == f"nothing was written to it since it was made on {line[3]}; it can be discarded"
    create_differencing(top := line[0].with_name("top.vhd"), empty)
    assert one_in(line[0].parent).path == str(top)  # which needs the other


def test_a_note_of_an_operation(line: list[Path]) -> None:
    write_intent(str(line[0]), Intent(COMMIT, str(line[3]), bytes(16)))
    orphan = one_in(line[0].parent)
    assert (orphan.path, orphan.kind) == (f"{line[0]}.pcemu-pending", Kind.INTERRUPTED)
    assert orphan.text == f"a commit of {line[3]} onto {line[0]} was interrupted; run it again"
    Path(orphan.path).write_text("{")
    (found,) = [each for each in orphans_in(line[0].parent) if each.path == orphan.path]
    assert found.kind is Kind.INTERRUPTED and "holds no note of an operation" in found.text


def test_only_the_folder_itself_is_looked_at(line: list[Path]) -> None:
    (line[0].parent / "below").mkdir()
    (line[0].parent / "below" / LEFT).touch()
    assert orphans_in(line[0].parent) == []
    for none in (line[0], line[0].parent / "none"):
        with pytest.raises(UsageError, match="is no folder, expected one; name a folder of images"):
            orphans_in(none)


def test_leftovers_are_removed_but_not_what_somebody_writes(line: list[Path]) -> None:
    folder = line[0].parent
    before = files(folder)
    (folder / LEFT).write_bytes(b"half")
    file = temporary_file(str(folder / "busy.vhd"), HOST)
    orphan = one_in(folder)
    assert (orphan.path, orphan.kind, orphan.size) == (str(folder / LEFT), Kind.LEFTOVER, 4)
    assert remove_leftovers([orphan]) == ([], [orphan.path])
    assert Path(file.path).exists()
    held = Orphan(file.path, Kind.LEFTOVER, "", 0)  # nobody held it when it was listed
    assert remove_leftovers([held])[1] == [] and Path(file.path).exists()
    file.close()
    assert remove_leftovers(orphans_in(folder)) == ([], [file.path])
    assert files(folder) == before


def test_nothing_else_is_ever_removed(line: list[Path]) -> None:
    create_differencing(line[0].with_name("empty.vhd"), line[3])
    line[0].rename(line[0].parent.parent / "0.vhd")
    write_intent(str(line[2]), Intent(COMMIT, str(line[3]), bytes(16)))
    before, found = files(line[0].parent), orphans_in(line[0].parent)
    assert {each.kind for each in found} >= {Kind.MISSING, Kind.INTERRUPTED}
    assert remove_leftovers(found) == (found, [])
    assert files(line[0].parent) == before


def test_what_cannot_be_removed_says_why(tmp_path: Path) -> None:
    class ReadOnly(SystemCalls):
        def unlink(self, path: str) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    (tmp_path / LEFT).touch()
    (orphan,), removed = remove_leftovers(orphans_in(tmp_path), host=Host(ReadOnly()))
    assert removed == [] and orphan.text.startswith("cannot be removed: Read-only file system; check")
    assert (tmp_path / LEFT).exists()


def test_a_changed_parent_is_no_hindrance_to_reading_the_others(line: list[Path]) -> None:
    content = read(line[2])
    line[3].write_bytes(b"no image")
    assert orphans_in(line[0].parent) == [] and read(line[2]) == content
