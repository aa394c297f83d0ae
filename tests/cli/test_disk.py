"""`pcemu disk`: what each command does, prints and exits with, and what becomes of the files."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.shell_completion import ShellComplete
from PIL import Image

from pcemu import cli
from pcemu.cli import disk as disk_group
from pcemu.cli import disk_common
from pcemu.cli.disk_colours import LAYERS, hexadecimal
from pcemu.cli.disk_common import Size, human
from pcemu.cli.progress import ProgressBar
from pcemu.drives.hostfile import HOST
from pcemu.drives.open import open_drive
from pcemu.drives.probe import probe
from tests.conftest import require

Run = Callable[..., tuple[int, str, str]]
Ask = Callable[..., Any]

MIB = 1 << 20
SIZE = 6 * MIB
SHARED = 1000  # a sector that all write


@pytest.fixture
def disk(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """Runs `pcemu disk` in this process, in the test's folder; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def disk(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pcemu", "disk", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capsys.readouterr()
        return int(exit_.value.code or 0), out, err

    return disk


@pytest.fixture
def ask(disk: Run) -> Ask:
    """As ``disk``, with ``--json``; gives what was printed, and checks that it went well."""

    def ask(*arguments: str | Path, code: int = 0) -> Any:
        found, out, err = disk(*arguments, "--json")
        assert (found, err) == (code, "")
        return json.loads(out)

    return ask


@pytest.fixture
def family(disk: Run) -> dict[str, Path]:
    """base.img ← one.vhd ← two.vhd ← three.vhd; each wrote to a place of its own and to one of all."""
    Path("base.img").write_bytes(random.Random(0).randbytes(SIZE))
    for child, parent in (("one", "base.img"), ("two", "one.vhd"), ("three", "two.vhd")):
        assert disk("create", "-q", "-b", parent, f"{child}.vhd") == (0, "", "")
        write(Path(f"{child}.vhd"), {"one": 1, "two": 2, "three": 3}[child])
    return {name: Path(f"{name}.vhd").resolve() for name in ("one", "two", "three")}


def write(path: Path, number: int) -> None:
    """64 KiB of ``number`` at that MiB, and the shared sector."""
    drive = open_drive(path)
    drive.write(number * MIB // 512, bytes((number,)) * 65536)
    drive.write(SHARED, bytes((number,)) * 512)
    drive.close()


def content(path: str | Path) -> bytes:
    drive = open_drive(path, read_only=True)
    data = bytearray(drive.sectors * 512)
    drive.read(0, data)
    drive.close()
    return bytes(data)


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of all files."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


# -- create -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [("512", 512), ("500M", 500 << 20), ("2g", 2 << 30), ("1.5K", 1536), ("1T", 1 << 40), ("4 MiB", 4 << 20)],
)
def test_sizes(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "M", "-5", "5X", "1e3", "0x10", "５M"])
def test_what_is_no_size_is_refused(text: str, disk: Run) -> None:
    code, out, err = disk("create", "--", "a.vhd", text)
    assert code == 2
    assert out == ""
    assert "500M" in err
    assert not Path("a.vhd").exists()


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (1 << 30, "1 GiB")])
def test_sizes_in_words(size: int, text: str) -> None:
    assert human(size) == text


@pytest.mark.parametrize(
    ("arguments", "form"),
    [
        (("a.vhd", "3M"), "dynamic"),
        (("a.img", "3M"), "raw"),
        (("-f", "fixed", "a.vhd", "3M"), "fixed"),
        (("-f", "raw", "a.disk", "3M"), "raw"),
        (("--block-size", "512K", "a.vhd", "3M"), "dynamic"),
    ],
)
def test_create(arguments: tuple[str, ...], form: str, ask: Ask) -> None:
    facts = ask("create", *arguments)
    path = next(Path(name) for name in arguments if name.startswith("a."))
    length = path.stat().st_size
    assert facts == {"image": str(path), "format": form, "size": 3 * MIB, "file_size": length, "parent": None}
    assert probe(path) == form
    assert content(path) == bytes(3 * MIB)


