"""The 16550A UART against the PC16550D data sheet."""

from __future__ import annotations

import pytest

from pcemu.clock import FOREVER, SECOND
from pcemu.devices.uart import MSR_CTS, MSR_DCD, MSR_DSR, MSR_RI, Uart16550
from pcemu.testing.fakes import FakeClock, RecordingIrqLine

RBR = THR = DLL = 0
IER = DLM = 1
IIR = FCR = 2
LCR, MCR, LSR, MSR, SCR = 3, 4, 5, 6, 7

RDA, THRE, RLS, MODEM = 0x01, 0x02, 0x04, 0x08  # IER bits
DR, OE, THR_EMPTY, TEMT = 0x01, 0x02, 0x20, 0x40  # LSR bits
NONE, LINE_STATUS, RECEIVED, TIMEOUT, EMPTY, MODEM_STATUS = 0x01, 0x06, 0x04, 0x0C, 0x02, 0x00  # IIR
OUT2, LOOP = 0x08, 0x10


class Bench:
    """A port at 115,200 baud, 8N1, OUT2 on: what a terminal program sets."""

    def __init__(self, plugged_in: bool = True) -> None:
        self.clock = FakeClock()
        self.irq = RecordingIrqLine(self.clock)
        self.sent = bytearray()
        self.sent_at: list[int] = []
        self.uart = Uart16550(self.clock, self.irq, self._sink if plugged_in else None)
        self.set_line(divisor=1, lcr=0x03)
        self.write(MCR, OUT2)

    def _sink(self, byte: int) -> None:
        self.sent.append(byte)
        self.sent_at.append(self.clock.now)

    def read(self, register: int) -> int:
        return self.uart.read(register)

    def write(self, register: int, value: int) -> None:
        self.uart.write(register, value)

    def set_line(self, divisor: int, lcr: int) -> None:
        self.write(LCR, 0x80)
        self.write(DLL, divisor & 0xFF)
        self.write(DLM, divisor >> 8)
        self.write(LCR, lcr)

    def characters(self, count: float) -> None:
        """Let so many character times pass."""
        self.clock.advance(int(count * self.uart.character_time))

    def receive(self, data: bytes) -> None:
        """Let bytes arrive, to the end of the last one."""
        self.uart.receive(data)
        self.characters(len(data))


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def fifo(bench: Bench) -> Bench:
    """FIFOs on, trigger level 4."""
    bench.write(FCR, 0x41)
    return bench


# Registers


def test_reset_table(bench: Bench) -> None:
    bench.write(IER, 0x0F)
    bench.write(MCR, 0x0B)
    bench.write(FCR, 0xC1)
    bench.receive(b"xyz")
    bench.write(THR, 0x41)
    bench.uart.reset()
    assert [bench.read(register) for register in (IER, IIR, LCR, MCR, LSR)] == [0, NONE, 0, 0, 0x60]
    assert bench.read(MSR) & 0x0F == 0
    assert not bench.irq.level
    bench.clock.advance(SECOND)
    assert bench.sent == b""


def test_divisor_latch_hides_data_and_ier(bench: Bench) -> None:
    bench.write(IER, 0x05)
    bench.write(LCR, 0x83)
    assert (bench.read(DLL), bench.read(DLM)) == (1, 0)
    bench.write(DLL, 0x80)
    bench.write(DLM, 0x01)
    assert (bench.read(DLL), bench.read(DLM)) == (0x80, 0x01)
    bench.write(LCR, 0x03)
    assert bench.read(IER) == 0x05
    assert bench.sent == b""


def test_scratch_register_and_unused_bits(bench: Bench) -> None:
    bench.write(SCR, 0xA5)
    assert bench.read(SCR) == 0xA5
    bench.write(IER, 0xFF)
    assert bench.read(IER) == 0x0F
    bench.write(MCR, 0xFF)
    assert bench.read(MCR) == 0x1F
    bench.write(LCR, 0x5A)
    assert bench.read(LCR) == 0x5A


def test_line_status_is_not_written(bench: Bench) -> None:
    bench.write(LSR, 0x00)
    assert bench.read(LSR) == THR_EMPTY | TEMT


