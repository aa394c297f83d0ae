"""The AT keyboard: every key of the board in the three sets, commands, typematic repetition, overrun."""

from __future__ import annotations

import pytest

from pcemu.clock import FOREVER, MILLISECOND, SECOND
from pcemu.devices.i8042 import I8042
from pcemu.devices.keyboard import SELF_TEST_TIME, Keyboard
from pcemu.errors import UsageError
from pcemu.irq import IrqLine
from pcemu.keys import Key
from pcemu.testing.fakes import FakeClock


def table(text: str) -> dict[str, bytes]:
    """Names and codes in turn, as a table."""
    words = iter(text.split())
    return {name: bytes.fromhex(code) for name, code in zip(words, words, strict=True)}


# Set 2, make codes in hex, from the tables of the PS/2 hardware reference; E0 keys have their prefix.
MAKE_2 = table("""
    escape 76   f1 05  f2 06  f3 04  f4 0C  f5 03  f6 0B  f7 83  f8 0A  f9 01  f10 09  f11 78  f12 07
    backtick 0E  1 16  2 1E  3 26  4 25  5 2E  6 36  7 3D  8 3E  9 46  0 45  minus 4E  equals 55
    backspace 66
    tab 0D  q 15  w 1D  e 24  r 2D  t 2C  y 35  u 3C  i 43  o 44  p 4D  left_bracket 54
    right_bracket 5B  backslash 5D
    caps_lock 58  a 1C  s 1B  d 23  f 2B  g 34  h 33  j 3B  k 42  l 4B  semicolon 4C  apostrophe 52
    enter 5A
    left_shift 12  non_us_backslash 61  z 1A  x 22  c 21  v 2A  b 32  n 31  m 3A  comma 41  period 49
    slash 4A  right_shift 59
    left_ctrl 14  left_alt 11  space 29  right_alt E011  right_ctrl E014
    left_win E01F  right_win E027  menu E02F
    scroll_lock 7E
    insert E070  home E06C  page_up E07D  delete E071  end E069  page_down E07A
    up E075  left E06B  down E072  right E074
    num_lock 77  kp_divide E04A  kp_multiply 7C  kp_minus 7B  kp_plus 79  kp_enter E05A
    kp_7 6C  kp_8 75  kp_9 7D  kp_4 6B  kp_5 73  kp_6 74  kp_1 69  kp_2 72  kp_3 7A  kp_0 70  kp_period 71
""")


def set_1_make_codes() -> dict[str, bytes]:
    """Set 1 as it came about: the keys of the 83-key board in rows, numbered from 1; later ones added."""
    rows = """
        escape 1 2 3 4 5 6 7 8 9 0 minus equals backspace
        tab q w e r t y u i o p left_bracket right_bracket enter
        left_ctrl a s d f g h j k l semicolon apostrophe backtick
        left_shift backslash z x c v b n m comma period slash right_shift kp_multiply
        left_alt space caps_lock f1 f2 f3 f4 f5 f6 f7 f8 f9 f10
        num_lock scroll_lock kp_7 kp_8 kp_9 kp_minus kp_4 kp_5 kp_6 kp_plus kp_1 kp_2 kp_3 kp_0 kp_period
    """
    codes = {name: bytes([number]) for number, name in enumerate(rows.split(), start=1)}
    codes |= {"non_us_backslash": b"\x56", "f11": b"\x57", "f12": b"\x58"}
    twins = {
        "right_ctrl": "left_ctrl", "right_alt": "left_alt", "kp_enter": "enter", "kp_divide": "slash",
        "home": "kp_7", "up": "kp_8", "page_up": "kp_9", "left": "kp_4", "right": "kp_6", "end": "kp_1",
        "down": "kp_2", "page_down": "kp_3", "insert": "kp_0", "delete": "kp_period",
    }  # fmt: skip
    codes |= {name: b"\xe0" + codes[twin] for name, twin in twins.items()}
    codes |= {"left_win": b"\xe0\x5b", "right_win": b"\xe0\x5c", "menu": b"\xe0\x5d"}
    return codes


MAKE_1 = set_1_make_codes()

