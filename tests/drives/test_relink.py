"""Relink: a child finds its parent where it is now; another image is refused, or taken on trust."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing, create_dynamic, create_raw
from pcemu.drives.intents import COMMIT, Intent, clear_intent, write_intent
from pcemu.drives.open import open_drive
from pcemu.drives.registry import registered
from pcemu.drives.relink import relink
from pcemu.drives.tree import ancestors_of
from pcemu.errors import ImageAccessError, ImageError, ImageNotFoundError, UsageError
from tests.drives.small_images import MIB, files, make_line, read, write


def test_a_parent_that_moved_is_found_again(line: list[Path]) -> None:
    expected = read(line[3])
    (elsewhere := line[0].parent / "else where").mkdir()
    moved = line[1].rename(elsewhere / "renamed.vhd")
    shutil.copystat(line[0], line[0])
    relink(line[2], moved)
    relink(moved, line[0])
    assert ancestors_of(line[3], allow_outside=True) == [str(line[2]), str(moved), str(line[0])]
    assert registered(str(moved)) == [str(line[2])]  # in another folder: the parent is told
    drive = open_drive(line[3], read_only=True, allow_outside=True)
    drive.read(0, content := bytearray(len(expected)))
    drive.close()
    assert content == expected
    relink(line[2], moved)  # again
    assert registered(str(moved)) == [str(line[2])]


def test_another_image_is_refused_unless_trusted(line: list[Path], tmp_path: Path) -> None:
    (folder := tmp_path / "other").mkdir()
    other = make_line(folder)
    write(other[2], 100, 9)
    before = files(line[0].parent)
    for parent in (other[2], line[1]):  # of another family; of this one, but not its parent
        with pytest.raises(ImageError) as caught:
            relink(line[3], parent)
        assert "3.vhd" in str(caught.value) and parent.name in str(caught.value)
    assert files(line[0].parent) == before
    relink(line[3], line[1], trust=True)
    assert ancestors_of(line[3]) == [str(line[1]), str(line[0])]
    model = bytearray(read(line[1]))
    model[3 * 512 : 4 * 512] = b"\x04" * 512  # what it holds itself
    assert read(line[3]) == model


def test_a_larger_image_is_refused_even_then(line: list[Path]) -> None:
    create_dynamic(larger := line[0].with_name("larger.vhd"), 2 * MIB)
    before = files(line[0].parent)
    with pytest.raises(ImageError, match=r"has 4096 sectors, expected at most 2048 .*name a smaller image"):
        relink(line[3], larger, trust=True)
    assert files(line[0].parent) == before
    create_dynamic(smaller := line[0].with_name("smaller.vhd"), MIB // 2)
    relink(line[3], smaller, trust=True)
    assert read(line[3])[MIB // 2 :] == bytes(MIB // 2)


@pytest.mark.parametrize(
    ("child", "parent", "words"),
    [
        (0, 1, "0.vhd: is no differencing image, expected one; it has no parent"),
        (3, 3, "3.vhd: is the child itself, expected another image; name its parent"),
        (1, 3, "3.vhd: is itself built on"),
    ],
)
@pytest.mark.parametrize("trust", [False, True])
def test_what_makes_no_chain_is_refused(
    child: int, parent: int, words: str, trust: bool, line: list[Path]
) -> None:
    before = files(line[0].parent)
    with pytest.raises((UsageError, ImageError)) as caught:
        relink(line[child], line[parent], trust=trust)
    assert words in str(caught.value) or (child, parent) == (3, 3)
    assert files(line[0].parent) == before


def test_a_raw_parent_is_known_by_what_it_looks_like(tmp_path: Path) -> None:
    create_raw(base := tmp_path / "base.img", MIB)
    write(base, 0, 1)
    create_differencing(child := tmp_path / "child.vhd", base)
    write(child, 5, 5)
    expected = read(child)
    moved = base.rename(tmp_path / "moved.img")
    relink(child, moved)
    assert read(child) == expected
    content = bytearray(moved.read_bytes())
    content[0] = 2
    (other := tmp_path / "other.img").write_bytes(content)
    before = files(tmp_path)
    with pytest.raises(ImageError, match=r"other.img"):
        relink(child, other)
    assert files(tmp_path) == before
    relink(child, other, trust=True)
    assert read(child)[0] == 2


def test_a_parent_that_holds_half_of_a_commit_is_refused(line: list[Path]) -> None:
    write_intent(str(line[2]), Intent(COMMIT, str(line[0].with_name("x.vhd")), bytes(16)))
    with pytest.raises(ImageAccessError, match=r"2.vhd: holds half of a commit of .*x.vhd"):
        relink(line[3], line[2])
    clear_intent(str(line[2]))
    relink(line[3], line[2])


def test_what_is_missing_or_in_use_is_refused(line: list[Path]) -> None:
    with pytest.raises(ImageNotFoundError, match=r"none.vhd: no such file"):
        relink(line[3], line[0].with_name("none.vhd"))
    drive = open_drive(line[3], read_only=True)
    with pytest.raises(ImageError, match="busy"):
        relink(line[3], line[2])
    drive.close()


def test_only_a_child_has_a_parent(line: list[Path], tmp_path: Path) -> None:
    create_raw(raw := tmp_path / "raw.img", MIB)
    before = files(line[0].parent)
    for image in (raw, line[0]):
        with pytest.raises(UsageError, match=f"{image.name}: is no differencing image, expected one"):
            relink(image, line[1])
    assert files(line[0].parent) == before and raw.read_bytes() == bytes(MIB)
