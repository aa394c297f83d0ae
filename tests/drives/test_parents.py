"""Differencing images and their parents: found, recognised, or refused."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from pcemu.drives import vhd_layout as layout
from pcemu.drives.chain import Chain
from pcemu.drives.create import create_differencing, create_dynamic, create_fixed
from pcemu.drives.open import open_drive
from pcemu.drives.parents import locators_for, places_for
from pcemu.drives.probe import Format
from pcemu.drives.relink import relink
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import ImageAccessError, ImageError, ImageFormatError, ImageNotFoundError, UsageError
from pcemu.testing.drive_conformance import contents

SIZE = 3 << 20


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A fixed base and its child."""
    base, child = tmp_path / "base.vhd", tmp_path / "child.vhd"
    create_fixed(base, SIZE)
    create_differencing(child, base)
    return base, child


def point_to(
    child: Path, places: list[tuple[bytes, bytes]], name: str = "", parent_id: bytes | None = None
) -> None:
    """Replace what a child says of its parent's place; the locators' data go over the old."""
    content = bytearray(child.read_bytes())
    header = layout.unpack_header(content[512:1536])
    old_end = max(each.data_offset + each.data_space for each in header.locators)
    locators, data = places_for(places, 1536)
    assert 1536 + len(data) <= old_end
    bare = name.encode("utf-16-be").ljust(512, b"\0")
    header = header._replace(
        locators=tuple(locators), parent_name=bare, parent_id=parent_id or header.parent_id
    )
    content[512:1536] = header.pack()
    content[1536 : 1536 + len(data)] = data
    child.write_bytes(content)


def wide(text: str) -> bytes:
    return text.encode("utf-16-le")


