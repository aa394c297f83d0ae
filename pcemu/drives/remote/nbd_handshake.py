"""The first half of an NBD connection: from the greeting to a chosen export, also through TLS.

An option may only be sent when the last one was answered, so each takes a round trip::

    greeting ──►
             ◄── flags, NBD_OPT_STRUCTURED_REPLY        with TLS: flags, NBD_OPT_STARTTLS,
    reply    ──►                                        the TLS handshake, then the options
             ◄── NBD_OPT_GO
    replies  ──►
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from pcemu.drives import nbd_protocol as nbd
from pcemu.drives.remote.address import NbdAddress
from pcemu.errors import ImageAccessError, ImageFormatError, ImageNotFoundError, UsageError

if TYPE_CHECKING:
    import ssl

MAX_REPLY = 1 << 16  # bytes of an option's reply: a sentence or a few numbers
MAX_REPLIES = 100
CA, CERTIFICATE, KEY = "ca-cert.pem", "client-cert.pem", "client-key.pem"
OWN = (
    f"where it wants certificates of its clients, put {CERTIFICATE} and {KEY} into the folder of "
    f"?tls-certificates=, made by an authority of the server's and not expired"
)
# What to do about what OpenSSL's X509_verify_cert finds, by its number; else it is the authority.
OTHER_AUTHORITY = f"name the folder with its {CA} as ?tls-certificates=FOLDER"
OTHER_TIME = "have it renewed where the server is, and look at this computer's clock"
OTHER_NAME = "give a name that is in it as ?tls-hostname=NAME"
REMEDIES = {9: OTHER_TIME, 10: OTHER_TIME, 62: OTHER_NAME, 64: OTHER_NAME}


class Export(NamedTuple):
    """What the server said of the export; ``maximum`` is the size of the largest request."""

    size: int
    flags: int
    minimum: int
    maximum: int
    structured: bool


def shake_hands(sock: socket.socket, address: NbdAddress) -> tuple[socket.socket, Export]:
    """The socket to go on with, and the export.

    ImageError and UsageError say what is wrong with the server or the export, OSError that the way is lost.
    """
    wire = _Wire(sock)
    magic, version, server_flags = nbd.GREETING.unpack(wire.receive(nbd.GREETING.size))
    if magic != nbd.NBD_MAGIC:
        raise ImageFormatError(
            f"{address.url}: answers {magic:#018x}, expected {nbd.NBD_MAGIC:#018x}: it is no NBD server; "
            f"check host and port"
        )
    if version != nbd.NBD_OPTS_MAGIC or not server_flags & nbd.NBD_FLAG_FIXED_NEWSTYLE:
        raise ImageFormatError(
            f"{address.url}: is an NBD server of the old style, expected a fixed newstyle one; use a newer "
            f"server, such as nbdkit or qemu-nbd"
        )
    flags = nbd.NBD_FLAG_C_FIXED_NEWSTYLE | (
        nbd.NBD_FLAG_C_NO_ZEROES if server_flags & nbd.NBD_FLAG_NO_ZEROES else 0
    )
    first = nbd.CLIENT_FLAGS.pack(flags)
    if address.tls:
        sock.sendall(first + _option(nbd.NBD_OPT_STARTTLS))
        kind, data = wire.option_reply(nbd.NBD_OPT_STARTTLS)
        if kind != nbd.NBD_REP_ACK:
            raise ImageAccessError(
                f"{address.url}: the server offers no TLS{_said(data)}, expected it for nbds; use nbd:// "
                f"where the network can be trusted"
            )
        sock = _wrap(sock, address)
        wire = _Wire(sock)
        first = b""
    try:
        return sock, _choose(sock, wire, address, first)
    except BaseException:
        sock.close()  # the one of TLS, which the caller does not know
        raise


def _choose(sock: socket.socket, wire: _Wire, address: NbdAddress, first: bytes) -> Export:
    """Ask for the export."""
    name = address.export.encode()
    go = nbd.LENGTH.pack(len(name)) + name + nbd.COUNT.pack(1) + nbd.INFO_TYPE.pack(nbd.NBD_INFO_BLOCK_SIZE)
    try:
        sock.sendall(first + _option(nbd.NBD_OPT_STRUCTURED_REPLY))
        structured = wire.option_reply(nbd.NBD_OPT_STRUCTURED_REPLY)[0] == nbd.NBD_REP_ACK
    except TimeoutError:
        raise
    except OSError as error:  # with TLS 1.3 a client learns only now that it is not let in
        if not address.tls:
            raise
        raise ImageAccessError(f"{address.url}: the server hung up once TLS was up; {OWN}") from error
    sock.sendall(_option(nbd.NBD_OPT_GO, go))
    return _go(wire, address, structured)


def _go(wire: _Wire, address: NbdAddress, structured: bool) -> Export:
    size = flags = None
    minimum, maximum = 1, nbd.NBD_DEFAULT_MAXIMUM
    for _ in range(MAX_REPLIES):
        kind, data = wire.option_reply(nbd.NBD_OPT_GO)
        if kind == nbd.NBD_REP_ACK:
            if size is None or flags is None:
                break
            return Export(size, flags, minimum, maximum, structured)
        if kind != nbd.NBD_REP_INFO:
            _refused(address, kind, data)
        info = int.from_bytes(data[:2], "big")
        if info == nbd.NBD_INFO_EXPORT and len(data) == nbd.INFO_EXPORT.size:
            _, size, flags = nbd.INFO_EXPORT.unpack(data)
        elif info == nbd.NBD_INFO_BLOCK_SIZE and len(data) == nbd.INFO_BLOCK_SIZE.size:
            _, minimum, _, maximum = nbd.INFO_BLOCK_SIZE.unpack(data)
            maximum = min(maximum, nbd.NBD_DEFAULT_MAXIMUM)
    raise ConnectionError("the server does not tell the size of the export")


def _refused(address: NbdAddress, kind: int, data: bytes) -> NoReturn:
    said = _said(data)
    if kind == nbd.NBD_REP_ERR_UNKNOWN:
        raise ImageNotFoundError(
            f"{address.url}: the server has no export {address.export!r}{said}, expected one of its own; "
            f"`nbdinfo --list` shows which there are"
        )
    if kind == nbd.NBD_REP_ERR_TLS_REQD:
        raise ImageAccessError(f"{address.url}: the server wants TLS{said}; use nbds://")
    if kind == nbd.NBD_REP_ERR_SHUTDOWN:
        raise ConnectionError("the server is shutting down")
    if kind == nbd.NBD_REP_ERR_UNSUP:
        raise ImageFormatError(
            f"{address.url}: the server does not know NBD_OPT_GO, expected one of 2016 or later; use a "
            f"newer server, such as nbdkit or qemu-nbd"
        )
    raise ImageAccessError(
        f"{address.url}: the server refuses the export {address.export!r} (error {kind & 0xFFFF}){said}; ask "
        f"who runs it"
    )


def _said(data: bytes) -> str:
    """The server's own sentence, made harmless."""
    text = "".join(letter for letter in data[:200].decode("utf-8", "replace") if letter.isprintable())
    return f" ({text})" if text else ""


