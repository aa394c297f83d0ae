"""Images on servers, named on the command line."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pcemu.cli import remote
from pcemu.drives.remote import waiting
from pcemu.drives.remote.settings import SETTINGS, _no_folder
from pcemu.session.session import Session
from pcemu.testing.toxic_proxy import ToxicProxy
from tests.boot import IDLE, boot_drive
from tests.cli.server import environment
from tests.drives.remote.servers import RangeServer, free_port, qemu_nbd

Run = Callable[..., tuple[int, str, str]]

SECTORS = 8192
FAR = 4000  # a sector that no read-ahead brings along with the first
# Prints R, waits for a key, reads a far sector (INT 13h, AH = 42h), prints its first letter; E if it fails.
READER = f"""
    xor ax, ax
    mov ds, ax
    mov es, ax
again:
    mov ax, 0x0E52
    int 0x10
    xor ax, ax
    int 0x16
    mov ah, 0x42
    mov dl, 0x80
    mov si, packet
    int 0x13
    mov al, 'E'
    jc tell
    mov al, [0x8000]
tell:
    mov ah, 0x0E
    int 0x10
    jmp again
packet: db 16, 0, 1, 0, 0, 0x80, 0, 0
    dq {FAR}
    {IDLE}
"""


@pytest.fixture(autouse=True)
def as_at_the_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test begins with the settings of a new process."""
    monkeypatch.setattr(remote, "_prepared", False)
    for name in ("folder", "cache_size", "timeout"):
        monkeypatch.setattr(SETTINGS, name, getattr(SETTINGS, name))
    yield
    waiting.close_all()


@pytest.fixture(scope="module")
def content() -> bytes:
    data = bytearray(random.Random(1).randbytes(SECTORS * 512))
    boot = boot_drive(READER).data[:512]
    data[:512] = boot
    data[446:510] = bytes(64)  # no partitions
    data[FAR * 512] = ord("F")
    return bytes(data)


@pytest.fixture
def disk_file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "served.img"
    path.write_bytes(content)
    return path


def test_run_from_a_server(pcemu: Run, disk_file: Path) -> None:
    with qemu_nbd(disk_file) as port:
        url = f"nbd://127.0.0.1:{port}/disk"
        steps = ("--until", "R", "--type", "x", "--until", "F")
        for _ in range(2):  # cold and warm
            code, out, err = pcemu("run", "--headless", *steps, url)
            assert (code, err) == (0, ""), err
            assert "RF" in out
        assert pcemu("session", "list", url)[1].strip() == "no sessions"


@pytest.mark.skipif(os.name == "nt", reason="signals end processes at once there")
@pytest.mark.parametrize(
    "command",
    [
        ("run", "--headless"),
        ("serve", "--listen", "unix:s"),
        ("serve", "--listen", "unix:s", "--read-only"),
    ],
)
def test_ctrl_c_ends_the_wait_for_a_server_that_is_silent_from_the_start(
    command: tuple[str, ...], pcemu: Run, disk_file: Path, tmp_path: Path
) -> None:
    with qemu_nbd(disk_file) as port, ToxicProxy(("127.0.0.1", port)) as proxy:
        url = f"nbd://127.0.0.1:{proxy.port}/disk"
        assert pcemu("disk", "info", url)[0] == 0  # it is known
        proxy.frozen = True
        known = proxy.connections
        settings = {**environment(tmp_path), "PCEMU_NETWORK_TIMEOUT": "80000"}
        with subprocess.Popen(
            [sys.executable, "-m", "pcemu", *command, url],
            cwd=tmp_path, env=settings, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            try:
                if "--read-only" in command:  # nobody is told
                    while proxy.connections == known and process.poll() is None:
                        pass
                else:
                    assert "waiting for the server" in process.stderr.readline()
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=60)
            finally:
                process.kill()
        assert (process.returncode, err) == (130, "")
        proxy.frozen = False
        assert pcemu("session", "list", url)[1].strip() == "no sessions"


