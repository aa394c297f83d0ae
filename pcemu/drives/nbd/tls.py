"""TLS for a server: certificates, or keys that both sides know; and for who lists another's exports."""

from __future__ import annotations

import hmac
import platform
import ssl
from pathlib import Path

from pcemu.errors import ImageAccessError, ImageFormatError, ImageNotFoundError, UsageError

# The names that qemu and nbdkit use, too.
CA, CERTIFICATE, KEY, REVOKED = "ca-cert.pem", "server-cert.pem", "server-key.pem", "ca-crl.pem"
CLIENT_CERTIFICATE, CLIENT_KEY = "client-cert.pem", "client-key.pem"
PSK_CIPHERS = "PSK"
MAX_PSK_FILE = 1 << 20


def certificates_context(folder: Path, *, verify_peer: bool = False) -> ssl.SSLContext:
    """TLS with the certificate in ``folder``; with ``verify_peer`` clients need one of the same authority.

    ImageError.
    """
    context = _server_context()
    certificate, key = folder / CERTIFICATE, folder / KEY
    for path in (certificate, key, *([folder / CA] if verify_peer else [])):
        _expect_file(path)
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")
        if verify_peer:
            context.load_verify_locations(folder / CA)
            context.verify_mode = ssl.CERT_REQUIRED
            if (folder / REVOKED).exists():
                context.load_verify_locations(folder / REVOKED)
                context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    except PermissionError as error:
        raise ImageAccessError(
            f"{folder}: cannot be read: {error.strerror}; check its permissions"
        ) from error
    except (ssl.SSLError, OSError) as error:
        raise ImageFormatError(
            f"{folder}: its certificates cannot be used: {error}, expected PEM files {CERTIFICATE} and {KEY} "
            f"that belong together, the key without a password"
        ) from error
    return context


def authority_context(folder: Path | None) -> ssl.SSLContext:
    """TLS of a client that trusts the authority in ``folder``, with its own certificate if one is there.

    Without a folder it trusts whom this computer trusts. ImageError.
    """
    if folder is None:
        return ssl.create_default_context()
    _expect_file(folder / CA)
    try:
        context = ssl.create_default_context(cafile=folder / CA)
        if (folder / CLIENT_CERTIFICATE).exists():
            context.load_cert_chain(folder / CLIENT_CERTIFICATE, folder / CLIENT_KEY, password=lambda: b"")
        return context
    except PermissionError as error:
        raise ImageAccessError(
            f"{folder / CA}: cannot be read: {error.strerror}; check its permissions"
        ) from error
    except (ssl.SSLError, OSError) as error:
        raise ImageFormatError(
            f"{folder / CA}: cannot be used: {error}, expected the authority's certificate as PEM"
        ) from error


def psk_context(path: Path) -> ssl.SSLContext:
    """TLS with the keys in a file of lines ``name:hexadecimal key``, as psktool writes them. ImageError."""
    context = _server_context()
    if not hasattr(context, "set_psk_server_callback"):
        raise UsageError(
            f"{path}: TLS with pre-shared keys needs Python 3.13, found {platform.python_version()}; "
            f"take certificates (--tls-certificates), or stunnel before the server"
        )
    keys = read_psk_file(path)

    def find(identity: str | None) -> bytes:
        found = b""
        for name, key in keys.items():
            if hmac.compare_digest(name.encode(), (identity or "").encode()):
                found = key
        return found

    context.maximum_version = ssl.TLSVersion.TLSv1_2  # what Python's callbacks are for
    context.set_ciphers(PSK_CIPHERS)
    context.set_psk_server_callback(find)
    return context


def read_psk_file(path: Path) -> dict[str, bytes]:
    """The keys by name. ImageError."""
    _expect_file(path)
    keys = {}
    try:
        with path.open("rb") as file:
            lines = file.read(MAX_PSK_FILE).decode().splitlines()
        for line in lines:
            if line.strip():
                name, _, digits = line.strip().partition(":")
                keys[name] = bytes.fromhex(digits)
                if not name or not keys[name]:
                    raise ValueError
    except OSError as error:
        raise ImageAccessError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error
    except ValueError:
        keys = {}
    if not keys:
        raise ImageFormatError(f"{path}: expected lines of NAME:HEXADECIMAL-KEY, as psktool writes them")
    return keys


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _expect_file(path: Path) -> None:
    if not path.is_file():
        raise ImageNotFoundError(f"{path}: no such file; give a folder with {CA}, {CERTIFICATE} and {KEY}")
