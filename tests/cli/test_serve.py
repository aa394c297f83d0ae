"""`pcemu serve` and `protect`: sessions of clients, decisions while it runs, kills, refusals."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
from pathlib import Path

import pexpect
import pytest

from pcemu.drives.remote.source import connect
from tests.cli.conftest import Run
from tests.cli.server import environment, pcemu, server
from tests.drives.nbd.running import nbdsh, program
from tests.drives.nbd.test_tls import make_authority, make_certificate
from tests.drives.test_device import loop_device

SIZE = 4 << 20


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.img"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return path


def write(uri: str, at: int, byte: int, size: int = 4096) -> None:
    nbdsh(uri, f"h.pwrite(bytes([{byte}]) * {size}, {at})\nh.flush()\nh.shutdown()")


def test_all_clients_share_a_session_which_is_kept(base: Path, tmp_path: Path) -> None:
    before = base.read_bytes()
    with server(tmp_path, "serve", base) as running:
        assert running.first == running.uri("base")
        write(running.uri("base"), 8192, 0x41)
        nbdsh(running.uri("base"), "assert h.pread(1, 8192) == b'A'")
        code, said = running.end()
    assert (code, base.read_bytes()) == (0, before)
    assert "kept 8 sectors" in said
    assert pcemu(tmp_path, "session", "commit", base)[0] == 0
    assert base.read_bytes() == before[:8192] + b"A" * 4096 + before[12288:]


def test_read_only_is_read_only_and_leaves_no_trace(base: Path, tmp_path: Path) -> None:
    with server(tmp_path, "serve", base, "--read-only", "--name", "my disk") as running:
        uri = running.first
        assert uri.startswith("nbd+unix:///my%20disk?")
        nbdsh(uri, "assert h.is_read_only()\nassert h.get_size() == 4 << 20")
        running.end(signal.SIGTERM)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("base")) == ["base.img"]


def test_each_client_has_a_drive_of_its_own(base: Path, tmp_path: Path) -> None:
    before = base.read_bytes()
    with server(tmp_path, "serve", base, "--per-client-undo") as running:
        for number, name in enumerate(("alice", "bob")):
            write(running.uri(f"base@{name}"), number << 20, 0x41 + number)
        nbdsh(running.uri("base"), "assert h.is_read_only()")
        code, out, _ = pcemu(tmp_path, "serve", "--list", "--json")
        clients = {client["session"]: client for client in json.loads(out)[0]["clients"]}
        assert clients.keys() == {"alice", "bob"}
        assert clients["alice"]["export"] == "base@alice"
        program("nbdcopy", running.uri("base@alice"), tmp_path / "alice.img")
        # A commit, while bob is connected: he reads what he read before.
        nbdsh(
            running.uri("base@bob"),
            f"""
import subprocess
before = h.pread({SIZE}, 0)
subprocess.run({[sys.executable, "-m", "pcemu", "session", "commit", str(base), "--session", "alice"]!r},
               check=True, env={environment(tmp_path)!r})
assert h.pread({SIZE}, 0) == before
""",
        )
        assert base.read_bytes() == b"A" * 4096 + before[4096:]
        code, _, said = pcemu(tmp_path, "session", "commit", base, "--session", "bob")
        assert code == 2
        assert "others committed 8 sectors" in said
        code, out, _ = pcemu(tmp_path, "session", "rebase", base, "--session", "bob", "--json")
        assert json.loads(out)["sectors"] == 8
        assert pcemu(tmp_path, "session", "commit", base, "--session", "bob")[0] == 0
        running.end()
    expected = bytearray(before)
    expected[:4096] = b"A" * 4096
    expected[1 << 20 : (1 << 20) + 4096] = b"B" * 4096
    assert base.read_bytes() == expected
    assert (tmp_path / "alice.img").read_bytes() == b"A" * 4096 + before[4096:]
    assert not (tmp_path / "base.img.pcemu").exists()


def test_what_a_connected_client_reads_changes_only_when_it_is_let_go(base: Path, tmp_path: Path) -> None:
    decide = [sys.executable, "-m", "pcemu", "session", "discard", str(base), "--session", "alice"]
    with server(tmp_path, "serve", base, "--per-client-undo") as running:
        nbdsh(
            running.uri("base@alice"),
            f"""
import subprocess
h.pwrite(b"A" * 512, 0)
environment = {environment(tmp_path)!r}
refused = subprocess.run({decide!r}, env=environment, capture_output=True, text=True)
assert refused.returncode == 2 and "--disconnect" in refused.stderr, refused
assert h.pread(512, 0) == b"A" * 512
subprocess.run({[*decide, "--disconnect"]!r}, env=environment, check=True)
try:
    h.pread(512, 0)
except nbd.Error:
    print("gone")
