"""The status line: what it says at any width, and its lights."""

from __future__ import annotations

import pytest

from pcemu.frontends.status import DARK, LIGHT_TIME, READ, WRITE, DriveLight, Status, shorten

UNDO = "12.4 MiB in 3 checkpoints, base untouched"
STATUS = Status("100%", (("freedos.img", READ),), UNDO, leds=0b110)


class Counted:
    reads = 0
    writes = 0


def test_all_of_it_where_there_is_room() -> None:
    line = STATUS.grid(90).text
    assert line.startswith(f" ≡ Menu  100% │ freedos.img ■ │ {UNDO} ")
    assert line.endswith("CAPS NUM")


@pytest.mark.parametrize("columns", range(1, 100))
def test_locks_and_undo_never_run_into_each_other(columns: int) -> None:
    grid = STATUS.grid(columns)
    assert grid.columns == columns
    if columns >= 45:
        assert grid.text.endswith(" CAPS NUM")


def test_several_drives_are_numbered() -> None:
    lights = (("a.img", DARK), ("b.img", WRITE))
    grid = Status("", lights, "x", 0).grid(80)
    assert "│ 1 ■ 2 ■ │ x" in grid.text
    column = grid.text.rindex("■")
    red = (255, 85, 85)
    assert red in {tuple(dot) for dot in grid.dots()[:, column * 8 : column * 8 + 8].reshape(-1, 3)}


def test_a_message_takes_the_place_of_the_rest() -> None:
    line = Status("", STATUS.lights, UNDO, 0, "saved x.png").grid(80).text
    assert "saved x.png" in line
    assert "base" not in line


def test_a_light_stays_on_long_enough_to_be_seen() -> None:
    drive = Counted()
    light = DriveLight("x", drive)
    assert light.sample(0.0) == DARK
    drive.reads = 8
    assert light.sample(1.0) == READ
    assert light.sample(1.0 + LIGHT_TIME / 2) == READ
    assert light.sample(1.0 + LIGHT_TIME) == DARK
    drive.reads, drive.writes = 9, 1
    assert light.sample(2.0) == WRITE


def test_shorten() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab»"
    assert shorten("abcd", 0) == ""
    assert DriveLight("a-very-long-name-of-an-image.img", Counted()).name == "a-very-long-name-of»"