@pytest.mark.parametrize(
    ("divisor", "lcr", "bits"),
    [
        (12, 0x03, 10),  # 9600 8N1
        (1, 0x03, 10),  # 115,200 8N1
        (96, 0x1A, 10),  # 1200 7E1
        (384, 0x07, 11),  # 300 8N2
        (12, 0x04, 7.5),  # 9600 5N1.5
        (12, 0x0F, 12),  # 9600 8O2
        (0x900, 0x03, 10),  # 50 baud
    ],
)
def test_character_time(bench: Bench, divisor: int, lcr: int, bits: float) -> None:
    bench.set_line(divisor, lcr)
    start = bench.clock.now
    bench.write(THR, 0x11)
    bench.clock.run_until(bench.clock.deadline)
    assert bench.sent_at[0] - start == pytest.approx(bits * divisor * SECOND / 115_200, abs=1)


# Transmitter


def test_bytes_leave_in_order_one_character_time_each(fifo: Bench) -> None:
    for byte in b"hello":
        fifo.write(THR, byte)
    fifo.characters(5)
    assert fifo.sent == b"hello"
    gaps = [after - before for before, after in zip(fifo.sent_at, fifo.sent_at[1:], strict=False)]
    assert gaps == [fifo.uart.character_time] * 4


def test_holding_register_and_shift_register_without_fifo(bench: Bench) -> None:
    bench.write(THR, 0x41)
    assert bench.read(LSR) == THR_EMPTY  # it went on into the shift register
    bench.write(THR, 0x42)
    assert bench.read(LSR) == 0
    bench.characters(1)
    assert bench.read(LSR) == THR_EMPTY
    bench.characters(1)
    assert bench.read(LSR) == THR_EMPTY | TEMT
    assert bench.sent == b"AB"


def test_the_transmit_fifo_holds_16(fifo: Bench) -> None:
    for byte in range(17):  # one in the shift register
        fifo.write(THR, byte)
    assert fifo.read(LSR) == 0
    fifo.characters(16)
    assert fifo.read(LSR) == THR_EMPTY
    fifo.characters(1)
    assert fifo.sent == bytes(range(17))
    assert fifo.read(LSR) == THR_EMPTY | TEMT


def test_word_length_cuts_what_is_sent(bench: Bench) -> None:
    bench.set_line(1, 0x02)
    bench.write(THR, 0xC1)
    bench.characters(1)
    assert bench.sent == b"\x41"


def test_clearing_the_transmit_fifo_leaves_the_shift_register(fifo: Bench) -> None:
    for byte in b"abc":
        fifo.write(THR, byte)
    fifo.write(FCR, 0x45)
    assert fifo.read(LSR) == THR_EMPTY
    fifo.characters(5)
    assert fifo.sent == b"a"


def test_without_a_sink_sending_works_all_the_same() -> None:
    bench = Bench(plugged_in=False)
    bench.write(THR, 0x41)
    bench.characters(1)
    assert bench.read(LSR) == THR_EMPTY | TEMT
    assert bench.read(MSR) == 0


# Transmitter interrupt


def test_enabling_the_empty_interrupt_raises_it_at_once(bench: Bench) -> None:
    bench.write(IER, THRE)
    assert bench.irq.level
    assert bench.read(IIR) == EMPTY


def test_reading_iir_clears_the_empty_interrupt(bench: Bench) -> None:
    bench.write(IER, THRE)
    bench.read(IIR)
    assert not bench.irq.level
    assert bench.read(IIR) == NONE


def test_writing_thr_clears_the_empty_interrupt_until_it_is_empty_again(bench: Bench) -> None:
    bench.write(THR, 0x41)  # keeps the shift register busy
    bench.write(IER, THRE)
    bench.write(THR, 0x42)
    assert not bench.irq.level
    assert bench.read(IIR) == NONE
    bench.characters(1)
    assert bench.irq.level
    assert bench.read(IIR) == EMPTY


def test_each_byte_gives_the_controller_an_edge(bench: Bench) -> None:
    bench.write(IER, THRE)
    for count in range(1, 4):
        assert bench.irq.rises == count
        bench.write(THR, 0x41)
        bench.characters(2)


def test_with_fifo_the_interrupt_comes_when_it_is_empty(fifo: Bench) -> None:
    for byte in b"abcd":
        fifo.write(THR, byte)
    fifo.write(IER, THRE)
    fifo.characters(2)
    assert not fifo.irq.level
    fifo.characters(1)
    assert fifo.irq.level
    assert fifo.read(IIR) == 0xC0 | EMPTY


# Receiver


def test_a_byte_arrives_after_a_character_time(bench: Bench) -> None:
    bench.uart.receive(b"A")
    bench.characters(0.99)
    assert not bench.read(LSR) & DR
    bench.characters(0.02)
    assert bench.read(LSR) & DR
    assert bench.read(RBR) == 0x41
    assert not bench.read(LSR) & DR


