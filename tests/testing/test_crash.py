"""The model of a crash: small recordings whose states can be counted by hand, and real files."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pcemu.drives.hostfile import Host
from pcemu.testing.crash import GARBAGE_SECTOR, CrashState, crash_states, explore
from pcemu.testing.recording import RecordingCalls

OLD, NEW, ZERO = b"o" * 512, b"n" * 512, bytes(512)
Contents = dict[str, bytes]


def states_after(tmp_path: Path, work: Callable[[Host, Path], None], **options: int) -> list[CrashState]:
    """All states of what ``work`` does in a folder with a file ``f`` of two old sectors."""
    (tmp_path / "f").write_bytes(OLD * 2)
    calls = RecordingCalls(tmp_path)
    work(Host(calls), tmp_path)
    return list(crash_states(calls.recording, **options))


def contents(state: CrashState) -> Contents:
    """The bytes of all files."""
    return {name: file.read(0, file.size) for name, file in state.files.items()}


def possible(states: list[CrashState], name: str = "f") -> set[bytes | None]:
    """What a file may hold; None when it is not there."""
    return {contents(state).get(name) for state in states}


def write(data: bytes, offset: int, *, sync: bool = False) -> Callable[[Host, Path], None]:
    """Opens the file and writes to it."""

    def work(host: Host, folder: Path) -> None:
        file = host.open_image(str(folder / "f"), read_only=False)
        file.write(data, offset)
        if sync:
            file.sync()
        file.close()

    return work


def test_each_sector_of_a_write_arrives_or_not(tmp_path: Path) -> None:
    states = states_after(tmp_path, write(NEW * 2, 0))
    assert len(states) == 4
    assert possible(states) == {OLD + OLD, OLD + NEW, NEW + OLD, NEW + NEW}


def test_a_part_of_a_sector_keeps_the_rest(tmp_path: Path) -> None:
    states = states_after(tmp_path, write(b"xy", 511))
    first, second = OLD[:-1] + b"x", b"y" + OLD[1:]
    assert possible(states) == {OLD + OLD, OLD + second, first + OLD, first + second}


def test_a_sector_may_hold_any_version_since_the_last_sync(tmp_path: Path) -> None:
    def work(host: Host, folder: Path) -> None:
        file = host.open_image(str(folder / "f"), read_only=False)
        for byte in b"ab", b"cd":
            file.write(byte[:1] * 512, 0)
            file.write(byte[1:] * 512, 0)
            file.sync()
        file.close()

    states = states_after(tmp_path, work)
    firsts = [contents(state)["f"][:1] for state in states]
    assert sorted(firsts) == [b"a", b"b", b"b", b"c", b"d", b"o"]


def test_what_a_file_grew_by_may_be_cut_off_zeros_or_garbage(tmp_path: Path) -> None:
    states = states_after(tmp_path, write(NEW, 1536))
    whole = {middle + last for middle in (ZERO, GARBAGE_SECTOR) for last in (middle, NEW)}
    assert possible(states) == {OLD + OLD} | {OLD + OLD + rest for rest in whole}


def test_holes_are_zeros(tmp_path: Path) -> None:
    def work(host: Host, folder: Path) -> None:
        file = host.open_image(str(folder / "f"), read_only=False)
        file.truncate(20000)
        file.write(NEW, 12288)
        file.close()

    for state in states_after(tmp_path, work):
        data = contents(state)["f"][1024:]
        data = data[: 12288 - 1024] + data[16384 - 1024 :]  # without the page that was written to
        assert not any(data)


def test_a_shorter_file_is_as_long_as_before_or_shorter(tmp_path: Path) -> None:
    def work(host: Host, folder: Path) -> None:
        file = host.open_image(str(folder / "f"), read_only=False)
        file.truncate(600)
        file.close()

    states = states_after(tmp_path, work)
    cut = OLD[:88]
    assert possible(states) == {OLD + OLD, OLD + cut, OLD + cut.ljust(512, b"\0")}


def test_a_hole_is_zeros_or_what_was_there(tmp_path: Path) -> None:
    def work(host: Host, folder: Path) -> None:
        file = host.open_image(str(folder / "f"), read_only=False)
        file.zero(512, 512)
        file.close()

    assert possible(states_after(tmp_path, work)) == {OLD + OLD, OLD + ZERO}


def test_what_was_synced_is_safe(tmp_path: Path) -> None:
    def work(host: Host, folder: Path) -> None:
        write(NEW, 0, sync=True)(host, folder)
        write(ZERO, 512)(host, folder)

    states = states_after(tmp_path, work)
    assert [contents(state)["f"] for state in states] == [OLD + OLD, NEW + OLD, NEW + OLD, NEW + ZERO]


def test_names_come_in_order_and_before_what_they_name(tmp_path: Path) -> None:
    def work(host: Host, folder: Path) -> None:
        file = host.create(str(folder / "t"))
        file.write(NEW, 0)
        file.close()
        host.rename(str(folder / "t"), str(folder / "f"))
        host.unlink(str(folder / "f"))

    states = states_after(tmp_path, work)
    assert {tuple(sorted(state.files)) for state in states} == {("f",), ("f", "t"), ()}
    new = {b"", ZERO, GARBAGE_SECTOR, NEW}
    assert possible(states, "t") == new | {None}
    assert possible(states, "f") == new | {None, OLD + OLD}


def test_a_synced_folder_has_its_names(tmp_path: Path) -> None:
    def work(host: Host, folder: Path) -> None:
        host.link(str(folder / "f"), str(folder / "g"))
        host.sync_dir_of(str(folder / "g"))
        host.unlink(str(folder / "f"))

    states = states_after(tmp_path, work)
    assert [tuple(state.files) for state in states] == [("f",), ("f", "g"), ("f", "g"), ("g",)]


def test_a_promise_is_checked_at_once(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(OLD * 2)
    calls = RecordingCalls(tmp_path)
    file = Host(calls).open_image(str(tmp_path / "f"), read_only=False)
    file.write(NEW, 0)
    calls.promise("new")
    file.sync()
    file.close()

    def check(state: CrashState) -> None:
        assert state.promise is None or state.files["f"].sector(0) == NEW

    result = explore(calls.recording, check)
    assert (result.states, result.violations) == (4, 1)
    assert "crash after call 2 (Promise)" in result.examples[0]


def test_the_limit_holds_and_the_choice_is_repeatable(tmp_path: Path) -> None:
    def work(host: Host, folder: Path) -> None:
        file = host.open_image(str(folder / "f"), read_only=False)
        for number in range(40):
            file.write(bytes((number,)) * 1024, number * 512)
        file.close()

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    rows = [state.row for state in states_after(tmp_path / "a", work, limit=300, seed=1)]
    assert len(rows) == len(set(rows)) == 300
    assert rows == [state.row for state in states_after(tmp_path / "b", work, limit=300, seed=1)]
    assert rows != [state.row for state in states_after(tmp_path / "b", work, limit=300, seed=2)]


def test_what_cannot_be_replayed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").write_bytes(OLD)
    host = Host(RecordingCalls(tmp_path / "inside"))
    with pytest.raises(ValueError, match="outside"):
        host.unlink(str(tmp_path / "outside"))
    assert (tmp_path / "outside").exists()
    file = host.open_image(str(tmp_path / "outside"), read_only=False)
    with pytest.raises(ValueError, match="outside"):
        file.write(NEW, 0)
    file.close()
    assert (tmp_path / "outside").read_bytes() == OLD


@pytest.mark.parametrize("seed", range(20))
def test_when_all_is_synced_the_replay_is_what_the_files_are(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    live, copy = tmp_path / "live", tmp_path / "copy"
    live.mkdir()
    copy.mkdir()
    (live / "f").write_bytes(rng.randbytes(3000))
    calls = RecordingCalls(live)
    host = Host(calls)
    file = host.open_image(str(live / "f"), read_only=False)
    other = host.create(str(live / "g"))
    for _ in range(30):
        offset, size = rng.randrange(6000), rng.randrange(1, 2000)
        kind = rng.randrange(6)
        if kind <= 2:
            file.write(rng.randbytes(size), offset)
        elif kind == 3:
            file.truncate(offset)
        elif kind == 4:
            file.zero(min(offset, file.size()), min(size, file.size() - min(offset, file.size())))
        elif file.size():
            other.copy_from(file, 0, offset, min(size, file.size()))
        if rng.random() < 0.1:
            file.sync()
    file.sync()
    other.sync_all()
    host.sync_dir_of(str(live / "f"))
    file.close()
    other.close()
    calls.promise("all is safe")
    (last,) = (state for state in crash_states(calls.recording, limit=3) if state.promise)
    last.write_to(copy)
    assert contents(last) == {name: (live / name).read_bytes() for name in ("f", "g")}
    assert contents(last) == {name: (copy / name).read_bytes() for name in ("f", "g")}


class OneFailedSync(RecordingCalls):
    """The first sync fails."""

    failed = False

    def fdatasync(self, fd: int) -> None:
        if self.failed:
            super().fdatasync(fd)
        else:
            self.failed = True
            self.note_failed_sync(fd)
            raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("written_again", [False, True])
def test_a_sync_does_not_bring_back_what_a_failed_one_forgot(written_again: bool, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(OLD * 2)
    calls = OneFailedSync(tmp_path)
    host = Host(calls)
    for second in (False, True):
        file = host.open_image(str(tmp_path / "f"), read_only=False)
        if written_again or not second:
            file.write(NEW, 0)
        if second:
            file.write(NEW, 1024)
            file.sync()
        else:
            with pytest.raises(OSError):
                file.sync()
        file.close()
    calls.promise("at the end")
    last = [state for state in crash_states(calls.recording) if state.promise]
    firsts = {NEW} if written_again else {OLD, NEW}
    assert possible(last) == {first + OLD + NEW for first in firsts}
