"""`pcemu get`: a system from a server of our own, as a disk that is known by name."""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile
from pathlib import Path

import pytest

from pcemu.errors import UsageError
from pcemu.library import catalogue, download
from pcemu.library.catalogue import SYSTEMS, Release, find_release
from tests.cli.conftest import Run
from tests.library.server import breaks_off, redirects, says, serve, stalls, well

IMAGE = random.Random(1).randbytes(400 * 512)
PART = ".FD14-LiteUSB.zip.part"


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name.replace("__", "/").replace("_", "."), content)
    return file.getvalue()


ZIP = archive(README_TXT=b"read me", FD14LITE_img=IMAGE)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "FIRST_PAUSE", 0)


def offer(monkeypatch: pytest.MonkeyPatch, content: bytes, site: str = "http://127.0.0.1:9") -> None:
    """As if ``content`` were the official archives."""
    sha256 = hashlib.sha256(content).hexdigest()
    releases = tuple(
        Release(version, site, f"{version}/FD{version.replace('.', '')}-LiteUSB.zip", sha256, "FD14LITE.img")
        for version in ("1.4", "1.3")
    )
    monkeypatch.setitem(catalogue.SYSTEMS, "freedos", releases)


@pytest.fixture(autouse=True)
def official(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ZIP)


def leftovers(disks: Path) -> set[str]:
    return {path.name for path in disks.iterdir()} if disks.exists() else set()


