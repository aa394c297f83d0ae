"""`pcemu disk ls`, `get` and `put`: files of FAT partitions, through chains and undo sessions."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing
from pcemu.drives.fat import Volume
from pcemu.drives.fat_files import find_place
from pcemu.drives.fat_tree import Tree
from pcemu.drives.open import open_drive
from pcemu.session.session import Session
from tests.cli.conftest import Run
from tests.drives.fat_images import FatImage, run


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A disk of mkfs.fat and mtools."""
    made = FatImage(tmp_path / "disk.img", 16)
    made.folder("Games")
    made.folder("Games/Deeper")
    made.add("README.TXT", b"read me\r\n")
    made.add("Games/A long name.dat", bytes(range(256)) * 300)
    made.add("Games/Deeper/empty", b"")
    return made.path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def paths(pcemu: Run, *arguments: str | Path) -> list[str]:
    code, out, err = pcemu("disk", "ls", "--json", *arguments)
    assert code == 0, err
    return [each["path"] for each in json.loads(out)]


# -- ls --------------------------------------------------------------------------------------------------


def test_ls_of_folders_and_files(pcemu: Run, image: Path) -> None:
    assert paths(pcemu, image) == ["\\Games", "\\README.TXT"]
    assert paths(pcemu, f"{image}:/games") == ["\\Games\\Deeper", "\\Games\\A long name.dat"]
    assert paths(pcemu, f"{image}:\\GAMES\\ALONGN~1.DAT") == ["\\Games\\A long name.dat"]
    assert paths(pcemu, "-r", image) == [
        "\\Games",
        "\\Games\\Deeper",
        "\\Games\\Deeper\\empty",
        "\\Games\\A long name.dat",
        "\\README.TXT",
    ]


def test_ls_tells_size_date_and_attributes(pcemu: Run, image: Path) -> None:
    run("mattrib", "+r", "+h", "-i", f"{image}@@{63 * 512}", "::/README.TXT")
    code, out, _ = pcemu("disk", "ls", f"{image}:README.TXT")
    assert code == 0
    size, date, _, attributes, name = out.splitlines()[1].split()
    assert (size, attributes, name) == ("9", "rha", "README.TXT") and date.startswith("20")


def test_ls_shows_no_codes_for_terminals(pcemu: Run, image: Path) -> None:
    data = image.read_bytes()
    assert data.count("A long name.da".encode("utf-16-le")[:10]) == 1
    image.write_bytes(data.replace("A lon".encode("utf-16-le"), "A \x9bon".encode("utf-16-le")))
    code, out, _ = pcemu("disk", "ls", f"{image}:/Games")
    assert code == 0 and "A ?on" in out


def test_what_is_not_there(pcemu: Run, image: Path) -> None:
    for spec, code, words in [
        (f"{image}:/none", 2, "has no none in"),
        (f"{image}:/README.TXT/x", 2, "is a file"),
        ("missing.img:/x", 3, "missing.img"),
    ]:
        found, _, err = pcemu("disk", "ls", spec)
        assert found == code and words in err and err.count("\n") == 1


def test_partitions_by_number(pcemu: Run, image: Path, tmp_path: Path) -> None:
    assert paths(pcemu, "--partition", "1", image)
    code, _, err = pcemu("disk", "ls", "--partition", "2", image)
    assert code == 2 and "expected 1" in err
    (tmp_path / "zeros.img").write_bytes(bytes(1 << 20))
    code, _, err = pcemu("disk", "ls", "zeros.img")
    assert code == 4 and "no FAT volume" in err


def test_a_disk_whose_name_has_a_colon(pcemu: Run, image: Path) -> None:
    other = image.with_name("odd:name.img")
    image.rename(other)
    assert paths(pcemu, other) and paths(pcemu, f"{other}:Games")


# -- get -------------------------------------------------------------------------------------------------