def test_the_parent_is_found_in_three_ways_in_this_order(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    places = [folder / "sub" / "one.vhd", folder / "two.vhd", folder / "sub" / "three.vhd"]
    (folder / "sub").mkdir()
    child = folder / "child.vhd"
    create_dynamic(places[0], SIZE)
    create_differencing(child, places[0])
    for path in places[1:]:
        path.write_bytes(places[0].read_bytes())
    absolute = str(places[2]).replace("/", "\\")
    point_to(child, [(b"W2ku", wide(absolute)), (b"W2ru", wide(".\\sub\\one.vhd"))], "C:\\elsewhere\\two.vhd")
    for path in places:
        drive = open_drive(child)
        assert isinstance(drive, Chain)
        assert isinstance(drive.layers[0], SparseLayer) and drive.layers[0].path == path
        drive.close()
        path.unlink()
    with pytest.raises(ImageNotFoundError, match="parent is missing") as caught:
        open_drive(child)
    assert all(str(path) in str(caught.value) for path in places)


def test_a_family_that_moves_together_stays_together(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "moved"
    other.mkdir()
    for path in pair:
        path.rename(other / path.name)
    open_drive(other / "child.vhd").close()


def test_odd_names_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "Ünïcode ✓ folder"
    folder.mkdir()
    base = folder / "bäse 100% #1;?.vhd"
    create_dynamic(base, SIZE)
    create_differencing(folder / "child.vhd", base)
    open_drive(folder / "child.vhd").close()
    (folder / "not\\here.vhd").write_bytes(base.read_bytes())
    with pytest.raises(UsageError, match="backslash"):
        create_differencing(folder / "other.vhd", folder / "not\\here.vhd")


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (".\\..\\outside.vhd", "outside the child's folder"),
        ("..\\outside.vhd", "outside the child's folder"),
        ("sub\\..\\..\\outside.vhd", "outside the child's folder"),
        ("\\\\server\\share\\p.vhd", "network share"),
        ("//server/share/p.vhd", "network share"),
        ("/dev/zero", "outside the child's folder"),
        ("..\\..\\..\\..\\..\\..\\..\\..\\..\\..\\etc\\passwd", "outside the child's folder"),
        (".\\link.vhd", "outside the child's folder"),
        (".\\fifo", "no file"),
        (".\\folder", "no file"),
        ("C:\\Windows\\p.vhd", "no path of this computer"),
        ("", "no path of this computer"),
    ],
)
@pytest.mark.parametrize("code", [b"W2ru", b"W2ku"])
def test_traps_are_not_opened(place: str, why: str, code: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "family"
    folder.mkdir()
    base, child, outside = folder / "base.vhd", folder / "child.vhd", tmp_path / "outside.vhd"
    create_fixed(base, SIZE)
    create_differencing(child, base)
    base.rename(outside)
    (folder / "link.vhd").symlink_to(outside)
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    if code == b"W2ku":
        why = why if place.startswith(("\\\\", "//", "/")) else "no path of this computer"
    point_to(child, [(code, wide(place))])
    with pytest.raises(ImageAccessError) as caught:
        open_drive(child)
    assert why in str(caught.value) and str(child) in str(caught.value)
    assert ("--allow-outside" in str(caught.value)) is (why == "outside the child's folder")


def test_a_parent_outside_is_opened_when_allowed(tmp_path: Path) -> None:
    base, child = tmp_path / "base.vhd", tmp_path / "session" / "child.vhd"
    child.parent.mkdir()
    create_dynamic(base, SIZE)
    create_differencing(child, base)
    with pytest.raises(ImageAccessError, match="let it lie outside with --allow-outside"):
        open_drive(child)
    open_drive(child, allow_outside=True).close()
    point_to(child, [(b"W2ru", wide("/dev/zero"))])
    with pytest.raises(ImageAccessError, match="no file"):
        open_drive(child, allow_outside=True)
    point_to(child, [(b"MacX", f"file://localhost{base}".encode())])
    open_drive(child, allow_outside=True).close()
    point_to(child, [(b"MacX", f"file://elsewhere{base}".encode())])
    with pytest.raises(ImageAccessError, match="no path of this computer"):
        open_drive(child, allow_outside=True)


def test_where_a_renamed_parent_was_looked_for_is_told_first(tmp_path: Path) -> None:
    (before := tmp_path / "before").mkdir()
    create_dynamic(before / "base.vhd", SIZE)
    create_differencing(before / "child.vhd", before / "base.vhd")
    after = before.rename(tmp_path / "after")
    (after / "base.vhd").rename(after / "renamed.vhd")
    with pytest.raises(ImageAccessError) as caught:
        open_drive(after / "child.vhd")
    assert f"its parent is not at {after / 'base.vhd'}, and else given as absolute" in str(caught.value)
    assert "pcemu disk relink" in str(caught.value)


def test_another_parent_is_refused(pair: tuple[Path, Path]) -> None:
    base, child = pair
    mine = base.read_bytes()[-512:][68:84].hex()
    base.unlink()
    create_fixed(base, SIZE)
    with pytest.raises(ImageFormatError) as caught:
        open_drive(child)
    other = base.read_bytes()[-512:][68:84].hex()
    assert mine in str(caught.value) and other in str(caught.value) and "relink" in str(caught.value)
    base.write_bytes(bytes(SIZE))
    with pytest.raises(ImageFormatError, match="raw image"):
        open_drive(child)


def test_a_parent_written_since_is_warned_of(pair: tuple[Path, Path]) -> None:
    base, child = pair
    os.utime(base, (1_000_000_000, 1_000_000_000))
    drive = open_drive(child)
    assert len(drive.warnings) == 1 and "2001-09-09 01:46:40 UTC" in drive.warnings[0]
    assert "`pcemu disk relink`" in drive.warnings[0]
    drive.close()
    relink(child, base)
    drive = open_drive(child)
    assert drive.warnings == []
    drive.close()


@pytest.mark.parametrize("offset", [0, SIZE - 1, 1 << 20])
def test_a_raw_parent_that_changed_is_refused(offset: int, tmp_path: Path) -> None:
    base, child = tmp_path / "base.img", tmp_path / "child.vhd"
    base.write_bytes(b"\x5a" * SIZE)
    create_differencing(child, base)
    drive = open_drive(child)
    assert not drive.warnings
    assert contents(drive) == b"\x5a" * SIZE
    drive.close()
    with base.open("r+b") as file:
        file.seek(offset // 512 * 512)
        file.write(b"\0" * 512)
    with pytest.raises(ImageFormatError, match="changed or is another image"):
        open_drive(child)


def test_a_raw_parent_changed_where_no_sample_is_taken_is_warned_of(tmp_path: Path) -> None:
    base, child = tmp_path / "base.img", tmp_path / "child.vhd"
    base.write_bytes(bytes(SIZE))
    create_differencing(child, base)
    with base.open("r+b") as file:
        file.seek((1 << 20) + 512)
        file.write(b"x")
    os.utime(base, (1_000_000_000, 1_000_000_000))
    drive = open_drive(child)
    assert "2001-09-09" in drive.warnings[0]
    drive.close()


def test_a_raw_parent_of_another_size_is_refused(tmp_path: Path) -> None:
    base, child = tmp_path / "base.img", tmp_path / "child.vhd"
    base.write_bytes(bytes(SIZE))
    create_differencing(child, base)
    base.write_bytes(bytes(SIZE + 512))
    with pytest.raises(ImageFormatError, match=f"has {SIZE + 512} bytes, expected {SIZE}"):
        open_drive(child)


def test_a_raw_parent_is_never_taken_for_a_vhd(tmp_path: Path) -> None:
    """A guest can write a footer into the last sector of its disk; that must not change what it is."""
    inner, base, child = tmp_path / "inner.vhd", tmp_path / "base.img", tmp_path / "child.vhd"
    create_fixed(inner, SIZE)
    base.write_bytes(bytes(SIZE) + inner.read_bytes()[-512:])
    create_differencing(child, base, parent_format=Format.RAW)
    drive = open_drive(child)
    assert contents(drive) == base.read_bytes()
    drive.close()


def test_a_child_smaller_than_its_parent_is_refused(pair: tuple[Path, Path]) -> None:
    child = pair[1]
    content = bytearray(child.read_bytes())
    for start in (0, len(content) - 512):
        footer = layout.unpack_footer(content[start : start + 512])
        content[start : start + 512] = footer._replace(current_size=SIZE - 512).pack()
    child.write_bytes(content)
    with pytest.raises(ImageFormatError, match=f"has {SIZE // 512} sectors, expected at most"):
        open_drive(child)


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    base, one, two = tmp_path / "base.vhd", tmp_path / "one.vhd", tmp_path / "two.vhd"
    create_dynamic(base, SIZE)
    create_differencing(one, base)
    create_differencing(two, one)
    point_to(one, [(b"W2ru", wide(".\\two.vhd"))], parent_id=two.read_bytes()[68:84])
    for head in (one, two):
        with pytest.raises(ImageFormatError, match="above it in the same chain"):
            open_drive(head)
    point_to(one, [(b"W2ru", wide(".\\one.vhd"))])
    with pytest.raises(ImageFormatError, match="above it in the same chain"):
        open_drive(one)


def test_too_many_layers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "0.img"
    path.write_bytes(bytes(4096))
    for number in range(1, 257):
        child = tmp_path / f"{number}.vhd"
        create_differencing(child, path, block_size=4096)
        path = child
    drive = open_drive(tmp_path / "255.vhd")
    assert isinstance(drive, Chain) and len(drive.layers) == 256
    drive.write(3, b"\x77" * 512)
    assert contents(drive)[3 * 512 : 4 * 512] == b"\x77" * 512
    drive.close()
    with pytest.raises(ImageError, match="at most 256"):
        open_drive(tmp_path / "256.vhd")


def test_the_head_is_locked_alone_and_parents_are_shared(pair: tuple[Path, Path], tmp_path: Path) -> None:
    base, child = pair
    sibling = tmp_path / "sibling.vhd"
    create_differencing(sibling, base)
    drive, other = open_drive(child), open_drive(sibling)
    for path in (child, base):
        with pytest.raises(ImageAccessError, match=rf"is busy: this program \(process {os.getpid()}\)"):
            open_drive(path)
    with pytest.raises(ImageAccessError, match="is busy"):
        open_drive(child, read_only=True)
    drive.close()
    other.close()
    open_drive(base).close()


def test_a_refused_chain_leaves_nothing_open(pair: tuple[Path, Path]) -> None:
    base, child = pair
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    base.rename(base.with_name("gone.vhd"))
    with pytest.raises(ImageNotFoundError):
        open_drive(child)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


def test_locators_are_as_windows_writes_them(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    beside = dict(locators_for(str(tmp_path / "child.vhd"), str(tmp_path / "base.vhd")))
    assert beside[b"W2ru"] == wide(".\\base.vhd")
    above = dict(locators_for(str(tmp_path / "a" / "child.vhd"), str(tmp_path / "base.vhd")))
    assert above[b"W2ru"] == wide("..\\base.vhd")
    below = dict(locators_for(str(tmp_path / "child.vhd"), str(tmp_path / "a" / "base.vhd")))
    assert below[b"W2ru"] == wide(".\\a\\base.vhd")
    assert above[b"MacX"] == f"file://localhost{tmp_path}/base.vhd".encode()


def test_a_child_tells_its_parents_id_time_and_name(pair: tuple[Path, Path]) -> None:
    base, child = pair
    header = layout.unpack_header(child.read_bytes()[512:1536])
    assert header.parent_id == base.read_bytes()[-512:][68:84]
    assert header.parent_time == int(base.stat().st_mtime) - 946684800
    assert header.parent_name.decode("utf-16-be").rstrip("\0") == "base.vhd"
    assert struct.unpack_from(">I", child.read_bytes(), 60) == (4,)
