"""The tree of a family: who is built on whom, what is wrong with whom; nothing is locked or changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pcemu.drives import tree
from pcemu.drives.create import create_differencing, create_dynamic, create_raw
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format
from pcemu.drives.registry import read_child
from pcemu.drives.relink import relink
from pcemu.drives.tree import Node, ancestors_of, look_at, tree_of
from pcemu.errors import ImageFormatError, ImageNotFoundError
from tests.drives.small_images import MIB, Opening, files, write


def shape(node: Node) -> tuple[object, ...]:
    """The names of a tree: an image's, and the shapes of its children."""
    return (Path(node.path).name, *map(shape, node.children))


def test_the_whole_family_whoever_is_asked(line: list[Path]) -> None:
    for name, parent in (("left", 0), ("right", 2)):
        create_differencing(line[0].with_name(f"{name}.vhd"), line[parent])
    before = files(line[0].parent)
    expected = ("0.vhd", ("1.vhd", ("2.vhd", ("3.vhd",), ("right.vhd",))), ("left.vhd",))
    for path in (*line, line[0].with_name("left.vhd")):
        top = tree_of(path)
        assert shape(top) == expected
        assert all(not node.trouble and node.facts is not None for node in top.walk())
    assert [Path(node.path).stem for node in top.walk()] == ["0", "1", "2", "3", "right", "left"]
    assert files(line[0].parent) == before


def test_images_in_use_are_no_hindrance(line: list[Path]) -> None:
    drive = open_drive(line[3])
    assert shape(tree_of(line[3])) == ("0.vhd", ("1.vhd", ("2.vhd", ("3.vhd",))))
    drive.close()


def test_a_raw_base_has_its_children_though_it_looks_like_another(tmp_path: Path) -> None:
    create_dynamic(tmp_path / "looks.vhd", MIB)
    shutil.copyfile(tmp_path / "looks.vhd", base := tmp_path / "base.img")
    content = base.read_bytes()
    base.write_bytes(content.ljust(MIB, b"\0"))
    create_differencing(tmp_path / "child.vhd", base, parent_format=Format.RAW)
    top = tree_of(tmp_path / "child.vhd")
    assert shape(top) == ("base.img", ("child.vhd",))
    assert top.facts is not None and top.facts.format is Format.RAW and not top.children[0].trouble


def test_what_is_wrong_is_said_of_whom(line: list[Path]) -> None:
    create_differencing(line[0].with_name("sound.vhd"), line[0])
    write(line[2], 7, 7)
    line[1].unlink()
    create_differencing(line[1], line[0])  # another one of the name
    nodes = {Path(node.path).name: node for node in tree_of(line[3]).walk()}
    assert nodes["2.vhd"].trouble == f"{line[1]} was changed, or is not the parent it was made for"
    assert [name for name, node in nodes.items() if node.trouble] == ["2.vhd"]


def test_a_raw_parent_that_was_written_troubles_its_children(tmp_path: Path) -> None:
    create_raw(base := tmp_path / "base.img", MIB)
    create_differencing(child := tmp_path / "child.vhd", base)
    write(base, 0, 1)
    assert [bool(node.trouble) for node in tree_of(child).walk()] == [False, True]
    found = read_child(str(child))
    assert found is not None and found.kept not in (None, look_at(str(base), HOST))


def test_a_missing_ancestor_is_where_the_tree_begins(line: list[Path]) -> None:
    line[0].rename(line[0].parent.parent / "away.vhd")
    assert ancestors_of(line[3]) == [str(line[2]), str(line[1])]
    top = tree_of(line[3])
    assert shape(top) == ("1.vhd", ("2.vhd", ("3.vhd",))) and "its parent is missing" in top.trouble


def test_what_lies_outside_is_opened_only_when_that_is_allowed(line: list[Path]) -> None:
    """A child from a stranger may name any file of this computer."""
    line[0].rename(away := line[0].parent.parent / "away.vhd")
    relink(line[1], away)
    host = Host(calls := Opening())
    assert ancestors_of(line[3], host=host) == [str(line[2]), str(line[1])]
    top = tree_of(line[3], host=host)
    assert shape(top) == ("1.vhd", ("2.vhd", ("3.vhd",)))
    assert "--allow-outside" in top.trouble and str(away) not in calls.opened
    top = tree_of(line[3], allow_outside=True, host=host)
    assert shape(top) == ("away.vhd", ("1.vhd", ("2.vhd", ("3.vhd",))))
    assert not top.trouble and str(away) in calls.opened


def test_a_tree_ends_where_nothing_can_be_opened_any_more(
    line: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "MAX_DEPTH", 3)
    nodes = list(tree_of(line[3]).walk())
    assert [node.trouble for node in nodes[:3]] == ["", "", ""]
    assert nodes[3].trouble == "is on 3 layers, expected fewer; merge some of them" and len(nodes) == 4


def test_the_image_that_was_asked_for_must_be_one(line: list[Path]) -> None:
    with pytest.raises(ImageNotFoundError):
        tree_of(line[0].with_name("none.vhd"))
    content = line[3].read_bytes()
    line[3].write_bytes(content[:20] + b"?" + content[21:-500])
    with pytest.raises(ImageFormatError):
        tree_of(line[3])
    assert shape(tree_of(line[2])) == ("0.vhd", ("1.vhd", ("2.vhd",)))


def test_a_cycle_ends(line: list[Path]) -> None:
    """Someone swapped files: 1.vhd is built on 2.vhd by its locators, and that on 1.vhd."""
    relink(line[1], line[0], trust=True)
    shutil.copyfile(line[2], line[0])  # a child of 1.vhd is now what 1.vhd is built on
    assert ancestors_of(line[1]) == [str(line[0]), str(line[1])]
    assert {Path(node.path).name for node in tree_of(line[1]).walk()} >= {"0.vhd", "1.vhd"}
