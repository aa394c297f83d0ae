"""Undo sessions: every way through them, and what kills, faults and damage leave."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pcemu.drives.commit import commit
from pcemu.drives.create import create_differencing, create_dynamic, create_fixed
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import Host, SystemCalls
from pcemu.drives.open import open_drive
from pcemu.errors import ImageAccessError, ImageError, ImageFormatError, UsageError
from pcemu.session.background import LiveCommit, LiveMerge
from pcemu.session.folder import sessions_of
from pcemu.session.record import State
from pcemu.session.session import Session
from tests.session import kill_program

SECTORS = 16384
ONE, TWO, THREE, FOUR = (bytes([byte]) * SECTOR_SIZE for byte in b"1234")
KINDS = ("raw", "fixed", "dynamic", "differencing")


def make_image(folder: Path, kind: str = "raw") -> Path:
    path = folder / ("disk.vhd" if kind == "differencing" else "disk.img")
    size = SECTORS * SECTOR_SIZE
    if kind == "raw":
        path.write_bytes(random.Random(1).randbytes(size))
    elif kind == "fixed":
        create_fixed(path, size)
    elif kind == "dynamic":
        create_dynamic(path, size)
    else:
        (folder / "base.img").write_bytes(bytes(size))
        create_differencing(path, folder / "base.img")
    if kind != "raw":
        drive = open_drive(path)
        drive.write(4, FOUR * 4)
        drive.close()
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return make_image(tmp_path)


@pytest.fixture(params=KINDS)
def any_image(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return make_image(tmp_path, request.param)


def look(path: Path) -> tuple[object, ...]:
    """All that must not change: content, time, inode."""
    status = path.stat()
    return hashlib.sha256(path.read_bytes()).hexdigest(), status.st_mtime_ns, status.st_ino, status.st_size


def sector(drive: object, lba: int) -> bytes:
    data = bytearray(SECTOR_SIZE)
    drive.read(lba, data)  # type: ignore[attr-defined]
    return bytes(data)


def content(path: Path) -> bytes:
    drive = open_drive(path, read_only=True)
    data = bytearray(drive.sectors * SECTOR_SIZE)
    drive.read(0, data)
    drive.close()
    return bytes(data)


def with_sectors(data: bytes, sectors: dict[int, bytes]) -> bytes:
    changed = bytearray(data)
    for lba, value in sectors.items():
        changed[lba * SECTOR_SIZE : (lba + 1) * SECTOR_SIZE] = value
    return bytes(changed)


def left(image: Path) -> list[str]:
    """What lies beside the image."""
    return sorted(path.name for path in image.parent.iterdir() if path != image and path.name != "base.img")


# -- the ways through a session ---------------------------------------------------------------------


def test_discard_leaves_no_trace(any_image: Path) -> None:
    before = look(any_image)
    with Session(any_image) as session:
        assert session.found is State.NEW
        drive = session.start()
        drive.write(5, ONE)
        assert sector(drive, 5) == ONE
        assert session.changed_sectors == 1
        session.discard()
    assert look(any_image) == before
    assert left(any_image) == []


def test_commit(any_image: Path) -> None:
    before = content(any_image)
    untouched = look(any_image)
    with Session(any_image) as session:
        drive = session.start()
        drive.write(5, ONE)
        drive.write(7, bytes(SECTOR_SIZE))
        session.checkpoint()
        drive.write(9000, TWO)
        drive.flush()
        assert look(any_image) == untouched
        assert session.commit() == 3
    assert content(any_image) == with_sectors(before, {5: ONE, 7: bytes(SECTOR_SIZE), 9000: TWO})
    assert left(any_image) == []


def test_keep_resume_commit(image: Path) -> None:
    before = content(image)
    with Session(image) as session:
        session.start().write(5, ONE)
        session.keep()
    assert left(image) == ["disk.img.pcemu"]
    with Session(image) as session:
        assert session.found is State.KEPT
        drive = session.start()
        assert sector(drive, 5) == ONE
        drive.write(6, TWO)
        session.keep()
    with Session(image) as session:
        assert session.commit() == 2
    assert content(image) == with_sectors(before, {5: ONE, 6: TWO})
    assert left(image) == []


def test_a_session_that_was_not_ended_is_found_interrupted(image: Path) -> None:
    session = Session(image)
    session.start().write(5, ONE)
    session.close()
    with Session(image) as session:
        assert session.found is State.INTERRUPTED
        assert sector(session.start(), 5) == ONE
        session.discard()
    assert left(image) == []


def test_looking_at_an_image_without_a_session_leaves_nothing(image: Path) -> None:
    Session(image).close()
    assert left(image) == []


def test_branch(any_image: Path) -> None:
    before = look(any_image)
    data = content(any_image)
    with Session(any_image) as session:
        drive = session.start()
        drive.write(5, ONE)
        session.checkpoint()
        drive.write(5, TWO)
        drive.write(6, bytes(SECTOR_SIZE))
        path = session.branch("other")
    assert look(any_image) == before
    assert Path(path) == any_image.parent / "other.vhd"
    assert content(Path(path)) == with_sectors(data, {5: TWO, 6: bytes(SECTOR_SIZE)})
    assert left(any_image) == ["other.vhd"]


def test_a_branch_takes_no_name_that_is_taken(image: Path) -> None:
    (image.parent / "other.vhd").touch()
    with Session(image) as session:
        session.start().write(5, ONE)
        with pytest.raises(UsageError, match="exists"):
            session.branch("other")
        with pytest.raises(UsageError, match="no folder: no such folder"):
            session.branch("no folder/other")
        with pytest.raises(ImageAccessError, match="take another name"):
            session.branch("long" * 100)
        assert session.start() is session.drive  # which goes on as it was
        assert sector(session.drive, 5) == ONE
        session.discard()


# -- checkpoints ------------------------------------------------------------------------------------


def test_three_checkpoints_and_back_to_the_first(image: Path) -> None:
    with Session(image) as session:
        drive = session.start()
        numbers = []
        for lba, value in ((1, ONE), (2, TWO), (3, THREE)):
            drive.write(lba, value)
            numbers.append(session.checkpoint(f"after {lba}"))
        drive.write(4, FOUR)
        session.revert(session.find("after 1"))
        assert session.drive is drive
        base = content(image)
        found = bytearray(5 * SECTOR_SIZE)
        drive.read(0, found)
        assert found == with_sectors(base, {1: ONE})[: 5 * SECTOR_SIZE]
        assert [each.number for each in session.checkpoints] == numbers[:1]
        drive.write(2, FOUR)
        session.revert()
        assert sector(drive, 1) == base[SECTOR_SIZE : 2 * SECTOR_SIZE]
        assert session.checkpoints == []
        drive.write(2, TWO)
        session.commit()
    assert content(image) == with_sectors(base, {2: TWO})


def test_names_notes_and_pins_are_kept(image: Path) -> None:
    ticks = itertools.count(1000)
    with Session(image, clock=lambda: float(next(ticks))) as session:
        session.start()
        first = session.checkpoint("before", "a note")
        second = session.checkpoint(automatic=True)
        session.pin(second)
        session.note(second, "another")
        session.name_checkpoint(first, "other")
        session.keep()
    with Session(image) as session:
        one, two = session.checkpoints
        assert (one.name, one.note, one.pinned, one.automatic) == ("other", "a note", False, False)
        assert (two.name, two.note, two.pinned, two.automatic) == ("", "another", True, True)
        assert one.began < one.frozen <= two.began < two.frozen  # type: ignore[operator]
        assert session.find("other") == session.find(str(first)) == first
        assert session.find("start") == 0
        for wrong in ("before", "99", ""):
            with pytest.raises(UsageError, match="no checkpoint"):
                session.find(wrong)
        with pytest.raises(UsageError, match="has a checkpoint 'other' already"):
            session.name_checkpoint(second, "other")
        session.discard()


def test_old_automatic_checkpoints_are_merged(image: Path) -> None:
    with Session(image) as session:
        drive = session.start()
        for lba in range(6):
            drive.write(lba, bytes([lba + 65]) * SECTOR_SIZE)
            session.checkpoint("named" if lba == 1 else "", automatic=lba != 1)
        session.pin(3)
        while (number := session.surplus(1)) is not None:
            session.merge(number)
        assert [each.number for each in session.checkpoints] == [2, 3, 6]
        for lba in range(6):
            assert sector(drive, lba) == bytes([lba + 65]) * SECTOR_SIZE
        session.revert(3)
        assert sector(drive, 2) == b"C" * SECTOR_SIZE
        assert sector(drive, 3) != b"D" * SECTOR_SIZE
        session.discard()
    assert left(image) == []


def test_changes_of_each_drive(image: Path) -> None:
    with Session(image) as session:
        drive = session.start()
        drive.write(5, ONE * 3)
        session.checkpoint()
        drive.write(7, TWO * 2)
        assert session.changes().sectors == 4
        assert [session.changes_of(each.number).sectors for each in session.drives] == [3, 2]
        assert set(session.sizes()) == {1, 2}
        session.discard()


# -- while the guest runs ---------------------------------------------------------------------------


def test_commit_while_the_guest_writes(any_image: Path) -> None:
    before = content(any_image)
    changed = {}
    rng = random.Random(2)
    with Session(any_image) as session:
        drive = session.start()
        for round_ in range(3):
            for _ in range(40):
                lba = rng.randrange(SECTORS)
                changed[lba] = rng.randbytes(SECTOR_SIZE)
                drive.write(lba, changed[lba])
            if round_ == 1:
                session.checkpoint("lost by the commit")
            work = LiveCommit(session)
            committed = dict(changed)
            while not work.poll():
                lba = rng.randrange(SECTORS)
                changed[lba] = rng.randbytes(SECTOR_SIZE)
                drive.write(lba, changed[lba])
                assert all(sector(drive, lba) == changed[lba] for lba in rng.sample(sorted(changed), 5))
                committed = committed if work._number else dict(changed)  # the head was not frozen yet
            assert session.checkpoints == []
            assert len(session.drives) == 1
        expected = with_sectors(before, changed)
        found = bytearray(len(expected))
        drive.read(0, found)
        assert found == expected
        session.discard()
    assert content(any_image) == with_sectors(before, committed)
    assert left(any_image) == []


def test_merge_while_the_guest_writes(image: Path) -> None:
    with Session(image) as session:
        drive = session.start()
        for lba in range(4):
            drive.write(lba, bytes([lba]) * SECTOR_SIZE)
            session.checkpoint(automatic=True)
        work = LiveMerge(session, session.surplus(1) or 0)
        while not work.poll():
            drive.write(9, ONE)
        assert [each.number for each in session.checkpoints] == [2, 3, 4]
        assert [sector(drive, lba)[0] for lba in range(4)] == [0, 1, 2, 3]
        session.revert(2)
        assert sector(drive, 1)[0] == 1
        session.discard()


def test_a_live_commit_stands_back_for_other_users_of_the_image(image: Path) -> None:
    with Session(image) as session:
        drive = session.start()
        drive.write(5, ONE)
        reader = open_drive(image, read_only=True)
        with pytest.raises(ImageAccessError, match="busy"):
            LiveCommit(session)
        reader.close()
        LiveCommit(session).wait()
        session.discard()
    assert content(image)[5 * SECTOR_SIZE :][:SECTOR_SIZE] == ONE


# -- several sessions of one image ------------------------------------------------------------------


def test_a_commit_under_another_session_is_refused(image: Path) -> None:
    before = content(image)
    with Session(image) as one, Session(image, "two") as two:
        one.start().write(5, ONE)
        two.start().write(6, TWO)
        assert [folder.name for folder in sessions_of(os.fspath(image), None, one.host)] == ["default", "two"]
        for attempt in (one.commit, lambda: LiveCommit(one)):
            with pytest.raises(UsageError, match=rf"session 'two' \(in use by process {os.getpid()}\)"):
                attempt()
        two.keep()
        two.close()
        with pytest.raises(UsageError, match="session 'two' is built on"):
            one.commit()
    assert content(image) == before
    with Session(image) as one:
        assert one.found is State.INTERRUPTED
        one.commit(preserve_siblings=True)
    assert content(image) == with_sectors(before, {5: ONE})
    with Session(image, "two") as two:
        drive = two.start()
        data = bytearray(len(before))
        drive.read(0, data)
        assert data == with_sectors(before, {6: TWO})
        two.discard()
    assert left(image) == []


def test_a_commit_that_could_not_begin_is_not_pending(image: Path) -> None:
    before = content(image)
    with Session(image) as one, Session(image, "two") as two:
        one.start().write(5, ONE)
        one.keep()
        two.start().write(6, TWO)
        journal = Path(one.folder.journal)
        untouched = journal.read_bytes()
        with pytest.raises(ImageAccessError, match="is busy"):
            one.commit(preserve_siblings=True)
        assert journal.read_bytes() == untouched
        two.discard()
        assert content(image) == before
        one.commit()
    assert content(image) == with_sectors(before, {5: ONE})


def test_one_session_belongs_to_one_process(image: Path) -> None:
    with Session(image) as session:
        session.start()
        with pytest.raises(
            ImageAccessError,
            match=rf"in use by process {os.getpid()}, expected it free; that is this one.*--session NAME",
        ):
            Session(image)
        session.discard()


def test_a_session_that_was_not_started_has_no_drive(image: Path) -> None:
    with Session(image) as session, pytest.raises(UsageError, match=r"start\(\) was called"):
        session.drive  # noqa: B018


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b", "x" * 40, "-a"])
def test_names_of_sessions(image: Path, name: str) -> None:
    with pytest.raises(UsageError, match="session's name"):
        Session(image, name)
    assert left(image) == []


# -- kills ------------------------------------------------------------------------------------------

WRITTEN = {100: ONE, 101: TWO, 102: THREE, 103: FOUR}


@pytest.fixture(scope="module")
def program() -> Iterator[subprocess.Popen[str]]:
    """The program that forks those who are killed."""
    command = [sys.executable, kill_program.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(120) == 0


def killed(program: subprocess.Popen[str], image: Path, operation: str, calls: int) -> bool:
    """Run an operation and kill it before its call number ``calls``; False when it was done by then."""
    assert program.stdin is not None and program.stdout is not None
    program.stdin.write(f"{operation} {calls} {image}\n")
    program.stdin.flush()
    code = int(program.stdout.readline())
    assert code in (0, -signal.SIGKILL)
    return code != 0


def kill_points(
    program: subprocess.Popen[str], operation: str, folder: Path
) -> Iterator[tuple[Path, bytes]]:
    """An image for each sampled point at which the operation was killed, and what the image held before."""
    calls = 0
    while True:
        place = folder / f"{operation}{calls}"
        place.mkdir()
        image = place / "disk.img"
        image.write_bytes(bytes(2 << 20))
        before = image.read_bytes()
        if not killed(program, image, operation, calls):
            assert calls > 3
            return
        yield image, before
        calls += 3


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["keep", "checkpoint", "merge", "discard", "branch"])
def test_killed_in_the_middle_of_an_operation(
    program: subprocess.Popen[str], tmp_path: Path, operation: str
) -> None:
    for image, before in kill_points(program, operation, tmp_path):
        assert image.read_bytes() == before
        with Session(image) as session:
            if session.found is State.NEW:
                assert operation in ("discard", "branch")
                continue
            drive = session.start()
            assert all(sector(drive, lba) == value for lba, value in WRITTEN.items())
            session.discard()
        rest = [name for name in left(image) if not (operation == "branch" and "branch.vhd" in name)]
        assert rest == []
        assert image.read_bytes() == before


@pytest.mark.slow
def test_killed_in_the_middle_of_a_commit(program: subprocess.Popen[str], tmp_path: Path) -> None:
    """Discard is refused while the image holds half of it; going on ends well."""
    refused = 0
    for image, before in kill_points(program, "commit", tmp_path):
        expected = with_sectors(before, WRITTEN)
        with Session(image) as session:
            if session.found is State.COMMITTING:
                refused += 1
                with pytest.raises(ImageAccessError, match="was interrupted"):
                    session.discard()
                with pytest.raises(ImageAccessError, match="was interrupted"):
                    open_drive(image, read_only=True)
            if session.found is State.NEW:
                assert image.read_bytes() == expected
                continue
            session.commit()
        assert image.read_bytes() == expected
        assert left(image) == []
    assert refused > 3


@pytest.mark.slow
def test_killed_in_the_middle_of_going_back(program: subprocess.Popen[str], tmp_path: Path) -> None:
    for image, before in kill_points(program, "revert", tmp_path):
        with Session(image) as session:
            drive = session.start()
            found = {lba: sector(drive, lba) for lba in WRITTEN}
            assert found in (WRITTEN, {**WRITTEN, 102: bytes(SECTOR_SIZE), 103: bytes(SECTOR_SIZE)})
            session.commit()
        assert image.read_bytes() == with_sectors(before, found)


def test_killed_in_the_middle_of_writing(image: Path) -> None:
    code = """
