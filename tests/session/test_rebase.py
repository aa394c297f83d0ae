"""Sessions whose image others commit to: the optimistic check, and rebasing; mtools reads the files back."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pcemu.drives.changes import ADDED
from pcemu.drives.fat_editor import FatEditor
from pcemu.drives.partitions import read_partitions
from pcemu.errors import UsageError
from pcemu.session.folder import DEFAULT_NAME
from pcemu.session.record import State
from pcemu.session.session import Session
from tests.drives.fat_images import FatImage, run

SECTORS = 4096
STAMP = 0x58215000


@contextmanager
def client(image: Path, name: str = DEFAULT_NAME) -> Iterator[Session]:
    """A session as the server begins it."""
    with Session(image, name) as session:
        session.start()
        session.preserve()
        yield session
        if session.numbers:
            session.keep()


def put(session: Session, name: str, content: bytes) -> None:
    drive = session.drive
    partition = read_partitions(drive).partitions[0]
    editor = FatEditor(drive, partition.start, partition.sectors, "C:")
    editor.write_file(0, name, io.BytesIO(content), len(content), STAMP)
    editor.finish()


def commit(image: Path, name: str) -> int:
    with Session(image, name) as session:
        return session.commit(preserve_siblings=True)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "base.img"
    path.write_bytes(random.Random(1).randbytes(SECTORS * 512))
    return path


@pytest.fixture
def fat(tmp_path: Path) -> FatImage:
    image = FatImage(tmp_path / "disk.img")
    image.add("OLD.TXT", b"old")
    return image


def read(image: FatImage, name: str) -> bytes:
    return run("mtype", "-i", image.volume, f"::{name}").encode()


def sector(image: Path, lba: int) -> bytes:
    with image.open("rb") as file:
        file.seek(lba * 512)
        return file.read(512)


def test_a_client_reads_what_it_read_before_whatever_others_commit(raw: Path) -> None:
    before = raw.read_bytes()
    for name, byte in (("alice", b"A"), ("bob", b"B")):
        with client(raw, name) as session:
            session.drive.write(10 if name == "alice" else 20, byte * 512)
    assert commit(raw, "alice") == 1
    with client(raw, "bob") as session:
        assert session.moved
        assert session.changed_sectors == 1
        data = bytearray(SECTORS * 512)
        session.drive.read(0, data)
    expected = bytearray(before)
    expected[20 * 512 : 21 * 512] = b"B" * 512
    assert data == expected
    assert sector(raw, 10) == b"A" * 512


def test_a_commit_over_what_others_committed_is_refused_with_the_way_out(raw: Path) -> None:
    for name in ("alice", "bob"):
        with client(raw, name) as session:
            session.drive.write(10, name[0].encode() * 1024)
    commit(raw, "alice")
    with pytest.raises(UsageError, match=r"conflict: 2 sectors .*: 10-11.*rebase.*branch"):
        commit(raw, "bob")
    assert sector(raw, 10) == b"a" * 512
    with Session(raw, "bob") as session:
        assert session.found in (State.KEPT, State.INTERRUPTED)
        session.start()
        with pytest.raises(UsageError, match="cannot be rebased"):
            session.rebase()
        saved = session.rebase("bobs")
        assert saved.branch == str(raw.parent / "bobs.vhd")
        buffer = bytearray(512)
        session.drive.read(10, buffer)
        assert buffer == b"a" * 512  # what was in conflict is in the branch


def test_sectors_that_do_not_meet_are_rebased_as_they_are(raw: Path) -> None:
    for name, lba in (("alice", 10), ("bob", 2000)):
        with client(raw, name) as session:
            session.drive.write(lba, name[0].encode() * 512)
    commit(raw, "alice")
    with Session(raw, "bob") as session:
        session.start()
        assert session.rebase().sectors == 1
        assert not session.moved
        buffer = bytearray(512)
        session.drive.read(10, buffer)
        assert buffer == b"a" * 512
        session.keep()
    assert commit(raw, "bob") == 1
    assert sector(raw, 10) + sector(raw, 2000) == b"a" * 512 + b"b" * 512
    assert list((raw.parent).glob("base.img.pcemu/*")) == []


def test_files_are_rebased_one_by_one_where_directories_meet(fat: FatImage) -> None:
    for name in ("alice", "bob"):
        with client(fat.path, name) as session:
            put(session, f"{name.upper()}.TXT", name.encode() * 3000)
    commit(fat.path, "alice")
    with Session(fat.path, "bob") as session:
        session.start()
        with pytest.raises(UsageError, match="others committed"):
            session.commit(preserve_siblings=True)
        session.start()
        done = session.rebase()
        assert [path[-8:] for path in done.files] == ["\\BOB.TXT"]
        (volume,) = session.changes().volumes
        assert [(change.kind, change.path[-8:]) for change in volume.files] == [(ADDED, "\\BOB.TXT")]
        session.keep()
    commit(fat.path, "bob")
    assert read(fat, "ALICE.TXT") == b"alice" * 3000
    assert read(fat, "BOB.TXT") == b"bob" * 3000
    assert read(fat, "OLD.TXT") == b"old"
    fat.check()


def test_a_file_that_both_changed_is_named_and_the_rest_is_rebased_on_demand(fat: FatImage) -> None:
    for name in ("alice", "bob"):
        with client(fat.path, name) as session:
            put(session, "OLD.TXT", name.encode() * 100)
            put(session, f"{name.upper()}.TXT", name.encode())
    commit(fat.path, "alice")
    with Session(fat.path, "bob") as session:
        session.start()
        with pytest.raises(UsageError, match=r"OLD\.TXT.*--save-as"):
            session.rebase()
        done = session.rebase("bobs")
        assert [path[-8:] for path in done.left] == ["\\OLD.TXT"]
        session.commit(preserve_siblings=True)
    assert read(fat, "OLD.TXT") == b"alice" * 100
    assert read(fat, "BOB.TXT") == b"bob"
    fat.check()


@pytest.mark.parametrize("switched", [False, True])
def test_a_rebase_that_was_cut_off_is_finished_or_forgotten(
    raw: Path, monkeypatch: pytest.MonkeyPatch, switched: bool
) -> None:
    for name, lba in (("alice", 10), ("bob", 2000)):
        with client(raw, name) as session:
            session.drive.write(lba, name[0].encode() * 512)
    commit(raw, "alice")

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with Session(raw, "bob") as session:
        session.start()
        with monkeypatch.context() as patch:
            patch.setattr(Session, "sweep_rebase", die)
            patch.setattr(Session, "switch_to_rebased" if not switched else "forget_rebase", die)
            with pytest.raises(Killed):
                session.rebase()
    with Session(raw, "bob") as session:
        session.start()
        assert session.moved is not switched
        assert len(list(raw.parent.glob("base.img.pcemu/bob-*.vhd"))) == 2
        buffer = bytearray(512)
        session.drive.read(2000, buffer)
        assert buffer == b"b" * 512


def test_an_ordinary_session_does_not_become_a_clients(raw: Path) -> None:
    with Session(raw, "alice") as session:
        session.start().write(0, bytes(512))
        with pytest.raises(UsageError, match="without a drive"):
            session.preserve()