""",
        )
        nbdsh(running.uri("base@alice"), f"assert h.pread(512, 0) == {base.read_bytes()[:512]!r}")


@pytest.mark.parametrize(
    "name", ["base@../../etc", "base@a/b", "base@", "base@" + "x" * 33, "other", "base@a@b"]
)
def test_no_name_leads_anywhere_else(base: Path, tmp_path: Path, name: str) -> None:
    files = sorted(path for path in tmp_path.rglob("*") if path.name.startswith("base"))
    with server(tmp_path, "serve", base, "--per-client-undo") as running:
        said = nbdsh(running.uri("base"), f"h2 = nbd.NBD()\nh2.set_export_name({name!r})\n"
                     f"h2.connect_unix({str(running.socket)!r})", succeeds=False)  # fmt: skip
        assert "nbd_connect" in said and "export" in said
    assert files == sorted(path for path in tmp_path.rglob("*") if path.name.startswith("base"))


def test_what_a_killed_client_wrote_is_kept(base: Path, tmp_path: Path) -> None:
    with server(tmp_path, "serve", base, "--per-client-undo") as running:
        script = "import os\nh.pwrite(b'A' * 512, 0)\nos.kill(os.getpid(), 9)"
        nbdsh(running.uri("base@ann"), script, succeeds=False)
        nbdsh(running.uri("base@ann"), "assert h.pread(512, 0) == b'A' * 512")
        running.end()
    assert pcemu(tmp_path, "session", "discard", base, "--session", "ann")[0] == 0


def test_what_was_flushed_survives_the_servers_death(base: Path, tmp_path: Path) -> None:
    script = """
import random
rng = random.Random(7)
turn = 0
while True:
    for _ in range(20):
        h.pwrite(bytes([turn % 251]) * 4096, rng.randrange(1000) * 4096)
    h.flush()
    print(turn, flush=True)
    turn += 1
    if turn == 30:
        os.kill(PID, 9)
