"""`pcemu session`: looking at sessions and deciding on them, and committing some of the files."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pcemu import cli
from pcemu.cli.disks import session_folder
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import HostFile
from pcemu.session.record import State
from pcemu.session.selective import pattern_regex
from pcemu.session.session import Session
from tests.boot import IDLE, boot_drive
from tests.drives.fat_images import KINDS, FatImage

Pcemu = Callable[..., tuple[int, str, str]]
BEFORE = {
    "/WORK/ONE.TXT": b"1" * 5000,
    "/WORK/TWO.TXT": b"2" * 3000,
    "/AUTOEXEC.BAT": b"@echo off\r\n",
    "/A long name.text": b"long",
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.fixture
def pcemu(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Pcemu:
    """Runs `pcemu session` in this process; gives exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pcemu", "session", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capsys.readouterr()
        return int(exit_.value.code or 0), out, err

    return run


def make_image(folder: Path, kind: int = 16) -> FatImage:
    image = FatImage(folder / "disk.img", kind)
    image.folder("/WORK")
    for path, content in BEFORE.items():
        image.add(path, content)
    return image


def guest_work(image: FatImage, change: Callable[[FatImage], None], *, keep: bool = True) -> bytes:
    """A session in which a guest did what ``change`` does with mtools; what the disk holds for it."""
    copy = FatImage.__new__(FatImage)
    copy.path, copy.start = image.path.with_name("copy.img"), image.start
    with Session(image.path) as session:
        drive = session.start()
        before = bytearray(drive.sectors * SECTOR_SIZE)
        drive.read(0, before)
        copy.path.write_bytes(before)
        change(copy)
        after = copy.data()
        for at in range(0, len(after), SECTOR_SIZE):
            if after[at : at + SECTOR_SIZE] != before[at : at + SECTOR_SIZE]:
                drive.write(at // SECTOR_SIZE, after[at : at + SECTOR_SIZE])
        drive.flush()
        if keep:
            session.keep()
    copy.path.unlink()
    return after


def work(image: FatImage) -> None:
    image.folder("/SAVES")
    image.folder("/SAVES/DEEP")
    image.add("/SAVES/GAME1.SAV", b"s" * 7000)
    image.add("/SAVES/DEEP/A long name of a saved game.sav", b"deep" * 2000)
    image.add("/WORK/TWO.TXT", b"new two")
    image.delete("/WORK/ONE.TXT")
    image.rename("/A long name.text", "SHORT.TXT")


def test_deciding_later(pcemu: Pcemu, tmp_path: Path) -> None:
    image = make_image(tmp_path)
    before = image.data()
    after = guest_work(image, work)
    assert image.data() == before
    code, out, err = pcemu("list", tmp_path)
    assert (code, err) == (0, "")
    assert "kept" in out
    assert str(image.path) in out
    code, out, _ = pcemu("show", image.path)
    assert code == 0
    assert "C: FAT16" in out
    assert "+ C:\\SAVES\\GAME1.SAV  7,000 bytes" in out
    assert "> C:\\A long name.text is now C:\\SHORT.TXT" in out
    assert image.data() == before
    code, out, _ = pcemu("commit", image.path)
    assert code == 0
    assert out.startswith("committed ")
    assert image.data() == after
    assert pcemu("list", image.path)[1] == "no sessions\n"
    code, _, err = pcemu("commit", image.path)
    assert code == 2
    assert "has no session" in err


def test_checkpoints_by_hand(pcemu: Pcemu, tmp_path: Path) -> None:
    image = make_image(tmp_path)
    before = image.data()
    with Session(image.path) as session:
        session.start().write(1, b"1" * SECTOR_SIZE)
        session.checkpoint("first")
        session.drive.write(2, b"2" * SECTOR_SIZE)
        session.checkpoint(automatic=True)
        session.drive.write(3, b"3" * SECTOR_SIZE)
    assert json.loads(pcemu("list", "--json", image.path)[1])[0]["state"] == "interrupted"
    assert pcemu("keep", image.path)[0] == 0
    assert json.loads(pcemu("list", "--json", image.path)[1])[0]["state"] == "kept"
    assert pcemu("pin", image.path, "2")[1] == "checkpoint 2 is pinned\n"
    assert pcemu("note", image.path, "2", "why", "--name", "second")[0] == 0
    document = json.loads(pcemu("show", "--json", image.path)[1])
    assert [drive["name"] for drive in document["drives"]] == ["first", "second", ""]
    assert [drive["pinned"] for drive in document["drives"]] == [False, True, False]
    assert [drive["changes"]["sectors"] for drive in document["drives"]] == [1, 1, 1]
    code, _, err = pcemu("revert", image.path, "third")
    assert code == 2
    assert "expected start or 1 first, 2 second" in err
    assert pcemu("revert", image.path, "first")[1] == f"{image.path} is at checkpoint 1 of its session\n"
    code, out, _ = pcemu("branch", image.path, "saved")
    assert code == 0
    assert str(tmp_path / "saved.vhd") in out
    assert image.data() == before


def test_what_was_not_frozen_is_no_checkpoint(pcemu: Pcemu, tmp_path: Path) -> None:
    image = make_image(tmp_path)
    guest_work(image, work)
    for command in (("pin",), ("revert",), ("note", "text")):
        code, out, err = pcemu(command[0], image.path, "1", *command[1:])
        assert (code, out) == (2, "")
        assert "has no checkpoint '1' in its session 'default', expected start or one to be made" in err
    document = json.loads(pcemu("show", "--json", image.path)[1])
    assert [(drive["pinned"], drive["note"]) for drive in document["drives"]] == [(False, "")]


def test_the_changes_of_the_only_drive_are_shown_once(pcemu: Pcemu, tmp_path: Path) -> None:
    image = make_image(tmp_path)
    guest_work(image, work)
    assert pcemu("show", image.path)[1].count("GAME1.SAV") == 1
    with Session(image.path) as session:
        session.start()
        session.checkpoint("first")
    assert pcemu("show", image.path)[1].count("GAME1.SAV") == 2  # of the drive, and of the whole


def test_the_command_that_goes_on_can_be_typed_as_it_is(pcemu: Pcemu, tmp_path: Path) -> None:
    image = make_image(tmp_path)
    image.path = image.path.rename(tmp_path / "my disk.img")
    guest_work(image, work)
    assert pcemu("keep", image.path)[1] == f"kept; `pcemu run '{image.path}'` goes on with it\n"
    with Session(image.path, "alice") as session:
        session.start()
    out = pcemu("keep", image.path, "--session", "alice")[1]
    assert out == f"kept; `pcemu run '{image.path}' --session alice` goes on with it\n"


def test_a_session_in_use(pcemu: Pcemu, tmp_path: Path) -> None:
    image = make_image(tmp_path)
    with Session(image.path) as session:
        session.start().write(1, b"1" * SECTOR_SIZE)
        row = json.loads(pcemu("list", "--json", image.path)[1])[0]
        assert row["state"] == "active"
        assert len(row["in_use_by"]) == 1
        for command in ("show", "commit", "discard", "keep"):
            code, _, err = pcemu(command, image.path)
            assert code == 5
            assert "in use by process" in err
        session.discard()


@pytest.mark.parametrize("kind", KINDS)
def test_committing_some_files(pcemu: Pcemu, tmp_path: Path, kind: int) -> None:
    image = make_image(tmp_path, kind)
    names = image.names()
    after = guest_work(image, work)
    written = json.loads(pcemu("show", "--json", image.path)[1])["changes"]
    assert written["preserved"] == 0
    code, out, err = pcemu("commit", image.path, "--only", "C:\\SAVES\\**", "--only", "one.txt")
    assert (code, err) == (0, "")
    assert sorted(out.split("\n")[1:-1]) == [
        "  C:\\SAVES",
        "  C:\\SAVES\\DEEP",
        "  C:\\SAVES\\DEEP\\A long name of a saved game.sav",
        "  C:\\SAVES\\GAME1.SAV",
        "  C:\\WORK\\ONE.TXT",
    ]
    image.check()
    saves = {"\\SAVES", "\\SAVES\\DEEP", "\\SAVES\\GAME1.SAV"}
    assert image.names() == (names | saves | {"\\SAVES\\DEEP\\A long name of a saved game.sav"}) - {
        "\\WORK\\ONE.TXT"
    }
    assert b"deep" * 2000 in image.data()
    document = json.loads(pcemu("show", "--json", image.path)[1])
    preserved = document["changes"]["preserved"]
    assert preserved == document["changes"]["sectors"] - written["sectors"]
    assert preserved or kind == 32, "where the files' new places are those that the guest has given them"
    told = "keep what was there before files were committed" in pcemu("show", image.path)[1]
    assert told == bool(preserved)
    files = document["changes"]["volumes"][0]["files"]
    assert [(file["kind"], file["path"]) for file in files] == [
        ("renamed", "C:\\SHORT.TXT"),
        ("modified", "C:\\WORK\\TWO.TXT"),
    ]
    with Session(image.path) as session:
        assert session.found is State.KEPT
        data = bytearray(len(after))
        session.start().read(0, data)
        assert data == after, "what the guest sees has not changed"
        session.keep()
    assert pcemu("commit", image.path, "--except", "**\\TWO.*")[0] == 0
    image.check()
    assert image.names() == (names - {"\\WORK\\ONE.TXT", "\\A long name.text"}) | {
        "\\SHORT.TXT", *saves, "\\SAVES\\DEEP\\A long name of a saved game.sav"
    }  # fmt: skip
    assert pcemu("commit", image.path)[0] == 0
    assert image.data() == after


def test_files_of_a_broken_volume_are_not_committed_one_by_one(pcemu: Pcemu, tmp_path: Path) -> None:
    image = make_image(tmp_path)
    before = image.data()

    def cut_off(copy: FatImage) -> None:
        fats = copy.data()[copy.start * SECTOR_SIZE + 512 :][: 20 * SECTOR_SIZE]
        copy.add("/NEW.TXT", b"n" * 9000)
        with copy.path.open("r+b") as file:
            file.seek(copy.start * SECTOR_SIZE + 512)
            file.write(fats)

    guest_work(image, cut_off)
    code, _, err = pcemu("commit", image.path, "--only", "NEW.TXT")
    assert code == 2
    assert "inconsistent" in err
    assert image.data() == before
    assert "inconsistent" in pcemu("show", image.path)[1]


def test_a_commit_that_was_cut_off_is_finished_before_anything_else(
    pcemu: Pcemu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4 << 20))
    with Session(path) as session:
        session.start().write(9, b"9" * SECTOR_SIZE)
        session.keep()

    def broken(file: HostFile, *arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(HostFile, "copy_from", broken)
        assert pcemu("commit", path)[0] == 5
    for command in (["discard", path], ["branch", path, "name"], ["revert", path, "start"]):
        code, _, err = pcemu(*command)
        assert code == 5
        assert "`pcemu session commit` finishes it" in err
    assert json.loads(pcemu("list", path, "--json")[1])[0]["state"] == "committing"
    code, out, err = pcemu("commit", path)
    assert code == 0
    assert "finishing the commit that was interrupted" in err
    assert "committed 1 sector" in out
    assert path.read_bytes()[9 * SECTOR_SIZE :][:SECTOR_SIZE] == b"9" * SECTOR_SIZE
    assert [each.name for each in tmp_path.iterdir()] == ["disk.img"]


def test_nothing_chosen(pcemu: Pcemu, tmp_path: Path) -> None:
    image = make_image(tmp_path)
    guest_work(image, work)
    code, _, err = pcemu("commit", image.path, "--only", "D:\\**")
    assert code == 2
    assert "none of the changed files" in err


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        (r"C:\SAVES\**", r"C:\SAVES\A.SAV", True),
        (r"C:\SAVES\**", r"C:\SAVES\DEEP\A.SAV", True),
        (r"C:\SAVES\**", r"C:\SAVES", True),
        (r"C:\SAVES\**", r"C:\SAVES2\A.SAV", False),
        (r"c:/saves/*", r"C:\SAVES\A.SAV", True),
        (r"C:\SAVES\*", r"C:\SAVES\DEEP\A.SAV", False),
        ("*.SAV", r"D:\ANY\WHERE\a.sav", True),
        ("*.SAV", r"D:\ANY\WHERE\a.savx", False),
        (r"**\DEEP\*.S?V", r"C:\SAVES\DEEP\A.SAV", True),
        (r"\AUTOEXEC.BAT", r"C:\AUTOEXEC.BAT", True),
        (r"\AUTOEXEC.BAT", r"C:\OLD\AUTOEXEC.BAT", False),
        ("A[1].TXT", r"C:\A[1].TXT", True),
    ],
)
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert bool(pattern_regex(pattern).fullmatch(path)) == fits


