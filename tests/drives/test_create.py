"""New images: small, aligned, whole or not there at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives.create import create_differencing, create_dynamic, create_fixed
from pcemu.drives.hostfile import Host, SystemCalls
from pcemu.drives.open import open_drive
from pcemu.errors import ImageAccessError, ImageError, UsageError
from pcemu.testing.drive_conformance import contents

GIB = 1 << 30
SIZES = [512, 5 << 20, GIB, 40 * GIB, 40 * GIB + 512, 128 * GIB, 2040 * GIB]


@pytest.mark.parametrize("size", SIZES)
def test_empty_images_are_small_at_any_size(size: int, tmp_path: Path) -> None:
    base, child = tmp_path / "base.vhd", tmp_path / "child.vhd"
    create_dynamic(base, size)
    create_differencing(child, base)
    for path in (base, child):
        assert path.stat().st_blocks * 512 <= 100 << 10
        assert path.stat().st_size <= 100 << 10
    drive = open_drive(child)
    assert drive.sectors * 512 == size
    drive.write(drive.sectors - 1, b"\x12" * 512)
    drive.close()
    again = open_drive(child)
    buffer = bytearray(512)
    again.read(again.sectors - 1, buffer)
    assert buffer == b"\x12" * 512
    again.close()


def test_usual_sizes_have_the_usual_blocks(tmp_path: Path) -> None:
    for size, block in ((GIB, 2 << 20), (40 * GIB, 2 << 20), (41 * GIB, 4 << 20), (2040 * GIB, 128 << 20)):
        path = tmp_path / f"{size}.vhd"
        create_dynamic(path, size)
        assert int.from_bytes(path.read_bytes()[544:548], "big") == block


def test_a_fixed_image_is_a_hole_with_a_footer(tmp_path: Path) -> None:
    path = tmp_path / "fixed.vhd"
    create_fixed(path, 10 * GIB)
    assert path.stat().st_size == 10 * GIB + 512
    assert path.stat().st_blocks * 512 <= 16384


def test_a_child_inherits_its_parents_block_size(tmp_path: Path) -> None:
    create_dynamic(tmp_path / "a.vhd", GIB, block_size=512 << 10)
    create_differencing(tmp_path / "b.vhd", tmp_path / "a.vhd")
    assert int.from_bytes((tmp_path / "b.vhd").read_bytes()[544:548], "big") == 512 << 10


@pytest.mark.parametrize("size", [0, -512, 513, 2041 * GIB])
def test_impossible_sizes_are_refused(size: int, tmp_path: Path) -> None:
    for make in (create_fixed, create_dynamic):
        with pytest.raises(UsageError, match=f"size of {size} bytes"):
            make(tmp_path / "disk.vhd", size)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("block_size", [0, 512, 3 << 20, GIB])
def test_impossible_block_sizes_are_refused(block_size: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"block size of {block_size}"):
        create_dynamic(tmp_path / "disk.vhd", GIB, block_size=block_size)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists"):
        create_dynamic(path, GIB)
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_child_must_not_be_smaller(tmp_path: Path) -> None:
    create_dynamic(tmp_path / "a.vhd", GIB)
    with pytest.raises(UsageError, match="too small"):
        create_differencing(tmp_path / "b.vhd", tmp_path / "a.vhd", size=GIB - 512)


class Failing(SystemCalls):
    """Counts the calls that change anything, and fails the one numbered ``fail_at``."""

    def __init__(self, fail_at: int, code: int) -> None:
        self.left = fail_at
        self.code = code
        self.names: list[str] = []

    def _call(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        self.names.append(name)
        self.left -= 1
        if self.left == 0:
            raise OSError(self.code, os.strerror(self.code))
        return call(*arguments)

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        opened: int = self._call("open", super().open, path, flags, mode)
        return opened

    def pwritev(self, fd: int, buffers: Any, offset: int) -> int:
        written: int = self._call("write", os.pwritev, fd, buffers, offset)
        return written

    def fsync(self, fd: int) -> None:
        self._call("fsync", super().fsync, fd)

    def fdatasync(self, fd: int) -> None:
        self._call("fdatasync", super().fdatasync, fd)

    def link(self, old: str, new: str) -> None:
        self._call("link", super().link, old, new)

    def unlink(self, path: str) -> None:
        self._call("unlink", super().unlink, path)

    def fsync_dir(self, path: str) -> None:
        self._call("fsync_dir", super().fsync_dir, path)


def test_the_order_of_the_calls_survives_a_crash(tmp_path: Path) -> None:
    create_dynamic(tmp_path / "a.vhd", GIB)
    calls = Failing(0, 0)
    create_differencing(tmp_path / "b.vhd", tmp_path / "a.vhd", host=Host(calls))
    assert calls.names == ["open", "fdatasync", "open", "write", "fsync", "link", "fsync_dir", "unlink"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EINTR])
@pytest.mark.parametrize("fail_at", range(1, 9))
def test_a_failure_leaves_nothing_and_can_be_repeated(fail_at: int, code: int, tmp_path: Path) -> None:
    base, child = tmp_path / "base.vhd", tmp_path / "child.vhd"
    create_dynamic(base, GIB)
    calls = Failing(fail_at, code)
    last = fail_at == 8  # removing the temporary name: the image is there already
    if code == errno.EINTR or last:
        create_differencing(child, base, host=Host(calls))
    else:
        with pytest.raises((ImageError, OSError)):
            create_differencing(child, base, host=Host(calls))
        assert list(tmp_path.iterdir()) == [base]
        create_differencing(child, base)
    open_drive(child).close()


def test_file_systems_without_links_are_served(tmp_path: Path) -> None:
    class NoLinks(SystemCalls):
        def link(self, old: str, new: str) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    create_dynamic(tmp_path / "a.vhd", GIB, host=Host(NoLinks()))
    assert [path.name for path in tmp_path.iterdir()] == ["a.vhd"]
    with pytest.raises(UsageError, match="exists"):
        create_dynamic(tmp_path / "a.vhd", GIB, host=Host(NoLinks()))


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageAccessError, match="cannot be created: No such file"):
        create_dynamic(tmp_path / "none" / "a.vhd", GIB)


@pytest.mark.parametrize("name", ["child.img", "child.RAW", "a.b.bin"])
def test_a_childs_name_does_not_say_raw(name: str, tmp_path: Path) -> None:
    create_dynamic(tmp_path / "base.vhd", 1 << 20)
    with pytest.raises(UsageError, match=rf"{name}: a child .* taken for a raw image.*name it .*\.vhd"):
        create_differencing(tmp_path / name, tmp_path / "base.vhd")
    assert [path.name for path in tmp_path.iterdir()] == ["base.vhd"]


def test_a_parent_is_not_changed_by_its_child(tmp_path: Path) -> None:
    base = tmp_path / "base.img"
    base.write_bytes(os.urandom(1 << 20))
    before, content = base.stat(), base.read_bytes()
    create_differencing(tmp_path / "child.vhd", base)
    drive = open_drive(tmp_path / "child.vhd")
    drive.write(0, bytes(4096))
    assert contents(drive) == bytes(4096) + content[4096:]
    drive.close()
    after = base.stat()
    assert base.read_bytes() == content
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