def test_create_a_child(ask: Ask, disk: Run) -> None:
    disk("create", "a.vhd", "3M")
    assert ask("create", "-b", "a.vhd", "b.vhd", "4M")["parent"] == "a.vhd"
    facts = ask("info", "b.vhd")
    assert (facts["format"], facts["size"]) == ("differencing", 4 * MIB)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a.vhd",), ["a.vhd", "SIZE"]),
        (("a.xyz", "3M"), ["a.xyz", ".vhd or .img"]),
        (("a.vhd", "1000"), ["a.vhd: a size of 1000 bytes", "512", "name such"]),
        (("a.img", "100T"), ["a.img: ", "bytes is not possible", "2040G"]),
        (("-f", "fixed", "-b", "old.vhd", "a.vhd"), ["--format"]),
        (("-b", "old.vhd", "a.img"), ["taken for a raw image", "name it a.vhd"]),
        (("-f", "raw", "--block-size", "2M", "a.img", "3M"), ["--block-size"]),
        (("-f", "raw", "a.VHD", "3M"), ["taken for a damaged VHD", "name it a.img"]),
        (("--block-size", "3M", "a.vhd", "3M"), ["a.vhd: a block size", "power of two", "leave it out"]),
        (("-b", "old.vhd", "a.vhd", "1M"), ["too small", "leave the size out"]),
        (("old.vhd", "3M"), ["old.vhd: exists"]),
    ],
)
def test_create_refuses(arguments: tuple[str, ...], words: list[str], disk: Run, tmp_path: Path) -> None:
    disk("create", "-q", "old.vhd", "2M")
    before = state(tmp_path)
    code, out, err = disk("create", *arguments)
    assert (code, out) == (2, "")
    assert all(word in err for word in words), err
    assert state(tmp_path) == before


# -- looking ------------------------------------------------------------------------------------------

INFO_KEYS = [
    *("image", "format", "size", "sectors", "geometry", "file_size", "allocated", "id", "creator", "created"),
    *("block_size", "blocks", "blocks_used", "footer_lost", "parent", "pending", "in_use_by"),
    "url",
]


def test_info(family: dict[str, Path], ask: Ask, disk: Run) -> None:
    documents = ask("info", "--chain", "three.vhd")
    assert [Path(each["image"]).name for each in documents] == [
        *("three.vhd", "two.vhd", "one.vhd", "base.img")
    ]
    assert [each["format"] for each in documents] == [*("differencing",) * 3, "raw"]
    for document in documents:
        assert list(document) == INFO_KEYS
        assert document["size"] == SIZE
    assert documents[0]["parent"] == {
        "path": str(family["two"]),
        "id": documents[1]["id"],
        "missing": "",
    }
    assert ask("info", "three.vhd") == documents[0]
    code, out, _ = disk("info", "three.vhd")
    assert code == 0
    assert "VHD, differencing" in out and "6 MiB (12288 sectors)" in out and str(family["two"]) in out


def test_info_looks_at_images_in_use(disk: Run, ask: Ask) -> None:
    disk("create", "a.vhd", "3M")
    drive = open_drive("a.vhd")
    users = ask("info", "a.vhd")["in_use_by"]
    drive.close()
    if sys.platform == "linux":
        assert users == [os.getpid()]
    assert ask("info", "a.vhd")["in_use_by"] == []


def test_chain(family: dict[str, Path], ask: Ask, disk: Run) -> None:
    disk("create", "-b", "one.vhd", "side.vhd")
    document = ask("chain", "two.vhd")
    assert document["image"] == "two.vhd"
    tree = document["tree"]
    assert document["base"] == tree["path"] == str(Path("base.img").resolve())
    node_keys = ["path", "format", "size", "file_size", "allocated", "in_use_by", "empty"]
    assert list(tree) == [*node_keys, "created", "session", "url", "trouble", "children"]

    def shape(node: Any) -> Any:
        return {Path(node["path"]).stem: [shape(child) for child in node["children"]]}

    assert shape(tree) == {"base": [{"one": [{"side": []}, {"two": [{"three": []}]}]}]}
    _, out, _ = disk("chain", "two.vhd")
    lines = out.splitlines()
    assert len(lines) == 5
    assert [line for line in lines if line.endswith("◄")] == [line for line in lines if "two.vhd" in line]
    assert "side.vhd  differencing, 6 MiB, empty" in out


