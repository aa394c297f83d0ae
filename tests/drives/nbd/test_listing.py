"""Listing the exports of servers that do not mean well."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pcemu.drives.nbd.listen import Address
from pcemu.drives.nbd.listing import list_exports
from pcemu.errors import ImageAccessError

LIST, INFO = 3, 6
ACK, SERVER, INFO_REPLY = 1, 2, 3
X = b"\0\0\0\1x"  # an export of this name
GREETING = b"NBDMAGICIHAVEOPT\x00\x03"


def reply(option: int, kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data)) + data


@contextlib.contextmanager
def saying(folder: Path, *pieces: bytes) -> Iterator[Address]:
    """A server that says all this to whoever comes, whatever it is asked."""
    path = str(folder / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                for piece in pieces:
                    client.sendall(piece)
                while client.recv(4096):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address("", 0, path)
        thread.join(20)


@pytest.mark.parametrize(
    "pieces",
    [
        [reply(LIST, SERVER, b"\0\0"), reply(LIST, ACK)],
        [reply(LIST, SERVER, X), reply(LIST, ACK), reply(INFO, INFO_REPLY, b"\0"), reply(INFO, ACK)],
        [reply(LIST, SERVER, X), reply(LIST, ACK), reply(INFO, INFO_REPLY, b"\0\0\1\2"), reply(INFO, ACK)],
        [reply(LIST, SERVER, struct.pack(">I", 0) + bytes(60_000))] * 300,
        [reply(LIST, 0x80000001, b"\x1b]0;title\x07no")],
        [reply(INFO, ACK)],
        [b"\0" * 20],
    ],
)
def test_what_makes_no_sense_is_one_sentence(tmp_path: Path, pieces: list[bytes]) -> None:
    with saying(tmp_path, GREETING, *pieces) as address, pytest.raises(ImageAccessError) as caught:
        list_exports(address)
    assert "expected the list of its exports" in str(caught.value)
    assert str(caught.value).isprintable()


def test_names_do_nothing_to_the_terminal(tmp_path: Path) -> None:
    name = b"\x1b[31mred\xff"
    listed = reply(LIST, SERVER, struct.pack(">I", len(name)) + name + b"a\tdescription")
    facts = reply(INFO, INFO_REPLY, struct.pack(">HQH", 0, 1 << 20, 3)) + reply(INFO, ACK)
    with saying(tmp_path, GREETING, listed, reply(LIST, ACK), facts) as address:
        (found,) = list_exports(address)
    assert found == ("?[31mred�", "a?description", 1 << 20, True)


def test_a_host_whose_name_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ImageAccessError, match="is it running"):
        list_exports(Address("x" * 80, 10809))


def test_tls_at_a_unix_socket_asks_for_the_name_of_this_host(tmp_path: Path) -> None:
    """The handshake fails here, as the server has no TLS; but it is begun."""
    with (
        saying(tmp_path, GREETING, reply(5, ACK), b"no TLS at all") as address,
        pytest.raises(ImageAccessError, match="is it running"),
    ):
        list_exports(address, ssl.create_default_context())
