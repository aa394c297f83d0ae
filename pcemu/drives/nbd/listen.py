"""Where a server listens: ``127.0.0.1:10809``, ``[::1]:10809``, ``unix:PATH``."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import stat
from typing import NamedTuple

from pcemu.drives.nbd_protocol import DEFAULT_PORT
from pcemu.errors import ImageAccessError, UsageError

LOCAL = "127.0.0.1"
MAX_UNIX_PATH = 107  # bytes, of Linux
EXPECTED = f"expected such as {LOCAL}:{DEFAULT_PORT} or unix:/run/disk.sock"


class Address(NamedTuple):
    """A host with a port, or the ``path`` of a Unix socket."""

    host: str
    port: int
    path: str = ""

    @property
    def is_local(self) -> bool:
        """True when no other host can reach it."""
        if self.path or self.host == "localhost":
            return True
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return False

    def uri(self, export: str = "", *, tls: bool = False) -> str:
        """As nbdinfo, nbdcopy and qemu take it."""
        from urllib.parse import quote

        scheme = "nbds" if tls else "nbd"
        name = quote(export, safe="@")
        if self.path:
            return f"{scheme}+unix:///{name}?socket={quote(self.path)}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORT else f":{self.port}"
        return f"{scheme}://{host}{port}/{name}"

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """What ``text`` names; UsageError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path or len(os.fsencode(path)) > MAX_UNIX_PATH:
            raise UsageError(f"{text!r}: expected a path of 1 to {MAX_UNIX_PATH} bytes behind unix:")
        return Address("", 0, path)
    host, port = text, ""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise UsageError(f"{text!r}: is no address, {EXPECTED}")
        port = port[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port and not (port.isdecimal() and int(port) < 1 << 16):
        raise UsageError(f"{text!r}: {port!r} is no port, {EXPECTED}")
    return Address(host or LOCAL, int(port) if port else DEFAULT_PORT)


def bound_sockets(address: Address) -> list[socket.socket]:
    """Sockets at an address, bound and not yet listening; ImageAccessError, UsageError."""
    try:
        if address.path:
            return [unix_socket(address.path)]
        return _internet_sockets(address)
    except (socket.gaierror, UnicodeError) as error:  # the latter: no host can have this name
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{address}: {why}, {EXPECTED}") from None
    except OSError as error:
        raise ImageAccessError(
            f"{address}: cannot listen there: {error.strerror or error}; take another address (--listen)"
        ) from error


def _internet_sockets(address: Address) -> list[socket.socket]:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, where in dict.fromkeys(found):
            if address.is_local and not ipaddress.ip_address(where[0]).is_loopback:
                raise UsageError(f"{address}: is not this host alone here, expected {LOCAL}")
            new = socket.socket(family, kind, protocol)
            sockets.append(new)
            new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            new.bind(where)
    except BaseException:
        for each in sockets:
            each.close()
        raise
    return sockets


def unix_socket(path: str) -> socket.socket:
    """A socket for its owner alone; one that a killed server left behind is replaced."""
    new = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        try:
            new.bind(path)
        except OSError:
            if not _is_left_over(path):
                raise
            os.unlink(path)  # noqa: PTH108
            new.bind(path)
    except BaseException:
        new.close()
        raise
    finally:
        os.umask(mask)
    return new


def _is_left_over(path: str) -> bool:
    """True for a socket that nobody listens at."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116
            return False
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