def test_deep_trees_go_straight_down(disk: Run) -> None:
    """Else names would be further to the right than a terminal is wide."""
    disk("create", "-q", "0.vhd", "1M")
    for number in range(1, 10):
        disk("create", "-q", "-b", f"{number - 1}.vhd", f"{number}.vhd")
    disk("create", "-q", "-b", "5.vhd", "side.vhd")
    lines = disk("chain", "0.vhd")[1].splitlines()
    shown = [line.partition(".vhd")[0].rpartition("/")[2] for line in lines]
    assert shown[1:] == [
        "└── 1", "    ↳ 2", "    ↳ 3", "    ↳ 4", "    ↳ 5",
        "    ├── 6", "    │   ↳ 7", "    │   ↳ 8", "    │   ↳ 9", "    └── side",
    ]  # fmt: skip


def test_chain_shows_what_is_wrong(family: dict[str, Path], ask: Ask) -> None:
    with Path("base.img").open("r+b") as file:
        file.write(b"changed")
    (child,) = ask("chain", "three.vhd")["tree"]["children"]
    assert "base.img was changed" in child["trouble"]
    assert child["children"][0]["trouble"] == ""


def test_map_tells_who_owns_what(family: dict[str, Path], ask: Ask) -> None:
    document = ask("map", "three.vhd")
    assert list(document) == ["image", "size", "layers", "nobody", "runs"]
    assert [Path(layer["image"]).name for layer in document["layers"]] == [
        *("base.img", "one.vhd", "two.vhd", "three.vhd")
    ]
    runs = document["runs"]
    assert [run["start"] for run in runs[1:]] == [run["start"] + run["length"] for run in runs[:-1]]
    assert sum(run["length"] for run in runs) == document["size"] == SIZE
    for layer in document["layers"]:
        own = [run for run in runs if run["layer"] == layer["layer"]]
        assert sum(run["length"] for run in own) == layer["held"]
        for run in own:  # what the map says is where the data are
            with Path(layer["image"]).open("rb") as file:
                file.seek(run["offset"])
                data = file.read(run["length"])
            assert data == content("three.vhd")[run["start"] : run["start"] + run["length"]]
    held = [layer["held"] for layer in document["layers"]]
    assert held == [SIZE - 3 * 65536 - 512, 65536, 65536, 65536 + 512]
    assert document["nobody"] == 0


def test_holes_belong_to_nobody(ask: Ask, disk: Run) -> None:
    disk("create", "a.img", "8M")
    drive = open_drive("a.img")
    drive.write(8192, b"x" * MIB)
    drive.close()
    if not os.stat("a.img").st_blocks * 512 < 8 * MIB:  # noqa: PTH116
        pytest.skip("no sparse files here")
    runs = [(run["start"], run["length"], run["layer"]) for run in ask("map", "a.img")["runs"]]
    assert runs == [(0, 4 * MIB, None), (4 * MIB, MIB, 0), (5 * MIB, 3 * MIB, None)]