@pytest.mark.parametrize(
    "command", ["list", "show", "resume", "commit", "discard", "keep", "branch", "revert", "pin", "note"]
)
def test_help(pcemu: Pcemu, command: str) -> None:
    code, out, _ = pcemu(command, "--help")
    assert code == 0
    assert command in out


def test_the_help_of_all_keeps_its_lines(pcemu: Pcemu) -> None:
    _, out, _ = pcemu("--help")
    assert "\n    pcemu session list\n" in out
    assert "\n    2    wrong usage" in out
    assert "\\b" not in out


def test_a_missing_image(pcemu: Pcemu, tmp_path: Path) -> None:
    code, _, err = pcemu("show", tmp_path / "nowhere.img")
    assert code == 3
    assert "no such file" in err


def test_a_path_that_the_host_does_not_take_is_a_sentence(pcemu: Pcemu, tmp_path: Path) -> None:
    for command in ("list", "show", "discard", "commit"):
        code, out, err = pcemu(command, tmp_path / ("n" * 300))
        assert (code, out) == (5, "")
        assert "nn: " in err and "File name too long; check the path" in err


def test_resume_is_run_with_a_session_that_is_there(pcemu: Pcemu, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(boot_drive(f"mov ax, 0x0E52\nint 0x10\n{IDLE}").data)
    before = path.read_bytes()
    assert pcemu("resume", path)[0] == 2
    with Session(path) as session:
        session.start().write(9, b"9" * SECTOR_SIZE)
        session.keep()
    code, out, err = pcemu("resume", path, "--headless", "--until", "R", "--on-exit", "discard")
    assert (code, "R" in out) == (0, True)
    assert "going on with the session of" in err
    assert "discarded 1 sector" in err
    assert path.read_bytes() == before


def test_a_discard_claims_nothing_of_an_image_that_others_changed(pcemu: Pcemu, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    with Session(path) as session:
        session.start().write(9, b"9" * SECTOR_SIZE)
        session.keep()
    path.write_bytes(b"others" + bytes((1 << 20) - 6))
    code, out, _ = pcemu("discard", path)
    assert (code, out) == (0, f"discarded; {path} stays as it is\n")
    assert path.read_bytes()[:6] == b"others"


@pytest.mark.parametrize("command", ["show", "commit"])
def test_an_image_that_was_written_to_is_warned_of(pcemu: Pcemu, tmp_path: Path, command: str) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4 << 20))
    os.utime(path, (1e9, 1e9))
    with Session(path) as session:
        session.start().write(9, b"9" * SECTOR_SIZE)
        session.keep()
    os.utime(path, (1e9 + 60, 1e9 + 60))  # by a write that is in no sample
    assert pcemu("show", path, "-q")[2] == ""
    code, _, err = pcemu(command, path)
    assert code == 0
    assert "if another program wrote to it" in err


