"""FreeDOS boots on our BIOS, and its shell works: screen, memory, time, restart, the same every time."""

from __future__ import annotations

import datetime
import re
import struct
from pathlib import Path

import pytest

from tests.guests.freedos import PROMPT, FreeDos, contents


def test_boots_to_the_prompt(dos: FreeDos) -> None:
    screen = dos.pc.screen
    assert "FreeDOS kernel 2042" in screen.text
    assert "CHS=    0-1-1, start=     0 MB, size=    63 MB" in screen.text
    assert screen.line(screen.cursor.row) == PROMPT
    assert (screen.cursor.column, screen.cursor.visible) == (len(PROMPT), True)


def test_dir(dos: FreeDos) -> None:
    output = dos.run("dir")
    assert "Volume in drive C is FREEDOS" in output
    assert "Volume Serial Number is 1A2B-3C4D" in output
    assert re.search(r"^COMMAND  COM +66,945  11-22-26 11:08a$", output, re.MULTILINE)
    assert "4 file(s)        113,848 bytes" in output
    assert "64,643,072 bytes free" in output


def test_mem_shows_xms(dos: FreeDos) -> None:
    started = dos.pc.now
    output = dos.run("mem /c")
    assert dos.pc.now - started < 1, "DOS polls for Ctrl-C with every character: none of them may rest"
    assert re.search(r"^  HIMEMX ", output, re.MULTILINE)
    assert re.search(r"^Conventional +639K ", output, re.MULTILINE)
    assert re.search(r"^Extended \(XMS\) +31,744K ", output, re.MULTILINE)
    assert "FreeDOS is resident in the high memory area." in output


def test_extended_memory_holds_what_it_is_given(image: Path) -> None:
    """XMSTEST allocates, fills, moves, resizes and verifies blocks: protected mode for each move."""
    with FreeDos(image, memory=3) as dos:
        dos.pc.type("xmstest\n")
        dos.wait_for_prompt()
        output = dos.pc.fresh_text
    assert "verify handle" in output and "total time" in output
    assert "fail" not in output.lower() and "error" not in output.lower()


def test_time_and_date(dos: FreeDos) -> None:
    dos.run("date 02-29-2024")
    dos.run("time 13:14:15")
    dos.pc.type("date\n")
    dos.answer("Enter new date", "\n")
    dos.wait_for_prompt()
    assert "Thu 02-29-2024" in dos.pc.screen.text
    dos.pc.type("time\n")
    dos.answer("Current time is  1:14:1", "\n")


def test_time_is_kept_across_a_restart(dos: FreeDos) -> None:
    dos.run("date 02-29-2024")
    dos.run("time 13:14:15")
    dos.pc.press("ctrl+alt+del")
    dos.wait_for_prompt()
    dos.write("new.txt", "x")
    assert re.search(r"^NEW      TXT +3  02-29-24  1:14p$", dos.run("dir new.txt"), re.MULTILINE)


def test_ctrl_alt_del_restarts(dos: FreeDos) -> None:
    dos.run("set pcemu=here")
    assert "pcemu=here" in dos.run("set").lower()
    dos.pc.press("ctrl+alt+del")
    dos.wait_for_prompt()
    assert "FreeDOS kernel" in dos.pc.screen.text
    assert "pcemu" not in dos.run("set").lower()


def test_fdisk_restarts_the_machine(dos: FreeDos) -> None:
    """It jumps to FFFF:0000."""
    dos.pc.type("fdisk /reboot\n")
    dos.pc.run_until_text("FreeDOS kernel")
    dos.wait_for_prompt()


def test_new_year_at_midnight(image: Path) -> None:
    """The date of the RTC goes into DOS, which then counts on with the timer."""
    with FreeDos(image, date=datetime.datetime(2031, 12, 31, 23, 59, 50)) as dos:
        dos.write("old.txt", "x")
        dos.pc.run(10)
        dos.write("new.txt", "x")
        output = dos.run("dir *.txt")
    assert re.search(r"^OLD      TXT +3  12-31-31 11:59p$", output, re.MULTILINE)
    assert re.search(r"^NEW      TXT +3  01-01-32 12:00a$", output, re.MULTILINE)


def test_echo_to_com1(image: Path) -> None:
    sent = bytearray()
    with FreeDos(image, serial=sent.append) as dos:
        dos.run("echo to the outside>com1")
    assert sent == b"to the outside\r\n"


@pytest.mark.parametrize("rows", [25, 28, 43, 50])
def test_lines_on_the_screen(dos: FreeDos, rows: int) -> None:
    dos.run(f"mode co80,{rows}")
    output = dos.run("dir fdos\\bin")
    screen = dos.pc.screen
    assert (screen.rows, screen.columns) == (rows, 80)
    assert screen.line(rows - 1) == PROMPT
    assert output.count("\n") == rows - 1, "the whole screen scrolls"


def test_forty_columns(dos: FreeDos) -> None:
    dos.run("mode co40")
    assert "4 file(s)" in dos.run("dir")
    assert dos.pc.screen.columns == 40


def test_screenshot(dos: FreeDos, tmp_path: Path) -> None:
    path = tmp_path / "screen.png"
    dos.pc.screenshot(path)
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (720, 400)


def test_two_runs_are_the_same(image: Path) -> None:
    def run() -> tuple[object, ...]:
        with FreeDos(image) as dos:
            dos.run("xcopy fdos\\bin\\d*.* copy\\")
            dos.run("mem /c")
            dos.pc.type("time\n")
            dos.pc.run_until_text("Enter new time")
            return dos.pc.clock.now, dos.pc.registers, dos.pc.screen, contents(dos.disk)

    first, second = run(), run()
    assert first == second
