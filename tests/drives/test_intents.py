"""Notes of operations under way: read as they were written, wherever the folder is by then, or refused."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from pcemu.drives.fingerprint import fingerprint_of
from pcemu.drives.hostfile import HOST, Host, SystemCalls
from pcemu.drives.intents import (
    COMMIT,
    DISCARD,
    MERGE,
    REVERT,
    Intent,
    Retired,
    clear_intent,
    read_intent,
    refuse_half,
    refuse_target,
    write_intent,
    write_removal,
)
from pcemu.drives.sidecar import PENDING
from pcemu.errors import ImageAccessError, ImageFormatError, UsageError
from tests.drives.small_images import files

ONE, TWO, THREE = (bytes((number,)) * 16 for number in (1, 2, 3))


def note_for(line: list[Path], operation: str = COMMIT) -> Intent:
    """A note that has something of everything."""
    file = HOST.open_image(str(line[0]), read_only=True)
    before = fingerprint_of(file)
    file.close()
    retired = (Retired(str(line[1]), ONE), Retired(str(line[2]), TWO))
    return Intent(operation, str(line[3]), THREE, retired, (ONE, TWO), before)


@pytest.mark.parametrize("operation", [COMMIT, MERGE, REVERT, DISCARD])
def test_it_reads_as_it_was_written_until_it_is_cleared(operation: str, line: list[Path]) -> None:
    before = files(line[0].parent)
    assert read_intent(str(line[0])) is None
    write_intent(str(line[0]), intent := note_for(line, operation))
    assert read_intent(str(line[0])) == intent
    assert read_intent(str(line[1])) is None
    plain = Intent(operation, str(line[2]), TWO)
    write_intent(str(line[1]), plain)
    assert read_intent(str(line[1])) == plain
    for target in (line[0], line[1], line[1]):  # clearing again does nothing
        clear_intent(str(target))
    assert files(line[0].parent) == before


def test_it_moves_with_its_folder(line: list[Path], tmp_path: Path) -> None:
    write_intent(str(line[0]), intent := note_for(line))
    moved = line[0].parent.rename(tmp_path / "moved")
    found = read_intent(str(moved / "0.vhd"))
    assert found is not None
    assert (found.source, found.source_id) == (str(moved / "3.vhd"), THREE)
    assert [each.path for each in found.retired] == [str(moved / "1.vhd"), str(moved / "2.vhd")]
    assert found._replace(source=intent.source, retired=intent.retired) == intent


def test_one_is_not_written_over(line: list[Path]) -> None:
    write_intent(str(line[0]), intent := note_for(line))
    with pytest.raises(UsageError, match="exists"):
        write_intent(str(line[0]), Intent(MERGE, str(line[1]), ONE))
    assert read_intent(str(line[0])) == intent


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"operation": "explode"},
        {"source": None},
        {"source_id": "xyz"},
        {"retired": [["1.vhd"]]},
        {"preserved": 3},
        {"before": "00"},
        None,
    ],
)
def test_what_is_no_note_is_refused_and_left(damage: dict[str, object] | None, line: list[Path]) -> None:
    write_intent(str(line[0]), note_for(line))
    note = Path(f"{line[0]}{PENDING}")
    fields = json.loads(note.read_text())
    note.write_text("[" if damage is None else json.dumps({**fields, **damage}))
    before = files(line[0].parent)
    with pytest.raises(ImageFormatError, match=r"holds no note of an operation \(version 1\), expected"):
        read_intent(str(line[0]))
    assert files(line[0].parent) == before


def test_a_note_that_cannot_be_read_is_told(line: list[Path]) -> None:
    class Broken(SystemCalls):
        def open(self, path: str, flags: int, mode: int = 0o666) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    write_intent(str(line[0]), note_for(line))
    with pytest.raises(ImageAccessError, match="cannot be read: Input/output error; check its permissions"):
        read_intent(str(line[0]), Host(Broken()))


@pytest.mark.parametrize(
    ("operation", "above", "right"),
    [
        (COMMIT, [], False),  # the target by itself holds half of it
        (COMMIT, [THREE], True),  # the source has all that changes
        (COMMIT, [b"x" * 16, THREE], True),
        (COMMIT, [ONE], True),  # preserved
        (COMMIT, [b"x" * 16, ONE], True),
        (COMMIT, [ONE, b"x" * 16], False),  # another image is between
        (COMMIT, [b"x" * 16], False),
        *((operation, above, True) for operation in (MERGE, REVERT, DISCARD) for above in ([], [ONE])),
    ],
)
def test_who_may_read_a_target(operation: str, above: list[bytes], right: bool, line: list[Path]) -> None:
    intent = note_for(line, operation)
    assert intent.shows(above) is right
    if right:
        refuse_half(str(line[0]), intent, above)
        return
    with pytest.raises(ImageAccessError) as caught:
        refuse_half(str(line[0]), intent, above)
    assert str(caught.value) == (
        f"{line[0]}: holds half of a commit of {line[3]} that was interrupted, expected all of it; "
        f"commit {line[3]} again"
    )


def test_a_target_is_refused_by_any_of_its_names(line: list[Path]) -> None:
    (link := line[0].with_name("link.vhd")).symlink_to(line[0])
    refuse_target(str(link))
    write_intent(str(line[0]), note_for(line))
    for path in (line[0], link):
        with pytest.raises(ImageAccessError, match="holds half of a commit"):
            refuse_target(str(path))


@pytest.mark.parametrize(
    ("code", "told"), [(errno.EROFS, False), (errno.EACCES, False), (errno.ENOSPC, True)]
)
def test_removals_go_without_a_note_where_none_can_be(code: int, told: bool, line: list[Path]) -> None:
    class Refusing(SystemCalls):
        def open(self, path: str, flags: int, mode: int = 0o666) -> int:
            if flags & os.O_CREAT:
                raise OSError(code, os.strerror(code), path)
            return super().open(path, flags, mode)

    before = files(line[0].parent)
    if told:
        with pytest.raises(ImageAccessError, match="cannot be created"):
            write_removal(str(line[0]), note_for(line, MERGE), Host(Refusing()))
    else:
        write_removal(str(line[0]), note_for(line, MERGE), Host(Refusing()))
    with pytest.raises(ImageAccessError, match="cannot be created"):
        write_intent(str(line[0]), note_for(line), Host(Refusing()))
    assert files(line[0].parent) == before