def test_map_for_people(family: dict[str, Path], disk: Run) -> None:
    code, out, _ = disk("map", "three.vhd")
    assert code == 0
    lines = out.splitlines()
    cells = "".join(line for line in lines if line and set(line) <= set("0123·"))
    assert len(cells) == SIZE // 4096  # as many as there are pages: no cell is smaller
    assert [cells[number * 256] for number in range(4)] == ["0", "1", "2", "3"]
    assert cells[SHARED // 8] == "3"
    assert "\x1b" not in out
    assert any(line.startswith("3  three.vhd") or "three.vhd" in line for line in lines)


class Terminal(io.StringIO):
    """A stream that is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("no_colour", [False, True])
def test_maps_are_coloured_on_a_terminal_unless_told_otherwise(
    no_colour: bool, family: dict[str, Path], disk: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("NO_COLOR", "1" if no_colour else "")
    disk("map", "three.vhd")
    assert ("\x1b[" in terminal.getvalue()) is not no_colour
    assert ("█" in terminal.getvalue()) is not no_colour


def test_maps_as_pictures(family: dict[str, Path], disk: Run) -> None:
    for suffix in ("png", "svg"):
        assert disk("map", "-q", "-o", f"map.{suffix}", "three.vhd") == (0, "", "")
    picture = np.asarray(Image.open("map.png").convert("RGB"))
    found = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert set(LAYERS[:4]) <= found
    root = ElementTree.parse("map.svg").getroot()
    assert (int(root.attrib["width"]), int(root.attrib["height"])) == picture.shape[1::-1]
    name = "{http://www.w3.org/2000/svg}"
    fills = {each.attrib["fill"] for each in root.iter(f"{name}rect")}
    assert {hexadecimal(colour) for colour in LAYERS[:4]} <= fills
    texts = [each.text for each in root.iter(f"{name}text")]
    assert "three.vhd, 6 MiB" in texts
    assert any("base.img" in (text or "") for text in texts)
    # A cell of the picture, at the place of the first cell of 64 KiB that two.vhd wrote.
    column, row = (2 * MIB // 4096) % 128, (2 * MIB // 4096) // 128
    assert tuple(picture[38 + row * 8 + 3, 16 + column * 8 + 3].tolist()) == LAYERS[2]


@pytest.mark.parametrize("target", ["map.gif", "missing/map.png", "missing/map.svg"])
def test_a_picture_that_cannot_be_drawn(target: str, disk: Run, tmp_path: Path) -> None:
    disk("create", "a.vhd", "3M")
    before = state(tmp_path)
    code, _, err = disk("map", "-o", target, "a.vhd")
    assert code == 2
    assert target in err
    assert state(tmp_path) == before


def test_check(family: dict[str, Path], ask: Ask, disk: Run) -> None:
    document = ask("check", "--data", "three.vhd")
    assert list(document) == ["image", "usable", "error", "findings", "layers"]
    assert (document["usable"], document["error"], document["findings"]) == (True, "", [])
    assert [Path(layer).name for layer in document["layers"]] == [
        *("base.img", "one.vhd", "two.vhd", "three.vhd")
    ]
    os.utime("two.vhd", (1e9, 1e9))
    (finding,) = ask("check", "three.vhd", code=1)["findings"]
    assert "two.vhd was last written at 2001-09-09 01:46:40 UTC" in finding


def test_check_of_a_sound_image(disk: Run) -> None:
    disk("create", "a.vhd", "3M")
    assert disk("check", "a.vhd") == (0, "a.vhd: no errors\n", "")
    assert disk("check", "-q", "a.vhd") == (0, "", "")


def test_orphans(disk: Run, ask: Ask) -> None:
    assert disk("orphans") == (0, "nothing found\n", "")
    disk("create", "base.vhd", "3M")
    for name in ("used", "empty"):
        disk("create", "-b", "base.vhd", f"{name}.vhd")
    write(Path("used.vhd"), 1)
    disk("create", "other.vhd", "3M")
    disk("create", "-b", "other.vhd", "gone.vhd")
    Path("other.vhd").unlink()
    disk("create", "third.vhd", "3M")
    disk("create", "-b", "third.vhd", "wrong.vhd")
    Path("third.vhd").unlink()
    disk("create", "third.vhd", "3M")
    Path(".a.vhd.01234567.new").write_bytes(b"half")
    document = ask("orphans", code=1)
    assert list(document) == ["folders", "orphans", "removed"] and document["removed"] == []
    found = {Path(each["path"]).name: each["kind"] for each in document["orphans"]}
    assert found == {
        "empty.vhd": "empty",
        "gone.vhd": "parent missing",
        "wrong.vhd": "parent changed",
        ".a.vhd.01234567.new": "leftover",
    }
    assert all(list(each) == ["path", "kind", "text", "size"] for each in document["orphans"])
    assert disk("orphans", "nowhere")[0] == 2


def test_leftovers_are_removed_and_nothing_else(disk: Run, ask: Ask) -> None:
    for name in (".a.vhd.01234567.new", ".b.vhd.89abcdef.new"):
        Path(name).write_bytes(b"half")
    Path(".settings.new").write_bytes(b"of somebody")
    disk("create", "base.vhd", "3M")
    disk("create", "-b", "base.vhd", "empty.vhd")
    with contextlib.closing(HOST.open_image(".b.vhd.89abcdef.new", read_only=False)):
        code, out, _ = disk("orphans", "--remove")
        assert code == 1 and "removed ./.a.vhd.01234567.new\n" in out and "empty.vhd" in out
        assert ".b.vhd" not in out  # somebody is writing it
    document = ask("orphans", "--remove", code=1)
    assert document["removed"] == ["./.b.vhd.89abcdef.new"]
    assert [each["kind"] for each in document["orphans"]] == ["empty"]
    assert sorted(path.name for path in Path().iterdir()) == [".settings.new", "base.vhd", "empty.vhd"]
    Path("empty.vhd").unlink()
    Path(".a.vhd.01234567.new").touch()
    assert disk("orphans", "--remove") == (0, "removed ./.a.vhd.01234567.new\n", "")
    assert disk("orphans", "--remove") == (0, "nothing found\n", "")


# -- changing -----------------------------------------------------------------------------------------


def test_repair(disk: Run, ask: Ask) -> None:
    disk("create", "a.vhd", "3M")
    write(Path("a.vhd"), 1)
    whole = Path("a.vhd").read_bytes()
    Path("a.vhd").write_bytes(whole[:-512] + bytes(512))
    code, out, _ = disk("check", "a.vhd")
    assert code == 1
    assert "pcemu disk repair" in out
    assert ask("info", "a.vhd")["footer_lost"] is True
    (done,) = ask("repair", "a.vhd")["done"]
    assert "restored from its copy" in done
    assert Path("a.vhd").read_bytes() == whole
    assert ask("repair", "a.vhd") == {"image": "a.vhd", "done": []}


def test_commit_of_all(family: dict[str, Path], ask: Ask) -> None:
    before = content("three.vhd")
    document = ask("commit", "three.vhd")
    assert document == {
        "image": "three.vhd",
        "target": str(Path("base.img").resolve()),
        "sectors": 3 * 128 + 1,
        "removed": [str(family["two"]), str(family["one"])],
    }
    assert content("base.img") == content("three.vhd") == before
    assert ask("chain", "three.vhd")["tree"]["children"][0]["empty"] is True


def test_commit_of_one_layer(family: dict[str, Path], disk: Run) -> None:
    before, base = content("three.vhd"), content("base.img")
    code, out, err = disk("commit", "--one", "-d", "three.vhd")
    assert (code, err) == (0, "")
    assert out.startswith("committed 129 sectors (64.5 KiB) to ")
    assert f"removed {family['three']}" in out
    assert not Path("three.vhd").exists()
    assert content("two.vhd") == before
    assert content("base.img") == base


def test_commit_counts_one_sector_as_one(disk: Run) -> None:
    for arguments in (("base.vhd", "1M"), ("-b", "base.vhd", "child.vhd")):
        assert disk("create", "-q", *arguments) == (0, "", "")
    drive = open_drive("child.vhd")
    drive.write(7, b"x" * 512)
    drive.close()
    assert disk("commit", "child.vhd")[1].startswith("committed 1 sector (0.5 KiB) to ")


def test_commit_into_a_chosen_image(family: dict[str, Path], ask: Ask) -> None:
    before = content("three.vhd")
    document = ask("commit", "-b", "one.vhd", "three.vhd")
    assert (document["target"], document["removed"]) == ("one.vhd", [str(family["two"])])
    assert content("one.vhd") == content("three.vhd") == before


def test_commit_refuses_to_change_others(family: dict[str, Path], disk: Run, tmp_path: Path) -> None:
    disk("create", "-b", "one.vhd", "side.vhd")
    side = content("side.vhd")
    before = state(tmp_path)
    code, out, err = disk("commit", "three.vhd")
    assert (code, out) == (2, "")
    assert "side.vhd" in err
    assert state(tmp_path) == before
    assert disk("commit", "--one", "--into", "one.vhd", "three.vhd")[0] == 2
    whole = content("three.vhd")
    assert disk("commit", "-q", "--preserve-siblings", "three.vhd") == (0, "", "")
    assert content("side.vhd") == side
    assert content("base.img") == whole


def test_discard(family: dict[str, Path], disk: Run, ask: Ask) -> None:
    two = content("two.vhd")
    code, _, err = disk("discard", "three.vhd")
    assert code == 2
    assert "--yes" in err
    assert Path("three.vhd").exists()
    assert disk("discard", "--yes", "two.vhd")[0] == 2  # three.vhd is built on it
    assert ask("discard", "--yes", "three.vhd") == {"image": "three.vhd", "removed": [str(family["three"])]}
    assert content("two.vhd") == two
    assert ask("discard", "-y", "--down-to", "base.img", "two.vhd")["removed"] == [
        *(str(family["two"]), str(family["one"]))
    ]
    disk("create", "-b", "base.img", "empty.vhd")
    assert disk("discard", "-q", "empty.vhd") == (0, "", "")  # nothing is lost
    assert disk("discard", "--yes", "base.img")[0] == 2


@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_discard_asks(
    answer: str, gone: bool, family: dict[str, Path], disk: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", error := Terminal())
    code, _, _ = disk("discard", "three.vhd")
    assert "Discard three.vhd?" in error.getvalue()
    assert (code == 0, Path("three.vhd").exists()) == (gone, not gone)


def test_merge(family: dict[str, Path], ask: Ask) -> None:
    before = content("three.vhd")
    assert ask("merge", "two.vhd", "one.vhd") == {"image": "two.vhd", "removed": [str(family["one"])]}
    assert content("three.vhd") == before
    assert len(ask("info", "--chain", "three.vhd")) == 3


def test_compact(disk: Run, ask: Ask) -> None:
    disk("create", "a.vhd", "8M")
    drive = open_drive("a.vhd")
    drive.write(0, b"x" * 8 * MIB)
    drive.write(4096, bytes(4 * MIB))
    drive.close()
    before, size = content("a.vhd"), Path("a.vhd").stat().st_size
    document = ask("compact", "a.vhd")
    length = Path("a.vhd").stat().st_size
    assert document == {"image": "a.vhd", "saved": size - length, "file_size": length}
    assert document["saved"] >= 4 * MIB
    assert content("a.vhd") == before


def test_resize(disk: Run, ask: Ask) -> None:
    disk("create", "a.vhd", "3M")
    assert ask("resize", "a.vhd", "5M") == {"image": "a.vhd", "size": 5 * MIB, "before": 3 * MIB}
    assert ask("resize", "a.vhd", "+1M") == {"image": "a.vhd", "size": 6 * MIB, "before": 5 * MIB}
    assert len(content("a.vhd")) == 6 * MIB
    code, _, err = disk("resize", "a.vhd", "1M")
    assert code == 2
    assert "only grow" in err


def test_relink(family: dict[str, Path], disk: Run, ask: Ask) -> None:
    before = content("one.vhd")
    Path("base.img").rename("moved.img")
    assert disk("check", "one.vhd")[0] == 3
    assert ask("relink", "one.vhd", "moved.img") == {"image": "one.vhd", "parent": "moved.img"}
    assert content("one.vhd") == before
    Path("other.img").write_bytes(bytes(SIZE))
    code, _, err = disk("relink", "one.vhd", "other.img")
    assert code == 4
    assert "one.vhd" in err and "other.img" in err
    assert disk("relink", "-q", "--trust", "one.vhd", "other.img") == (0, "", "")
    assert content("one.vhd")[2 * MIB :] == bytes(SIZE - 2 * MIB)


@pytest.mark.parametrize("command", ["convert", "flatten"])
@pytest.mark.parametrize("form", ["raw", "fixed", "dynamic"])
def test_convert_and_flatten(command: str, form: str, family: dict[str, Path], ask: Ask) -> None:
    document = ask(command, "-O", form, "three.vhd", "new")
    assert list(document) == ["source", "target", "format", "size", "file_size", "allocated"]
    assert (document["format"], document["size"]) == (form, SIZE)
    assert probe("new") == form
    assert content("new") == content("three.vhd")
    assert ask("compare", "new", "three.vhd")["same"] is True


def test_what_is_converted_is_what_qemu_reads(disk: Run) -> None:
    require(shutil.which("qemu-img") is not None, "qemu-img")
    Path("a.img").write_bytes(random.Random(1).randbytes(3 * MIB) + bytes(3 * MIB))
    assert disk("convert", "-q", "a.img", "a.vhd") == (0, "", "")
    compare = ["qemu-img", "compare", "-f", "raw", "-F", "vpc", "a.img", "a.vhd"]
    assert subprocess.run(compare, check=False, capture_output=True).returncode == 0


def test_compare(disk: Run, ask: Ask) -> None:
    Path("a.img").write_bytes(bytes(SIZE))
    Path("b.img").write_bytes(bytes(SIZE - 512) + b"x" * 512)
    Path("c.img").write_bytes(bytes(SIZE + 512))
    assert ask("compare", "a.img", "b.img", code=1) == {
        "images": ["a.img", "b.img"],
        "same": False,
        "sizes": [SIZE, SIZE],
        "first_difference": SIZE // 512 - 1,
    }
    assert ask("compare", "a.img", "c.img")["same"] is True
    assert ask("compare", "--strict", "a.img", "c.img", code=1)["first_difference"] is None
    assert disk("compare", "a.img", "a.img") == (0, "they hold the same\n", "")
    assert disk("compare", "a.img", "nowhere.img")[0] == 3


def test_compare_takes_images_for_what_it_is_told(disk: Run) -> None:
    assert disk("create", "-q", "-f", "fixed", "a.vhd", "3M")[0] == 0
    Path("a.vhd").with_suffix(".img").write_bytes(bytes(3 * MIB))
    assert disk("compare", "a.vhd", "a.img")[0] == 0
    for arguments in (("-f", "raw", "a.vhd", "a.img"), ("-F", "raw", "a.img", "a.vhd")):
        code, out, _ = disk("compare", *arguments)
        sizes = " and ".join(str(Path(name).stat().st_size) for name in arguments[2:])
        assert (code, out) == (1, f"they differ, first in sector 6144; their sizes differ: {sizes} bytes\n")
    code, _, err = disk("compare", "-f", "dynamic", "a.vhd", "a.img")
    assert code == 4 and "a.vhd: is a fixed VHD, expected dynamic" in err


# -- interrupted --------------------------------------------------------------------------------------


@pytest.fixture
def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Presses Ctrl-C as soon as anything was copied, or not any more."""
    show = ProgressBar.__call__

    def press(self: ProgressBar, done: int, total: int) -> None:
        show(self, done, total)
        if done:
            os.kill(os.getpid(), signal.SIGINT)

    return lambda pressing: monkeypatch.setattr(ProgressBar, "__call__", press if pressing else show)


def fill(path: str) -> None:
    """So much that there is more than one call of the progress function."""
    drive = open_drive(path)
    for lba in range(0, drive.sectors, 64):
        drive.write(lba, random.Random(lba).randbytes(16384))
    drive.close()


def test_ctrl_c_in_a_commit(disk: Run, ctrl_c: Callable[[bool], None]) -> None:
    disk("create", "base.vhd", "16M")
    disk("create", "-b", "base.vhd", "child.vhd")
    fill("child.vhd")
    before = content("child.vhd")
    ctrl_c(True)
    code, out, err = disk("commit", "child.vhd")
    assert (code, out) == (130, "")
    assert err == (
        "pcemu: interrupted by SIGINT: nothing is lost, and child.vhd reads as before; "
        "commit it again to finish\n"
    )
    ctrl_c(False)
    assert content("child.vhd") == before
    code, _, err = disk("info", "base.vhd")
    assert code == 0
    code, out, _ = disk("orphans")
    assert code == 1
    assert "a commit of" in out
    assert disk("check", "base.vhd")[0] == 5  # holds half of it
    assert disk("discard", "--yes", "child.vhd")[0] == 5
    assert disk("commit", "-q", "child.vhd") == (0, "", "")
    assert content("base.vhd") == content("child.vhd") == before


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("convert", ("child.vhd", "new.img")), ("merge", ("child.vhd", "one.vhd")), ("compact", ("child.vhd",))],
)
def test_ctrl_c_elsewhere_changes_nothing(
    command: str, arguments: tuple[str, ...], disk: Run, ctrl_c: Callable[[bool], None], tmp_path: Path
) -> None:
    disk("create", "base.vhd", "16M")
    disk("create", "-b", "base.vhd", "one.vhd")
    fill("one.vhd")
    disk("create", "-b", "one.vhd", "child.vhd")
    fill("child.vhd")
    before = state(tmp_path)
    ctrl_c(True)
    code, out, err = disk(command, *arguments)
    assert (code, out) == (130, "")
    assert "run it again" in err
    assert state(tmp_path) == before
    ctrl_c(False)
    assert disk(command, "-q", *arguments) == (0, "", "")


