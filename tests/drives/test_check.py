"""Check: what it finds, what it raises, and that it changes nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives.check import CheckResult, check
from pcemu.drives.facts import facts_about
from pcemu.drives.hostfile import Host, SystemCalls
from pcemu.drives.intents import COMMIT, MERGE, Intent, clear_intent, write_intent
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format
from pcemu.errors import ImageAccessError, ImageError, ImageFormatError, ImageNotFoundError
from tests.drives.small_images import MIB, Cancelled, Watch, files, make_line, write


@pytest.mark.parametrize("data", [False, True])
def test_a_sound_chain_is_named_from_the_base_up(data: bool, line: list[Path]) -> None:
    before = files(line[0].parent)
    assert check(line[3], data=data) == CheckResult(tuple(map(str, line)), ())
    assert check(line[0], data=data) == CheckResult((str(line[0]),), ())
    assert files(line[0].parent) == before


def test_what_should_be_seen_to_is_told(line: list[Path]) -> None:
    write_intent(str(line[0]), Intent(MERGE, str(line[2]), bytes(16)))
    content = bytearray(line[1].read_bytes())
    content[:512] = bytes(512)
    line[1].write_bytes(content)
    os.utime(line[2], (1_700_000_000, 1_700_000_000))
    before = files(line[0].parent)
    findings = check(line[3]).findings
    for words in (
        f"{line[0]}: a merge of {line[2]} was interrupted; run it again",
        f"{line[1]}: the copy of the footer at its start is lost, the footer is good; `pcemu disk repair`",
    ):
        assert [words in each for each in findings].count(True) == 1, findings
    assert any("2.vhd" in each for each in findings)  # written since, says its time
    assert files(line[0].parent) == before


def test_an_interrupted_commit_is_the_only_finding_of_one(line: list[Path]) -> None:
    write_intent(str(line[0]), Intent(COMMIT, str(line[3]), facts_about(line[3]).unique_id or b""))
    os.utime(line[0], (1_700_000_000, 1_700_000_000))  # as it was written to
    (finding,) = check(line[3]).findings
    assert f"a commit of {line[3]} was interrupted; run it again" in finding
    clear_intent(str(line[0]))
    (finding,) = check(line[3]).findings
    assert "was last written at 2023-11-14" in finding


def test_a_lost_footer_at_the_end_is_found(line: list[Path]) -> None:
    line[3].write_bytes(line[3].read_bytes()[:-512])
    (finding,) = check(line[3]).findings
    assert "3.vhd" in finding and "pcemu disk repair" in finding


def test_what_makes_it_unusable_is_raised(line: list[Path]) -> None:
    line[1].rename(moved := line[0].with_name("moved"))
    with pytest.raises(ImageNotFoundError, match=r"1.vhd"):
        check(line[3])
    content = bytearray(moved.read_bytes())
    content[512 + 40] ^= 1  # the header's checksum
    line[1].write_bytes(content)
    with pytest.raises(ImageFormatError, match=r"1.vhd.*checksum"):
        check(line[3])
    drive = open_drive(line[0])
    with pytest.raises(ImageError, match="busy"):
        check(line[0])
    drive.close()


def test_a_format_that_is_named_is_taken(line: list[Path]) -> None:
    assert check(line[0], format=Format.RAW).findings == ()
    with pytest.raises(ImageFormatError):
        check(line[0], format=Format.FIXED)


class Broken(SystemCalls):
    """A disk that does not read the middle of large files."""

    def preadv(self, fd: int, buffers: Any, offset: int) -> int:
        if 3 * MIB <= offset < 6 * MIB:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().preadv(fd, buffers, offset)


def test_sectors_that_cannot_be_read_are_found_when_they_are_read(tmp_path: Path) -> None:
    line = make_line(tmp_path, 8 * MIB)
    write(line[0], 0, 1, 16000)
    assert check(line[3], host=Host(Broken())).findings == ()
    with pytest.raises(ImageAccessError, match="Input/output error; its disk may be failing: copy what can"):
        check(line[3], data=True, host=Host(Broken()))


def test_progress_and_cancelling(tmp_path: Path) -> None:
    line = make_line(tmp_path, 8 * MIB)
    write(line[2], 100, 2, 12000)
    check(line[3], data=True, progress=(watch := Watch()))
    watch.check()
    assert len(watch.calls) >= 5 and watch.calls[-1] == (16384, 16384)
    for stop in range(len(watch.calls)):
        with pytest.raises(Cancelled):
            check(line[3], data=True, progress=Watch(stop))
        open_drive(line[3]).close()
