"""The server against other people's clients: libnbd's programs, qemu's, and plain sockets."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.nbd.exports import ImpatientHost
from pcemu.drives.nbd.listen import Address, bound_sockets, parse_address
from pcemu.drives.nbd.listing import list_exports
from pcemu.drives.open import open_drive
from pcemu.drives.raw import RawDrive
from pcemu.errors import ImageAccessError, UsageError
from pcemu.testing.memory_drive import MemoryDrive
from tests.conftest import require
from tests.drives.nbd.running import nbdsh, program, serving

SIZE = 8 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Half data, half hole."""
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.write(random.Random(1).randbytes(SIZE // 2))
        file.truncate(SIZE)
    return path


def unix(folder: Path) -> Address:
    return Address("", 0, str(folder / "nbd.sock"))


def test_nbdinfo_sees_what_there_is(image: Path) -> None:
    with serving({"disk": RawDrive(image), "other": MemoryDrive(64)}) as running:
        facts = json.loads(program("nbdinfo", "--json", running.uri()))
        assert facts["protocol"] == "newstyle-fixed"
        assert facts["structured"]
        (export,) = facts["exports"]
        assert export["export-size"] == SIZE
        assert export["contexts"] == ["base:allocation"]
        for fact in (
            "can_cache",
            "can_df",
            "can_fast_zero",
            "can_flush",
            "can_fua",
            "can_multi_conn",
            "can_trim",
            "can_zero",
        ):
            assert export[fact], fact
        assert not export["is_read_only"]
        assert (export["block_size_minimum"], export["block_size_preferred"]) == (1, 4096)
        everything = json.loads(program("nbdinfo", "--list", "--json", running.uri("")))
        assert [each["export-name"] for each in everything["exports"]] == ["disk", "other"]
        extents = json.loads(program("nbdinfo", "--map", "--json", running.uri()))
        assert [(each["offset"], each["length"], each["type"]) for each in extents] == [
            (0, SIZE // 2, 0),
            (SIZE // 2, SIZE // 2, 3),
        ]


def test_nbdcopy_reads_and_writes_whole_drives(image: Path, tmp_path: Path) -> None:
    create_dynamic(tmp_path / "copy.vhd", SIZE)
    with (
        serving({"disk": RawDrive(image, read_only=True)}, unix(tmp_path)) as source,
        serving({"disk": open_drive(tmp_path / "copy.vhd")}) as target,
    ):
        program("nbdcopy", source.uri(), tmp_path / "there.img")
        program("nbdcopy", "--flush", source.uri(), target.uri())
        program("nbdcopy", target.uri(), tmp_path / "back.img")
    assert (tmp_path / "there.img").read_bytes() == image.read_bytes()
    assert (tmp_path / "back.img").read_bytes() == image.read_bytes()


def test_qemu_img_and_qemu_io_agree_with_the_file(image: Path, tmp_path: Path) -> None:
    create_differencing(tmp_path / "child.vhd", image)
    before = image.read_bytes()
    with serving({"disk": open_drive(tmp_path / "child.vhd")}, unix(tmp_path)) as running:
        uri = running.uri()
        program("qemu-img", "compare", "-f", "raw", "-F", "raw", image, uri)
        commands = ["write -P 0x41 100k 64k", "write -z 1M 3M", "discard 6M 1M", "write -f -P 0x42 4095k 2k"]
        options = [part for command in commands for part in ("-c", command)]
        program("qemu-io", "-f", "raw", "-d", "unmap", *options, "-c", "flush", uri)
        program("qemu-img", "convert", "-f", "raw", "-O", "raw", uri, tmp_path / "out.img")
    expected = bytearray(before)
    expected[100 << 10 : 164 << 10] = b"A" * (64 << 10)
    expected[1 << 20 : 4 << 20] = bytes(3 << 20)
    expected[4095 << 10 : 4097 << 10] = b"B" * 2048
    assert (tmp_path / "out.img").read_bytes() == expected
    assert image.read_bytes() == before


def test_nbdsh_asks_for_what_others_do_not(image: Path) -> None:
    with serving({"disk": RawDrive(image)}) as running:
        out = nbdsh(
            running.uri(),
            f"""
assert h.pread(1, 0) == open({str(image)!r}, "rb").read(1)
h.pwrite(b"abc", 1000, nbd.CMD_FLAG_FUA)
assert h.pread(5, 999)[1:4] == b"abc"
h.zero(10, 995, nbd.CMD_FLAG_NO_HOLE)
assert h.pread(10, 995) == bytes(10)
found = []
h.block_status(h.get_size(), 0, lambda name, offset, entries, error: found.append((name, list(entries))),
               nbd.CMD_FLAG_REQ_ONE)
assert found == [("base:allocation", [{SIZE // 2}, 0])], found
try:
    h.set_strict_mode(0)
    h.pread(512, h.get_size())
except nbd.Error as error:
    assert error.errno == "EINVAL", error.errno
assert len(h.pread(65536, 0, nbd.CMD_FLAG_DF)) == 65536
h.cache(h.get_size(), 0)
h.shutdown()
print("fine")
""",
        )
    assert out.endswith("fine\n")


def test_old_clients_come_in_by_the_exports_name(image: Path) -> None:
    """As nbd-client did: no options but the name, simple replies."""
    data = image.read_bytes()
    with serving({"disk": RawDrive(image)}) as running, _connected(running.at) as sock:
        assert _receive(sock, 18)[:16] == b"NBDMAGICIHAVEOPT"
        sock.sendall(b"\0\0\0\1IHAVEOPT\0\0\0\1\0\0\0\4disk")
        reply = _receive(sock, 134)
        assert int.from_bytes(reply[:8], "big") == SIZE
        assert reply[10:] == bytes(124)
        for number in range(100):
            sock.sendall(b"\x25\x60\x95\x13\0\0\0\0" + bytes([number] * 8) + bytes(8) + b"\0\0\x20\0")
        for number in range(100):
            head = _receive(sock, 16)
            assert head == b"\x67\x44\x66\x98\0\0\0\0" + bytes([number] * 8)
            assert _receive(sock, 8192) == data[:8192]


def test_many_clients_write_at_once(tmp_path: Path) -> None:
    """Each to its own part, by its own program; and to one part that belongs to all, which is never torn."""
    clients, part = 6, 1 << 20
    create_dynamic(tmp_path / "disk.vhd", SIZE)
    drive = open_drive(tmp_path / "disk.vhd")
    models: dict[int, bytes] = {}

    def client(number: int, uri: str) -> None:
        nbdsh(
            uri,
            f"""
import random
rng = random.Random({number})
base, size = {number * part}, {part}
model = bytearray(size)
for turn in range(150):
    length = rng.choice((1, 512, 4096, 5000, 70000))
    at = rng.randrange(size - length)
    data = rng.randbytes(length)
    h.pwrite(data, base + at)
    model[at : at + length] = data
    h.pwrite(bytes([{number}]) * 8192, {7 * part})
    assert len(set(h.pread(8192, {7 * part}))) == 1
    if turn % 50 == 0:
        h.flush()
    at = rng.randrange(size - 4096)
    assert h.pread(4096, base + at) == model[at : at + 4096], turn
h.flush()
h.shutdown()
open({str(tmp_path / "model")!r} + "{number}", "wb").write(model)
""",
        )
        models[number] = (tmp_path / f"model{number}").read_bytes()

    with serving({"disk": drive}, unix(tmp_path)) as running:
        threads = [threading.Thread(target=client, args=(number, running.uri())) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    drive.close()
    assert sorted(models) == list(range(clients))
    program("qemu-img", "convert", "-O", "raw", tmp_path / "disk.vhd", tmp_path / "out.img")
    data = (tmp_path / "out.img").read_bytes()
    for number, model in models.items():
        assert data[number * part : (number + 1) * part] == model


def test_what_is_not_in_the_hosts_cache_is_read_all_the_same(image: Path, tmp_path: Path) -> None:
    host = ImpatientHost()
    create_differencing(tmp_path / "child.vhd", image)
    drive = open_drive(tmp_path / "child.vhd", host=host)
    before = image.read_bytes()
    with serving({"disk": drive}, unix(tmp_path), host=host) as running:
        for path in (image, tmp_path / "child.vhd"):
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        program("nbdcopy", running.uri(), tmp_path / "out.img")
    drive.close()
    assert (tmp_path / "out.img").read_bytes() == before


def test_nbdfuse_makes_it_a_file(image: Path, tmp_path: Path) -> None:
    """Where the host lets one mount."""
    require(shutil.which("nbdfuse") is not None, "nbdfuse")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("nobody may use FUSE here")
    folder = tmp_path / "there"
    folder.mkdir()
    with serving({"disk": RawDrive(image)}, unix(tmp_path)) as running:
        fuse = subprocess.Popen(["nbdfuse", folder, running.uri()], stderr=subprocess.PIPE)
        try:
            while fuse.poll() is None and not (folder / "nbd").exists():
                time.sleep(0.02)
            if fuse.poll() is not None:
                assert fuse.stderr is not None
                pytest.skip(f"nbdfuse cannot mount here: {fuse.stderr.read().decode()}")
            assert (folder / "nbd").read_bytes() == image.read_bytes()
            with (folder / "nbd").open("r+b") as file:
                file.seek(12345)
                file.write(b"hello")
        finally:
            fuse.terminate()
            fuse.communicate()
            if folder.is_mount():
                program("umount", folder)
    assert image.read_bytes()[12345:12350] == b"hello"


def test_a_client_too_many_is_turned_away_and_the_others_stay() -> None:
    with (
        serving({"disk": MemoryDrive(64)}, max_connections=2) as running,
        _connected(running.at) as first,
        _connected(running.at) as second,
    ):
        assert len(_receive(first, 18)) == len(_receive(second, 18)) == 18
        with _connected(running.at) as third:
            assert _rest(third) == b""
        first.sendall(b"\0\0\0\3IHAVEOPT\0\0\0\3\0\0\0\0")
        assert _receive(first, 20)[:8] == (0x0003E889045565A9).to_bytes(8, "big")


def test_a_handshake_that_takes_too_long_is_ended() -> None:
    with serving({"disk": MemoryDrive(64)}, handshake_seconds=0.2) as running, _connected(running.at) as sock:
        assert len(_rest(sock)) == 18


def test_a_server_that_ends_lets_go_of_its_clients_and_its_socket(tmp_path: Path) -> None:
    address = unix(tmp_path)
    with serving({"disk": MemoryDrive(64)}, address) as running:
        assert Path(address.path).stat().st_mode & 0o777 == 0o600
        sock = _connected(running.at)
        assert len(_receive(sock, 18)) == 18
    assert _rest(sock) == b""
    sock.close()
    assert not Path(address.path).exists()


def test_a_socket_that_a_killed_server_left_is_taken_over(tmp_path: Path) -> None:
    address = unix(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(address.path)
    with serving({"disk": MemoryDrive(64)}, address) as running:
        assert [export.name for export in list_exports(running.at)] == ["disk"]
        with (
            pytest.raises(ImageAccessError, match="cannot listen"),
            serving({"disk": MemoryDrive(64)}, address),
        ):
            pass
        assert [export.size for export in list_exports(running.at)] == [64 * 512]


def test_other_hosts_are_not_listened_to_in_the_clear() -> None:
    everywhere = Address("0.0.0.0", 0)
    expected = pytest.raises(UsageError, match=r"TLS.*--allow-insecure")
    with expected, serving({"disk": MemoryDrive(64)}, everywhere):
        pass


@pytest.mark.parametrize("host", ["x" * 80, "ü" * 80])
def test_a_name_that_no_host_can_have_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="expected such as"):
        bound_sockets(Address(host, 0))


@pytest.mark.parametrize("text", ["unix:", "[::1", "127.0.0.1:x", "127.0.0.1:70000", "unix:" + "x" * 200])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "address", "local"),
    [
        ("127.0.0.1:1", Address("127.0.0.1", 1), True),
        ("127.9.9.9", Address("127.9.9.9", 10809), True),
        ("[::1]:5", Address("::1", 5), True),
        ("::1", Address("::1", 10809), True),
        ("localhost", Address("localhost", 10809), True),
        ("0.0.0.0", Address("0.0.0.0", 10809), False),
        ("192.0.2.1:80", Address("192.0.2.1", 80), False),
        ("unix:/a b", Address("", 0, "/a b"), True),
    ],
)
def test_addresses(text: str, address: Address, local: bool) -> None:
    assert parse_address(text) == address
    assert address.is_local is local


def _connected(address: Address) -> socket.socket:
    if not address.path:
        return socket.create_connection((address.host, address.port), 20)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(address.path)
    return sock


def _receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            break
        data += part
    return data


def _rest(sock: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    data = b""
    while True:
        try:
            part = sock.recv(4096)
        except ConnectionResetError:
            return data
        if not part:
            return data
        data += part
