"""The addresses of remote images, and what is in them.

::

    nbd://host[:port]/export            nbds://…             with TLS
    nbd+unix:///export?socket=PATH      nbds+unix://…
    http://… https://… s3://…           all that fsspec knows

The first four as in the NetworkBlockDevice project's "NBD URI" specification (doc/uri.md), with the query
parameters ``tls-certificates=FOLDER`` and ``tls-hostname=NAME`` that libnbd has, too.

**Not implemented**: ``nbd+vsock://`` and ``nbd+ssh://``; TLS with pre-shared keys, which Python's ssl module
has from 3.13 on.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from pcemu.drives.nbd_protocol import DEFAULT_PORT, NBD_MAX_STRING
from pcemu.errors import UsageError

# Two letters at least: C://… is a path of Windows.
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
NBD_SCHEMES = ("nbd", "nbds", "nbd+unix", "nbds+unix")
MAX_LENGTH = 2048
CERTIFICATES, HOSTNAME, SOCKET = "tls-certificates", "tls-hostname", "socket"


def is_url(text: str) -> bool:
    """True for what names a remote image, right or wrong; a path never does."""
    return URL.match(text) is not None


def scheme_of(url: str) -> str:
    """The scheme, in small letters."""
    return url.partition("://")[0].lower()


class NbdAddress(NamedTuple):
    """Where an export is; ``socket`` is the path of a Unix socket, "" for TCP."""

    url: str
    host: str
    port: int
    socket: str
    export: str
    tls: bool
    certificates: str
    hostname: str


def check_url(url: str) -> str:
    """``url`` without a fragment, if it may be kept in images; UsageError."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError as error:
        raise UsageError(f"{url}: is no address: {error}; expected such as nbd://host/export") from None
    if password is not None:
        shown = url.replace(f":{password}@", ":…@")
        raise UsageError(
            f"{shown}: has a password in it, which would be kept in images, expected none; give it as the "
            f"service takes it from its settings or the environment, such as ~/.netrc or ~/.aws/credentials"
        )
    if len(url) > MAX_LENGTH or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise UsageError(
            f"{url[:80]}: cannot be used, expected up to {MAX_LENGTH} characters without spaces; write "
            f"others as %20 and the like"
        )
    scheme, _, rest = url.partition("://")
    return f"{scheme.lower()}://{rest.partition('#')[0]}"


def parse_nbd(url: str) -> NbdAddress:
    """The parts of an NBD address; UsageError for what the specification does not allow."""
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unix = parts.scheme.endswith("+unix")
    export = unquote(parts.path.removeprefix("/"))
    if unix and not query.get(SOCKET):
        raise UsageError(f"{url}: names no socket, expected such as nbd+unix:///export?socket=/run/nbd.sock")
    if unix and parts.netloc:
        raise UsageError(f"{url}: has a host, expected three slashes: nbd+unix:///export?socket=PATH")
    if not unix and not parts.hostname:
        raise UsageError(f"{url}: names no host, expected such as nbd://host:10809/export")
    if len(export.encode()) > NBD_MAX_STRING:
        raise UsageError(f"{url}: the export's name is too long, expected {NBD_MAX_STRING} bytes at most")
    return NbdAddress(
        url=url,
        host=parts.hostname or "",
        port=_port(url, parts),
        socket=query.get(SOCKET, "") if unix else "",
        export=export,
        tls=parts.scheme.startswith("nbds"),
        certificates=query.get(CERTIFICATES, ""),
        hostname=query.get(HOSTNAME, parts.hostname or "localhost"),
    )


def _port(url: str, parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise UsageError(f"{url}: has no proper port, expected a number from 1 to 65535") from None
    return DEFAULT_PORT if port is None else port
