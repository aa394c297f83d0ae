"""Downloading one large file whose SHA-256 is known beforehand.

What has come so far is in a part file, with a note of where it came from beside it, so that a download that
broke off, or was stopped, goes on where it was: with a Range, and If-Range so that the server sends
everything when its file is not the same any more. Nothing of it is used before all of it has the right
checksum.

::

    have nothing ─ GET ─► 200: all                     have a part ─ Range ─► 206: the rest
                                                                              200: all, from the start
                                                                              416: there is no more
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pcemu.drives.locks import lock_file
from pcemu.errors import ImageAccessError, ImageFormatError, UsageError

if TYPE_CHECKING:
    import httpx

Progress = Callable[[int, int | None], None]
"""Called with bytes so far, and in all where that is known."""

CHUNK = 1 << 18
MAX_SIZE = 4 << 30
MAX_REDIRECTS = 5
MAX_FAILURES = 4  # in a row that bring nothing
MAX_REQUESTS = 50
DEFAULT_TIMEOUT = 30.0  # s
FIRST_PAUSE = 0.5  # s, doubled after each failure in a row
RETRIED = (408, 425, 429, 500, 502, 503, 504)
OK, PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 200, 206, 416
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
AGAIN = "run the same command again, and it goes on where it stopped"


class _Broken(Exception):
    """The connection failed, or the server did; it may be better the next time."""


class Part(NamedTuple):
    """A part file and its note."""

    path: Path

    @property
    def note(self) -> Path:
        """What is known of where the part came from."""
        return self.path.with_name(self.path.name + ".json")

    def remove(self) -> None:
        """Remove both."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


@contextlib.contextmanager
def downloaded(
    url: str, sha256: str, part: Part, *, progress: Progress, timeout: float = DEFAULT_TIMEOUT
) -> Iterator[BinaryIO]:
    """The file at ``url`` (http, https or file), open and verified; the part is removed afterwards.

    ``timeout`` in seconds is how long a server may be silent. ImageAccessError when it cannot be had, and
    ImageFormatError when it is not what it should be.
    """
    scheme = urllib.parse.urlsplit(url).scheme.lower()
    if scheme == "file":
        with _open_local(url) as file:
            _verify(file, sha256, url)
            yield file
        return
    if scheme not in ("http", "https"):
        raise UsageError(f"{url}: expected a URL that begins with https://, http:// or file://")
    with _open_part(part) as file:
        try:
            _fetch(url, sha256, file, part, progress, timeout)
        except OSError as error:
            raise ImageAccessError(
                f"{part.path}: cannot be written: {error.strerror}; when that is mended, {AGAIN}"
            ) from error
        yield file
        part.remove()


def _open_local(url: str) -> BinaryIO:
    path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
    try:
        return path.open("rb")
    except OSError as error:
        raise ImageAccessError(f"{path}: cannot be read: {error.strerror}; check the URL") from error


@contextlib.contextmanager
def _open_part(part: Part) -> Iterator[BinaryIO]:
    try:
        part.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise ImageAccessError(f"{part.path}: cannot be made: {error.strerror}; check its folder") from error
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        lock_file(file.fileno(), str(part.path), shared=False)
        try:
            yield file
        finally:
            if _size(file) == 0:  # nothing came: nothing to go on with
                part.remove()


def _fetch(url: str, sha256: str, file: BinaryIO, part: Part, progress: Progress, timeout: float) -> None:
    """All of it, into ``file``; a part that turns out to be of something else is given up once."""
    had_part = _size(file) > 0
    try:
        _Fetcher(url, file, part, progress, timeout).run()
        _verify(file, sha256, url)
    except ImageFormatError:
        _empty(file, part)
        if not had_part:
            raise
        _fetch(url, sha256, file, part, progress, timeout)


def _verify(file: BinaryIO, sha256: str, url: str) -> None:
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    found = digest.hexdigest()
    file.seek(0)
    if found != sha256:
        raise ImageFormatError(
            f"{url}: what came has the SHA-256 {found}, expected {sha256}; it was not used: try another "
            f"--mirror"
        )


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _empty(file: BinaryIO, part: Part) -> None:
    file.truncate(0)
    part.note.unlink(missing_ok=True)