"""
    with server(tmp_path, "serve", base) as running:
        whole = f"import os\nPID = {running.process.pid}\n{script}"
        said = nbdsh(running.uri("base"), whole, succeeds=False)
    done = max(int(line) for line in said.splitlines() if line.isdecimal())
    expected = bytearray(base.read_bytes())
    rng = random.Random(7)
    places = [[rng.randrange(1000) * 4096 for _ in range(20)] for _ in range(done + 2)]
    for turn in range(done + 1):
        for at in places[turn]:
            expected[at : at + 4096] = bytes([turn % 251]) * 4096
    with server(tmp_path, "serve", base) as running:
        program("nbdcopy", running.uri("base"), tmp_path / "after.img")
        _, said = running.end()
    assert "interrupted" in said
    after = bytearray((tmp_path / "after.img").read_bytes())
    for at in places[done + 1]:  # may be there or not
        after[at : at + 4096] = expected[at : at + 4096]
    assert after == expected
    assert done == 29


def test_protect_asks_at_the_end(base: Path, tmp_path: Path) -> None:
    before = base.read_bytes()
    sock = tmp_path / "nbd.sock"
    command = ["-m", "pcemu", "protect", str(base), "--listen", f"unix:{sock}"]
    child = pexpect.spawn(
        sys.executable, command, env=environment(tmp_path), encoding="utf-8", timeout=300, cwd=str(tmp_path)
    )
    child.expect(r"socket=\S+")
    child.expect("Ctrl-C ends it")
    write(f"nbd+unix:///base?socket={sock}", 0, 0x5A)
    child.sendintr()
    child.expect("What becomes of these changes")
    child.expect(r"\[c/d/k/b\]")
    child.sendline("c")
    child.expect("committed 8 sectors")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert base.read_bytes() == b"Z" * 4096 + before[4096:]


def test_two_servers_of_one_image_are_refused(base: Path, tmp_path: Path) -> None:
    with server(tmp_path, "serve", base):
        code, _, said = pcemu(tmp_path, "serve", base, "--listen", f"unix:{tmp_path / 'other'}")
    assert code == 5
    assert "in use by process" in said


def test_the_list_of_servers_counts_readers_of_what_has_no_session(base: Path, tmp_path: Path) -> None:
    with server(tmp_path, "serve", base, "--read-only") as running:
        reader = connect(running.uri("base"), 20)
        (found,) = json.loads(pcemu(tmp_path, "serve", "--list", "--json")[1])
        assert (found["connections"], found["clients"]) == (1, [])
        assert pcemu(tmp_path, "serve", "--list")[1].splitlines()[1].split()[::2] == ["base", "1"]
        reader.close()


def test_the_list_of_any_servers_exports(base: Path, tmp_path: Path) -> None:
    shutil.copy(base, tmp_path / "second.img")
    with server(tmp_path, "serve", base, "second.img", "--read-only") as running:
        _, out, _ = pcemu(tmp_path, "serve", "--list", f"unix:{running.socket}", "--json")
        exports = json.loads(out)
    assert [(each["name"], each["size"], each["read_only"]) for each in exports] == [
        ("base", SIZE, True),
        ("second", SIZE, True),
    ]


def test_exports_are_listed_by_address_also_for_those_with_a_certificate_alone(
    base: Path, tmp_path: Path
) -> None:
    pki, bare = tmp_path / "pki", tmp_path / "bare"
    pki.mkdir()
    bare.mkdir()
    make_authority(pki)
    for end in ("server", "client"):
        make_certificate(pki, end)
    shutil.copy(pki / "ca-cert.pem", bare)
    with server(
        tmp_path, "serve", base, "--read-only", "--tls-certificates", pki, "--tls-verify-peer"
    ) as found:
        code, out, err = pcemu(tmp_path, "serve", "--list", f"{found.first}&tls-certificates={pki}", "--json")
        assert (code, [each["name"] for each in json.loads(out or "[]")]) == (0, ["base"]), err
        code, _, err = pcemu(tmp_path, "serve", "--list", f"{found.first}&tls-certificates={bare}")
        assert (code, "Traceback" in err) == (5, False)
    for wrong in ("http://host/x", "nbd+unix:///x"):  # no server is asked
        code, _, err = pcemu(tmp_path, "serve", "--list", wrong)
        assert (code, "expected such as" in err) == (2, True), err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "Missing argument"),
        (("nothing.img",), 3, "no such file"),
        ((".",), 4, ".: is a directory, expected a disk image; name a file inside it"),
        (("n" * 300,), 5, "File name too long; check the path"),
        (("base.img", "--listen", "0.0.0.0:0"), 2, "without TLS"),
        (("base.img", "--listen", "nowhere:x"), 2, "no port"),
        (("base.img", "--listen", "unix:"), 2, "expected a path"),
        (("base.img", "--name", "a@b"), 2, "cannot be an export's name"),
        (("base.img", "--name", "a", "--name", "b"), 2, "once for each"),
        (("base.img", "base.img", "--read-only"), 2, "not all different"),
        (("base.img", "--read-only", "--per-client-undo"), 2, "do not go with"),
        (("base.img", "--tls-certificates", "none"), 3, "server-cert.pem"),
        (("base.img", "--tls-psk", "x", "--tls-certificates", "y"), 2, "expected one of them"),
        (("base.img", "--tls-verify-peer", "--name", "a", "--name", "b"), 2, "goes with --tls-certificates"),
        (("--list", "unix:nobody"), 5, "is it running"),
    ],
)
def test_refusals_name_what_was_found_and_the_way_out(
    pcemu: Run, base: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    found, out, err = pcemu("serve", *arguments)
    assert (found, out) == (code, "")
    assert sentence in err
    assert "Traceback" not in err
    assert base.exists()


def test_no_server_is_nothing_to_list(pcemu: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert pcemu("serve", "--list")[:2] == (0, "no server is running\n")


def test_two_devices_one_takes_what_is_written_to_the_other(base: Path, tmp_path: Path) -> None:
    before = base.read_bytes()
    blank = tmp_path / "blank"
    with blank.open("wb") as file:
        file.truncate(2 * SIZE)
    with loop_device(base) as one, loop_device(blank) as other:
        code, out, said = pcemu(tmp_path, "disk", "create", "-b", one, other)
        assert code == 0, said
        arguments = ("serve", other, "--in-place", "--allow-outside", "--name", "disk")
        with server(tmp_path, *arguments) as running:
            write(running.uri("disk"), 8192, 0x41)
            running.end()
        assert base.read_bytes() == before
        with server(tmp_path, *arguments) as running:
            nbdsh(running.uri("disk"), "assert h.pread(4096, 8192) == b'A' * 4096")
            running.end()
        code, out, said = pcemu(tmp_path, "disk", "commit", "--allow-outside", other)
        assert code == 0, said
        assert one.read_bytes() == before[:8192] + b"A" * 4096 + before[12288:]
        code, out, said = pcemu(tmp_path, "serve", one, "--in-place")
        assert (code, out) == (2, "")
        assert "is no child" in said


def test_the_session_of_a_device_is_not_kept_in_memory(base: Path, tmp_path: Path) -> None:
    """What is beside a device is gone when the host starts again."""
    with loop_device(base) as device:
        with server(tmp_path, "serve", device, "--name", "disk") as running:
            write(running.uri("disk"), 0, 0x41)
            assert "kept 8 sectors" in running.end()[1]
        assert not Path(f"{device}.pcemu").exists()
        assert len(list((tmp_path / "data" / "pcemu" / "sessions").glob("*/default-0001.vhd"))) == 1
        code, _, said = pcemu(tmp_path, "session", "commit", device)
        assert code == 0, said
        assert device.read_bytes()[:4096] == b"A" * 4096


def test_an_image_on_another_server_is_lent_too(
    base: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its reads wait for the network, in threads."""
    far, near = tmp_path_factory.mktemp("far"), tmp_path_factory.mktemp("near")
    with server(far, "serve", base, "--read-only") as origin:
        with server(near, "serve", origin.uri("base"), "--name", "disk", "--per-client-undo") as running:
            write(running.uri("disk@ann"), 5000, 0x41, 1000)
            program("nbdcopy", running.uri("disk@ann"), tmp_path / "out.img")
            running.end()
        origin.end()
    before = base.read_bytes()
    assert (tmp_path / "out.img").read_bytes() == before[:5000] + b"A" * 1000 + before[6000:]