def test_get_files_and_folders(pcemu: Run, image: Path, tmp_path: Path) -> None:
    code, out, _ = pcemu("disk", "get", f"{image}:/readme.txt")
    assert code == 0 and "copied 1 file" in out
    assert Path("README.TXT").read_bytes() == b"read me\r\n"
    code, out, _ = pcemu("disk", "get", "--json", f"{image}:/Games", "here")
    assert code == 0 and json.loads(out)["size"] == 256 * 300
    assert Path("here/A long name.dat").read_bytes() == bytes(range(256)) * 300
    assert Path("here/Deeper/empty").read_bytes() == b""
    assert sorted(path.name for path in Path("here").iterdir()) == ["A long name.dat", "Deeper"]


def test_wildcards(pcemu: Run, image: Path) -> None:
    assert paths(pcemu, f"{image}:/*.txt") == ["\\README.TXT"]
    assert paths(pcemu, f"{image}:*") == paths(pcemu, f"{image}:*.*") == ["\\Games", "\\README.TXT"]
    assert paths(pcemu, f"{image}:/Games/a?long*") == ["\\Games\\A long name.dat"]
    assert paths(pcemu, "-r", f"{image}:/G*")[:2] == ["\\Games\\Deeper", "\\Games\\Deeper\\empty"]
    code, _, err = pcemu("disk", "ls", f"{image}:/*.exe")
    assert code == 2 and "has no *.exe in" in err
    Path("out").mkdir()
    assert pcemu("disk", "get", f"{image}:/*", "out")[0] == 0
    assert {path.name for path in Path("out").rglob("*")} == {
        "Games", "Deeper", "empty", "A long name.dat", "README.TXT",
    }  # fmt: skip
    code, _, err = pcemu("disk", "get", f"{image}:/*", "nowhere")
    assert code == 2 and "nowhere: is no folder" in err


def test_get_makes_no_folders_for_a_file(pcemu: Run, image: Path) -> None:
    for target in ("none/README.TXT", "none/"):
        code, _, err = pcemu("disk", "get", f"{image}:/README.TXT", target)
        assert code == 2 and "is no folder" in err and not Path("none").exists()


def test_a_drive_letter_in_a_path(pcemu: Run, image: Path) -> None:
    for arguments in (["ls", f"{image}:C:\\Games"], ["put", image, f"{image}:C:/Games"]):
        code, _, err = pcemu("disk", *arguments)
        assert code == 2 and "begins with a drive letter" in err


def test_get_replaces_nothing_unless_told(pcemu: Run, image: Path) -> None:
    Path("README.TXT").write_text("mine")
    code, _, err = pcemu("disk", "get", f"{image}:/README.TXT")
    assert code == 2 and "exists" in err and Path("README.TXT").read_text() == "mine"
    assert pcemu("disk", "get", "--force", f"{image}:/README.TXT")[0] == 0
    assert Path("README.TXT").read_bytes() == b"read me\r\n"


def test_a_folder_does_not_go_to_stdout(pcemu: Run, image: Path) -> None:
    code, _, err = pcemu("disk", "get", f"{image}:/Games", "-")
    assert code == 2 and "stdout" in err


def test_get_writes_bytes_to_stdout(image: Path) -> None:
    found = run(sys.executable, "-m", "pcemu", "disk", "get", f"{image}:/README.TXT", "-")
    assert found == "read me\r\n"


def test_names_that_lead_elsewhere_stay_inside(pcemu: Run, image: Path, tmp_path: Path) -> None:
    """A long name that is ``..``, which no sound system writes."""
    data = image.read_bytes()
    name, evil = "A lon".encode("utf-16-le"), "..\0on".encode("utf-16-le")
    assert data.count(name) == 1
    image.write_bytes(data.replace(name, evil))
    assert "\\Games\\.." in paths(pcemu, f"{image}:/Games")
    assert pcemu("disk", "get", f"{image}:/Games", "in/here")[0] == 0
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"here"}
    assert {path.name for path in (tmp_path / "in" / "here").iterdir()} == {"Deeper", "_"}


