"""Who is built on an image: beside it, in its sessions, elsewhere as noted; and notes that mean nothing."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing, create_raw
from pcemu.drives.hostfile import Host, SystemCalls
from pcemu.drives.open import open_layer
from pcemu.drives.registry import Family, read_child, register, registered
from pcemu.drives.sidecar import CHILDREN, SESSIONS
from tests.drives.small_images import MIB, write


def built_on(image: Path) -> list[str]:
    return [child.path for child in Family().built_on(str(image))]


def test_children_beside_it_in_sessions_and_elsewhere(line: list[Path], tmp_path: Path) -> None:
    places = [line[0].with_name("b.vhd"), Path(f"{line[0]}{SESSIONS}", "c.vhd"), tmp_path / "else" / "d.vhd"]
    for place in places:
        place.parent.mkdir(exist_ok=True)
        create_differencing(place, line[0])
    assert built_on(line[0]) == sorted(map(str, (line[1], *places)))
    assert registered(str(line[0])) == [str(places[2])]  # others are found without a note
    layer = open_layer(str(line[0]), True, None, Host(SystemCalls()))
    assert {child.path for child in Family().children_of(layer)} == set(built_on(line[0]))
    layer.close()
    places[2].unlink()
    assert built_on(line[0]) == sorted(map(str, (line[1], *places[:2])))  # a note is only a hint


def test_only_direct_children(line: list[Path]) -> None:
    assert [built_on(image) for image in line] == [[str(line[1])], [str(line[2])], [str(line[3])], []]


def test_a_folder_beside_an_image_is_looked_through_too(line: list[Path], tmp_path: Path) -> None:
    """When it was first seen as one of the names beside another image."""
    create_differencing(below := line[0].with_name("below.vhd"), line[0])
    create_raw(base := tmp_path / "base.img", MIB)
    family = Family()
    assert family.built_on(str(base)) == []
    assert [child.path for child in family.built_on(str(line[0]))] == [str(line[1]), str(below)]


def test_what_a_child_says(line: list[Path]) -> None:
    child = read_child(str(line[3]))
    assert child is not None and child.parent is not None
    assert (child.path, child.parent.real, child.missing) == (str(line[3]), str(line[2]), "")
    assert child.kept is None and not child.empty
    create_differencing(empty := line[0].with_name("empty.vhd"), line[3])
    found = read_child(str(empty))
    assert found is not None and found.empty and found.parent_id == child.unique_id
    line[2].unlink()
    lonely = read_child(str(line[3]))
    assert lonely is not None and lonely.parent is None and "2.vhd" in lonely.missing


def test_what_is_no_child_is_none(line: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no image")
    (tmp_path / "folder").mkdir()
    damaged = tmp_path / "damaged.vhd"
    damaged.write_bytes(line[3].read_bytes()[:700])
    os.mkfifo(tmp_path / "fifo")
    for path in (line[0], *tmp_path.iterdir(), tmp_path / "none"):
        assert read_child(str(path)) is None, path


def test_a_disk_that_cannot_be_read_is_no_answer(line: list[Path]) -> None:
    class Broken(SystemCalls):
        def open(self, path: str, flags: int, mode: int = 0o666) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    with pytest.raises(OSError, match="Input/output error"):
        read_child(str(line[3]), Host(Broken()))

    class Forbidden(SystemCalls):
        def open(self, path: str, flags: int, mode: int = 0o666) -> int:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)

    assert read_child(str(line[3]), Host(Forbidden())) is None


def test_a_raw_parent_is_known_by_its_look(tmp_path: Path) -> None:
    create_raw(base := tmp_path / "base.img", MIB)
    create_differencing(path := tmp_path / "child.vhd", base)
    child = read_child(str(path))
    assert child is not None and child.kept is not None
    layer = open_layer(str(base), True, None, Host(SystemCalls()))
    assert Family().children_of(layer, [child.kept]) == [child]
    assert Family().children_of(layer) == []
    layer.close()


def test_a_child_is_noted_once_and_relative_to_its_parent(line: list[Path], tmp_path: Path) -> None:
    child = tmp_path / "else" / "child.vhd"
    child.parent.mkdir()
    for _ in range(3):
        register(str(child), str(line[0]))
    note = Path(f"{line[0]}{CHILDREN}")
    assert [json.loads(each) for each in note.read_text().split()] == ["../else/child.vhd"]
    assert registered(str(line[0])) == [str(child)]
    register(str(line[0].with_name("beside.vhd")), str(line[0]))
    register(f"{line[0]}{SESSIONS}/session.vhd", str(line[0]))
    assert registered(str(line[0])) == [str(child)]


def test_lines_that_a_crash_tore_do_no_harm(line: list[Path], tmp_path: Path) -> None:
    note = Path(f"{line[0]}{CHILDREN}")
    note.write_bytes(b'\n"../a.vhd"\n\n"../b\x00.v\n17\n"../nul\\u0000.vhd"\n\xff\xfe\n"../tor')
    register(str(tmp_path / "c.vhd"), str(line[0]))
    assert registered(str(line[0])) == [str(tmp_path / "a.vhd"), str(tmp_path / "c.vhd")]
    assert built_on(line[0]) == [str(line[1])]


def test_a_parent_beside_which_nothing_can_be_written_goes_without(line: list[Path], tmp_path: Path) -> None:
    class ReadOnly(SystemCalls):
        code = errno.EROFS

        def open(self, path: str, flags: int, mode: int = 0o666) -> int:
            if flags & os.O_CREAT:
                raise OSError(self.code, os.strerror(self.code), path)
            return super().open(path, flags, mode)

    register(str(tmp_path / "c.vhd"), str(line[0]), Host(calls := ReadOnly()))
    assert registered(str(line[0])) == []
    calls.code = errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        register(str(tmp_path / "c.vhd"), str(line[0]), Host(calls))


def test_a_family_sees_each_folder_once_and_can_forget(line: list[Path]) -> None:
    family = Family()
    assert len(family.built_on(str(line[0]))) == 1
    create_differencing(line[0].with_name("later.vhd"), line[0])
    assert len(family.built_on(str(line[0]))) == 1
    family.forget(str(line[1]))
    assert family.built_on(str(line[0])) == []
    assert len(built_on(line[0])) == 2


def test_leftovers_of_killed_operations_are_no_children(line: list[Path]) -> None:
    line[3].rename(line[3].with_name(".3.vhd.0123abcd.new"))
    assert built_on(line[2]) == []
    write(line[2], 9, 9)
