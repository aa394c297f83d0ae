"""The NBD client against the servers of two other projects, and on a network that misbehaves."""

from __future__ import annotations

import errno
import random
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pcemu.drives.remote.address import parse_nbd
from pcemu.drives.remote.nbd_client import NbdClient
from pcemu.errors import ImageAccessError, ImageFormatError, ImageNotFoundError, PcemuError, UsageError
from pcemu.testing.toxic_proxy import ToxicProxy
from tests.conftest import require
from tests.drives.remote.servers import free_port, nbdkit, qemu_nbd, running

SIZE = 4 << 20


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "disk.img"
    data = bytearray(random.Random(1).randbytes(SIZE))
    data[1 << 20 : 2 << 20] = bytes(1 << 20)  # a hole for structured replies to tell of
    path.write_bytes(data)
    return path


def client(url: str, timeout: float = 20.0) -> NbdClient:
    return NbdClient(parse_nbd(url), timeout)


def check_reads(source: NbdClient, data: bytes) -> None:
    """Reads of all sizes, many at once."""
    assert source.size == len(data)
    rng = random.Random(2)
    places = [(0, len(data)), (0, 1), (len(data) - 1, 1), (1 << 20, 1 << 20), ((1 << 20) - 7, 20)]
    for _ in range(60):
        offset = rng.randrange(len(data) - 1)
        places.append((offset, rng.randint(1, min(99999, len(data) - offset))))
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda each: source.read(*each), places))
    assert found == [data[offset : offset + size] for offset, size in places]


def test_reads_from_qemu_nbd(image: Path) -> None:
    with qemu_nbd(image) as port:
        source = client(f"nbd://127.0.0.1:{port}/disk")
        check_reads(source, image.read_bytes())
        source.close()


def test_reads_from_nbdkit_in_blocks_of_its_own(image: Path) -> None:
    options = ("blocksize-minimum=4096", "blocksize-maximum=65536")
    with nbdkit("--filter=blocksize-policy", "file", str(image), *options) as port:
        source = client(f"nbd://127.0.0.1:{port}/")
        check_reads(source, image.read_bytes())
        source.close()


def test_reads_through_a_unix_socket_without_structured_replies(image: Path, tmp_path: Path) -> None:
    path = tmp_path / "a socket"
    with running("nbdkit", "-f", "--no-sr", "-U", path, "file", image, ready=path):
        source = client(f"nbd+unix:///?socket={str(path).replace(' ', '%20')}")
        check_reads(source, image.read_bytes())
        source.close()


def test_reads_from_our_own_server(image: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    serve = (sys.executable, "-m", "pcemu", "serve", image, "--read-only", "--listen", f"unix:{path}")
    with running(*serve, ready=path):
        source = client(f"nbd+unix:///disk?socket={path}")
        check_reads(source, image.read_bytes())
        source.close()


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("nbd://127.0.0.1:{port}/wrong", ImageNotFoundError, "no export 'wrong'"),
        ("nbds://127.0.0.1:{port}/disk", ImageAccessError, "offers no TLS"),
        ("nbd://127.0.0.1:{free}/disk", ImageAccessError, "is the server running"),
        ("nbd+unix:///disk?socket=/nowhere", ImageAccessError, "cannot connect to /nowhere"),
        (f"nbd://{'x' * 80}.example/disk", ImageAccessError, "cannot connect to xxx"),
        (f"nbd://{'ü' * 80}.example/disk", ImageAccessError, "cannot connect to üüü"),
    ],
)
def test_a_wrong_address_gets_a_sentence(image: Path, url: str, kind: type[PcemuError], words: str) -> None:
    with qemu_nbd(image) as port, pytest.raises(kind) as caught:
        client(url.format(port=port, free=free_port()))
    assert words in str(caught.value)


def test_an_option_is_sent_when_the_last_one_was_answered(image: Path) -> None:
    """As the protocol demands; a server may hang up on who does not wait."""
    asked: list[int] = []

    def look(data: bytes) -> bytes:
        asked.extend([proxy.from_client.count(b"IHAVEOPT")] * data.count(b"\x00\x03\xe8\x89\x04\x55\x65\xa9"))
        return data

    with qemu_nbd(image) as port, ToxicProxy(("127.0.0.1", port)) as proxy:
        proxy.poison = look
        client(f"nbd://127.0.0.1:{proxy.port}/disk").close()
    assert asked[0] == 1
    assert set(asked) == {1, 2}


def test_a_server_of_another_kind_is_told(tmp_path: Path) -> None:
    with (
        running("python3", "-c", NOT_NBD, str(tmp_path / "s"), ready=tmp_path / "s"),
        pytest.raises(ImageFormatError, match="no NBD server"),
    ):
        client(f"nbd+unix:///?socket={tmp_path / 's'}")


NOT_NBD = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
kept = []
while True:
    kept.append(listener.accept()[0])
    try:
        kept[-1].sendall(b"220 mail.example.com ESMTP ready")
    except OSError:
        pass
