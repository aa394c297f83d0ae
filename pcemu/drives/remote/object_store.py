"""Files on web servers and in object stores, through fsspec, which knows some thirty kinds of them.

Each read says which version it wants (If-Match and the like), so that a file that is replaced between two
reads gives an error and not a mixture: s3fs does that by itself, for HTTP it is done here.

**Not implemented**: version checks between two reads for stores other than HTTP and S3; there the version is
compared whenever a connection is made.

fsspec cannot be told to stop a read. So threads of our own read, and who asked them leaves when the source is
closed, however long the server takes.
"""

from __future__ import annotations

import errno
import importlib.util
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

from pcemu.drives.remote.address import NBD_SCHEMES, scheme_of
from pcemu.errors import ImageAccessError, ImageFormatError, ImageNotFoundError, PcemuError, UsageError

INSTALL = "pip install 'pcemu[remote]'"
WEB = ("http", "https")
# What stores call the thing that changes with the content, the best first.
VERSION_KEYS = ("ETag", "etag", "VersionId", "generation", "md5Hash", "Content-MD5", "Digest", "ino")
TIME_KEYS = ("Last-Modified", "LastModified", "last_modified", "mtime", "updated", "modified")
WEB_KEYS = ("ETag", "Content-MD5", "Digest", "Last-Modified")
BLOCK_SIZE = 1 << 20  # fsspec wants one; nothing is read ahead there
PARTIAL_CONTENT, PRECONDITION_FAILED = 206, 412  # of HTTP
READERS = 8  # threads of a source
CLOSING_LOOK = 0.1  # s between two looks whether a part is wanted no more
LOST_STATUS = (408, 425, 429, 500, 502, 503, 504)  # it may work the next time


class _Part:
    """A read on its way. ``done`` is set when ``data`` is whole, or ``error`` says why it is not."""

    def __init__(self, offset: int, size: int) -> None:
        self.offset = offset
        self.size = size
        self.data = b""
        self.error: Exception | None = None
        self.done = threading.Event()


