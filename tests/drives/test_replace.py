"""Putting one image in another's place, and taking images away: whole or not at all, with what they had."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing
from pcemu.drives.hostfile import HOST, Host, HostFile, SystemCalls
from pcemu.drives.intents import DISCARD, Intent, Retired, read_intent, write_intent
from pcemu.drives.open import open_layer
from pcemu.drives.probe import Format
from pcemu.drives.registry import read_child
from pcemu.drives.replace import finish, make_empty, remove_image, replace_image, retired_of
from pcemu.drives.sidecar import CHILDREN
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import ImageAccessError
from tests.drives.small_images import files, read, stuck

PARTS = [(0, b"new"), (1024, b"end")]
CONTENT = b"new".ljust(1024, b"\0") + b"end"


def opened(path: Path, host: Host = HOST) -> SparseLayer:
    layer = open_layer(str(path), False, Format.DIFFERENCING, host)
    assert isinstance(layer, SparseLayer)
    return layer


@pytest.mark.parametrize("same_content", [True, False])
def test_the_new_file_has_the_name_and_rights_of_the_old(same_content: bool, line: list[Path]) -> None:
    line[3].chmod(0o640)
    os.utime(line[3], (1_000_000_000, 1_000_000_000))
    old = opened(line[3])
    file = replace_image(old, PARTS, HOST, same_content=same_content)
    with pytest.raises(ImageAccessError, match="busy"):  # nobody comes near before it is closed
        HOST.open_image(str(line[3]), read_only=True)
    file.close()
    old.file.close()
    status = line[3].stat()
    assert line[3].read_bytes() == CONTENT and status.st_mode & 0o777 == 0o640
    assert (status.st_mtime == 1_000_000_000) is same_content
    assert len(list(line[3].parent.iterdir())) == 4


def test_when_it_cannot_be_filled_the_old_one_is_there(line: list[Path]) -> None:
    def fill(file: HostFile) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = files(line[3].parent)
    old = opened(line[3])
    with pytest.raises(OSError, match="No space"):
        replace_image(old, PARTS, HOST, fill_file=fill)
    old.file.close()
    assert files(line[3].parent) == before


def test_it_is_synced_before_it_gets_the_name(line: list[Path]) -> None:
    class Watching(SystemCalls):
        def fsync(self, fd: int) -> None:
            log.append("sync")
            super().fsync(fd)

        def rename(self, source: str, target: str) -> None:
            assert Path(source).read_bytes() == CONTENT and Path(target) == line[3]
            log.append("rename")
            super().rename(source, target)

        def fsync_dir(self, path: str) -> None:
            log.append("sync of the folder")
            super().fsync_dir(path)

    log: list[str] = []
    host = Host(Watching())
    old = opened(line[3], host)
    log.clear()
    replace_image(old, PARTS, host).close()
    old.file.close()
    assert log == ["sync", "rename", "sync of the folder"]


def test_an_emptied_image_reads_as_its_parent_and_keeps_its_id(line: list[Path]) -> None:
    image, parent = opened(line[3]), open_layer(str(line[2]), True, None, HOST)
    make_empty(image, parent, HOST, same_content=False).close()
    unique_id = image.unique_id
    image.file.close()
    parent.close()
    found = read_child(str(line[3]))
    assert found is not None and found.empty and found.unique_id == unique_id
    assert read(line[3]) == read(line[2])


def retired(*paths: Path) -> tuple[Retired, ...]:
    layers = [opened(path) for path in paths]
    found = retired_of(layers)
    for layer in layers:
        layer.close()
    return found


def test_what_nobody_needs_goes_and_the_rest_stays(line: list[Path]) -> None:
    create_differencing(other := line[0].with_name("other.vhd"), line[1])
    intent = Intent(DISCARD, str(line[3]), bytes(16), retired(line[1], line[2], line[3]))
    write_intent(str(line[0]), intent)
    before = read(other)
    assert finish(str(line[0]), intent, HOST) == [str(line[3]), str(line[2])]
    assert read_intent(str(line[0])) is None
    assert sorted(path.name for path in line[0].parent.iterdir()) == ["0.vhd", "1.vhd", "other.vhd"]
    assert read(other) == before


def test_one_in_use_or_of_another_id_stays(line: list[Path]) -> None:
    two, three = retired(line[2], line[3])
    strange = Intent(DISCARD, str(line[3]), bytes(16), (two, three._replace(unique_id=bytes(16))))
    write_intent(str(line[0]), strange)
    assert finish(str(line[0]), strange, HOST) == []
    assert finish(str(line[0]), strange._replace(retired=(three,)), HOST, [str(line[3])]) == []
    assert all(path.exists() for path in line)


def test_an_image_goes_with_the_notes_of_its_children(line: list[Path]) -> None:
    Path(f"{line[3]}{CHILDREN}").write_text("\n")
    with pytest.raises(OSError, match="Input/output"):
        remove_image(str(line[3]), stuck("3.vhd"))
    assert line[3].exists() and Path(f"{line[3]}{CHILDREN}").exists()
    remove_image(str(line[3]), HOST)
    assert sorted(path.name for path in line[0].parent.iterdir()) == ["0.vhd", "1.vhd", "2.vhd"]
