"""FreeDOS and our keyboard: history, Ctrl-C, Ctrl-Break, Pause, another country's layout."""

from __future__ import annotations

import pytest

from tests.guests.freedos import FreeDos

LONG_LISTING = "for %f in (1 2 3 4 5 6 7 8) do type fdos\\bin\\fdiskpt.ini\n"


def test_arrow_brings_back_the_last_command(dos: FreeDos) -> None:
    dos.run("echo first")
    dos.run("echo second")
    dos.pc.press("up")
    dos.pc.press("up")
    dos.pc.press("enter")
    dos.wait_for_prompt()
    assert dos.pc.fresh_text.startswith("first\n")


def test_editing_a_line(dos: FreeDos) -> None:
    dos.pc.type("ecko one")
    for key in ("home", "right", "right", "delete", "h", "end", "backspace"):
        dos.pc.press(key)
    dos.pc.type("x\n")
    dos.wait_for_prompt()
    assert dos.pc.fresh_text.startswith("onx\n")


@pytest.mark.parametrize("keys", ["ctrl+c", "ctrl+pause"])
def test_stops_a_long_listing(dos: FreeDos, keys: str) -> None:
    dos.pc.type(LONG_LISTING)
    dos.pc.run(0.2)
    started = dos.pc.now
    dos.pc.press(keys)
    dos.pc.run_until_text("^C")
    assert dos.pc.now - started < 0.5


def test_pause_holds_the_output(dos: FreeDos) -> None:
    dos.pc.type(LONG_LISTING)
    dos.pc.run(0.05)
    dos.pc.press("pause")
    held = dos.pc.screen
    dos.pc.run(5)
    assert dos.pc.screen == held
    dos.pc.press("space")
    dos.pc.run(0.05)
    assert dos.pc.screen != held
    dos.wait_for_prompt()


def test_every_key_of_a_us_keyboard(dos: FreeDos) -> None:
    letters = "the quick brown fox JUMPS OVER THE LAZY DOG 0123456789"
    signs = "`~!@#$*()-_=+[]{};:',./?\\"
    assert dos.run(f"echo {letters}").rstrip() == letters
    assert dos.run(f"echo {signs}").rstrip() == signs


def test_alt_and_digits_type_any_character(dos: FreeDos) -> None:
    dos.pc.type("echo ")
    dos.pc.press("alt+kp_1+kp_2+kp_9")
    dos.pc.type("\n")
    dos.wait_for_prompt()
    assert dos.pc.fresh_text.startswith("ü\n")


def test_german_layout(dos: FreeDos) -> None:
    assert "GR [437]" in dos.run("keyb gr,,c:\\fdos\\bin\\keyboard.sys")
    dos.pc.type("echo yz-;['/\n")
    dos.wait_for_prompt()
    assert dos.pc.fresh_text.startswith("zyßöüä-\n")
    dos.pc.type("echo ")
    dos.pc.press("altgr+q")
    dos.pc.press("altgr+minus")
    dos.pc.type("\n")
    dos.wait_for_prompt()
    assert dos.pc.fresh_text.startswith("@\\\n")