import sys
from pcemu.session.session import Session
drive = Session(sys.argv[1]).start()
for round in range(1000000):
    for lba in range(8):
        drive.write(lba * 100, bytes([65 + round % 26]) * 512)
    drive.flush()
    print(round, flush=True)
"""
    before = look(image)
    command = [sys.executable, "-c", code, str(image)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            promised = int(writer.stdout.readline())
        writer.kill()
        rest = writer.stdout.read().split()
    promised = int(rest[-1]) if rest else promised
    assert look(image) == before
    with Session(image) as session:
        assert session.found is State.INTERRUPTED
        drive = session.start()
        for lba in range(8):
            data = sector(drive, lba * 100)
            assert data in [bytes([65 + (promised + later) % 26]) * SECTOR_SIZE for later in (0, 1)]
        session.discard()
    assert look(image) == before


# -- damage -----------------------------------------------------------------------------------------


def kept_session(image: Path) -> Path:
    """A session with two drives; its folder."""
    with Session(image) as session:
        drive = session.start()
        drive.write(5, ONE)
        session.checkpoint("named")
        drive.write(6, TWO)
        session.keep()
        return Path(session.folder.path)


@pytest.mark.parametrize("damage", ["missing", "cut", "garbage", "empty", "changed", "deep"])
def test_a_damaged_journal_is_made_anew(image: Path, damage: str) -> None:
    journal = kept_session(image) / "default.json"
    data = journal.read_bytes()
    damaged = {
        "cut": data[: len(data) // 2],
        "garbage": random.Random(3).randbytes(300),
        "empty": b"",
        "changed": data.replace(b"named", b"famed"),
        "deep": b"[" * 100_000,
    }
    if damage == "missing":
        journal.unlink()
    else:
        journal.write_bytes(damaged[damage])
    with Session(image) as session:
        assert session.found is State.INTERRUPTED
        assert str(journal) in session.warnings[0]
        assert "made anew" in session.warnings[0]
        drive = session.start()
        assert (sector(drive, 5), sector(drive, 6)) == (ONE, TWO)
        assert len(session.checkpoints) == 1
        session.discard()
    assert left(image) == []


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_drive_is_named(image: Path, lost: int) -> None:
    folder = kept_session(image)
    gone = folder / f"default-000{lost}.vhd"
    gone.rename(image.parent / "elsewhere")
    with Session(image) as session:
        with pytest.raises(ImageError, match=f"lost {gone}"):
            session.start()
        session.close()
    (image.parent / "elsewhere").rename(gone)
    with Session(image) as session:
        assert sector(session.start(), 6) == TWO
        session.discard()


def test_a_session_with_a_lost_drive_can_be_given_up(image: Path) -> None:
    before = look(image)
    (kept_session(image) / "default-0001.vhd").unlink()
    with Session(image) as session:
        session.discard()
    assert left(image) == []
    assert look(image) == before


def test_a_changed_image_is_refused_and_nothing_lost(image: Path) -> None:
    kept_session(image)
    data = image.read_bytes()
    image.write_bytes(b"x" + data[1:])
    with Session(image) as session:
        with pytest.raises(ImageFormatError, match="was changed or is another image"):
            session.start()
        session.close()
    image.write_bytes(data)
    with Session(image) as session:
        assert sector(session.start(), 5) == ONE
        session.discard()


def test_a_moved_image_takes_its_session_along(image: Path) -> None:
    kept_session(image)
    place = image.parent / "other"
    place.mkdir()
    (image.parent / "disk.img.pcemu").rename(place / "disk.img.pcemu")
    moved = image.rename(place / "disk.img")
    with Session(moved) as session:
        assert sector(session.start(), 5) == ONE
        session.commit()
    assert content(moved)[5 * SECTOR_SIZE :][:SECTOR_SIZE] == ONE


def test_a_session_folder_that_leads_elsewhere_is_refused(image: Path, tmp_path: Path) -> None:
    """Somebody sends an image with a folder beside it."""
    folder = kept_session(image)
    secret = tmp_path / "secret.img"
    secret.write_bytes(bytes(SECTORS * SECTOR_SIZE))
    for drive in folder.glob("*.vhd"):
        drive.unlink()
    create_differencing(folder / "default-0001.vhd", secret)
    create_differencing(folder / "default-0002.vhd", folder / "default-0001.vhd")
    with Session(image) as session, pytest.raises(ImageFormatError, match="is not as it was left"):
        session.start()


def test_nothing_can_be_written_beside_the_image(tmp_path: Path) -> None:
    calls = ReadOnlyFolder(tmp_path / "shop")
    (tmp_path / "shop").mkdir()
    image = make_image(tmp_path / "shop")
    own = tmp_path / "data" / "sessions"
    with Session(image, fallback=own, host=Host(calls)) as session:
        session.start().write(5, ONE)
        session.keep()
    assert len(list(own.iterdir())) == 1
    with Session(image, fallback=own, host=Host(calls)) as session:
        assert session.found is State.KEPT
        assert sector(session.start(), 5) == ONE
        session.discard()
    assert list(own.iterdir()) == []
    with pytest.raises(ImageAccessError, match="no session can be made"):
        Session(image, host=Host(calls))


class ReadOnlyFolder(SystemCalls):
    """A host on which one folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def mkdir(self, path: str) -> None:
        if path.startswith(self._folder):
            raise PermissionError(13, "Permission denied", path)
        super().mkdir(path)