# Set 3: the same as set 2 where the old 84-key board had the key in the same place; the others here.
MAKE_3 = MAKE_2 | table("""
    escape 08  f1 07  f2 0F  f3 17  f4 1F  f5 27  f6 2F  f7 37  f8 3F  f9 47  f10 4F  f11 56  f12 5E
    backslash 5C  caps_lock 14  non_us_backslash 13  left_ctrl 11  left_alt 19  right_alt 39  right_ctrl 58
    left_win 8B  right_win 8C  menu 8D  print_screen 57  scroll_lock 5F  pause 62
    insert 67  home 6E  page_up 6F  delete 64  end 65  page_down 6D  up 63  left 61  down 60  right 6A
    num_lock 76  kp_divide 77  kp_multiply 7E  kp_minus 84  kp_plus 7C  kp_enter 79
""")


def break_1(make: bytes) -> bytes:
    return make[:-1] + bytes([make[-1] | 0x80])


def break_2(make: bytes) -> bytes:
    return make[:-1] + b"\xf0" + make[-1:]


class Bench:
    """A keyboard whose cable ends in the test."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.keyboard = Keyboard(self.clock)

    def sent(self) -> bytes:
        """All that the keyboard has to say now."""
        data = bytearray()
        while self.keyboard.pending:
            data.append(self.keyboard.take())
        return bytes(data)

    def command(self, *data: int) -> bytes:
        """Send command and option bytes, and collect the answers."""
        answer = b""
        for byte in data:
            self.keyboard.write(byte)
            answer += self.sent()
        return answer

    def stroke(self, name: str) -> tuple[bytes, bytes]:
        """Make and break sequence of a key."""
        self.keyboard.press(name)
        make = self.sent()
        self.keyboard.release(name)
        return make, self.sent()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def through_the_controller(*names: str) -> tuple[bytes, bytes]:
    """What a program reads at port 60h with translation on: pressing all, then releasing all."""
    clock = FakeClock()
    keyboard = Keyboard(clock)
    controller = I8042(clock, IrqLine(), IrqLine(), keyboard, lambda: None, lambda on: None)
    controller.write(4, 0x60)
    controller.write(0, 0x41)
    read = bytearray()

    def drain() -> bytes:
        read.clear()
        for _ in range(40):
            clock.advance(MILLISECOND)
            if controller.read(4) & 1:
                read.append(controller.read(0))
        return bytes(read)

    for name in names:
        keyboard.press(name)
    made = drain()
    for name in reversed(names):
        keyboard.release(name)
    return made, drain()


# The tables

SPECIAL = {"print_screen", "pause"}


def test_tables_cover_the_whole_board() -> None:
    assert set(MAKE_2) == set(MAKE_1) == {key.value for key in Key} - SPECIAL
    assert set(MAKE_3) == {key.value for key in Key}


@pytest.mark.parametrize("name", MAKE_2)
def test_set_2(bench: Bench, name: str) -> None:
    assert bench.stroke(name) == (MAKE_2[name], break_2(MAKE_2[name]))


@pytest.mark.parametrize("name", MAKE_1)
def test_set_1_through_the_controllers_translation(name: str) -> None:
    assert through_the_controller(name) == (MAKE_1[name], break_1(MAKE_1[name]))


@pytest.mark.parametrize("name", MAKE_1)
def test_set_1_of_the_keyboard_itself(bench: Bench, name: str) -> None:
    bench.command(0xF0, 1)
    assert bench.stroke(name) == (MAKE_1[name], break_1(MAKE_1[name]))


@pytest.mark.parametrize("name", MAKE_3)
def test_set_3(bench: Bench, name: str) -> None:
    bench.command(0xF0, 3)
    assert bench.stroke(name) == (MAKE_3[name], break_2(MAKE_3[name]))


@pytest.mark.parametrize(
    ("held", "name", "make", "release"),
    [
        ([], "print_screen", "E0 12 E0 7C", "E0 F0 7C E0 F0 12"),
        (["left_ctrl"], "print_screen", "E0 7C", "E0 F0 7C"),
        (["right_shift"], "print_screen", "E0 7C", "E0 F0 7C"),
        (["left_alt"], "print_screen", "84", "F0 84"),
        ([], "pause", "E1 14 77 E1 F0 14 F0 77", ""),
        (["left_ctrl"], "pause", "E0 7E E0 F0 7E", ""),
        (["right_ctrl"], "pause", "E0 7E E0 F0 7E", ""),
    ],
)
def test_print_screen_and_pause_in_set_2(
    bench: Bench, held: list[str], name: str, make: str, release: str
) -> None:
    for modifier in held:
        bench.keyboard.press(modifier)
    bench.sent()
    assert bench.stroke(name) == (bytes.fromhex(make), bytes.fromhex(release))


@pytest.mark.parametrize(
    ("held", "name", "make", "release"),
    [
        ([], "print_screen", "E0 2A E0 37", "E0 B7 E0 AA"),
        (["left_ctrl"], "print_screen", "1D E0 37", "E0 B7 9D"),
        (["left_alt"], "print_screen", "38 54", "D4 B8"),
        ([], "pause", "E1 1D 45 E1 9D C5", ""),
        (["left_ctrl"], "pause", "1D E0 46 E0 C6", "9D"),
    ],
)
def test_print_screen_and_pause_in_set_1(
    bench: Bench, held: list[str], name: str, make: str, release: str
) -> None:
    expected = bytes.fromhex(make), bytes.fromhex(release)
    assert through_the_controller(*held, name) == expected
    bench.command(0xF0, 1)
    for key in [*held, name]:
        bench.keyboard.press(key)
    made = bench.sent()
    bench.keyboard.release_all()
    assert (made, bench.sent()) == expected


def test_break_of_print_screen_fits_its_make(bench: Bench) -> None:
    bench.keyboard.press("left_alt")
    bench.keyboard.press("print_screen")
    bench.keyboard.release("left_alt")
    bench.sent()
    bench.keyboard.release("print_screen")
    assert bench.sent() == b"\xf0\x84"


# The user's side


def test_a_key_that_is_down_makes_once(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.keyboard.press("a")
    assert bench.sent() == b"\x1c"
    assert bench.keyboard.down == (Key.A,)


def test_a_key_that_is_up_does_not_break(bench: Bench) -> None:
    bench.keyboard.release("a")
    assert bench.sent() == b""


def test_release_all_lets_the_last_one_go_first(bench: Bench) -> None:
    for name in ("left_ctrl", "left_alt", "delete"):
        bench.keyboard.press(name)
    bench.sent()
    bench.keyboard.release_all()
    assert bench.sent() == b"\xe0\xf0\x71" + b"\xf0\x11" + b"\xf0\x14"
    assert bench.keyboard.down == ()


def test_unknown_key_is_named(bench: Bench) -> None:
    for move in (bench.keyboard.press, bench.keyboard.release):
        with pytest.raises(UsageError, match="'any'"):
            move("any")


def test_on_data_tells_of_strokes_and_replies(bench: Bench) -> None:
    calls: list[bool] = []
    bench.keyboard.on_data = lambda: calls.append(bench.keyboard.pending)
    bench.keyboard.press("a")
    bench.keyboard.write(0xEE)
    assert calls == [True, True]


# Buffer


def test_the_buffer_holds_16_codes_and_then_an_overrun(bench: Bench) -> None:
    for name in "abcdefghijklmnopqr":
        bench.keyboard.press(name)
    expected = b"".join(MAKE_2[name] for name in "abcdefghijklmnop")
    assert bench.sent() == expected + b"\x00"


def test_the_overrun_code_of_set_1_is_ff(bench: Bench) -> None:
    bench.command(0xF0, 1)
    for name in "abcdefghijklmnopqr":
        bench.keyboard.press(name)
    assert bench.sent()[16:] == b"\xff"


def test_a_sequence_that_does_not_fit_is_not_cut(bench: Bench) -> None:
    for name in "abcdefghijklmno":
        bench.keyboard.press(name)
    bench.keyboard.press("up")  # two codes, one place
    assert bench.sent()[15:] == b"\x00"


def test_after_an_overrun_new_keys_come_through(bench: Bench) -> None:
    for name in "abcdefghijklmnopqr":
        bench.keyboard.press(name)
    bench.sent()
    assert bench.stroke("z") == (b"\x1a", b"\xf0\x1a")


def test_replies_do_not_count_and_come_first(bench: Bench) -> None:
    for name in "abcdefghijklmnop":
        bench.keyboard.press(name)
    bench.keyboard.write(0xEE)
    assert bench.sent()[:2] == b"\xee\x1c"


# Typematic


def repetitions(bench: Bench, name: str, duration: int) -> list[tuple[int, bytes]]:
    """Hold a key; the instants (ns after the press) of its repetitions and what they send."""
    bench.keyboard.press(name)
    bench.sent()
    start = bench.clock.now
    heard = []
    while (due := bench.clock.deadline) <= start + duration:
        bench.clock.run_until(due)
        heard.append((due - start, bench.sent()))
    return heard


def test_default_is_half_a_second_then_10_9_a_second(bench: Bench) -> None:
    heard = repetitions(bench, "a", 2 * SECOND)
    assert heard[0] == (500 * MILLISECOND, b"\x1c")
    period = heard[1][0] - heard[0][0]
    assert SECOND / period == pytest.approx(10.9, abs=0.05)
    assert len(heard) == 1 + 16  # 1.5 s of 10.9


@pytest.mark.parametrize(
    ("option", "delay_ms", "rate"),
    [(0x00, 250, 30.0), (0x20, 500, 30.0), (0x7F, 1000, 2.0), (0x4A, 750, 12.0), (0x14, 250, 5.0)],
)
def test_f3_sets_delay_and_rate(bench: Bench, option: int, delay_ms: int, rate: float) -> None:
    assert bench.command(0xF3, option) == b"\xfa\xfa"
    heard = repetitions(bench, "a", 3 * SECOND)
    assert heard[0][0] == delay_ms * MILLISECOND
    assert SECOND / (heard[1][0] - heard[0][0]) == pytest.approx(rate, rel=0.01)


def test_release_stops_the_repetition(bench: Bench) -> None:
    bench.stroke("a")
    assert bench.clock.deadline == FOREVER


def test_only_the_last_key_repeats(bench: Bench) -> None:
    bench.keyboard.press("left_shift")
    bench.keyboard.press("right")
    bench.keyboard.release("left_shift")
    bench.sent()
    bench.clock.advance(500 * MILLISECOND)
    assert bench.sent() == b"\xe0\x74"
    bench.keyboard.press("b")
    bench.keyboard.release("b")
    bench.sent()
    bench.clock.advance(SECOND)
    assert bench.sent() == b""


def test_pause_does_not_repeat_and_print_screen_without_its_shift(bench: Bench) -> None:
    assert repetitions(bench, "pause", SECOND) == []
    assert repetitions(bench, "print_screen", 510 * MILLISECOND) == [(500 * MILLISECOND, b"\xe0\x7c")]


def test_repetitions_do_not_fill_the_buffer(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.clock.advance(10 * SECOND)
    assert bench.sent() == b"\x1c"


# Commands


def test_leds(bench: Bench) -> None:
    assert bench.keyboard.leds == 0
    assert bench.command(0xED, 0x02) == b"\xfa\xfa"
    assert bench.keyboard.num_lock
    assert not bench.keyboard.caps_lock
    assert bench.command(0xED, 0x05) == b"\xfa\xfa"
    assert bench.keyboard.leds == 5
    assert bench.keyboard.scroll_lock
    assert bench.keyboard.caps_lock
    assert not bench.keyboard.num_lock


def test_a_command_in_place_of_an_option_is_obeyed(bench: Bench) -> None:
    for command in (0xED, 0xF3, 0xF0):
        assert bench.command(command, 0xEE) == b"\xfa\xee"
        assert bench.command(0x02) == b"\xfe"  # no longer an option
    assert bench.keyboard.leds == 0


def test_echo_has_no_acknowledge(bench: Bench) -> None:
    assert bench.command(0xEE) == b"\xee"


@pytest.mark.parametrize("scan_set", [1, 2, 3])
def test_scan_code_set_is_selected_and_told(bench: Bench, scan_set: int) -> None:
    assert bench.command(0xF0, 0) == b"\xfa\xfa\x02"
    assert bench.command(0xF0, scan_set) == b"\xfa\xfa"
    assert bench.command(0xF0, 0) == b"\xfa\xfa" + bytes([scan_set])


def test_scan_code_set_4_does_not_exist(bench: Bench) -> None:
    assert bench.command(0xF0, 4) == b"\xfa\xfe"
    assert bench.command(0xF0, 0) == b"\xfa\xfa\x02"


def test_identify(bench: Bench) -> None:
    assert bench.command(0xF2) == b"\xfa\xab\x83"


def test_disable_and_enable(bench: Bench) -> None:
    assert bench.command(0xF5) == b"\xfa"
    assert bench.stroke("a") == (b"", b"")
    assert bench.command(0xF4) == b"\xfa"
    assert bench.stroke("a") == (b"\x1c", b"\xf0\x1c")


@pytest.mark.parametrize("command", [0xF4, 0xF5, 0xF6])
def test_enable_and_defaults_clear_the_buffer(bench: Bench, command: int) -> None:
    bench.keyboard.press("a")
    assert bench.command(command) == b"\xfa"
    assert bench.clock.deadline == FOREVER  # nor does it repeat


@pytest.mark.parametrize("command", [0xF5, 0xF6])
def test_defaults(bench: Bench, command: int) -> None:
    bench.command(0xF0, 1)
    bench.command(0xF3, 0x00)
    bench.command(command)
    bench.command(0xF4)
    assert bench.command(0xF0, 0) == b"\xfa\xfa\x02"
    assert repetitions(bench, "a", SECOND)[0][0] == 500 * MILLISECOND


def test_set_default_leaves_scanning_as_it_is(bench: Bench) -> None:
    bench.command(0xF6)
    assert bench.stroke("a")[0] == b"\x1c"
    bench.command(0xF5)
    bench.command(0xF6)
    assert bench.stroke("a")[0] == b""


@pytest.mark.parametrize("command", range(0xF7, 0xFB))
def test_key_types_of_all_keys_are_accepted(bench: Bench, command: int) -> None:
    assert bench.command(command) == b"\xfa"


@pytest.mark.parametrize("command", range(0xFB, 0xFE))
def test_key_types_of_single_keys_take_codes_until_a_command(bench: Bench, command: int) -> None:
    assert bench.command(command, 0x1C, 0x84, 0xEE) == b"\xfa\xfa\xfa\xee"


def test_resend_repeats_the_last_byte(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.sent()
    assert bench.command(0xFE) == b"\x1c"
    assert bench.command(0xFE) == b"\x1c"
    bench.command(0xF2)
    assert bench.command(0xFE) == b"\x83"


def test_reset_acknowledges_at_once_and_passes_later(bench: Bench) -> None:
    bench.command(0xED, 7)
    bench.command(0xF0, 3)
    bench.keyboard.press("a")
    assert bench.command(0xFF)[-1:] == b"\xfa"
    assert bench.keyboard.leds == 0
    assert bench.stroke("b") == (b"", b"")  # busy with its test
    bench.clock.advance(SELF_TEST_TIME - 1)
    assert bench.sent() == b""
    bench.clock.advance(1)
    assert bench.sent() == b"\xaa"
    assert bench.command(0xF0, 0) == b"\xfa\xfa\x02"
    assert bench.stroke("b")[0] == b"\x32"
    assert bench.clock.deadline == FOREVER


def test_a_key_held_through_a_reset_does_not_break(bench: Bench) -> None:
    bench.keyboard.press("delete")
    bench.command(0xFF)
    bench.clock.advance(SELF_TEST_TIME)
    bench.sent()
    bench.keyboard.release("delete")
    assert bench.sent() == b""


@pytest.mark.parametrize("byte", [0x00, 0x05, 0x7F, 0xEC, 0xEF, 0xF1])
def test_what_is_no_command_is_asked_for_again(bench: Bench, byte: int) -> None:
    assert bench.command(byte) == b"\xfe"


def test_power_on_reset_forgets_everything(bench: Bench) -> None:
    bench.command(0xED, 7)
    bench.command(0xFF)
    bench.keyboard.press("a")
    bench.keyboard.reset()
    bench.clock.advance(SECOND)
    assert bench.sent() == b""
    assert bench.keyboard.leds == 0
    assert bench.stroke("a") == (b"\x1c", b"\xf0\x1c")
