"""System control port A against the PS/2 hardware reference."""

from __future__ import annotations

import pytest

from pcemu.devices.port92 import SystemControlPortA


class Board:
    """The pins of the port, with what they were told in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.port = SystemControlPortA(
            on_a20=lambda on: self.events.append(f"a20 {'on' if on else 'off'}"),
            on_reset=lambda: self.events.append("reset"),
        )


@pytest.fixture
def board() -> Board:
    return Board()


def test_power_on_state(board: Board) -> None:
    assert board.port.read(0) == 0
    assert not board.port.a20
    assert board.events == []


def test_bit_1_is_a20_and_only_changes_are_told(board: Board) -> None:
    for value in (0x02, 0x02, 0x00, 0x00, 0x02):
        board.port.write(0, value)
    assert board.events == ["a20 on", "a20 off", "a20 on"]
    assert board.port.a20


def test_bit_0_resets_on_the_rising_edge_only(board: Board) -> None:
    for value in (0x01, 0x01, 0x00, 0x01):
        board.port.write(0, value)
    assert board.events == ["reset", "reset"]


def test_a20_changes_before_the_reset(board: Board) -> None:
    board.port.write(0, 0x03)
    assert board.events == ["a20 on", "reset"]


@pytest.mark.parametrize("value", [0x00, 0x02, 0x08, 0x40, 0x80, 0xCB])
def test_latch_reads_back(board: Board, value: int) -> None:
    board.port.write(0, value)
    assert board.port.read(0) == value


def test_reserved_and_watchdog_bits_read_as_zero(board: Board) -> None:
    board.port.write(0, 0x34)
    assert board.port.read(0) == 0


def test_reset_lowers_a20(board: Board) -> None:
    board.port.write(0, 0x03)
    board.port.reset()
    assert board.events == ["a20 on", "reset", "a20 off"]
    assert board.port.read(0) == 0
