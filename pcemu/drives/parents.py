"""A differencing image's parent: where it says that the parent is, and whether what is there is the one.

A child has up to eight *locators* and the parent's bare name. They are tried in this order: the path relative
to the child, the name beside the child, the absolute path. The first that exists is the parent, or it is
refused: another image would give wrong data. The absolute path may also be the address of an image on a
server, which its cache stands for (:mod:`pcemu.drives.remote`).

Whoever made the child chose what is in there, so a path may be a trap. Without ``allow_outside`` only files
in the child's own folder, or below it, are opened; never a network share, a device, or a FIFO. A server is
only asked when its user has named the address before.
"""

from __future__ import annotations

import os
import shlex
import stat
import time
from codecs import utf_16_be_decode, utf_16_le_decode
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from pcemu.drives import vhd_layout as layout
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.fingerprint import Fingerprint, fingerprint_of, unpack_fingerprint
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.intents import COMMIT, Intent
from pcemu.drives.raw import FlatDrive
from pcemu.drives.remote.address import is_url
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.vhd_header import Structures
from pcemu.drives.vhd_layout import Locator
from pcemu.errors import ImageAccessError, ImageFormatError, ImageNotFoundError, UsageError

RELINK = "name it with `pcemu disk relink`"
OUTSIDE = "outside the child's folder"
ADDRESS = "address"
SHARE_MARKS = ("\\\\", "//")

Child = SparseLayer | Structures


class Claim(NamedTuple):
    """One path that a child gives for its parent: the text as stored, and the path that it means here."""

    source: str
    text: str
    path: str | None


class Place(NamedTuple):
    """Where a parent was found; ``real`` and its folder have no links in them. A device is no file."""

    path: str
    real: str
    folder: str
    identity: tuple[int, int]
    is_file: bool


def real_folder(path: str) -> str:
    """The folder of an image, without links."""
    return os.path.realpath(os.path.dirname(path))  # noqa: PTH120


def claims_of(child: Child, folder: str) -> Iterator[Claim]:
    """What a child says of its parent's place, in the order to try."""
    assert child.header is not None
    for code, data in child.locators:
        if code == layout.LOCATOR_RELATIVE:
            text = _wide(data)
            yield Claim("relative locator", text, _native(text, folder))
    name = _wide(child.header.parent_name, utf_16_be_decode)
    bare = "" if is_url(name) else name.replace("\\", "/").rpartition("/")[2]
    if bare:
        yield Claim("parent name", name, f"{folder}/{bare}")
    for code, data in child.locators:
        if code == layout.LOCATOR_ABSOLUTE:
            text = _wide(data)
            path = _cache_of(text) if is_url(text) else _native(text, None)
            yield Claim(ADDRESS if is_url(text) else "absolute locator", text, path)
        elif code == layout.LOCATOR_MAC:
            url = _until_nul(data.decode("utf-8", "surrogateescape"))
            yield Claim("file URL", url, _url_path(url))


def find_parent(child: Child, folder: str, *, allow_outside: bool, host: Host = HOST) -> Place:
    """The file that is to be the parent.

    Raises ImageNotFoundError when nothing is where the child says, and ImageAccessError when something may
    be but the place is refused.
    """
    place = _place_beside(child, folder, host)
    if place is not None:
        return place
    tried, refused, outside = [], [], False
    for claim in claims_of(child, folder):
        known = claim.source == ADDRESS and claim.path is not None
        why = None if known else _refusal(claim, folder, allow_outside)
        if why is not None:
            refused.append(f"{claim.source} {claim.text!r} ({why})")
            outside = outside or why == OUTSIDE
            continue
        assert claim.path is not None
        try:
            status = host.stat(claim.path)
        except (OSError, ValueError):
            tried.append(claim.path)
            continue
        kind = status.st_mode
        if stat.S_ISREG(kind) or (stat.S_ISBLK(kind) and allow_outside):
            real = os.path.realpath(claim.path)
            its_folder = os.path.dirname(real)  # noqa: PTH120
            return Place(claim.path, real, its_folder, (status.st_dev, status.st_ino), stat.S_ISREG(kind))
        refused.append(f"{claim.source} {claim.text!r} (no file)")
    if refused:
        allow = "if you trust the image, let it lie outside with --allow-outside, or " if outside else ""
        missing = f"not at {', '.join(dict.fromkeys(tried))}, and else " if tried else ""
        raise ImageAccessError(
            f"{child.file.path}: its parent is {missing}given as {'; '.join(refused)}, "
            f"expected a file in the child's folder; {allow}{RELINK}"
        )
    where = ", ".join(dict.fromkeys(tried)) or "nowhere: it names no file"
    raise ImageNotFoundError(
        f"{child.file.path}: its parent is missing, expected at {where}; move it there, or {RELINK}"
    )


