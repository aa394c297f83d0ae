"""Small files beside an image: read whole or not at all, never waited for, gone for good when removed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pcemu.drives.hostfile import HOST, Host, SystemCalls
from pcemu.drives.sidecar import MAX_SIZE, PENDING, append_line, is_pending, read_sidecar, remove_sidecar


def test_what_is_there_is_read(tmp_path: Path) -> None:
    (tmp_path / "note").write_bytes(b"text\n")
    assert read_sidecar(str(tmp_path / "note"), HOST) == b"text\n"
    assert read_sidecar(str(tmp_path / "none"), HOST) is None
    assert read_sidecar(str(tmp_path / "note" / "below"), HOST) is None  # a file is no folder


def test_no_more_than_a_megabyte_is_read(tmp_path: Path) -> None:
    with (tmp_path / "note").open("wb") as file:
        file.truncate(1 << 40)
    assert read_sidecar(str(tmp_path / "note"), HOST) == bytes(MAX_SIZE)


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "note")
    with pytest.raises(OSError, match=r".+"):
        read_sidecar(str(tmp_path / "note"), HOST)


def test_lines_are_added(tmp_path: Path) -> None:
    note = tmp_path / "note"
    for line in (b"one\n", b"two\n"):
        append_line(str(note), line, HOST)
    assert note.read_bytes() == b"one\ntwo\n"


def test_removing_twice_is_as_once(tmp_path: Path) -> None:
    (tmp_path / "note").touch()
    remove_sidecar(str(tmp_path / "note"), HOST)
    remove_sidecar(str(tmp_path / "note"), HOST)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_synced_when_a_name_comes_or_goes(tmp_path: Path) -> None:
    class Syncing(Host):
        def sync_dir_of(self, path: str) -> None:
            synced.append(path)

    synced: list[str] = []
    host, note = Syncing(SystemCalls()), str(tmp_path / "note")
    append_line(note, b"one\n", host)
    append_line(note, b"two\n", host)  # has its name already
    assert synced == [note]
    remove_sidecar(note, host)
    remove_sidecar(note, host)
    assert synced == [note, note]


def test_what_is_pending(tmp_path: Path) -> None:
    image = str(tmp_path / "disk.img")
    assert not is_pending(image, HOST)
    Path(image + PENDING).touch()
    assert is_pending(image, HOST)
    assert not is_pending(str(tmp_path / "x" / "y"), HOST)
    assert not is_pending(str(tmp_path / ("n" * 300)), HOST)
    assert not is_pending("no\0path", HOST)


def test_when_the_host_cannot_tell_something_may_be_pending(tmp_path: Path) -> None:
    class Failing(SystemCalls):
        def stat(self, path: str) -> os.stat_result:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    assert is_pending(str(tmp_path / "disk.img"), Host(Failing()))
