"""The keyboard controller against its description in the AT and PS/2 references."""

from __future__ import annotations

import pytest

from pcemu.clock import FOREVER, MILLISECOND, SECOND
from pcemu.devices.i8042 import BYTE_TIME, I8042
from pcemu.devices.keyboard import SELF_TEST_TIME, Keyboard
from pcemu.testing.fakes import FakeClock, RecordingIrqLine

DATA, COMMAND = 0, 4
OBF, IBF, SYS, A2, INH, MOBF = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


class Bench:
    """Controller and keyboard, with the pins recorded."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.irq1 = RecordingIrqLine(self.clock)
        self.irq12 = RecordingIrqLine(self.clock)
        self.keyboard = Keyboard(self.clock)
        self.resets = 0
        self.a20: list[bool] = []
        self.chip = I8042(
            self.clock, self.irq1, self.irq12, self.keyboard, on_reset=self._reset, on_a20=self.a20.append
        )

    def _reset(self) -> None:
        self.resets += 1

    @property
    def status(self) -> int:
        return self.chip.read(COMMAND)

    def command(self, command: int, *options: int) -> None:
        self.chip.write(COMMAND, command)
        for option in options:
            self.chip.write(DATA, option)

    def ask(self, command: int) -> int:
        """Send a command that answers, and read the answer."""
        self.command(command)
        assert self.status & OBF
        return self.chip.read(DATA)

    def set_command_byte(self, value: int) -> None:
        self.command(0x60, value)

    def heard(self, byte_times: int = 20) -> bytes:
        """All that can be read within so many byte times."""
        data = bytearray()
        for _ in range(byte_times):
            self.clock.advance(BYTE_TIME)
            if self.status & OBF:
                data.append(self.chip.read(DATA))
        return bytes(data)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def ready(bench: Bench) -> Bench:
    """As a BIOS leaves it: interrupts on, translation on, keyboard enabled."""
    bench.set_command_byte(0x45)
    return bench


def test_power_on_state(bench: Bench) -> None:
    assert bench.status == INH
    assert bench.irq1.edges == []
    assert bench.chip.a20
    assert bench.a20 == []
    assert bench.ask(0x20) & 0x50 == 0x10  # no translation, keyboard inhibited


# Commands that answer


def test_self_test_passes_and_sets_the_system_flag(bench: Bench) -> None:
    assert not bench.status & SYS
    assert bench.ask(0xAA) == 0x55
    assert bench.status & SYS


@pytest.mark.parametrize(("command", "answer"), [(0xAB, 0x00), (0xA9, 0x00), (0xA4, 0xF1)])
def test_constant_answers(bench: Bench, command: int, answer: int) -> None:
    assert bench.ask(command) == answer


def test_input_port_says_unlocked(bench: Bench) -> None:
    assert bench.ask(0xC0) & 0x80


def test_test_inputs_show_the_keyboards_clock(bench: Bench) -> None:
    bench.command(0xAD)
    assert bench.ask(0xE0) == 0x02
    bench.command(0xAE)
    assert bench.ask(0xE0) == 0x03


@pytest.mark.parametrize("address", [0, 1, 0x11, 0x1F])
def test_ram_reads_back(bench: Bench, address: int) -> None:
    bench.command(0x60 + address, 0x5A)
    assert bench.ask(0x20 + address) == 0x5A
    other = (address + 1) % 32 or 1
    assert bench.ask(0x20 + other) != 0x5A


def test_system_flag_follows_the_command_byte(bench: Bench) -> None:
    bench.set_command_byte(0x04)
    assert bench.status & SYS
    bench.set_command_byte(0x00)
    assert not bench.status & SYS


@pytest.mark.parametrize(
    ("off", "on", "bit"), [(0xAD, 0xAE, 0x10), (0xA7, 0xA8, 0x20)], ids=["keyboard", "mouse"]
)
def test_interfaces_are_disabled_in_the_command_byte(bench: Bench, off: int, on: int, bit: int) -> None:
    bench.command(off)
    assert bench.ask(0x20) & bit
    bench.command(on)
    assert not bench.ask(0x20) & bit


def test_a2_tells_which_port_was_written_last(ready: Bench) -> None:
    ready.command(0xAE)
    assert ready.status & A2
    ready.chip.write(DATA, 0xEE)
    assert not ready.status & A2


def test_input_buffer_never_stays_full(ready: Bench) -> None:
    ready.command(0xD1)
    assert not ready.status & IBF


def test_an_answer_does_not_overwrite_an_unread_byte(ready: Bench) -> None:
    ready.keyboard.press("a")
    ready.clock.advance(BYTE_TIME)
    ready.command(0xAA)
    assert ready.chip.read(DATA) == 0x1E
    assert ready.status & OBF
    assert ready.chip.read(DATA) == 0x55
    assert not ready.status & OBF


def test_a_new_command_forgets_the_option_of_the_last(ready: Bench) -> None:
    ready.command(0xD1)
    ready.command(0xAE)
    ready.chip.write(DATA, 0xEE)  # goes to the keyboard, not to the output port
    assert ready.chip.a20
    assert ready.heard() == b"\xee"


def test_unknown_commands_are_ignored(bench: Bench) -> None:
    before = bench.status
    bench.command(0xB5)
    assert bench.status == before | A2


# Gate A20 and reset


def test_output_port_drives_a20(bench: Bench) -> None:
    bench.command(0xD1, 0xDD)
    assert bench.a20 == [False]
    assert not bench.chip.a20
    assert not bench.ask(0xD0) & 0x02
    bench.command(0xD1, 0xDF)
    assert bench.a20 == [False, True]
    assert bench.ask(0xD0) & 0x02
    bench.command(0xD1, 0xDF)
    assert bench.a20 == [False, True]
    assert bench.resets == 0


def test_dd_and_df_drive_a20(bench: Bench) -> None:
    bench.command(0xDD)
    assert not bench.chip.a20
    bench.command(0xDF)
    assert bench.chip.a20
    assert bench.a20 == [False, True]


def test_output_port_bit_0_low_resets(bench: Bench) -> None:
    bench.command(0xD1, 0xFE)
    assert bench.resets == 1


@pytest.mark.parametrize("command", range(0xF0, 0x100))
def test_pulses_reset_when_bit_0_is_low(bench: Bench, command: int) -> None:
    bench.command(command)
    assert bench.resets == (command % 2 == 0)
    assert bench.chip.a20


def test_output_port_shows_the_interrupt_pins(ready: Bench) -> None:
    assert ready.ask(0xD0) & 0x31 == 0x01
    ready.command(0xD2, 0x12)
    ready.command(0xD0)
    assert ready.chip.read(DATA) == 0x12
    assert ready.chip.read(DATA) & 0x30 == 0x10


# Bytes from the keyboard


def test_a_byte_takes_a_byte_time_and_raises_irq_1(ready: Bench) -> None:
    ready.keyboard.press("a")
    ready.clock.advance(BYTE_TIME - 1)
    assert not ready.status & OBF
    ready.clock.advance(1)
    assert ready.status & (OBF | MOBF) == OBF
    assert ready.irq1.edges == [(BYTE_TIME, True)]
    assert ready.chip.read(DATA) == 0x1E
    assert ready.irq1.edges[1:] == [(BYTE_TIME, False)]
    assert not ready.status & OBF


def test_reading_again_gives_the_same_byte(ready: Bench) -> None:
    ready.keyboard.press("a")
    ready.clock.advance(BYTE_TIME)
    assert [ready.chip.read(DATA) for _ in range(3)] == [0x1E] * 3


def test_the_next_byte_waits_until_the_last_was_read(ready: Bench) -> None:
    ready.keyboard.press("up")
    ready.clock.advance(100 * MILLISECOND)
    assert ready.irq1.rises == 1
    assert ready.chip.read(DATA) == 0xE0
    assert not ready.status & OBF
    ready.clock.advance(BYTE_TIME)
    assert ready.chip.read(DATA) == 0x48
    assert ready.irq1.rises == 2


def test_no_interrupt_without_command_byte_bit_0(bench: Bench) -> None:
    bench.set_command_byte(0x40)
    bench.keyboard.press("a")
    bench.clock.advance(BYTE_TIME)
    assert bench.status & OBF
    assert not bench.irq1.level
    bench.set_command_byte(0x41)
    assert bench.irq1.level


def test_untranslated_bytes_arrive_as_they_are(bench: Bench) -> None:
    bench.set_command_byte(0x01)
    bench.keyboard.press("delete")
    bench.keyboard.release("delete")
    assert bench.heard() == bytes.fromhex("E0 71 E0 F0 71")


def test_translation_swallows_the_break_prefix_without_an_interrupt(ready: Bench) -> None:
    ready.keyboard.press("a")
    ready.keyboard.release("a")
    assert ready.heard() == b"\x1e\x9e"
    assert ready.irq1.rises == 2


def test_f7_and_f9_and_overrun_are_translated(ready: Bench) -> None:
    for name in ("f7", "f9"):
        ready.keyboard.press(name)
        ready.keyboard.release(name)
        ready.heard()
    for _ in range(5):
        for name in ("f1", "f2"):
            ready.keyboard.press(name)
            ready.keyboard.release(name)
    assert ready.heard(40)[-1] == 0xFF


@pytest.mark.parametrize("inhibit", [(0xAD,), (0x60, 0x55)], ids=["command ADh", "command byte"])
def test_inhibited_bytes_stay_in_the_keyboard(ready: Bench, inhibit: tuple[int, ...]) -> None:
    ready.command(*inhibit)
    ready.keyboard.press("a")
    assert ready.heard() == b""
    assert ready.keyboard.pending
    ready.command(0xAE)
    assert ready.heard() == b"\x1e"


def test_inhibition_in_the_middle_of_a_byte_makes_it_start_anew(ready: Bench) -> None:
    ready.keyboard.press("a")
    ready.clock.advance(BYTE_TIME // 2)
    ready.command(0xAD)
    assert ready.heard() == b""
    ready.command(0xAE)
    ready.clock.advance(BYTE_TIME - 1)
    assert not ready.status & OBF
    ready.clock.advance(1)
    assert ready.chip.read(DATA) == 0x1E


def test_an_idle_keyboard_puts_nothing_on_the_clock(ready: Bench) -> None:
    ready.keyboard.press("a")
    ready.keyboard.release("a")
    ready.heard()
    assert ready.clock.deadline == FOREVER


# Bytes to the keyboard


def test_keyboard_command_and_reply(ready: Bench) -> None:
    ready.chip.write(DATA, 0xED)
    assert ready.heard() == b"\xfa"
    ready.chip.write(DATA, 0x04)
    assert ready.heard() == b"\xfa"
    assert ready.keyboard.caps_lock


def test_identification_is_translated(ready: Bench) -> None:
    ready.chip.write(DATA, 0xF2)
    assert ready.heard() == b"\xfa\xab\x41"


def test_reset_of_the_keyboard(ready: Bench) -> None:
    ready.chip.write(DATA, 0xFF)
    assert ready.heard(2) == b"\xfa"
    assert ready.heard(2 + SELF_TEST_TIME // BYTE_TIME) == b"\xaa"


def test_writing_to_the_keyboard_ends_an_inhibition(ready: Bench) -> None:
    ready.command(0xAD)
    ready.chip.write(DATA, 0xEE)
    assert ready.heard() == b"\xee"
    assert not ready.ask(0x20) & 0x10


def test_a_reply_between_prefix_and_code_keeps_the_break(ready: Bench) -> None:
    ready.keyboard.press("a")
    ready.heard()
    ready.keyboard.release("a")
    ready.clock.advance(BYTE_TIME)  # the controller has F0h now
    ready.chip.write(DATA, 0xED)
    assert ready.heard() == b"\xfa\x9e"


# Buffers written by the processor, mouse


def test_d2_looks_like_the_keyboard(ready: Bench) -> None:
    ready.command(0xD2, 0x1C)
    assert ready.status & (OBF | MOBF) == OBF
    assert ready.irq1.rises == 1
    assert ready.chip.read(DATA) == 0x1C  # not translated


def test_d3_looks_like_the_mouse(bench: Bench) -> None:
    bench.set_command_byte(0x03)
    bench.command(0xD3, 0x77)
    assert bench.status & (OBF | MOBF) == OBF | MOBF
    assert (bench.irq1.level, bench.irq12.level) == (False, True)
    assert bench.chip.read(DATA) == 0x77
    assert not bench.irq12.level
    assert not bench.status & (OBF | MOBF)


def test_d3_without_command_byte_bit_1(ready: Bench) -> None:
    ready.command(0xD3, 0x77)
    assert ready.status & MOBF
    assert ready.irq12.edges == ready.irq1.edges == []


def test_no_mouse_answers(ready: Bench) -> None:
    ready.command(0xD4, 0xFF)
    ready.clock.advance(SECOND)
    assert not ready.status & OBF
    assert ready.keyboard.leds == 0
    ready.chip.write(DATA, 0xEE)  # and the byte after it is for the keyboard again
    assert ready.heard() == b"\xee"


# Reset


def test_power_on_reset_forgets_everything(ready: Bench) -> None:
    ready.command(0xDD)
    ready.keyboard.press("up")
    ready.clock.advance(BYTE_TIME)
    ready.command(0xAA)
    ready.command(0xD1)
    ready.chip.reset()
    assert ready.status == INH
    assert not ready.irq1.level
    assert ready.a20 == [False, True]
    assert ready.heard() == b""
    assert ready.ask(0x20) & 0x51 == 0x10