def test_bytes_arrive_at_line_speed(fifo: Bench) -> None:
    fifo.uart.receive(b"abcdef")
    fifo.characters(3)
    fifo.uart.receive(b"g")
    got = bytearray()
    while fifo.read(LSR) & DR:
        got.append(fifo.read(RBR))
    assert got == b"abc"
    assert fifo.uart.receiving == 4
    fifo.characters(4)
    assert bytes(fifo.read(RBR) for _ in range(4)) == b"defg"
    assert fifo.uart.receiving == 0


def test_overrun_without_fifo_destroys_the_older_byte(bench: Bench) -> None:
    bench.receive(b"AB")
    assert bench.read(LSR) & (DR | OE) == DR | OE
    assert not bench.read(LSR) & OE  # reading cleared it
    assert bench.read(RBR) == 0x42


def test_overrun_with_fifo_keeps_the_first_16(fifo: Bench) -> None:
    fifo.receive(bytes(range(18)))
    assert fifo.read(LSR) & OE
    assert bytes(fifo.read(RBR) for _ in range(16)) == bytes(range(16))
    assert not fifo.read(LSR) & DR


def test_word_length_cuts_what_is_received(bench: Bench) -> None:
    bench.set_line(1, 0x00)
    bench.receive(b"\xff")
    assert bench.read(RBR) == 0x1F


def test_received_data_interrupt_without_fifo(bench: Bench) -> None:
    bench.write(IER, RDA)
    bench.receive(b"A")
    assert bench.irq.level
    assert bench.read(IIR) == RECEIVED
    assert bench.irq.level  # only reading the byte clears it
    bench.read(RBR)
    assert not bench.irq.level
    assert bench.read(IIR) == NONE


@pytest.mark.parametrize(("fcr", "level"), [(0x01, 1), (0x41, 4), (0x81, 8), (0xC1, 14)])
def test_trigger_levels(bench: Bench, fcr: int, level: int) -> None:
    bench.write(FCR, fcr)
    bench.write(IER, RDA)
    bench.receive(bytes(level - 1))
    assert not bench.irq.level
    bench.receive(b"x")
    assert bench.read(IIR) == 0xC0 | RECEIVED
    bench.read(RBR)
    assert not bench.irq.level


def test_timeout_after_four_character_times_of_silence(fifo: Bench) -> None:
    fifo.write(IER, RDA)
    fifo.receive(b"ab")
    fifo.characters(3.9)
    assert not fifo.irq.level
    fifo.characters(0.2)
    assert fifo.irq.level
    assert fifo.read(IIR) == 0xC0 | TIMEOUT
    fifo.read(RBR)
    assert not fifo.irq.level
    fifo.characters(4.1)  # the other byte is still there
    assert fifo.read(IIR) == 0xC0 | TIMEOUT


def test_reading_or_receiving_starts_the_silence_anew(fifo: Bench) -> None:
    fifo.write(IER, RDA)
    fifo.receive(b"abc")
    fifo.characters(3)
    fifo.read(RBR)
    fifo.characters(3)
    assert not fifo.irq.level
    fifo.receive(b"d")
    fifo.characters(3)
    assert not fifo.irq.level
    fifo.characters(1.1)
    assert fifo.irq.level


def test_no_timeout_when_empty_or_without_fifo(fifo: Bench) -> None:
    fifo.write(IER, RDA)
    fifo.receive(b"a")
    fifo.read(RBR)
    assert fifo.clock.deadline == FOREVER
    fifo.write(FCR, 0x00)
    fifo.receive(b"b")
    assert fifo.clock.deadline == FOREVER


def test_clearing_the_receiver_fifo(fifo: Bench) -> None:
    fifo.write(IER, RDA)
    fifo.receive(b"abcde")
    fifo.write(FCR, 0x43)
    assert not fifo.read(LSR) & DR
    assert not fifo.irq.level


@pytest.mark.parametrize(("before", "after"), [(0x00, 0x01), (0x01, 0x00)])
def test_changing_the_fifo_mode_clears_both(bench: Bench, before: int, after: int) -> None:
    bench.write(FCR, before)
    bench.receive(b"a")
    for byte in b"xyz":
        bench.write(THR, byte)
    bench.write(FCR, after)
    assert not bench.read(LSR) & DR
    bench.characters(5)
    assert bench.sent == b"x"


