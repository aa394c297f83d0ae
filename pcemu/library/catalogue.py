"""Systems that can be had by name: official images, each with the checksum of what is downloaded."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import HostFile
from pcemu.drives.newfile import write_new
from pcemu.errors import ImageAccessError, ImageFormatError, UsageError
from pcemu.library.download import DEFAULT_TIMEOUT, Part, Progress, downloaded

CHUNK = 1 << 20
MAX_IMAGE = 16 << 30
ENCRYPTED = 1  # bit of ZipInfo.flag_bits


class Release(NamedTuple):
    """One version of a system: a zip archive at ``site``/``path``, with the image as ``member``."""

    version: str
    site: str
    path: str
    sha256: str
    member: str

    def url(self, mirror: str | None = None) -> str:
        """Where it is, at the official site or at a mirror that has the same folders."""
        return f"{(mirror or self.site).rstrip('/')}/{self.path}"


FREEDOS_SITE = "https://download.freedos.org"
SYSTEMS: dict[str, tuple[Release, ...]] = {
    "freedos": (  # the newest first
        Release(
            "1.4",
            FREEDOS_SITE,
            "1.4/FD14-LiteUSB.zip",
            "857dcd2ebf9d3d094320154db5fb5b830acba6fb98f981a95a0ca7ab3350338b",
            "FD14LITE.img",
        ),
        Release(
            "1.3",
            FREEDOS_SITE,
            "1.3/FD13-LiteUSB.zip",
            "64a934585087ccd91a18c55e20ee01f5f6762be712eeaa5f456be543778f9f7e",
            "FD13LITE.img",
        ),
    )
}


def find_release(system: str, version: str | None) -> Release:
    """A release by its system's name and version, the newest when that is None. UsageError."""
    releases = SYSTEMS.get(system.lower())
    if releases is None:
        raise UsageError(f"{system!r}: is not known here, expected one of {', '.join(SYSTEMS)}")
    if version is None:
        return releases[0]
    for release in releases:
        if release.version == version:
            return release
    known = ", ".join(release.version for release in releases)
    raise UsageError(f"{system}: version {version!r} is not known here, expected one of {known}")


def install(
    release: Release,
    target: Path,
    url: str,
    *,
    progress: Progress,
    on_unpack: Callable[[], None] = lambda: None,
    timeout: float = DEFAULT_TIMEOUT,
) -> int:
    """Download, verify and unpack a release as ``target``, which must not be there; bytes of the image."""
    part = Part(target.parent / f".{Path(release.path).name}.part")
    with downloaded(url, release.sha256, part, progress=progress, timeout=timeout) as archive:
        on_unpack()
        return _unpack(archive, release, target, url)


def _unpack(archive: BinaryIO, release: Release, target: Path, url: str) -> int:
    try:
        with zipfile.ZipFile(archive) as packed:
            info = _member(packed, release.member, url)
            _make_folder(target.parent)
            with packed.open(info) as content:

                def fill(file: HostFile) -> None:
                    offset = 0
                    while chunk := content.read(CHUNK):
                        file.write(chunk, offset)
                        offset += len(chunk)

                write_new(str(target), [], fill=fill)
            return info.file_size
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError) as error:
        raise ImageFormatError(f"{url}: is no sound zip archive ({error}), expected one") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageAccessError(f"{folder}: cannot be made: {error.strerror}; check its folder") from error


def _member(packed: zipfile.ZipFile, name: str, url: str) -> zipfile.ZipInfo:
    images = [info for info in packed.infolist() if info.filename.lower().endswith(".img")]
    named = [info for info in images if info.filename.rpartition("/")[2].lower() == name.lower()]
    found = named or images  # the checksum vouches for the archive, whatever its only image is called
    if len(found) != 1:
        raise ImageFormatError(
            f"{url}: holds {len(found)} disk images, expected one, {name}; take another version"
        )
    (info,) = found
    if info.flag_bits & ENCRYPTED or not 0 < info.file_size <= MAX_IMAGE or info.file_size % SECTOR_SIZE:
        raise ImageFormatError(
            f"{url}: {name} has {info.file_size} bytes, expected an open disk image of whole sectors"
        )
    return info