def test_a_broken_file_is_not_copied(pcemu: Run, image: Path) -> None:
    """The last entry of its chain is lost, in both copies of the FAT."""
    drive = open_drive(image)
    volume = Volume(drive, 63, drive.sectors - 63)
    entry = find_place(Tree(volume), "/Games/A long name.dat", "").entry
    assert entry is not None
    ((first, length),) = volume.follow(entry.start, 1000) or []
    fat = bytearray(volume.read_fat(0))
    fat[2 * (first + length - 1) : 2 * (first + length)] = b"\0\0"
    for copy in range(2):
        volume.write(volume.layout.fat_start + copy * volume.layout.fat_sectors, bytes(fat))
    drive.close()
    code, _, err = pcemu("disk", "get", f"{image}:/Games/A long name.dat")
    assert code == 4 and "clusters of A long name.dat are damaged" in err
    assert not Path("A long name.dat").exists() and not list(Path().glob(".A*"))
    assert "damaged" in pcemu("disk", "ls", image)[2]
    Path("new.txt").write_bytes(b"new")
    code, _, err = pcemu("disk", "put", "new.txt", f"{image}:/")
    assert code == 4 and "CHKDSK" in err


# -- put -------------------------------------------------------------------------------------------------


def test_put_goes_into_the_undo_session(pcemu: Run, image: Path) -> None:
    before = digest(image)
    Path("new file.txt").write_bytes(b"new")
    code, out, err = pcemu("disk", "put", "new file.txt", f"{image}:/Games")
    assert code == 0, err
    assert "undo session" in out
    assert digest(image) == before
    assert "\\Games\\new file.txt" in paths(pcemu, f"{image}:/Games")
    assert "\\Games\\new file.txt" not in paths(pcemu, "--base", f"{image}:/Games")
    pcemu("disk", "get", f"{image}:/Games/NEWFIL~1.TXT", "back")
    assert Path("back").read_bytes() == b"new"


def test_what_was_put_is_committed_or_discarded_as_a_guests_writes(pcemu: Run, image: Path) -> None:
    before = digest(image)
    Path("new.txt").write_bytes(b"new")
    pcemu("disk", "put", "new.txt", f"{image}:/")
    with Session(image) as session:
        session.start()
        (volume,) = session.changes().volumes
        assert any("new.txt" in str(change) for change in volume.files)
        session.discard()
    assert digest(image) == before and "\\new.txt" not in paths(pcemu, image)
    pcemu("disk", "put", "new.txt", f"{image}:/")
    with Session(image) as session:
        session.start()
        session.commit()
    assert run("mtype", "-i", f"{image}@@{63 * 512}", "::/new.txt") == "new"


def test_put_for_good(pcemu: Run, image: Path) -> None:
    Path("new.txt").write_bytes(b"new")
    code, out, _ = pcemu("disk", "put", "--commit", "--json", "new.txt", f"{image}:/README.TXT")
    assert code == 0 and json.loads(out) == {"files": 1, "size": 3, "committed": True}
    assert run("mtype", "-i", f"{image}@@{63 * 512}", "::/README.TXT") == "new"
    assert not image.with_name("disk.img.pcemu").exists()
    pcemu("disk", "put", "new.txt", f"{image}:/")
    code, _, err = pcemu("disk", "put", "--commit", "new.txt", f"{image}:/")
    assert code == 2 and "earlier session" in err


def test_put_a_folder(pcemu: Run, image: Path, tmp_path: Path) -> None:
    (tmp_path / "work" / "in").mkdir(parents=True)
    (tmp_path / "work" / "in" / "x.txt").write_bytes(b"x")
    (tmp_path / "work" / "top.txt").write_bytes(b"top")
    code, _, err = pcemu("disk", "put", "--commit", "work", f"{image}:/Games")
    assert code == 0, err
    assert "\\Games\\work\\in\\x.txt" in paths(pcemu, "-r", image)
    check(image)
    code, _, _ = pcemu("disk", "put", "--commit", "work", f"{image}:/OTHER")
    assert code == 0 and "\\OTHER\\in\\x.txt" in paths(pcemu, "-r", image)


