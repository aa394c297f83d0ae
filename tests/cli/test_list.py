"""`pcemu list`, and names where a path may stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from pcemu.cli import cli
from pcemu.drives.create import create_dynamic
from pcemu.errors import ImageNotFoundError, UsageError
from pcemu.library.names import known_disks, path_for_new, resolve_disk
from pcemu.session.session import Session
from tests.boot import IDLE, boot_drive
from tests.cli.conftest import Run

MIB = 1 << 20


@pytest.fixture
def named(disks: Path, pcemu: Run) -> Path:
    """A folder with two disks: one.img, two.vhd, and what is none."""
    disks.mkdir(parents=True)
    (disks / "one.img").write_bytes(bytes(MIB))
    create_dynamic(disks / "two.vhd", 3 * MIB)
    (disks / "notes.txt").write_text("no disk")
    (disks / ".FD14-LiteUSB.zip.part").write_bytes(b"half")
    return disks


def test_without_disks_it_says_how_to_get_one(pcemu: Run) -> None:
    code, out, _ = pcemu("list")
    assert code == 0 and "pcemu get freedos" in out
    assert json.loads(pcemu("list", "--json")[1]) == []


def test_names_sizes_and_undo_state(pcemu: Run, named: Path) -> None:
    with Session(named / "one.img") as session:
        session.start().write(0, bytes(512))
        session.checkpoint("before")
        session.drive.write(1, b"x" * 512)
        busy = json.loads(pcemu("list", "--json")[1])
        assert busy[0]["sessions"][0]["state"] == "in use"
        session.keep()
    code, out, _ = pcemu("list", "--json")
    assert code == 0
    one, two = json.loads(out)
    assert (one["name"], one["size"], one["problem"]) == ("one", MIB, None)
    (session_facts,) = one["sessions"]
    assert (session_facts["state"], session_facts["checkpoints"]) == ("kept", 1)
    assert session_facts["size"] > 0
    assert (two["name"], two["size"], two["sessions"]) == ("two", 3 * MIB, [])
    assert two["file_size"] < MIB
    lines = pcemu("list")[1].splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "ON", "DISK", "UNDO", "STATE"]
    assert lines[1].split()[:4] == ["one", "1", "MiB", "1"]
    assert "kept: " in lines[1] and lines[1].endswith(" in 1 checkpoint")
    assert lines[-1] == f"in {named}"


def test_an_interrupted_session(pcemu: Run, named: Path) -> None:
    with Session(named / "one.img") as session:
        session.start().write(0, bytes(512))
    assert json.loads(pcemu("list", "--json")[1])[0]["sessions"][0]["state"] == "interrupted"


def test_a_damaged_image_is_listed_with_its_problem(pcemu: Run, named: Path) -> None:
    (named / "bad.img").write_bytes(b"short")
    facts = json.loads(pcemu("list", "--json")[1])
    assert facts[0]["name"] == "bad" and facts[0]["size"] is None and "512" in facts[0]["problem"]
    assert "?" in pcemu("list")[1]


def test_a_path_wins_over_a_name(named: Path, tmp_path: Path) -> None:
    assert resolve_disk(Path("one")) == named / "one.img"
    assert resolve_disk(Path("two.vhd")) == named / "two.vhd"
    Path("one").write_bytes(bytes(512))  # the test's folder is the present one
    assert resolve_disk(Path("one")) == Path("one")
    assert resolve_disk(Path("./two")) == Path("two") or resolve_disk(tmp_path / "two") == tmp_path / "two"


def test_a_name_wins_over_a_folder(named: Path) -> None:
    Path("one").mkdir()
    Path("plain").mkdir()
    assert resolve_disk(Path("one")) == named / "one.img"
    assert resolve_disk(Path("plain")) == Path("plain")


def test_a_name_for_two_files(named: Path) -> None:
    (named / "one.vhd").write_bytes(b"")
    with pytest.raises(UsageError, match=r"one\.img and one\.vhd"):
        resolve_disk(Path("one"))
    assert resolve_disk(Path("one.img")) == named / "one.img"
    assert [disk.name for disk in known_disks()] == ["one.img", "one.vhd", "two"]


def test_an_unknown_name(named: Path) -> None:
    with pytest.raises(ImageNotFoundError, match=r"known names are one, two.*`pcemu list`"):
        resolve_disk(Path("three"))
    with pytest.raises(ImageNotFoundError, match="`pcemu get freedos`"):
        resolve_disk(Path("freedos"))
    assert resolve_disk(Path("folder/three")) == Path("folder/three")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "con", "x" * 65, "a b", "a.b.img"])
def test_names_that_cannot_be(pcemu: Run, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        path_for_new(name)


def test_run_and_other_commands_take_names(pcemu: Run, disks: Path) -> None:
    disks.mkdir(parents=True)
    (disks / "own.img").write_bytes(boot_drive('mov ax, 0x0E41\nint 0x10\n' + IDLE).data)
    code, out, err = pcemu("run", "--headless", "--until", "A", "own")
    assert code == 0, err
    assert "A" in out
    code, out, _ = pcemu("disk", "info", "--json", "own")
    assert code == 0 and json.loads(out)
    code, _, err = pcemu("run", "--headless", "missing")
    assert code == 3 and "known names are own" in err


def test_names_are_completed_before_files(named: Path) -> None:
    def complete(word: str) -> list[tuple[str, str]]:
        shell = ShellComplete(cli, {}, "pcemu", "_PCEMU_COMPLETE")
        return [(each.type, each.value) for each in shell.get_completions(["run"], word)]

    assert complete("t") == [("plain", "two")]
    Path("tree.img").write_bytes(b"")
    assert complete("t") == [("plain", "two"), ("plain", "tree.img")]
    assert complete("x") == [("file", "x")]