def test_the_image_is_there_and_known_by_name(
    pcemu: Run, disks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(ZIP) as server:
        offer(monkeypatch, ZIP, server.url.rpartition("/1.4/")[0])
        code, out, err = pcemu("get", "freedos")
        assert server.requests[0][0] == "/1.4/FD14-LiteUSB.zip"
    assert code == 0, err
    assert out == "" and "pcemu run freedos" in err
    assert (disks / "freedos.img").read_bytes() == IMAGE
    assert leftovers(disks) == {"freedos.img"}
    code, out, _ = pcemu("list", "--json")
    assert [(disk["name"], disk["size"]) for disk in json.loads(out)] == [("freedos", len(IMAGE))]


def test_a_mirror_a_version_and_a_name(pcemu: Run, disks: Path) -> None:
    with serve(ZIP) as server:
        mirror = server.url.replace("/1.4/file.zip", "/pub/freedos/")
        options = ("--mirror", mirror, "--version", "1.3", "--name", "old", "--json")
        code, out, err = pcemu("get", "FreeDOS", *options)
        assert server.requests[0][0] == "/pub/freedos/1.3/FD13-LiteUSB.zip"
    assert code == 0, err
    assert json.loads(out) == {
        "name": "old",
        "version": "1.3",
        "url": f"{mirror}1.3/FD13-LiteUSB.zip",
        "path": str(disks / "old.img"),
        "size": len(IMAGE),
    }


def test_a_file_of_the_host(pcemu: Run, disks: Path, tmp_path: Path) -> None:
    (tmp_path / "archive.zip").write_bytes(ZIP)
    code, _, err = pcemu("get", "freedos", "--url", (tmp_path / "archive.zip").as_uri())
    assert code == 0, err
    assert leftovers(disks) == {"freedos.img"}


def test_a_download_through_everything(pcemu: Run, disks: Path) -> None:
    half = len(ZIP) // 2
    bad = (breaks_off(half), stalls(1000), says(503))
    with serve(ZIP, *bad, well) as good, serve(b"", redirects(good.url)) as way:
        code, _, err = pcemu("get", "freedos", "--url", way.url, "--timeout", "0.3")
        assert good.ranges[1] == f"bytes={half}-"
    assert code == 0, err
    assert (disks / "freedos.img").read_bytes() == IMAGE


def test_it_goes_on_where_it_stopped(pcemu: Run, disks: Path) -> None:
    with serve(ZIP, breaks_off(5000), says(404)) as server:
        code, _, err = pcemu("get", "freedos", "--url", server.url)
        assert code == 5 and "404" in err and err.count("\n") == 1
        assert leftovers(disks) == {PART, f"{PART}.json"}
        assert "No disks yet" in pcemu("list")[1]
        server.script = [well]
        assert pcemu("get", "freedos", "--url", server.url)[0] == 0
        assert server.ranges[-1] == "bytes=5000-"
    assert leftovers(disks) == {"freedos.img"}


def test_ctrl_c_leaves_what_came(pcemu: Run, disks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: object, done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    monkeypatch.setattr("pcemu.cli.get._Bar.update", interrupt)
    with serve(ZIP) as server:
        code, _, err = pcemu("get", "freedos", "--url", server.url)
    assert code == 130 and "goes on where it stopped" in err
    assert leftovers(disks) == {PART, f"{PART}.json"}


def test_a_wrong_checksum(pcemu: Run, disks: Path) -> None:
    with serve(ZIP + b"!") as server:
        code, _, err = pcemu("get", "freedos", "--url", server.url)
    assert code == 4 and "SHA-256" in err and hashlib.sha256(ZIP).hexdigest() in err
    assert not leftovers(disks)


def test_no_network(pcemu: Run, disks: Path) -> None:
    code, _, err = pcemu("get", "freedos")  # nothing listens at port 9
    assert code == 5 and "connection failed" in err and err.count("\n") == 1
    assert not leftovers(disks)


def test_a_name_that_is_taken_is_found_before_anything_else(pcemu: Run, disks: Path) -> None:
    disks.mkdir(parents=True)
    (disks / "freedos.vhd").write_bytes(b"mine")
    with serve(ZIP) as server:
        code, _, err = pcemu("get", "freedos", "--url", server.url)
        assert not server.requests
    assert code == 2 and "not taken" in err and "freedos.vhd" in err
    assert leftovers(disks) == {"freedos.vhd"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no zip at all", "no sound zip"),
        (archive(OTHER_txt=IMAGE), "0 disk images, expected one, FD14LITE.img"),
        (archive(a__FD14LITE_img=IMAGE, b__FD14LITE_img=IMAGE), "2 disk images"),
        (archive(a_img=IMAGE, b_img=IMAGE), "2 disk images"),
        (archive(FD14LITE_img=IMAGE[:-1]), "whole sectors"),
        (archive(FD14LITE_img=b""), "whole sectors"),
    ],
)
def test_archives_that_hold_something_else(
    pcemu: Run, disks: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str, tmp_path: Path
) -> None:
    offer(monkeypatch, content)
    source = tmp_path / "archive.zip"
    source.write_bytes(content)
    code, _, err = pcemu("get", "freedos", "--url", source.as_uri())
    assert code == 4 and words in err and err.count("\n") == 1
    assert not leftovers(disks)


@pytest.mark.parametrize(
    "content",
    [
        archive(sub__fd14lite_IMG=IMAGE, other_img=b"another"),
        archive(OTHER_img=IMAGE, README_txt=b"read me"),
    ],
)
def test_the_image_in_a_folder_or_of_another_name(
    pcemu: Run, disks: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    offer(monkeypatch, content)
    (tmp_path / "archive.zip").write_bytes(content)
    assert pcemu("get", "freedos", "--url", (tmp_path / "archive.zip").as_uri())[0] == 0
    assert (disks / "freedos.img").read_bytes() == IMAGE


def test_a_disk_that_is_full_while_unpacking(
    pcemu: Run, disks: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from pcemu.drives.hostfile import HostFile

    def full(self: HostFile, data: bytes, offset: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(HostFile, "write", full)
    (tmp_path / "archive.zip").write_bytes(ZIP)
    code, _, err = pcemu("get", "freedos", "--url", (tmp_path / "archive.zip").as_uri())
    assert code == 5 and "No space left on device" in err
    assert not leftovers(disks)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("windows",),
        ("freedos", "--version", "0.9"),
        ("freedos", "--name", "../up"),
        ("freedos", "--name", "nul"),
        ("freedos", "--url", "ftp://x/y"),
        ("freedos", "--url", "http://x/y", "--mirror", "http://x"),
        ("freedos", "--timeout", "0"),
    ],
)
def test_wrong_usage(pcemu: Run, disks: Path, arguments: tuple[str, ...]) -> None:
    assert pcemu("get", *arguments)[0] == 2
    assert not leftovers(disks)


def test_the_official_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    newest = find_release("freedos", None)
    assert newest.url() == "https://download.freedos.org/1.4/FD14-LiteUSB.zip"
    assert newest.sha256.startswith("857dcd2e") and newest.member == "FD14LITE.img"
    assert find_release("freedos", "1.3").url().endswith("/1.3/FD13-LiteUSB.zip")
    assert all(len(release.sha256) == 64 for release in SYSTEMS["freedos"])
    with pytest.raises(UsageError, match=r"1\.4, 1\.3"):
        find_release("freedos", "9")