def check(image: Path) -> None:
    """fsck.fat finds nothing."""
    part = image.with_suffix(".part")
    part.write_bytes(image.read_bytes()[63 * 512 :])
    run("fsck.fat", "-n", part)


def test_put_into_a_chain(pcemu: Run, image: Path) -> None:
    child = image.with_name("child.vhd")
    create_differencing(child, image)
    Path("new.txt").write_bytes(b"new")
    before = digest(image), digest(child)
    assert pcemu("disk", "put", "new.txt", f"{child}:/")[0] == 0
    assert (digest(image), digest(child)) == before
    assert "\\new.txt" in paths(pcemu, child)
    assert "\\new.txt" not in paths(pcemu, image)


@pytest.mark.parametrize(
    ("sources", "path", "words"),
    [
        (("new.txt", "two.txt"), "/NAME", "is not there"),
        (("new.txt",), "/README.TXT/", "is a file"),
        (("new.txt",), "/none/deeper/x", "is not there"),
        (("missing",), "/", "cannot be read"),
        (("new.txt",), "/a:b", "cannot be the name"),
        (("large",), "/", "is full"),
    ],
)
def test_a_put_that_fails_leaves_no_session(
    pcemu: Run, image: Path, sources: tuple[str, ...], path: str, words: str
) -> None:
    for name in ("new.txt", "two.txt"):
        Path(name).write_bytes(b"new")
    with Path("large").open("wb") as file:
        file.truncate(20 << 20)
    before = digest(image)
    code, _, err = pcemu("disk", "put", *sources, f"{image}:{path}")
    assert code == 2 and words in err and err.count("\n") == 1
    assert digest(image) == before
    assert not image.with_name("disk.img.pcemu").exists()


def test_a_disk_in_use(pcemu: Run, image: Path) -> None:
    Path("new.txt").write_bytes(b"new")
    with Session(image) as session:
        session.start().write(1000, bytes(512))
        code, _, err = pcemu("disk", "put", "new.txt", f"{image}:/")
        assert code == 5 and "in use" in err
        assert pcemu("disk", "ls", image)[0] == 5
        assert pcemu("disk", "ls", "--base", image)[0] == 0


def test_a_session_by_name(pcemu: Run, image: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("one")
    (tmp_path / "two.txt").write_text("two")
    assert pcemu("disk", "put", tmp_path / "one.txt", f"{image}:/")[0] == 0
    assert pcemu("disk", "put", "--session", "other", tmp_path / "two.txt", f"{image}:/")[0] == 0
    usual = pcemu("disk", "ls", image)[1]
    other = pcemu("disk", "ls", "--session", "other", image)[1]
    assert ("one.txt" in usual, "two.txt" in usual) == (True, False)
    assert ("one.txt" in other, "two.txt" in other) == (False, True)
    target = tmp_path / "got.txt"
    assert pcemu("disk", "get", "--session", "other", f"{image}:/two.txt", target)[0] == 0
    assert target.read_text() == "two"
    assert "two.txt" not in pcemu("disk", "ls", "--session", "other", "--base", image)[1]


def test_a_session_that_is_not_there(pcemu: Run, image: Path, tmp_path: Path) -> None:
    code, _, error = pcemu("disk", "ls", "--session", "other", image)
    assert code == 2
    assert "has no session 'other', as it has none at all" in error
    (tmp_path / "one.txt").write_text("one")
    assert pcemu("disk", "put", tmp_path / "one.txt", f"{image}:/")[0] == 0
    assert "expected one of default;" in pcemu("disk", "get", "--session", "x", f"{image}:/one.txt")[2]
