"""Addresses: what the NBD URI specification allows, and sentences for what is not."""

from __future__ import annotations

import pytest

from pcemu.drives.remote.address import check_url, is_url, parse_nbd
from pcemu.errors import UsageError


@pytest.mark.parametrize("text", ["nbd://host", "nbd+unix:///?socket=s", "s3://bucket/key", "What+Ever.1://x"])
def test_addresses_are_told_from_paths(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize(
    "text", ["disk.img", "C:\\disk.img", "c://disk", "a:b", "./nbd:/x", "/nbd://x", "1a://x", ""]
)
def test_paths_are_no_addresses(text: str) -> None:
    assert not is_url(text)


# From the examples of the specification, and its rules for ports, escapes and empty names.
@pytest.mark.parametrize(
    ("url", "host", "port", "socket", "export", "tls"),
    [
        ("nbd://example.com", "example.com", 10809, "", "", False),
        ("nbd://example.com/", "example.com", 10809, "", "", False),
        ("nbd://example.com:10810/disk", "example.com", 10810, "", "disk", False),
        ("nbds://[::1]:1/a%20b/c", "::1", 1, "", "a b/c", True),
        ("nbd://host//leading", "host", 10809, "", "/leading", False),
        ("nbd+unix:///?socket=/tmp/s", "", 10809, "/tmp/s", "", False),
        ("nbds+unix:///exp?socket=/tmp/a%20b", "", 10809, "/tmp/a b", "exp", True),
    ],
)
def test_parts(url: str, host: str, port: int, socket: str, export: str, tls: bool) -> None:
    found = parse_nbd(check_url(url))
    assert found[1:6] == (host, port, socket, export, tls)


def test_tls_parameters() -> None:
    found = parse_nbd("nbds://10.0.0.1/x?tls-certificates=/etc/pki&tls-hostname=disks.example.com")
    assert (found.certificates, found.hostname) == ("/etc/pki", "disks.example.com")


def test_a_scheme_is_small_and_a_fragment_goes() -> None:
    assert check_url("NBD+UNIX:///X?socket=A#b") == "nbd+unix:///X?socket=A"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nbd:///export", "names no host"),
        ("nbd://host:0/x", "no proper port"),
        ("nbd://host:99999/x", "no proper port"),
        ("nbd://host:abc/x", "no proper port"),
        ("nbd+unix:///x", "names no socket"),
        ("nbd+unix://host/x?socket=s", "has a host"),
        ("nbd://host/" + "x" * 4097, "too long"),
    ],
)
def test_what_is_wrong_is_told(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_nbd(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://[::1/x", "no address"),
        ("http://me:secret@host/x", "has a password"),
        ("http://host/a b", "without spaces"),
        ("http://host/\n", "without spaces"),
        ("http://host/" + "x" * 3000, "2048 characters"),
    ],
)
def test_what_cannot_be_kept_in_images_is_refused(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)
