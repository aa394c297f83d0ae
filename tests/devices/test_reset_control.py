"""The reset control register against the data sheet of the PIIX3."""

from __future__ import annotations

import pytest

from pcemu.devices.reset_control import ResetControl


@pytest.mark.parametrize(
    ("writes", "resets"),
    [
        ([0x02, 0x06], [True]),
        ([0x00, 0x04], [False]),
        ([0x06], [True]),
        ([0x04, 0x06], [False]),  # no edge any more
        ([0x06, 0x06], [True]),
        ([0x04, 0x00, 0x04], [False, False]),
        ([0x02, 0x00, 0xF9], []),
    ],
)
def test_a_rising_edge_resets(writes: list[int], resets: list[bool]) -> None:
    heard: list[bool] = []
    port = ResetControl(heard.append)
    for value in writes:
        port.write(0, value)
    assert heard == resets
    assert port.read(0) == writes[-1] & 0x06


def test_a_reset_of_the_board_clears_the_bits() -> None:
    heard: list[bool] = []
    port = ResetControl(heard.append)
    port.write(0, 0x06)
    port.reset()
    assert port.read(0) == 0
    port.write(0, 0x06)
    assert heard == [True, True]