def test_ctrl_c_that_comes_too_late_is_told(disk: Run, ctrl_c: Callable[[bool], None]) -> None:
    Path("a.img").write_bytes(b"x" * MIB)
    ctrl_c(True)
    code, _, err = disk("convert", "a.img", "b.img")
    ctrl_c(False)
    assert code == 130
    assert ("but by then it was done" in err) is Path("b.img").exists()


def test_a_bar_appears_when_it_takes_long(disk: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.img").write_bytes(b"x" * 3 * MIB)
    monkeypatch.setenv("TERM", "xterm")
    for limit, shown in ((1000.0, False), (-1.0, True)):
        monkeypatch.setattr("pcemu.cli.progress.PROGRESS_AFTER", limit)
        monkeypatch.setattr(sys, "stderr", error := Terminal())
        assert disk("compare", "a.img", "a.img")[0] == 0
        assert ("comparing" in error.getvalue()) is shown
        monkeypatch.setattr(sys, "stderr", error := Terminal())
        assert disk("compare", "-q", "a.img", "a.img")[0] == 0
        assert error.getvalue() == ""


# -- all commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", disk_group.COMMANDS)
def test_every_command_explains_itself(command: str, disk: Run) -> None:
    code, out, err = disk(command, "--help")
    assert (code, err) == (0, "")
    assert "Example" in out and f"pcemu disk {command}" in out
    assert "Keys of --json" in out
    assert "--quiet" in out


def test_the_group_lists_its_commands_and_exit_codes(disk: Run) -> None:
    code, out, _ = disk("--help")
    assert code == 0
    assert all(f"  {command} " in out for command in disk_group.COMMANDS)
    assert "qemu-img" in out and "Exit codes:" in out
    assert [number for number in ("0", "1", "2", "3", "4", "5", "130") if f"\n    {number} " not in out] == []
    assert disk("nonsense")[0] == 2


def test_completion_knows_formats_and_leaves_files_to_the_shell() -> None:
    def complete(arguments: list[str], word: str) -> list[tuple[str, str]]:
        shell = ShellComplete(cli.cli, {}, "pcemu", "_PCEMU_COMPLETE")
        return [(each.type, each.value) for each in shell.get_completions(arguments, word)]

    assert ("plain", "convert") in complete(["disk"], "conv")
    assert complete(["disk", "create", "-f"], "") == [
        ("plain", form) for form in disk_common.NEW_FORMATS
    ]
    for command in ("info", "commit", "compare", "orphans"):
        assert complete(["disk", command], "a") == [("file", "a")]


def test_other_commands_need_no_images_code() -> None:
    code = "import sys, pcemu.cli.disk; print([each for each in sys.modules if 'pcemu.drives' in each])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