def test_fifo_control_needs_its_enable_bit(bench: Bench) -> None:
    bench.receive(b"a")
    bench.write(FCR, 0x02)
    assert bench.read(LSR) & DR
    assert bench.read(IIR) & 0xC0 == 0


def test_iir_shows_the_fifos(fifo: Bench) -> None:
    assert fifo.read(IIR) == 0xC0 | NONE
    fifo.write(FCR, 0x00)
    assert fifo.read(IIR) == NONE


# Priorities and gate


def test_interrupt_priorities(bench: Bench) -> None:
    bench.write(IER, RDA | THRE | RLS | MODEM)
    bench.read(IIR)
    bench.write(THR, 0x41)
    bench.receive(b"ab")
    bench.uart.set_modem_lines(0)
    assert bench.read(IIR) == LINE_STATUS
    bench.read(LSR)
    assert bench.read(IIR) == RECEIVED
    bench.read(RBR)
    assert bench.read(IIR) == EMPTY
    assert bench.read(IIR) == MODEM_STATUS
    assert bench.irq.level
    bench.read(MSR)
    assert bench.read(IIR) == NONE
    assert not bench.irq.level


def test_iir_below_the_top_does_not_clear_the_empty_interrupt(bench: Bench) -> None:
    bench.write(IER, RDA | THRE)
    bench.receive(b"a")
    assert bench.read(IIR) == RECEIVED
    bench.read(RBR)
    assert bench.read(IIR) == EMPTY


def test_out2_gates_the_interrupt(bench: Bench) -> None:
    bench.write(MCR, 0)
    bench.write(IER, RDA)
    bench.receive(b"a")
    assert not bench.irq.level
    assert bench.read(IIR) == RECEIVED
    bench.write(MCR, OUT2)
    assert bench.irq.level


def test_disabled_interrupts_do_not_show(bench: Bench) -> None:
    bench.receive(b"ab")
    bench.uart.set_modem_lines(0)
    assert bench.read(IIR) == NONE
    assert bench.irq.edges == []


# Modem lines


def test_a_plugged_in_port_sees_a_ready_modem(bench: Bench) -> None:
    assert bench.read(MSR) == MSR_CTS | MSR_DSR | MSR_DCD


@pytest.mark.parametrize(("line", "delta"), [(MSR_CTS, 0x01), (MSR_DSR, 0x02), (MSR_DCD, 0x08)])
def test_deltas_on_both_edges(bench: Bench, line: int, delta: int) -> None:
    bench.uart.set_modem_lines(0)
    bench.read(MSR)
    bench.uart.set_modem_lines(line)
    assert bench.read(MSR) == line | delta
    assert bench.read(MSR) == line
    bench.uart.set_modem_lines(0)
    assert bench.read(MSR) == delta


def test_ring_counts_on_its_trailing_edge(bench: Bench) -> None:
    bench.uart.set_modem_lines(0)
    bench.read(MSR)
    bench.uart.set_modem_lines(MSR_RI)
    assert bench.read(MSR) == MSR_RI
    bench.uart.set_modem_lines(0)
    assert bench.read(MSR) == 0x04


# Loopback


def test_loopback_brings_bytes_back_and_nothing_out(bench: Bench) -> None:
    bench.write(MCR, OUT2 | LOOP)
    bench.write(IER, RDA)
    bench.write(THR, 0x5A)
    assert not bench.read(LSR) & DR
    bench.characters(1)
    assert bench.irq.level
    assert bench.read(RBR) == 0x5A
    assert bench.sent == b""


def test_loopback_disconnects_the_input(bench: Bench) -> None:
    bench.write(MCR, LOOP)
    bench.receive(b"x")
    assert not bench.read(LSR) & DR


@pytest.mark.parametrize(
    ("mcr", "msr"), [(0x01, MSR_DSR), (0x02, MSR_CTS), (0x04, MSR_RI), (0x08, MSR_DCD), (0x0F, 0xF0)]
)
def test_loopback_of_modem_lines(bench: Bench, mcr: int, msr: int) -> None:
    bench.write(MCR, LOOP | mcr)
    assert bench.read(MSR) & 0xF0 == msr
    bench.write(MCR, 0)
    assert bench.read(MSR) & 0xF0 == MSR_CTS | MSR_DSR | MSR_DCD


def test_an_idle_port_puts_nothing_on_the_clock(fifo: Bench) -> None:
    fifo.write(IER, 0x0F)
    assert fifo.clock.deadline == FOREVER