class ObjectSource:
    """A file that fsspec reads; a ByteSource."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._web = scheme_of(url) in WEB
        self._lock = threading.Lock()
        self._found: tuple[Any, str] | None = None
        self._wanted: SimpleQueue[_Part | None] = SimpleQueue()
        self._readers = 0
        self._coming = 0
        self._closing = threading.Event()
        try:
            info = _ask_web(url, timeout) if self._web and _is_installed() else None
            if info is None:
                fs, path = self._file_system()
                info = fs.info(path)
            self._info: dict[str, Any] = info
            self._check_info()
            self._version = _version(self._info)
            self._options: dict[str, Any] = {}
            if self._web:
                self._options = {"headers": _conditions(self._info), "size": self.size}
        except (PcemuError, ConnectionError, TimeoutError):
            raise
        except Exception as error:  # each store has exceptions of its own
            raise self._explain(error) from error

    def _file_system(self) -> tuple[Any, str]:
        """fsspec's file system and the path in it; made when first needed, by one thread."""
        with self._lock:
            if self._found is None:
                self._found = _file_system(self._url, self._timeout)
            return self._found

    def _check_info(self) -> None:
        if self._info.get("type", "file") != "file":
            raise ImageFormatError(f"{self._url}: is a folder, expected a disk image; name a file inside it")
        if not isinstance(self._info.get("size"), int):
            raise ImageFormatError(
                f"{self._url}: the server does not tell the file's size, expected a Content-Length; download "
                f"the image, or serve it in another way"
            )

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return int(self._info["size"])

    @property
    def version(self) -> str | None:
        """The ETag, or else the time of the last change."""
        return self._version

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` on; OSError."""
        return self.read_all([(offset, size)])[0]

    def read_all(self, places: Sequence[tuple[int, int]]) -> list[bytes]:
        """Several parts, asked for together."""
        parts = [_Part(*place) for place in places]
        for part in parts:
            self._wanted.put(part)
            self._add_reader()
        return [self._outwait(part) for part in parts]

    def _add_reader(self) -> None:
        """Start a thread more for a part more, unless one has nothing to do, or there are enough."""
        with self._lock:
            self._coming += 1
            if self._readers < min(READERS, self._coming):
                self._readers += 1
                threading.Thread(target=self._serve, name=f"read {self._url}", daemon=True).start()

    def _outwait(self, part: _Part) -> bytes:
        while not part.done.wait(CLOSING_LOOK):
            if self._closing.is_set():
                raise ConnectionError(errno.ECONNABORTED, "it was closed", self._url)
        if part.error is not None:
            raise part.error
        return part.data

    def _serve(self) -> None:
        """Read what is wanted, until the source is closed; a thread with a file object of its own."""
        file = None
        while not self._closing.is_set() and (part := self._wanted.get()) is not None:
            try:
                file = file or self._open_file()
                part.data = self._read(file, part.offset, part.size)
            except PcemuError as error:
                part.error = error
            except Exception as error:
                part.error = self._lost(error)
                part.error.__cause__ = error
            with self._lock:
                self._coming -= 1
            part.done.set()

    def _read(self, file: Any, offset: int, size: int) -> bytes:
        file.seek(offset)
        try:
            data = file.read(size)
        except ValueError as error:  # fsspec's word for an answer that is not the part that was asked for
            raise ImageFormatError(
                f"{self._url}: the server sends whole files only, expected one that knows Range requests; "
                f"download the image, or use a server such as nginx or an object store"
            ) from error
        if len(data) != size:
            raise ConnectionError(errno.ECONNRESET, f"{len(data)} bytes came, expected {size}", self._url)
        return bytes(data)

    def _open_file(self) -> Any:
        """A file object, which has a position."""
        fs, path = self._file_system()
        file = fs.open(path, "rb", block_size=BLOCK_SIZE, cache_type="none", **self._options)
        found = getattr(file, "details", None)
        if not self._web and isinstance(found, dict) and _version(found) != self._version:
            raise ConnectionError(errno.ECONNRESET, "the file was changed", self._url)
        return file

    def close(self) -> None:
        """Let who waits go; fsspec keeps its sessions by itself."""
        self._closing.set()
        for _ in range(READERS):
            self._wanted.put(None)

    def _lost(self, error: Exception) -> OSError:
        """What a failed read means; those that may work the next time are a ConnectionError."""
        if isinstance(error, ConnectionError | TimeoutError) and error.filename == self._url:
            return error
        status = getattr(error, "status", None)
        text = f"{type(error).__name__}: {error}".rstrip(": ")
        if isinstance(error, FileNotFoundError) or status in (404, 410):
            return ConnectionError(errno.ECONNRESET, "the file is not there any more", self._url)
        if status == PRECONDITION_FAILED:
            return ConnectionError(errno.ECONNRESET, "the file was changed", self._url)
        if status is None or status in LOST_STATUS:
            return ConnectionError(errno.ECONNRESET, text, self._url)
        return OSError(errno.EIO, text, self._url)

    def _explain(self, error: Exception) -> PcemuError:
        """A sentence for what kept a file from being opened."""
        if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
            error = error.__cause__  # which is all that fsspec's HTTP knows to say
        status = getattr(error, "status", None)
        text = f"{type(error).__name__}: {error}".rstrip(": ").partition("\n")[0]
        if isinstance(error, FileNotFoundError) or status in (404, 410):
            return ImageNotFoundError(f"{self._url}: no such file on the server; check the address")
        if isinstance(error, PermissionError) or status in (401, 403) or "Credentials" in text:
            return ImageAccessError(
                f"{self._url}: the server does not let you read it ({text}); give your credentials as the "
                f"service takes them from its settings or the environment"
            )
        return ImageAccessError(
            f"{self._url}: cannot be reached: {text}; is the server running, and may this computer reach it?"
        )


def _is_installed() -> bool:
    """Is what fsspec needs for the web there? Told without loading it."""
    return all(importlib.util.find_spec(name) is not None for name in ("fsspec", "aiohttp"))


def _ask_web(url: str, timeout: float) -> dict[str, Any] | None:
    """What fsspec would say of a file on a web server; None when that is not simple, and it shall be asked.

    Python's own client is loaded in a tenth of the time that fsspec's takes, and a boot from a full cache
    needs no more than this.
    """
    import urllib.request

    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"}, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            headers = reply.headers
            length = headers.get("Content-Length", "")
            if not length.isdecimal() or headers.get("Content-Encoding", "identity") != "identity":
                return None
            return {"size": int(length)} | {key: headers[key] for key in WEB_KEYS if headers[key]}
    except (OSError, ValueError):
        return None


def _file_system(url: str, timeout: float) -> tuple[Any, str]:
    """fsspec's file system for an address, and the path in it."""
    scheme = scheme_of(url)
    try:
        import fsspec

        if scheme not in fsspec.available_protocols():
            raise UsageError(
                f"{url}: {scheme}:// is not known, expected one of {', '.join(NBD_SCHEMES)}, http, https, s3 "
                f"or another that fsspec knows; check the address"
            )
        options: dict[str, Any] = {}
        if scheme in WEB:
            import aiohttp

            limits = aiohttp.ClientTimeout(total=timeout, connect=timeout, sock_read=timeout)
            session = {"timeout": limits, "trust_env": True, "raise_for_status": _expect_part}
            options = {"client_kwargs": session}
        fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True, **options)
    except ImportError as error:
        raise UsageError(
            f"{url}: needs a package that is not installed ({error.name or error}); {INSTALL} installs what "
            f"HTTP and S3 need"
        ) from error
    except PcemuError:
        raise
    except Exception as error:
        raise UsageError(f"{url}: cannot be used: {error}; check the address") from error
    return fs, path


async def _expect_part(reply: Any) -> None:
    """A server may send another part than the one that was asked for, and say so; fsspec does not look."""
    wanted = reply.request_info.headers.get("Range", "").removeprefix("bytes=").partition("-")[0]
    found = reply.headers.get("Content-Range", "")
    if wanted and reply.status == PARTIAL_CONTENT and not found.startswith(f"bytes {wanted}-"):
        raise ConnectionError(errno.ECONNRESET, f"another part came ({found}), expected byte {wanted} on")


def _version(info: dict[str, Any]) -> str | None:
    for key in (*VERSION_KEYS, *TIME_KEYS):
        if info.get(key):
            return f"{key} {info[key]}"
    return None


def _conditions(info: dict[str, Any]) -> dict[str, str]:
    """Headers with which a web server gives this version or none. A weak ETag would match nothing."""
    headers = {"Accept-Encoding": "identity"}
    etag = info.get("ETag", "")
    if etag and not etag.startswith("W/"):
        headers["If-Match"] = etag
    elif info.get("Last-Modified"):
        headers["If-Unmodified-Since"] = info["Last-Modified"]
    return headers