def _option(number: int, data: bytes = b"") -> bytes:
    return nbd.OPTION.pack(nbd.NBD_OPTS_MAGIC, number, len(data)) + data


class _Wire:
    """Whole messages from a blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._sock.recv(size - len(data))
            if not part:
                raise ConnectionError("the server hung up while it was being asked")
            data += part
        return bytes(data)

    def option_reply(self, option: int) -> tuple[int, bytes]:
        """(type, data) of the next reply."""
        magic, found, kind, length = nbd.OPTION_REPLY.unpack(self.receive(nbd.OPTION_REPLY.size))
        if magic != nbd.NBD_REP_MAGIC or found != option or length > MAX_REPLY:
            raise ConnectionError(f"the server's answer to option {option} is garbled")
        return kind, self.receive(length)


def _wrap(sock: socket.socket, address: NbdAddress) -> ssl.SSLSocket:
    """Begin TLS; the server must show a certificate that is trusted."""
    import ssl

    context = ssl.create_default_context()
    try:
        address.hostname.encode("idna")
    except UnicodeError as error:
        raise UsageError(
            f"{address.url}: {address.hostname!r} can be no host's name, expected that in the certificate; "
            f"give it as ?tls-hostname=NAME"
        ) from error
    try:
        if address.certificates:
            _load(context, Path(address.certificates).expanduser(), address.url)
        return context.wrap_socket(sock, server_hostname=address.hostname)
    except ssl.SSLCertVerificationError as error:
        raise ImageAccessError(
            f"{address.url}: the server's certificate is not trusted: {error.verify_message.rstrip('.')}; "
            f"{REMEDIES.get(error.verify_code, OTHER_AUTHORITY)}"
        ) from error
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        raise ImageAccessError(
            f"{address.url}: TLS failed: {reason.lower().replace('_', ' ')}; {OWN}"
        ) from error


def _load(context: ssl.SSLContext, folder: Path, url: str) -> None:
    import ssl

    try:
        context.load_verify_locations(folder / CA)
        if (folder / CERTIFICATE).exists():
            context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    except ssl.SSLError as error:
        raise UsageError(f"{folder}: its certificates cannot be used: {error}; make them anew") from error
    except OSError as error:
        raise UsageError(
            f"{url}: {folder / CA} cannot be read: {error.strerror}, expected {CA}, and {CERTIFICATE} with "
            f"{KEY} where the server wants them"
        ) from error