def test_a_full_disk_is_noticed_before_a_commit(image: Path) -> None:
    class Full(SystemCalls):
        def free_space(self, path: str) -> int:
            return 0

    sparse = image.parent / "sparse.img"
    with sparse.open("wb") as file:
        file.truncate(SECTORS * SECTOR_SIZE)
    with Session(sparse, host=Host(Full())) as session:
        session.start().write(5, ONE)
        with pytest.raises(ImageAccessError, match="bytes free"):
            session.commit()
    with Session(sparse) as session:
        assert session.found is State.INTERRUPTED
        assert sector(session.start(), 5) == ONE
        session.commit()


def test_a_full_disk_keeps_nobody_from_looking_or_giving_up(image: Path) -> None:
    def no_room(fd: int, buffers: Sequence[object], offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Full(SystemCalls):
        pwritev = staticmethod(no_room)

    kept_session(image)
    before = content(image)
    with Session(image, host=Host(Full())) as session:
        session.start()
        assert session.changes().sectors
        with pytest.raises(ImageAccessError, match=r"default\.json: .* No space .* make room"):
            session.commit()
    with Session(image, host=Host(Full())) as session:
        session.start()
        session.keep()
    with Session(image) as session:
        assert session.found is State.KEPT
    with Session(image, host=Host(Full())) as session:
        session.discard()
    assert content(image) == before
    assert not Path(f"{image}.pcemu").exists()


def test_where_there_are_no_locks_somebody_must_take_care(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with Session(image) as session:
        assert session.warnings == []
    monkeypatch.setattr(fcntl, "flock", flock)
    with Session(image) as session:
        session.start().write(5, ONE)
        (warning,) = session.warnings
        assert "has no locks" in warning
        assert "no other one uses them" in warning
        session.commit()
    assert content(image)[5 * SECTOR_SIZE :][:SECTOR_SIZE] == ONE


def test_an_image_built_on_the_session_keeps_it_from_going(image: Path) -> None:
    with Session(image) as session:
        session.start().write(5, ONE)
        session.checkpoint()
        session.keep()
        child = image.parent / "child.vhd"
        create_differencing(child, session.path(1))
        for operation in (session.discard, session.commit):
            with pytest.raises(UsageError, match=r"child\.vhd is built on"):
                operation()
        child.unlink()
        session.discard()


def test_another_commit_through_the_engine_is_found(image: Path) -> None:
    """`pcemu disk commit` on the session's head: what is left is a session without changes."""
    with Session(image) as session:
        session.start().write(5, ONE)
        session.keep()
        head = session.path(1)
    commit(head, image, allow_outside=True)
    with Session(image) as session:
        session.start()
        assert session.changed_sectors == 0
        session.discard()


def test_a_session_starts_at_once_whatever_the_size(tmp_path: Path) -> None:
    best = {1 << 20: 60.0, 1 << 30: 60.0, 200 << 30: 60.0}
    for size in [*best] * 8:
        image = tmp_path / f"{size}.img"
        with image.open("wb") as file:
            file.truncate(size)
        started = time.process_time()
        session = Session(image)
        session.start()
        best[size] = min(best[size], time.process_time() - started)
        session.discard()
        session.close()
    assert max(best.values()) < 5 * min(best.values())  # this is no benchmark