def test_a_network_that_goes_away_is_a_disk_error_for_the_guest(pcemu: Run, disk_file: Path) -> None:
    with qemu_nbd(disk_file) as port, ToxicProxy(("127.0.0.1", port)) as proxy:
        window = FAR * 512 >> 18 << 18
        far = window.to_bytes(8, "big") + (1 << 18).to_bytes(4, "big")

        def cut_before_the_far_sector(data: bytes) -> bytes:
            if far in proxy.from_client:
                proxy.refusing = True
                proxy.cut()
            return data

        url = f"nbd://127.0.0.1:{proxy.port}/disk"
        pcemu("disk", "info", url)
        proxy.poison = cut_before_the_far_sector
        steps = ("--until", "R", "--type", "x", "--until", "E")
        code, out, err = pcemu("run", "--headless", "--network-timeout", "0.3", *steps, url)
        assert (code, "RE" in out) == (0, True), err
        assert f"pcemu: {url}: the host failed, and the guest was told of it: gave no answer for 0.3 s" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["disk", "info", "nbd://127.0.0.1:{free}/disk"], 5, "is the server running"),
        (["run", "nbd://127.0.0.1:{free}/disk"], 5, "is the server running"),
        (["disk", "info", "gopher://host/disk"], 2, "gopher:// is not known, expected one of nbd"),
        (["disk", "info", "http://127.0.0.1:{port}/other"], 3, "no such file on the server"),
        (["disk", "info", "http://me:word@host/x"], 2, "has a password"),
        (["disk", "info", "nbd+unix:///x"], 2, "names no socket"),
        (["disk", "cache", "clear"], 2, "URLs or --all"),
        (["disk", "cache", "verify", "nbd://host/unknown"], 2, "nothing is kept of it"),
        (["run", "--network-timeout", "0", "x"], 2, "more than 0"),
        (["run", "--cache-size", "much", "x"], 2, "such as 10G"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    arguments: list[str], code: int, words: str, pcemu: Run, content: bytes
) -> None:
    with RangeServer(content) as server:
        names = {"free": free_port(), "port": server.server_address[1]}
        found, out, err = pcemu(*[argument.format(**names) for argument in arguments])
    assert (found, out) == (code, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert err.startswith("pcemu: ")


def test_the_environment_is_asked(pcemu: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCEMU_CACHE_SIZE", "3G")
    monkeypatch.setenv("PCEMU_NETWORK_TIMEOUT", "1.5")
    assert pcemu("disk", "cache", "list")[0] == 0
    assert (SETTINGS.cache_size, SETTINGS.timeout) == (3 << 30, 1.5)
    monkeypatch.setattr(remote, "_prepared", False)
    monkeypatch.setenv("PCEMU_NETWORK_TIMEOUT", "soon")
    code, _, err = pcemu("disk", "cache", "list")
    assert (code, "PCEMU_NETWORK_TIMEOUT 'soon': expected seconds" in err) == (2, True)


def test_a_child_copies_and_the_cache(pcemu: Run, content: bytes) -> None:
    with RangeServer(content) as server:
        assert pcemu("disk", "create", "-b", server.url, "child.vhd")[0] == 0
        code, out, _ = pcemu("disk", "info", server.url)
        assert (code, out.split()[:2]) == (0, ["address", server.url])
        assert pcemu("disk", "check", "child.vhd")[0] == 0
        assert pcemu("disk", "convert", server.url, "copy.img")[0] == 0
        assert Path("copy.img").read_bytes() == content
        assert pcemu("disk", "compare", server.url, "child.vhd")[0] == 0
        tree = json.loads(pcemu("disk", "chain", "--json", "child.vhd")[1])["tree"]
        assert (tree["url"], tree["children"][0]["path"]) == (server.url, str(Path("child.vhd").resolve()))

        (kept,) = json.loads(pcemu("disk", "cache", "list", "--json")[1])
        assert (kept["url"], kept["size"], kept["children"]) == (server.url, len(content), 1)
        assert kept["allocated"] >= len(content)
        (found,) = json.loads(pcemu("disk", "cache", "verify", "--json", server.url)[1])
        assert (found["checked"], found["wrong"]) == (64, 0)
        (done,) = json.loads(pcemu("disk", "cache", "clear", "--json", server.url)[1])
        assert (done["forgotten"], done["freed"] >= len(content)) == (False, True)
        Path("child.vhd").unlink()
        pcemu("disk", "cache", "clear", "--all")
        assert pcemu("disk", "cache", "list")[1].strip() == "nothing is kept"


def test_the_files_of_a_child_are_found_by_a_command_that_names_no_address(
    pcemu: Run, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RangeServer(content) as server:
        pcemu("disk", "create", "-b", server.url, "child.vhd")
        for command in (
            ("ls", "child.vhd"),
            ("get", "child.vhd:/X", "x"),
            ("put", "child.vhd", "child.vhd:/"),
        ):
            monkeypatch.setattr(remote, "_prepared", False)  # as in a process of its own
            monkeypatch.setattr(SETTINGS, "folder", _no_folder)
            code, _, err = pcemu("disk", *command)
            assert (code != 0, "not used here" in err, "FAT" in err) == (True, False, True), err


@pytest.mark.parametrize("damage", ["header", "cut", "empty"])
def test_a_damaged_cache_is_made_anew(pcemu: Run, content: bytes, damage: str) -> None:
    with RangeServer(content) as server:
        assert pcemu("disk", "create", "-b", server.url, "child.vhd")[0] == 0
        (kept,) = json.loads(pcemu("disk", "cache", "list", "--json")[1])
        with Path(kept["path"]).open("r+b") as file:
            if damage == "header":
                file.seek(520)
                file.write(b"\xff" * 30)
            else:
                file.truncate(0 if damage == "empty" else 100_000)
        code, out, _ = pcemu("disk", "cache", "list")
        assert (code, "damaged" in out) == (0, True)
        code, _, err = pcemu("disk", "cache", "verify")
        assert (code, f"pcemu disk cache clear {server.url}" in err) == (4, True), err
        assert pcemu("disk", "compare", server.url, "child.vhd")[0] == 0
        (again,) = json.loads(pcemu("disk", "cache", "list", "--json")[1])
        assert (again["path"], again["damaged"]) == (kept["path"], "")


def test_a_server_that_is_away_keeps_no_other_cache_from_being_verified(pcemu: Run, content: bytes) -> None:
    with RangeServer(content) as here:
        with RangeServer(content) as away:
            for number, server in enumerate((away, here)):
                pcemu("disk", "convert", server.url, f"{number}.img")
        code, out, err = pcemu("disk", "cache", "verify")
        assert (code, f"{here.url}: 4 MiB compared" in out, f"{away.url}: cannot be reached" in err) == (
            5, True, True,
        )  # fmt: skip


def test_a_damaged_cache_is_cleared(pcemu: Run, content: bytes) -> None:
    with RangeServer(content) as server:
        pcemu("disk", "info", server.url)
        (kept,) = json.loads(pcemu("disk", "cache", "list", "--json")[1])
        os.truncate(kept["path"], 100_000)
        assert pcemu("disk", "cache", "clear", "--all")[0] == 0
        assert pcemu("disk", "cache", "list")[1].strip() == "nothing is kept"


def test_an_image_is_no_cache(pcemu: Run, content: bytes) -> None:
    Path("base.img").write_bytes(content)
    pcemu("disk", "create", "-b", "base.img", "child.vhd")
    for action in ("list", "verify", "clear"):
        for path in ("base.img", "child.vhd"):
            code, _, err = pcemu("disk", "cache", action, path)
            assert (code, "nothing is kept of it" in err) == (2, True)
    assert Path("child.vhd").exists()


def test_changes_cannot_be_committed_to_a_server_but_are_kept(pcemu: Run, content: bytes) -> None:
    with RangeServer(content) as server:
        pcemu("disk", "info", server.url)
        (kept,) = json.loads(pcemu("disk", "cache", "list", "--json")[1])
        with Session(kept["path"]) as session:
            session.start().write(9, b"x" * 512)
            session.keep()
        code, _, err = pcemu("session", "commit", server.url)
        assert (code, "save changes as a branch" in err) == (5, True)
        assert pcemu("session", "branch", server.url, "mine")[0] == 0
        assert pcemu("disk", "compare", "mine.vhd", server.url)[0] == 1
        assert Path("mine.vhd").is_file()


def test_people_read_the_address_and_not_where_it_is_kept(pcemu: Run, content: bytes) -> None:
    with RangeServer(content) as server:
        pcemu("disk", "info", server.url)
        (kept,) = json.loads(pcemu("disk", "cache", "list", "--json")[1])
        with Session(kept["path"]) as session:
            session.start().write(9, b"x" * 512)
            session.keep()
        for command in (
            ("run", "--headless", "--until", "R", server.url),
            ("run", "--headless", "--until", "R", "--on-exit", "commit", server.url),
            ("session", "list", server.url),
            ("session", "show", server.url),
            ("session", "commit", server.url),
            ("session", "discard", server.url),
            ("session", "discard", server.url),
        ):
            _, out, err = pcemu(*command)
            assert server.url in out + err, command
            assert str(kept["path"]) not in out + err, command


def test_the_chain_shows_all_sessions_of_a_shared_parent(pcemu: Run, disk_file: Path) -> None:
    with Session(disk_file, "alice") as kept:
        kept.start().write(1, b"x" * 512)
        kept.keep()
    with Session(disk_file, "bob") as session:
        session.start()
        document = json.loads(pcemu("disk", "chain", "--json", disk_file)[1])
        text = pcemu("disk", "chain", disk_file)[1]
    sessions = {each["session"]["session"]: each for each in document["tree"]["children"]}
    assert sessions.keys() == {"alice", "bob"}
    assert sessions["alice"]["session"] == {"session": "alice", "state": "kept", "in_use_by": []}
    assert sessions["bob"]["session"] == {"session": "bob", "state": "active", "in_use_by": [os.getpid()]}
    assert sessions["alice"]["allocated"] > 512
    assert "session bob, active  differencing, 4 MiB, empty" in text
    assert f"s old, in use by process {os.getpid()}" in text
    assert "session alice, kept  differencing, 4 MiB, takes" in text


def test_files_on_a_server_are_listed(pcemu: Run) -> None:
    assert pcemu("new", "disk.img", "--size", "4M")[0] == 0
    Path("note.txt").write_text("hello")
    assert pcemu("disk", "put", "note.txt", "disk.img:/")[0] == 0
    assert pcemu("session", "commit", "disk.img")[0] == 0
    with RangeServer(Path("disk.img").read_bytes()) as server:
        code, out, err = pcemu("disk", "ls", f"{server.url}:/")
        assert (code, "NOTE.TXT" in out.upper()) == (0, True), err
        assert pcemu("disk", "ls", server.url)[1] == out
        assert pcemu("disk", "get", f"{server.url}:/note.txt", "copy.txt")[0] == 0
    assert Path("copy.txt").read_text() == "hello"
