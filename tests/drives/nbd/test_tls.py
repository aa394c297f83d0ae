"""TLS: who may come in, checked with libnbd (GnuTLS), Python's ssl (OpenSSL) and plain sockets."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

import pytest

from pcemu.drives.nbd.listen import Address
from pcemu.drives.nbd.listing import list_exports
from pcemu.drives.nbd.tls import authority_context, certificates_context, psk_context, read_psk_file
from pcemu.errors import ImageAccessError, ImageFormatError, ImageNotFoundError, UsageError
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.nbd.harness import option
from tests.drives.nbd.running import Running, program, serving

ENDS = ("server", "client")


def make_authority(folder: Path, name: str = "ca") -> None:
    program(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
        "-keyout", folder / "ca-key.pem", "-out", folder / "ca-cert.pem",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip


def make_certificate(folder: Path, end: str) -> None:
    names = folder / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    request = folder / "request.pem"
    program(
        "openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={end}",
        "-keyout", folder / f"{end}-key.pem", "-out", request,
    )  # fmt: skip
    program(
        "openssl", "x509", "-req", "-in", request, "-days", "2", "-extfile", names,
        "-CA", folder / "ca-cert.pem", "-CAkey", folder / "ca-key.pem", "-CAcreateserial",
        "-out", folder / f"{end}-cert.pem",
    )  # fmt: skip


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    make_authority(folder)
    for end in ENDS:
        make_certificate(folder, end)
    return folder


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another authority's."""
    folder = tmp_path_factory.mktemp("strangers")
    make_authority(folder, "another ca")
    for end in ENDS:
        make_certificate(folder, end)
    return folder


def nbds(running: Running, certificates: Path) -> str:
    return f"nbds://localhost:{running.at.port}/disk?tls-certificates={certificates}"