def _refusal(claim: Claim, folder: str, allow_outside: bool) -> str | None:
    """Why a claim that is not for a file beside the child is not even looked at; None when it is."""
    if claim.source == ADDRESS:
        command = f"pcemu disk info {shlex.quote(claim.text)}"
        return f"not used here before: `{command}` makes it known if you trust it"
    if claim.text.startswith(SHARE_MARKS) and claim.source != "file URL":
        return "a network share"
    if claim.path is None:
        return "no path of this computer"
    if allow_outside:
        return None
    if not _inside(claim.path, folder):
        return OUTSIDE
    return None


def _cache_of(url: str) -> str | None:
    """The cache of a remote image that the user has named before; None when there is none."""
    from pcemu.drives.remote.cache_folder import cache_path  # few children have such a parent
    from pcemu.drives.remote.settings import SETTINGS

    try:
        path = cache_path(url, SETTINGS.folder())
        return os.path.realpath(path) if path.exists() else None
    except (OSError, ValueError, UsageError):
        return None


def _inside(path: str, folder: str) -> bool:
    try:
        return os.path.commonpath([os.path.realpath(path), folder]) == folder
    except ValueError:  # another drive of Windows; a NUL in the path
        return False


def _place_beside(child: Child, folder: str, host: Host) -> Place | None:
    """A file beside the child, as usual: found without asking the host about every folder on the way."""
    text = ""
    for code, data in child.locators:
        if code == layout.LOCATOR_RELATIVE:
            text = _wide(data)
            break
    start, slash, name = text.partition("\\")
    if start != "." or not slash or name in ("", ".", "..") or "\\" in name or "/" in name or os.name == "nt":
        return None
    path = f"{folder}/{name}"
    try:
        status = host.lstat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Place(path, path, folder, (status.st_dev, status.st_ino), is_file=True)


def _wide(data: bytes, decode: Callable[[bytes, str], tuple[str, int]] = utf_16_le_decode) -> str:
    """Text of two bytes a character; half a one at the end is no part of it."""
    return _until_nul(decode(data[: len(data) & ~1], "surrogatepass")[0])


def _until_nul(text: str) -> str:
    return text.partition("\0")[0]


def _native(text: str, folder: str | None) -> str | None:
    """The path here that a Windows path means; relative to ``folder``, absolute when that is None."""
    if not text:
        return None
    if os.name == "nt":
        return os.path.normpath(os.path.join(folder, text) if folder else text)  # noqa: PTH118
    if len(text) > 1 and text[1] == ":":  # a drive letter
        return None
    text = text.replace("\\", "/")
    if folder is None:
        return os.path.normpath(text) if text.startswith("/") else None
    return os.path.normpath(os.path.join(folder, text))  # noqa: PTH118


