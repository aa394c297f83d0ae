"""The exports of any NBD server, as it lists them."""

from __future__ import annotations

import socket
import ssl
import struct
from typing import NamedTuple

from pcemu.drives.nbd.listen import Address
from pcemu.drives.nbd_protocol import (
    CLIENT_FLAGS,
    COUNT,
    GREETING,
    INFO_EXPORT,
    INFO_TYPE,
    LENGTH,
    NBD_FLAG_C_FIXED_NEWSTYLE,
    NBD_FLAG_C_NO_ZEROES,
    NBD_FLAG_FIXED_NEWSTYLE,
    NBD_FLAG_NO_ZEROES,
    NBD_FLAG_READ_ONLY,
    NBD_INFO_EXPORT,
    NBD_MAGIC,
    NBD_OPT_ABORT,
    NBD_OPT_INFO,
    NBD_OPT_LIST,
    NBD_OPT_STARTTLS,
    NBD_OPTS_MAGIC,
    NBD_REP_ACK,
    NBD_REP_FLAG_ERROR,
    NBD_REP_INFO,
    NBD_REP_MAGIC,
    NBD_REP_SERVER,
    OPTION,
    OPTION_REPLY,
)
from pcemu.errors import ImageAccessError

MAX_REPLY = 64 << 10
MAX_EXPORTS = 10_000
MAX_REPLIES = 16 << 20  # bytes of all replies to one option
TIMEOUT = 10.0
LOCAL_NAME = "localhost"  # in the certificate of a server at a Unix socket


class ListedExport(NamedTuple):
    """``size`` in bytes, None where the server does not tell."""

    name: str
    description: str
    size: int | None
    read_only: bool


def list_exports(address: Address, tls: ssl.SSLContext | None = None, host: str = "") -> list[ListedExport]:
    """Ask a server, which has ``host`` in its certificate; ImageAccessError says why it does not answer."""
    try:
        lister = _Lister(_connect(address), str(address))
        try:
            return lister.run(tls, host or address.host or LOCAL_NAME)
        finally:
            lister.close()
    except struct.error as error:
        raise ImageAccessError(
            f"{address}: its reply to an option is too short, expected the list of its exports"
        ) from error
    except (OSError, UnicodeError) as error:  # the latter: no host can have this name
        why = getattr(error, "strerror", None) or str(error)
        raise ImageAccessError(
            f"{address}: {why}, expected an NBD server; is it running, and does it want TLS?"
        ) from error


def _connect(address: Address) -> socket.socket:
    if not address.path:
        return socket.create_connection((address.host, address.port), TIMEOUT)
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(TIMEOUT)
    try:
        connected.connect(address.path)
    except BaseException:
        connected.close()
        raise
    return connected


class _Lister:
    def __init__(self, connected: socket.socket, server: str) -> None:
        self._socket = connected
        self._server = server

    def run(self, tls: ssl.SSLContext | None, host: str) -> list[ListedExport]:
        first, second, flags = GREETING.unpack(self._receive(GREETING.size))
        if (first, second) != (NBD_MAGIC, NBD_OPTS_MAGIC) or not flags & NBD_FLAG_FIXED_NEWSTYLE:
            raise self._wrong("its greeting is not that of a newstyle NBD server")
        no_zeroes = NBD_FLAG_C_NO_ZEROES if flags & NBD_FLAG_NO_ZEROES else 0
        self._socket.sendall(CLIENT_FLAGS.pack(NBD_FLAG_C_FIXED_NEWSTYLE | no_zeroes))
        if tls is not None:
            self._ask(NBD_OPT_STARTTLS)
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        found = []
        for kind, data in self._ask(NBD_OPT_LIST):
            if kind == NBD_REP_SERVER:
                (length,) = LENGTH.unpack_from(data)
                found.append((data[LENGTH.size :][:length], data[LENGTH.size + length :]))
        exports = [self._look(name, description) for name, description in found]
        self._socket.sendall(OPTION.pack(NBD_OPTS_MAGIC, NBD_OPT_ABORT, 0))
        return exports

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _look(self, raw: bytes, about: bytes) -> ListedExport:
        name, description = _harmless(raw), _harmless(about)
        try:
            replies = self._ask(NBD_OPT_INFO, LENGTH.pack(len(raw)) + raw + COUNT.pack(0))
        except ImageAccessError:
            return ListedExport(name, description, None, False)
        for kind, data in replies:
            if kind == NBD_REP_INFO and INFO_TYPE.unpack_from(data) == (NBD_INFO_EXPORT,):
                _, size, flags = INFO_EXPORT.unpack(data)
                return ListedExport(name, description, size, bool(flags & NBD_FLAG_READ_ONLY))
        return ListedExport(name, description, None, False)

    def _ask(self, option: int, data: bytes = b"") -> list[tuple[int, bytes]]:
        self._socket.sendall(OPTION.pack(NBD_OPTS_MAGIC, option, len(data)) + data)
        replies: list[tuple[int, bytes]] = []
        room = MAX_REPLIES
        while len(replies) < MAX_EXPORTS and room > 0:
            magic, answered, kind, length = OPTION_REPLY.unpack(self._receive(OPTION_REPLY.size))
            if magic != NBD_REP_MAGIC or answered != option or length > MAX_REPLY:
                raise self._wrong("its reply to an option makes no sense")
            payload = self._receive(length)
            room -= length
            if kind & NBD_REP_FLAG_ERROR:
                raise self._wrong(f"it refused: {_harmless(payload) or hex(kind)}")
            if kind == NBD_REP_ACK:
                return replies
            replies.append((kind, payload))
        raise self._wrong(f"it lists more than {MAX_EXPORTS} exports, or {MAX_REPLIES} bytes")

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise self._wrong("it closed the connection")
            data += part
        return bytes(data)

    def _wrong(self, why: str) -> ImageAccessError:
        return ImageAccessError(f"{self._server}: {why}, expected the list of its exports")


def _harmless(text: bytes) -> str:
    """What the server says, without what a terminal would act upon."""
    return "".join(letter if letter.isprintable() else "?" for letter in text.decode("utf-8", "replace"))
