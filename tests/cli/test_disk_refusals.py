"""Bad input to `pcemu disk`: each says file, field, found, expected and how to go on, and changes nothing."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pcemu.drives import vhd_layout as layout
from pcemu.drives.create import create_differencing, create_dynamic, create_fixed
from pcemu.drives.open import open_drive
from tests.cli.test_disk import Run, disk, state
from tests.drives.test_parents import point_to, wide

__all__ = ["disk"]  # the fixture

MIB = 1 << 20
SIZE = 3 * MIB


class Case(NamedTuple):
    """What is wrong with x.vhd, what opening it exits with, and words that the message must have."""

    make: Callable[[Path], None]
    code: int
    words: tuple[str, ...]


def a_family() -> None:
    create_dynamic("base.vhd", SIZE)
    create_differencing("x.vhd", "base.vhd")
    drive = open_drive("x.vhd")
    drive.write(0, b"x" * 512)
    drive.close()


def patch(offset: int, data: bytes) -> None:
    """Overwrite a part of x.vhd, from its end when the offset is negative."""
    content = bytearray(Path("x.vhd").read_bytes())
    at = offset if offset >= 0 else len(content) + offset
    content[at : at + len(data)] = data
    Path("x.vhd").write_bytes(content)


def not_a_vhd(folder: Path) -> None:
    Path("x.vhd").write_bytes(b"This is a text, and none of whole sectors.\n" * 50)


def a_vhd_by_name_alone(folder: Path) -> None:
    Path("x.vhd").write_bytes(bytes(SIZE))


def empty(folder: Path) -> None:
    Path("x.vhd").touch()


def wrong_checksum(folder: Path) -> None:
    create_fixed("x.vhd", SIZE)
    patch(-512 + 30, b"\xff")


def wrong_header_checksum(folder: Path) -> None:
    create_dynamic("x.vhd", SIZE)
    patch(512 + 200, b"\xff")


def header_field(**changed: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        create_dynamic("x.vhd", SIZE)
        header = layout.unpack_header(Path("x.vhd").read_bytes()[512:1536])
        patch(512, header._replace(**changed).pack())  # type: ignore[arg-type]

    return make


def bat_outside(folder: Path) -> None:
    create_dynamic("x.vhd", SIZE)
    patch(1536, (12345).to_bytes(4, "big"))


def parent_missing(folder: Path) -> None:
    a_family()
    Path("base.vhd").unlink()


def parent_moved(folder: Path) -> None:
    a_family()
    Path("elsewhere").mkdir()
    Path("base.vhd").rename("elsewhere/base.vhd")


def parent_replaced(folder: Path) -> None:
    a_family()
    Path("base.vhd").unlink()
    create_dynamic("base.vhd", SIZE)


def raw_parent_changed(folder: Path) -> None:
    Path("base.img").write_bytes(random.Random(0).randbytes(SIZE))
    create_differencing("x.vhd", "base.img")
    with Path("base.img").open("r+b") as file:
        file.write(b"changed")


def parent_larger(folder: Path) -> None:
    """The sizes do not fit, though the id does."""
    a_family()
    content = bytearray(Path("x.vhd").read_bytes())
    footer = layout.unpack_footer(content[:512])._replace(current_size=SIZE - 512)
    content[:512] = content[-512:] = footer.pack()
    Path("x.vhd").write_bytes(content)


def cycle(folder: Path) -> None:
    a_family()
    create_differencing("y.vhd", "x.vhd")
    target = layout.unpack_footer(Path("y.vhd").read_bytes()[:512]).unique_id
    point_to(Path("x.vhd"), [(b"W2ru", wide(".\\y.vhd"))], "y.vhd", target)


def hostile(place: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        a_family()
        Path("base.vhd").unlink()
        os.mkfifo("fifo")
        point_to(Path("x.vhd"), [(b"W2ru", wide(place))])

    return make


CASES = {
    "not a VHD, nor raw": Case(not_a_vhd, 4, ("x.vhd", "neither", "'conectix'", "restore it")),
    "a VHD by name alone": Case(a_vhd_by_name_alone, 4, ("x.vhd", "ends in .vhd", "--format raw")),
    "empty": Case(empty, 4, ("x.vhd", "is empty", "expected")),
    "wrong checksum": Case(wrong_checksum, 4, ("x.vhd", "checksum of the footer", "is 0x", "expected 0x")),
    "wrong checksum of the header": Case(
        wrong_header_checksum, 4, ("x.vhd", "dynamic header's checksum", "expected 0x", "restore it")
    ),
    "unsupported block size": Case(
        header_field(block_size=3 * MIB), 4, ("x.vhd", "block size is 3145728", "power of two", "convert it")
    ),
    "too few BAT entries": Case(header_field(bat_entries=1), 4, ("x.vhd", "BAT entries is 1", "expected 2")),
    "block outside": Case(bat_outside, 4, ("x.vhd", "BAT entry 0", "sector 12345", "expected")),
    "parent missing": Case(parent_missing, 3, ("x.vhd", "parent is missing", "base.vhd", "relink")),
    "parent moved": Case(parent_moved, 3, ("x.vhd", "parent is missing", "base.vhd", "relink")),
    "parent replaced": Case(parent_replaced, 4, ("x.vhd", "base.vhd", "has the id", "expected", "relink")),
    "raw parent changed": Case(
        raw_parent_changed, 4, ("x.vhd", "base.img", "has content", "expected", "restore it")
    ),
    "size mismatch": Case(parent_larger, 4, ("x.vhd", "6144 sectors", "at most 6143")),
    "cycle": Case(cycle, 4, ("its parent", "above it in the same chain", "relink")),
    "a share": Case(hostile("\\\\server\\share\\p.vhd"), 5, ("x.vhd", "network share", "expected", "relink")),
    "a system folder": Case(hostile("..\\..\\etc\\passwd"), 5, ("x.vhd", "passwd", "outside", "allow")),
    "a device": Case(hostile("/dev/zero"), 5, ("x.vhd", "/dev/zero", "outside the child's folder")),
    "a FIFO": Case(hostile(".\\fifo"), 5, ("x.vhd", "no file", "relink")),
}

READERS = {
    "check": ("check", "x.vhd"),
    "map": ("map", "x.vhd"),
    "convert": ("convert", "x.vhd", "new.img"),
    "compare": ("compare", "x.vhd", "x.vhd"),
}
WRITERS = {
    "commit": ("commit", "x.vhd"),
    "merge": ("merge", "x.vhd", "base.vhd"),
    "compact": ("compact", "x.vhd"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_opened_is_refused_by_all(name: str, disk: Run, tmp_path: Path) -> None:
    make, code, words = CASES[name]
    make(tmp_path)
    before = state(tmp_path)
    for command in (READERS | WRITERS).values():
        found, out, err = disk(*command)
        assert (found, out) == (code, ""), (command, err)
        assert err.startswith("pcemu: ") and err.count("\n") == 1, err
        assert all(word in err for word in words), err
        assert state(tmp_path) == before


@pytest.mark.parametrize("name", CASES)
def test_check_tells_it_as_json_too(name: str, disk: Run, tmp_path: Path) -> None:
    make, code, _ = CASES[name]
    make(tmp_path)
    found, out, err = disk("check", "--json", "x.vhd")
    document = json.loads(out)
    assert (found, document["usable"], document["layers"]) == (code, False, [])
    assert f"pcemu: {document['error']}\n" == err


def test_a_trusted_image_may_lie_outside(disk: Run, tmp_path: Path) -> None:
    (tmp_path / "child").mkdir()
    create_dynamic("base.vhd", SIZE)
    create_differencing("child/x.vhd", "base.vhd")
    code, _, err = disk("check", "child/x.vhd")
    assert code == 5
    assert "outside" in err
    assert disk("check", "--allow-outside", "child/x.vhd")[0] == 0


def test_what_only_looks_opens_nothing_outside_either(disk: Run, tmp_path: Path) -> None:
    """A child from a stranger may name any file, and what looks at its family would open it."""
    (tmp_path / "child").mkdir()
    create_dynamic("base.vhd", SIZE)
    create_differencing("child/x.vhd", "base.vhd")
    base, child = f"{tmp_path / 'base.vhd'}", f"{tmp_path / 'child' / 'x.vhd'}"
    (alone,) = json.loads(disk("info", "--chain", "--json", "child/x.vhd")[1])
    assert (alone["image"], alone["parent"]["path"]) == ("child/x.vhd", None)
    assert "--allow-outside" in alone["parent"]["missing"]
    _, parent = json.loads(disk("info", "--chain", "--allow-outside", "--json", "child/x.vhd")[1])
    assert parent["image"] == base
    tree = json.loads(disk("chain", "--json", "child/x.vhd")[1])["tree"]
    assert tree["path"] == child and "--allow-outside" in tree["trouble"]
    tree = json.loads(disk("chain", "--allow-outside", "--json", "child/x.vhd")[1])["tree"]
    assert (tree["path"], tree["trouble"], len(tree["children"])) == (base, "", 1)
    Path("base.vhd").write_bytes(b"no image")
    kinds = [json.loads(disk("orphans", *option, "--json", "child")[1])["orphans"][0]["kind"]
             for option in ((), ("--allow-outside",))]
    assert kinds == ["empty", "parent changed"]


def test_a_lost_footer_is_read_but_not_written_before_it_is_repaired(disk: Run, tmp_path: Path) -> None:
    a_family()
    patch(-512, bytes(512))
    before = state(tmp_path)
    assert disk("convert", "-q", "x.vhd", "new.img") == (0, "", "")
    Path("new.img").unlink()
    code, _, err = disk("commit", "x.vhd")
    assert code == 4
    assert "footer at its end is lost" in err and "pcemu disk repair" in err
    assert state(tmp_path) == before
    assert disk("repair", "-q", "x.vhd") == (0, "", "")
    assert disk("commit", "-q", "x.vhd") == (0, "", "")


@pytest.mark.parametrize("command", [*WRITERS.values(), ("discard", "--yes", "x.vhd"), ("repair", "x.vhd")])
def test_an_image_in_use_is_not_changed(command: tuple[str, ...], disk: Run, tmp_path: Path) -> None:
    create_dynamic("base.vhd", SIZE)
    create_differencing("x.vhd", "base.vhd")
    drive = open_drive("x.vhd")
    before = state(tmp_path)
    code, out, err = disk(*command)
    drive.close()
    assert (code, out) == (5, "")
    assert "busy" in err and "process" in err
    assert state(tmp_path) == before


@pytest.mark.parametrize("command", ["info", "chain", "map", "check", "repair", "discard", "commit"])
def test_a_missing_image(command: str, disk: Run) -> None:
    code, out, err = disk(command, "nowhere.vhd")
    assert (code, out) == (3, "")
    assert "nowhere.vhd: no such file; give the path of an existing disk image\n" in err


@pytest.mark.parametrize(
    "command", ["info", "chain", "map", "check", "commit", "discard", "repair", "compact"]
)
def test_a_path_that_the_host_does_not_take_is_a_sentence(command: str, disk: Run, tmp_path: Path) -> None:
    Path("file").touch()
    for path in ("n" * 300, "file/below"):
        code, out, err = disk(command, path)
        assert code in (3, 5) and out == "" and err.startswith("pcemu: ") and err.count("\n") == 1
        assert path in err and ";" in err, err


def test_a_child_that_cannot_be_made_leaves_no_note(disk: Run, tmp_path: Path) -> None:
    create_dynamic("base.vhd", SIZE)
    before = state(tmp_path)
    code, _, err = disk("create", "-b", "base.vhd", "nowhere/child.vhd")
    assert code == 5 and "cannot be created" in err
    assert state(tmp_path) == before


def test_no_child_is_made_of_one_that_cannot_be_used_itself(disk: Run, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    create_dynamic("base.vhd", SIZE)
    create_differencing("below/x.vhd", "base.vhd")
    before = state(tmp_path / "below")
    code, _, err = disk("create", "-b", "below/x.vhd", "below/child.vhd")
    assert code == 5 and "--allow-outside" in err
    Path("base.vhd").rename("moved.vhd")
    code, _, err = disk("create", "--allow-outside", "-b", "below/x.vhd", "below/child.vhd")
    assert code == 3 and "its parent is missing" in err and "pcemu disk relink" in err
    assert state(tmp_path / "below") == before
    Path("moved.vhd").rename("base.vhd")
    os.utime("base.vhd", (1_000_000_000, 1_000_000_000))
    code, out, err = disk("create", "--allow-outside", "-b", "below/x.vhd", "below/child.vhd")
    assert (code, out) == (0, "below/child.vhd: differencing, 3 MiB, a child of below/x.vhd\n")
    assert "base.vhd was last written at 2001-09-09" in err


def test_a_folder_is_no_image(disk: Run, tmp_path: Path) -> None:
    code, _, err = disk("info", tmp_path)
    assert code == 4
    assert "is a directory" in err


def test_no_child_is_made_that_would_be_too_deep_to_open(
    disk: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcemu.drives.chain.MAX_OWNERS", 4)
    create_dynamic("0.vhd", SIZE)
    for number in (1, 2):
        assert disk("create", "-q", "-b", f"{number - 1}.vhd", f"{number}.vhd") == (0, "", "")
    open_drive("2.vhd").close()
    before = state(tmp_path)
    code, _, err = disk("create", "-b", "2.vhd", "3.vhd")
    assert code == 2 and "would have 4 layers, expected less than 4" in err and "pcemu disk merge" in err
    assert state(tmp_path) == before


def test_a_parent_that_is_built_on_the_child_is_refused_as_that(disk: Run, tmp_path: Path) -> None:
    a_family()
    create_differencing("y.vhd", "x.vhd")
    before = state(tmp_path)
    code, out, err = disk("relink", "x.vhd", "y.vhd")
    assert (code, out) == (2, "") and "y.vhd: is itself built on" in err and "name another" in err
    assert state(tmp_path) == before


def test_a_smaller_size_is_refused_with_both(disk: Run, tmp_path: Path) -> None:
    create_dynamic("x.vhd", SIZE)
    before = state(tmp_path)
    code, _, err = disk("resize", "x.vhd", "1M")
    assert code == 2 and f"a size of {MIB} bytes" in err and f"more than the {SIZE}" in err
    assert state(tmp_path) == before


def test_an_image_without_both_footers_is_no_raw_one(disk: Run, tmp_path: Path) -> None:
    create_dynamic("x.vhd", SIZE)
    patch(0, b"X")
    patch(-512, b"X")
    before = state(tmp_path)
    for command in (("info",), ("check",), ("repair",), ("resize",)):
        size = ("9M",) if command == ("resize",) else ()
        code, out, err = disk(*command, "x.vhd", *size)
        assert (code, out) == (4, ""), command
        assert "x.vhd: its end is no VHD footer, expected the word 'conectix'" in err
    assert disk("info", "-f", "raw", "x.vhd")[0] == 0
    assert state(tmp_path) == before


@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["told", "quiet"])
@pytest.mark.parametrize(
    "command",
    [
        ("map", "x.vhd"),
        ("convert", "x.vhd", "new.img"),
        ("flatten", "x.vhd", "new.vhd"),
        ("compare", "x.vhd", "x.vhd"),
        ("compact", "x.vhd"),
        ("merge", "x.vhd", "middle.vhd"),
        ("commit", "x.vhd"),
        ("commit", "--one", "x.vhd"),
    ],
    ids=" ".join,
)
def test_a_parent_that_was_written_to_since_is_warned_of(
    command: tuple[str, ...], quiet: tuple[str, ...], disk: Run
) -> None:
    create_dynamic("base.vhd", SIZE)
    create_differencing("middle.vhd", "base.vhd")
    create_differencing("x.vhd", "middle.vhd")
    os.utime("base.vhd", (1_000_000_000, 1_000_000_000))
    code, out, err = disk(*command, *quiet)
    assert code == 0
    if quiet:
        assert (out, err) == ("", "")
    else:
        assert out and err.count("\n") == 1 and "base.vhd was last written at 2001-09-09" in err