def _url_path(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    return os.path.normpath(unquote(parts.path, errors="surrogateescape")) if parts.path else None


def fingerprint_kept(child: Child) -> Fingerprint | None:
    """What the raw parent looked like when the child was made; None for a child of a VHD."""
    for code, data in child.locators:
        if code == layout.LOCATOR_FINGERPRINT:
            kept = unpack_fingerprint(data)
            if kept is None:
                raise ImageFormatError(
                    f"{child.file.path}: the fingerprint of its raw parent is of an unknown kind, "
                    f"expected version 1; it was made by another version of this program: use that"
                )
            return kept
    return None


def check_parent(
    child: SparseLayer,
    parent: SparseLayer | FlatDrive,
    kept: Fingerprint | None,
    intent: Intent | None = None,
) -> None:
    """Refuse a parent that is not the one; warn in ``child.warnings`` when its file was written since.

    ``intent`` is what is under way on the parent: a commit writes to it, and may make it larger.
    """
    if kept is not None:
        now = fingerprint_of(parent.file)
        if kept != now and (intent is None or kept != intent.before):
            what = f"{now.size} bytes" if now.size != kept.size else f"content {now.digest[:8].hex()}"
            then = f"{kept.size} bytes" if now.size != kept.size else kept.digest[:8].hex()
            raise ImageFormatError(
                f"{child.file.path}: its parent {_called(parent)} has {what}, expected {then} "
                f"as when the child was made; it was changed or is another image: restore it, or {RELINK}"
            )
    else:
        _check_id(child, parent)
    if parent.sectors > child.sectors and intent is None:
        raise ImageFormatError(
            f"{child.file.path}: its parent {_called(parent)} has {parent.sectors} sectors, "
            f"expected at most {child.sectors} as the child has; it is another image: {RELINK}"
        )
    expected = child.header.parent_time
    found = vhd_time(parent.file.written)
    if expected not in (0, found) and (intent is None or intent.operation != COMMIT):
        child.warnings.append(
            f"{child.file.path}: its parent {_called(parent)} was last written at {_date(found)}, expected "
            f"{_date(expected)}; if another program wrote to it, the child is no longer right; if none "
            f"did, `pcemu disk relink` makes the child remember the time"
        )


def _called(parent: SparseLayer | FlatDrive) -> str:
    """The address of an image on a server, or the path."""
    name: str = getattr(parent, "url", "") or parent.file.path
    return name


def _check_id(child: SparseLayer, parent: SparseLayer | FlatDrive) -> None:
    found = getattr(parent, "unique_id", None)
    expected = child.header.parent_id
    if found != expected:
        has = f"the id {found.hex()}" if found is not None else "no id: it is a raw image"
        raise ImageFormatError(
            f"{child.file.path}: its parent {_called(parent)} has {has}, expected {expected.hex()}; "
            f"it was replaced: restore it, or {RELINK}"
        )


def vhd_time(seconds: float) -> int:
    """Seconds since 1970 as the format counts them: whole ones, since 2000."""
    return max(0, int(seconds) - layout.EPOCH) & 0xFFFFFFFF


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds + layout.EPOCH))


def locators_for(child: str, parent: str) -> list[tuple[bytes, bytes]]:
    """(code, data) of the locators with which ``child`` is to find ``parent``; UsageError if none can."""
    child, parent = os.path.realpath(child), os.path.realpath(parent)
    try:
        relative = os.path.relpath(parent, os.path.dirname(child))  # noqa: PTH120
    except ValueError:  # another drive of Windows
        relative = ""
    if os.name != "nt":
        if "\\" in relative:
            raise UsageError(
                f"{parent}: a parent's path must not hold a backslash, as Windows splits there; rename it"
            )
        relative = relative.replace("/", "\\")
    if relative and not relative.startswith("..\\"):
        relative = ".\\" + relative
    found = [(layout.LOCATOR_RELATIVE, relative.encode("utf-16-le", "surrogatepass"))] if relative else []
    absolute = parent if os.name == "nt" else parent.replace("/", "\\")
    found.append((layout.LOCATOR_ABSOLUTE, absolute.encode("utf-16-le", "surrogatepass")))
    if os.name != "nt":
        url = "file://localhost" + quote(parent, errors="surrogateescape")
        found.append((layout.LOCATOR_MAC, url.encode()))
    return found


def url_locators(url: str) -> list[tuple[bytes, bytes]]:
    """(code, data) of the one locator of a parent on a server: where Windows has an absolute path."""
    return [(layout.LOCATOR_ABSOLUTE, url.encode("utf-16-le"))]


def url_name(url: str) -> bytes:
    """An address as the header holds it, in place of a bare name."""
    return url.encode("utf-16-be")[: layout.PARENT_NAME_SIZE - 2].ljust(layout.PARENT_NAME_SIZE, b"\0")


def parent_name(path: str) -> bytes:
    """The bare name as the header holds it."""
    name = os.path.basename(path).encode("utf-16-be", "surrogatepass")  # noqa: PTH119
    return name[: layout.PARENT_NAME_SIZE - 2].ljust(layout.PARENT_NAME_SIZE, b"\0")


def places_for(locators: list[tuple[bytes, bytes]], offset: int) -> tuple[list[Locator], bytes]:
    """The locators' entries, when their data lies at ``offset``, and that data."""
    entries, data = [], b""
    for code, content in locators:
        space = -(-len(content) // SECTOR_SIZE) * SECTOR_SIZE
        entries.append(Locator(code, space, len(content), 0, offset + len(data)))
        data += content.ljust(space, b"\0")
    return entries, data