"""


def make_certificates(folder: Path) -> None:
    """A CA, a server's and a client's certificate, with the names that qemu, nbdkit and libnbd look for."""
    require(shutil.which("openssl") is not None, "openssl")
    folder.mkdir()

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    curve = ("-pkeyopt", "ec_paramgen_curve:prime256v1")
    new = ("req", "-x509", "-newkey", "ec", *curve, "-nodes", "-days", "2")
    openssl(*new, "-subj", "/CN=Test CA", "-keyout", "ca-key.pem", "-out", "ca-cert.pem")
    for name in ("server", "client"):
        signed = ("-CA", "ca-cert.pem", "-CAkey", "ca-key.pem", "-addext", "basicConstraints=CA:FALSE")
        names = ("-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        openssl(*new, *signed, *names, "-keyout", f"{name}-key.pem", "-out", f"{name}-cert.pem")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls") / "right"
    make_certificates(folder)
    make_certificates(folder.with_name("wrong"))
    return folder


def test_tls_with_certificates_of_both_sides(image: Path, certificates: Path) -> None:
    object_ = f"tls-creds-x509,id=tls0,endpoint=server,dir={certificates},verify-peer=yes"
    with qemu_nbd(image, "--object", object_, "--tls-creds", "tls0") as port:
        url = f"nbds://127.0.0.1:{port}/disk"
        source = client(f"{url}?tls-certificates={certificates}")
        check_reads(source, image.read_bytes())
        source.close()
        for wrong, words in (
            (url, "not trusted"),
            (f"{url}?tls-certificates={certificates.with_name('wrong')}", "not trusted"),
            (f"{url}?tls-certificates={certificates}&tls-hostname=example.com", "not trusted"),
            (f"nbd://127.0.0.1:{port}/disk", "wants TLS"),
        ):
            with pytest.raises(ImageAccessError, match=words):
                client(wrong)
        with pytest.raises(UsageError, match=r"ca-cert\.pem cannot be read"):
            client(f"{url}?tls-certificates=/nowhere")
        with pytest.raises(UsageError, match="no host's name"):
            client(f"{url}?tls-certificates={certificates}&tls-hostname={'x' * 80}")


def test_why_a_server_is_not_trusted_or_does_not_trust_is_told_with_what_to_do(
    image: Path, certificates: Path, tmp_path: Path
) -> None:
    (tmp_path / "ca-cert.pem").write_bytes((certificates / "ca-cert.pem").read_bytes())
    object_ = f"tls-creds-x509,id=tls0,endpoint=server,dir={certificates},verify-peer=yes"
    with qemu_nbd(image, "--object", object_, "--tls-creds", "tls0") as port:
        url = f"nbds://127.0.0.1:{port}/disk"
        for wrong, words in (
            (f"{url}?tls-certificates={tmp_path}", r"put client-cert\.pem and client-key\.pem into"),
            (f"{url}?tls-certificates={certificates}&tls-hostname=example.com", r"valid for [^;]*'; give"),
        ):
            with pytest.raises(ImageAccessError, match=words):
                client(wrong)


def test_tls_of_nbdkit(image: Path, certificates: Path) -> None:
    tls = ("--tls=require", f"--tls-certificates={certificates}", "file", str(image))
    with nbdkit(*tls) as port:
        source = client(f"nbds://localhost:{port}/?tls-certificates={certificates}")
        check_reads(source, image.read_bytes())
        source.close()


def test_a_cut_connection_is_a_lost_one_for_all_that_wait(image: Path) -> None:
    with qemu_nbd(image) as port, ToxicProxy(("127.0.0.1", port)) as proxy:
        source = client(f"nbd://127.0.0.1:{proxy.port}/disk")
        proxy.frozen = True
        failed: list[OSError] = []

        def read() -> None:
            try:
                source.read(0, 512)
            except OSError as error:
                failed.append(error)

        threads = [threading.Thread(target=read) for _ in range(5)]
        for thread in threads:
            thread.start()
        proxy.cut()
        for thread in threads:
            thread.join()
        assert [isinstance(error, ConnectionError) for error in failed] == [True] * 5
        with pytest.raises(ConnectionError):
            source.read(0, 512)
        source.close()


def test_a_silent_server_is_given_up(image: Path) -> None:
    with qemu_nbd(image) as port, ToxicProxy(("127.0.0.1", port)) as proxy:
        source = client(f"nbd://127.0.0.1:{proxy.port}/disk", timeout=2)
        assert len(source.read(0, 512)) == 512
        proxy.frozen = True
        with pytest.raises(TimeoutError) as caught:
            source.read(0, 512)
        assert caught.value.errno == errno.ETIMEDOUT
        source.close()


def test_many_reads_are_in_flight_at_once(image: Path) -> None:
    """Thirty reads of 20 ms each take the time of a few."""
    with qemu_nbd(image) as port, ToxicProxy(("127.0.0.1", port)) as proxy:
        source = client(f"nbd://127.0.0.1:{proxy.port}/disk")
        held = threading.Event()
        proxy.poison = lambda data: data if held.wait(120) else b""  # no answer passes before all have asked
        with ThreadPoolExecutor(30) as pool:
            reads = [pool.submit(source.read, number * 4096, 4096) for number in range(30)]
            while proxy.from_client.count(b"\x25\x60\x95\x13") < 30:
                pass
            held.set()
            assert [len(read.result()) for read in reads] == [4096] * 30
        source.close()


def test_a_failing_disk_of_the_server_is_no_lost_connection(image: Path) -> None:
    with nbdkit("--filter=error", "file", str(image), "error-rate=100%", "error=EIO") as port:
        source = client(f"nbd://127.0.0.1:{port}/")
        with pytest.raises(OSError, match="the server says") as caught:
            source.read(0, 512)
        assert not isinstance(caught.value, ConnectionError)
        assert caught.value.errno == errno.EIO
        source.close()