def test_a_list_of_nothing_here_tells_of_disks_known_by_name(
    pcemu: Pcemu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = pcemu("list")
    assert (code, out) == (0, "no sessions in this folder; `pcemu list` tells of the disks known by name\n")
    assert pcemu("list", tmp_path)[:2] == (0, "no sessions\n")


def test_a_list_tells_of_sessions_that_are_not_beside_their_image(pcemu: Pcemu, tmp_path: Path) -> None:
    (tmp_path / "read-only").mkdir()
    path = tmp_path / "read-only" / "disk.img"
    path.write_bytes(bytes(1 << 20))
    with Session(path, fallback=session_folder()) as session:
        session.start().write(9, b"9" * SECTOR_SIZE)
        session.keep()
    place = Path(f"{path}.pcemu")
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    session_folder().mkdir(parents=True)
    place.rename(session_folder() / f"disk.img-{digest}.pcemu")  # where it is made if it cannot be beside
    rows = json.loads(pcemu("list", path.parent, "--json")[1])
    assert [(row["image"], row["state"]) for row in rows] == [(str(path), "kept")]
    assert json.loads(pcemu("list", tmp_path, "--json")[1]) == []
    assert pcemu("discard", path)[0] == 0
    assert pcemu("list", path.parent)[1].startswith("no sessions")


def test_a_list_of_nothing_at_all(pcemu: Pcemu, tmp_path: Path) -> None:
    code, _, err = pcemu("list", tmp_path / "nowhere")
    assert code == 3
    assert "no such image or folder" in err


def test_an_image_that_was_moved_away_from_its_session(pcemu: Pcemu, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    with Session(path) as session:
        session.start().write(9, b"9" * SECTOR_SIZE)
        session.keep()
    path.rename(tmp_path / "moved.img")
    assert str(path) in json.loads(pcemu("list", path, "--json")[1])[0]["image"]
    for command in ("show", "commit", "discard"):
        code, _, err = pcemu(command, path)
        assert code == 3
        assert "move it back" in err
