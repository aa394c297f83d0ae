"""The fingerprint of a raw image: what it notices, what it does not look at, and how it is kept."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pcemu.drives.fingerprint import (
    DIGEST_SIZE,
    EDGE,
    PACKED,
    SAMPLES,
    SETTLED,
    Fingerprint,
    fingerprint_of,
    unpack_fingerprint,
)
from pcemu.drives.hostfile import HOST, Host, HostFile
from pcemu.drives.system_calls import SystemCalls

SIZE = 4 << 20


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HostFile]:
    (tmp_path / "base.img").write_bytes(bytes(SIZE))
    opened = HOST.open_image(str(tmp_path / "base.img"), read_only=False)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("offset", "noticed"),
    [
        (0, True),
        (EDGE - 1, True),
        (EDGE, True),  # the first sample
        (EDGE + 511, True),
        (EDGE + 512, False),  # between two samples: the file's time has to tell
        (EDGE + (SIZE - 2 * EDGE) // SAMPLES, True),
        (SIZE - EDGE - 512, False),
        (SIZE - EDGE, True),
        (SIZE - 1, True),
    ],
)
def test_where_a_write_is_noticed(offset: int, noticed: bool, file: HostFile) -> None:
    before = fingerprint_of(file)
    assert fingerprint_of(file) == before
    file.write(b"x", offset)
    assert (fingerprint_of(file) != before) is noticed


def test_another_size_is_another_image(file: HostFile) -> None:
    before = fingerprint_of(file)
    file.truncate(SIZE + 512)
    after = fingerprint_of(file)
    assert (before.size, after.size) == (SIZE, SIZE + 512) and before.digest != after.digest


@pytest.mark.parametrize("size", [512, EDGE, EDGE + 512, 2 * EDGE, 2 * EDGE + 512])
def test_small_images_are_hashed_as_a_whole(size: int, file: HostFile) -> None:
    file.truncate(size)
    seen = {fingerprint_of(file)}
    for offset in (0, size // 1024 * 512, size - 1):
        file.write(b"x", offset)
        seen.add(fingerprint_of(file))
    assert len(seen) == (4 if size > 512 else 3)  # in one sector the first two are the same place


def test_it_is_what_was_always_kept_in_children(file: HostFile) -> None:
    """Were this to change, no child of a raw image made so far could be opened."""
    file.write(b"boot", 0)
    size, edges = SIZE.to_bytes(8, "big"), b"boot".ljust(EDGE, b"\0") + bytes(EDGE)
    digest = hashlib.sha256(size + edges + bytes(SAMPLES * 512)).digest()
    found = fingerprint_of(file)
    assert found == Fingerprint(SIZE, digest) and found.unique_id == digest[:16]
    assert found.pack() == b"\1\0\0\0\x40\0\0\0" + SIZE.to_bytes(8, "little") + digest


def test_only_its_own_kind_is_unpacked() -> None:
    packed = Fingerprint(SIZE, bytes(range(DIGEST_SIZE))).pack()
    assert unpack_fingerprint(packed) == Fingerprint(SIZE, bytes(range(DIGEST_SIZE)))
    assert len(packed) == PACKED.size
    for other in (b"", packed[:-1], packed + b"\0", b"\2" + packed[1:], packed[:4] + b"\x41" + packed[5:]):
        assert unpack_fingerprint(other) is None


class Unreadable(SystemCalls):
    """A host that can tell of files, but not read them."""

    def preadv(self, fd: int, buffers: object, offset: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def unread(path: Path) -> Fingerprint:
    """What is known of a file without a look at its content."""
    file = Host(Unreadable()).open_image(str(path), read_only=True, lock=False)
    try:
        return fingerprint_of(file)
    finally:
        file.close()


def test_an_old_file_is_hashed_once_until_it_is_written(
    file: HostFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "base.img"
    fingerprint_of(file)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        unread(path)  # it was made a moment ago
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + SETTLED)
    before = fingerprint_of(file)
    assert unread(path) == before
    status = path.stat()
    file.write(b"x", 0)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as those do who want to hide a change
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        unread(path)
    assert fingerprint_of(file) != before