def test_a_client_that_knows_the_authority_comes_in(pki: Path, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    with serving({"disk": MemoryDrive(content)}, tls=certificates_context(pki)) as running:
        assert "with TLS" in program("nbdinfo", nbds(running, pki))
        program("nbdcopy", nbds(running, pki), tmp_path / "out.img")
        program("nbdcopy", tmp_path / "out.img", nbds(running, pki))
    assert (tmp_path / "out.img").read_bytes() == content


def test_a_client_that_knows_another_authority_goes_away(pki: Path, strangers: Path) -> None:
    with serving({"disk": MemoryDrive(64)}, tls=certificates_context(pki)) as running:
        assert "certificate" in program("nbdinfo", nbds(running, strangers), succeeds=False)
        program("nbdinfo", nbds(running, pki))


def test_a_clients_own_certificate_is_looked_at(pki: Path, strangers: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for source, names in ((pki, ["ca-cert.pem"]), (strangers, ["client-cert.pem", "client-key.pem"])):
        for name in names:
            (mixed / name).write_bytes((source / name).read_bytes())
    with serving({"disk": MemoryDrive(64)}, tls=certificates_context(pki, verify_peer=True)) as running:
        program("nbdinfo", nbds(running, pki))
        program("nbdinfo", nbds(running, mixed), succeeds=False)
        program("nbdinfo", nbds(running, pki))


def test_nobody_comes_in_without_tls(pki: Path) -> None:
    with serving({"disk": MemoryDrive(64)}, tls=certificates_context(pki)) as running:
        assert "TLS" in program("nbdinfo", running.uri(), succeeds=False)
        with socket.create_connection(("127.0.0.1", running.at.port), 20) as sock:
            sock.recv(18, socket.MSG_WAITALL)
            sock.sendall(b"\0\0\0\3" + option(3))
            reply = sock.recv(20, socket.MSG_WAITALL)
            assert reply[12:16] == b"\x80\0\0\5"


def test_what_was_sent_in_the_clear_behind_starttls_does_not_count(pki: Path) -> None:
    """Else somebody on the way could put words in the client's mouth."""
    with (
        serving({"disk": MemoryDrive(64)}, tls=certificates_context(pki)) as running,
        socket.create_connection(("127.0.0.1", running.at.port), 20) as sock,
    ):
        sock.recv(18, socket.MSG_WAITALL)
        sock.sendall(b"\0\0\0\3" + option(5) + option(3))
        rest = b""
        while part := _receive(sock):
            rest += part
        assert rest in (b"", (0x0003E889045565A9).to_bytes(8, "big") + b"\0\0\0\5\0\0\0\1\0\0\0\0")


def test_garbage_in_place_of_a_tls_handshake_frees_the_connection(pki: Path) -> None:
    with serving({"disk": MemoryDrive(64)}, tls=certificates_context(pki), max_connections=1) as running:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", running.at.port), 20) as sock:
                sock.recv(18, socket.MSG_WAITALL)
                sock.sendall(b"\0\0\0\3" + option(5))
                sock.recv(20, socket.MSG_WAITALL)
                sock.sendall(b"hello, world\n" * 100)
                while _receive(sock):
                    pass
            until_nobody_is_there(running)
        program("nbdinfo", nbds(running, pki))


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_a_tls_handshake_that_is_never_finished_frees_the_connection(pki: Path, hello: bytes) -> None:
    """Also when the server itself cuts it off."""
    context = certificates_context(pki)
    with serving({"disk": MemoryDrive(64)}, tls=context, max_connections=1, handshake_seconds=0.5) as running:
        with socket.create_connection(("127.0.0.1", running.at.port), 20) as sock:
            sock.recv(18, socket.MSG_WAITALL)
            sock.sendall(b"\0\0\0\3" + option(5))
            sock.recv(20, socket.MSG_WAITALL)
            sock.sendall(hello)
            while _receive(sock):
                pass
        until_nobody_is_there(running)


def until_nobody_is_there(running: Running) -> None:
    for _ in range(400):
        if not running.server.connections:
            return
        time.sleep(0.05)
    pytest.fail("a connection that is gone is still counted")


def test_old_versions_of_tls_are_refused(pki: Path) -> None:
    context = certificates_context(pki)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_folders_without_certificates_are_told_apart(tmp_path: Path, pki: Path, strangers: Path) -> None:
    with pytest.raises(ImageNotFoundError, match=r"server-cert\.pem"):
        certificates_context(tmp_path)
    (tmp_path / "server-cert.pem").write_bytes((pki / "server-cert.pem").read_bytes())
    (tmp_path / "server-key.pem").write_bytes((strangers / "server-key.pem").read_bytes())
    with pytest.raises(ImageFormatError, match="belong together"):
        certificates_context(tmp_path)


def test_exports_are_listed_over_tls_by_a_host_and_by_a_socket(
    tmp_path: Path, pki: Path, strangers: Path
) -> None:
    context = certificates_context(pki)
    for address in (Address("localhost", 0), Address("", 0, str(tmp_path / "s"))):
        with serving({"disk": MemoryDrive(64)}, address, tls=context) as running:
            (found,) = list_exports(running.at, authority_context(pki))
            assert (found.name, found.size) == ("disk", 64 * 512)
            with pytest.raises(ImageAccessError, match="certificate verify failed"):
                list_exports(running.at, authority_context(strangers))
            with pytest.raises(ImageAccessError, match="TLS"):
                list_exports(running.at)


def test_an_authority_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError, match=r"ca-cert\.pem"):
        authority_context(tmp_path)
    (tmp_path / "ca-cert.pem").write_text("no certificate")
    with pytest.raises(ImageFormatError, match="as PEM"):
        authority_context(tmp_path)


def test_pre_shared_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.psk"
    path.write_text("alice:00112233445566778899aabbccddeeff\n")
    assert read_psk_file(path) == {"alice": bytes.fromhex("00112233445566778899aabbccddeeff")}
    if not hasattr(ssl.SSLContext, "set_psk_server_callback"):
        with pytest.raises(UsageError, match=r"3\.13.*certificates"):
            psk_context(path)
        return
    with serving({"disk": MemoryDrive(64)}, tls=psk_context(path)) as running:
        uri = f"nbds://{{}}@127.0.0.1:{running.at.port}/disk?tls-psk-file={path}"
        program("nbdinfo", uri.format("alice"))
        program("nbdinfo", uri.format("bob"), succeeds=False)


@pytest.mark.parametrize("text", ["", "alice", "alice:xyz", ":00", "alice:"])
def test_what_is_no_file_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.psk"
    path.write_text(text)
    with pytest.raises(ImageFormatError, match="psktool"):
        read_psk_file(path)


def _receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(4096)
    except ConnectionError:
        return b""