class _Fetcher:
    """Requests until the file is complete."""

    def __init__(self, url: str, file: BinaryIO, part: Part, progress: Progress, timeout: float) -> None:
        self._url = url
        self._file = file
        self._part = part
        self._progress = progress
        self._timeout = timeout
        self._validator = self._read_note()

    def run(self) -> None:
        """Fetch what is missing. ImageAccessError, ImageFormatError, OSError of the part file."""
        import httpx  # slow to import, and for downloads only

        failures = 0
        with httpx.Client(
            follow_redirects=True, max_redirects=MAX_REDIRECTS, timeout=self._timeout
        ) as client:
            for _ in range(MAX_REQUESTS):
                before = _size(self._file)
                try:
                    if self._request(client):
                        return
                    failures = 0 if _size(self._file) != before else failures + 1
                    why = "it does not send the file's parts as they were asked for"
                except _Broken as error:
                    failures = 1 if _size(self._file) > before else failures + 1
                    why = str(error)
                if failures >= MAX_FAILURES:
                    break
                time.sleep(FIRST_PAUSE * 2 ** max(0, failures - 1) if failures else 0)
        raise ImageAccessError(f"{self._url}: {why}, expected the file; check the network, then {AGAIN}")

    def _request(self, client: httpx.Client) -> bool:
        """One request; True when the file is complete then."""
        import httpx

        have = _size(self._file)
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if self._validator:
                headers["If-Range"] = self._validator
        try:
            with client.stream("GET", self._url, headers=headers) as response:
                return self._receive(response, have)
        except httpx.TooManyRedirects:
            raise ImageAccessError(
                f"{self._url}: leads to another address more than {MAX_REDIRECTS} times, expected the file; "
                f"try another --mirror"
            ) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ImageAccessError(
                f"{self._url}: leads to no usable address ({error}); check the URL"
            ) from None
        except httpx.TimeoutException:
            raise _Broken(f"nothing came for {self._timeout:g} s") from None
        except httpx.TransportError as error:
            raise _Broken(f"the connection failed ({error or type(error).__name__})") from None

    def _receive(self, response: httpx.Response, have: int) -> bool:
        status = response.status_code
        what = f"the server says {status} {response.reason_phrase}"
        if status in RETRIED:
            raise _Broken(what)
        total: int | None
        if status in (PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE):
            match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            total = int(match[3]) if match and match[3] != "*" else None
            if status == RANGE_NOT_SATISFIABLE and total == have:
                return True
            if status == RANGE_NOT_SATISFIABLE or not match or match[1] != str(have):
                _empty(self._file, self._part)
                return False
        elif status == OK:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            _empty(self._file, self._part)
        else:
            raise ImageAccessError(f"{self._url}: {what}, expected the file; try another --mirror")
        self._write_note(response)
        return self._take(response, total)

    def _take(self, response: httpx.Response, total: int | None) -> bool:
        have = self._file.seek(0, os.SEEK_END)
        self._progress(have, total)
        for chunk in response.iter_raw():
            if have + len(chunk) > min(MAX_SIZE, MAX_SIZE if total is None else total):
                raise ImageFormatError(
                    f"{self._url}: more than {have} bytes came, expected {total or MAX_SIZE} at most; "
                    f"they were not used"
                )
            _write_all(self._file, chunk)
            have += len(chunk)
            self._progress(have, total)
        if total is not None and have < total:
            raise _Broken(f"the connection broke off after {have} of {total} bytes")
        return True

    def _read_note(self) -> str:
        """The validator of what the part holds; a part from elsewhere is given up."""
        try:
            note = json.loads(self._part.note.read_bytes())
            if note["url"] == self._url:
                return str(note["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        _empty(self._file, self._part)
        return ""

    def _write_note(self, response: httpx.Response) -> None:
        etag = response.headers.get("ETag", "")
        strong = etag if not etag.startswith("W/") else ""
        self._validator = strong or response.headers.get("Last-Modified", "")
        self._part.note.write_text(json.dumps({"url": self._url, "validator": self._validator}))


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
