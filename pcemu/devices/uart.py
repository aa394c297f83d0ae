"""16550A UART: a serial port (COM1 at 3F8h, IRQ 4).

======== ======================================= ====================================
register read                                    write
======== ======================================= ====================================
0        RBR receiver buffer (DLAB: DLL)         THR transmitter holding (DLAB: DLL)
1        IER interrupt enable (DLAB: DLM)        IER (DLAB: DLM)
2        IIR interrupt identification            FCR FIFO control
3        LCR line control                        LCR
4        MCR modem control                       MCR
5        LSR line status                         -
6        MSR modem status                        -
7        SCR scratch                             SCR
======== ======================================= ====================================

Bytes move at the speed that divisor and line control set. The host's end is a ``sink`` for the bytes that
the guest sends, and :meth:`Uart16550.receive` for those that it gets; there is no handshake on that side, so
that a guest that does not listen loses bytes to overrun, as with a three-wire cable.

**Not implemented**: break, parity and framing errors (the host's end makes none); the DMA signals. OUT2
gates the interrupt in loopback mode too, where the chip itself would force that pin off.

Reference: National Semiconductor PC16550D data sheet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pcemu.clock import SECOND, Clock, Timer
from pcemu.irq import IrqLine

RBR = THR = DLL = 0
IER = DLM = 1
IIR = FCR = 2
LCR = 3
MCR = 4
LSR = 5
MSR = 6
SCR = 7

IER_RECEIVED_DATA = 0x01
IER_THR_EMPTY = 0x02
IER_LINE_STATUS = 0x04
IER_MODEM_STATUS = 0x08
IER_MASK = 0x0F

IIR_NONE = 0x01
IIR_MODEM_STATUS = 0x00
IIR_THR_EMPTY = 0x02
IIR_RECEIVED_DATA = 0x04
IIR_LINE_STATUS = 0x06
IIR_CHARACTER_TIMEOUT = 0x0C
IIR_FIFOS_ENABLED = 0xC0

FCR_ENABLE = 0x01
FCR_CLEAR_RECEIVER = 0x02
FCR_CLEAR_TRANSMITTER = 0x04
TRIGGER_LEVELS = (1, 4, 8, 14)
"""Bytes in the receiver FIFO that raise the interrupt, by FCR bits 7–6."""

LCR_WORD_LENGTH = 0x03
LCR_STOP_BITS = 0x04
LCR_PARITY = 0x08
LCR_DLAB = 0x80

MCR_DTR = 0x01
MCR_RTS = 0x02
MCR_OUT1 = 0x04
MCR_OUT2 = 0x08
MCR_LOOP = 0x10
MCR_MASK = 0x1F

LSR_DATA_READY = 0x01
LSR_OVERRUN = 0x02
LSR_THR_EMPTY = 0x20
LSR_TRANSMITTER_EMPTY = 0x40

MSR_DELTA_CTS = 0x01
MSR_DELTA_DSR = 0x02
MSR_TRAILING_EDGE_RI = 0x04
MSR_DELTA_DCD = 0x08
MSR_CTS = 0x10
MSR_DSR = 0x20
MSR_RI = 0x40
MSR_DCD = 0x80
MSR_LINES = 0xF0
MSR_DELTAS = 0x0F

FIFO_SIZE = 16
CRYSTAL = 1_843_200
"""Hz; one bit takes 16 × divisor of its periods."""
DIVISOR_AT_RESET = 12
"""9600 baud; the data sheet leaves it open."""
TIMEOUT_CHARACTERS = 4
"""After so many character times of silence a byte below the trigger level is reported."""


class Uart16550:
    """One serial port; without a ``sink`` nothing is plugged in, and the modem lines are off."""

    def __init__(self, clock: Clock, irq: IrqLine, sink: Callable[[int], None] | None) -> None:
        self._clock = clock
        self._irq = irq
        self._sink = sink
        self._modem_lines = MSR_CTS | MSR_DSR | MSR_DCD if sink is not None else 0
        self._line: deque[int] = deque()
        self._received: deque[int] = deque()
        self._to_send: deque[int] = deque()
        self._line_timer: Timer | None = None
        self._send_timer: Timer | None = None
        self._timeout_timer: Timer | None = None
        self.reset()

    def reset(self) -> None:
        """Master reset: registers as in the data sheet's reset table, FIFOs empty, nothing being sent.

        Bytes that the host has on its line stay there.
        """
        for timer in (self._send_timer, self._timeout_timer):
            if timer is not None:
                timer.cancel()
        self._send_timer = self._timeout_timer = None
        self._received.clear()
        self._to_send.clear()
        self._shifting: int | None = None
        self._divisor = DIVISOR_AT_RESET
        self._ier = self._lcr = self._mcr = self._scr = 0
        self._lsr = LSR_THR_EMPTY | LSR_TRANSMITTER_EMPTY
        self._msr = self._modem_lines
        self._fifo = False
        self._trigger = TRIGGER_LEVELS[0]
        self._thr_empty_pending = False
        self._timeout_pending = False
        self._character_time = self._compute_character_time()
        self._update_irq()

    # The processor's side

    def read(self, register: int) -> int:
        """Read one of the eight registers."""
        if register == LSR:
            value = self._lsr
            if value & LSR_OVERRUN:
                self._lsr &= ~LSR_OVERRUN
                self._update_irq()
            return value
        if register == RBR:
            return self._divisor & 0xFF if self._lcr & LCR_DLAB else self._read_received()
        if register == IIR:
            return self._read_iir()
        if register == MSR:
            value = self._msr
            self._msr &= ~MSR_DELTAS
            self._update_irq()
            return value
        if register == IER:
            return self._divisor >> 8 if self._lcr & LCR_DLAB else self._ier
        if register == LCR:
            return self._lcr
        return self._mcr if register == MCR else self._scr

    def write(self, register: int, value: int) -> None:
        """Write one of the eight registers."""
        if register == THR:
            if self._lcr & LCR_DLAB:
                self._set_divisor(self._divisor & 0xFF00 | value)
            else:
                self._write_thr(value)
        elif register == IER:
            if self._lcr & LCR_DLAB:
                self._set_divisor(self._divisor & 0xFF | value << 8)
            else:
                self._write_ier(value)
        elif register == FCR:
            self._write_fcr(value)
        elif register == LCR:
            self._lcr = value
            self._character_time = self._compute_character_time()
        elif register == MCR:
            self._mcr = value & MCR_MASK
            self._update_modem_status()
        elif register == SCR:
            self._scr = value

    def _set_divisor(self, divisor: int) -> None:
        self._divisor = divisor
        self._character_time = self._compute_character_time()

    def _compute_character_time(self) -> int:
        """Time in ns of one character: start bit, data, parity, stop bits."""
        data_bits = 5 + (self._lcr & LCR_WORD_LENGTH)
        half_bits = 2 * (1 + data_bits + 1)
        if self._lcr & LCR_PARITY:
            half_bits += 2
        if self._lcr & LCR_STOP_BITS:
            half_bits += 1 if data_bits == 5 else 2
        divisor = self._divisor or 0x10000  # a 16-bit counter that starts from 0
        return half_bits * 8 * divisor * SECOND // CRYSTAL

    @property
    def character_time(self) -> int:
        """Time in ns that one character takes on the line, as it is set now."""
        return self._character_time

    def _write_ier(self, value: int) -> None:
        newly_enabled = value & ~self._ier
        self._ier = value & IER_MASK
        if newly_enabled & IER_THR_EMPTY and self._lsr & LSR_THR_EMPTY:
            self._thr_empty_pending = True
        if newly_enabled & IER_RECEIVED_DATA:
            self._restart_timeout()
        self._update_irq()

    def _write_fcr(self, value: int) -> None:
        enable = bool(value & FCR_ENABLE)
        if enable != self._fifo:
            self._fifo = enable
            value |= FCR_CLEAR_RECEIVER | FCR_CLEAR_TRANSMITTER
        elif not enable:
            return
        self._trigger = TRIGGER_LEVELS[value >> 6] if enable else TRIGGER_LEVELS[0]
        if value & FCR_CLEAR_RECEIVER:
            self._received.clear()
            self._lsr &= ~LSR_DATA_READY
            self._restart_timeout()
        if value & FCR_CLEAR_TRANSMITTER:
            self._to_send.clear()
            self._set_thr_empty()
        self._update_irq()

    # Interrupts

    def _interrupt(self) -> int:
        """The IIR code of the most important interrupt that is pending and enabled."""
        ier = self._ier
        if ier & IER_LINE_STATUS and self._lsr & LSR_OVERRUN:
            return IIR_LINE_STATUS
        if ier & IER_RECEIVED_DATA:
            if len(self._received) >= self._trigger:
                return IIR_RECEIVED_DATA
            if self._timeout_pending:
                return IIR_CHARACTER_TIMEOUT
        if ier & IER_THR_EMPTY and self._thr_empty_pending:
            return IIR_THR_EMPTY
        if ier & IER_MODEM_STATUS and self._msr & MSR_DELTAS:
            return IIR_MODEM_STATUS
        return IIR_NONE

    def _update_irq(self) -> None:
        self._irq.set(bool(self._mcr & MCR_OUT2) and self._interrupt() != IIR_NONE)

    def _read_iir(self) -> int:
        interrupt = self._interrupt()
        if interrupt == IIR_THR_EMPTY:
            self._thr_empty_pending = False
            self._update_irq()
        return interrupt | IIR_FIFOS_ENABLED if self._fifo else interrupt

    # Transmitter

    def _write_thr(self, value: int) -> None:
        if len(self._to_send) >= (FIFO_SIZE if self._fifo else 1):
            self._to_send.pop()  # what was there is overwritten
        self._to_send.append(value & self._word_mask())
        self._lsr &= ~(LSR_THR_EMPTY | LSR_TRANSMITTER_EMPTY)
        self._thr_empty_pending = False
        self._update_irq()  # low first, so that the controller sees an edge when it rises again
        if self._shifting is None:
            self._start_sending()

    def _start_sending(self) -> None:
        """Move the next byte into the shift register."""
        self._shifting = self._to_send.popleft()
        self._send_timer = self._clock.call_after(self._character_time, self._sent)
        if not self._to_send:
            self._set_thr_empty()

    def _set_thr_empty(self) -> None:
        if not self._lsr & LSR_THR_EMPTY:
            self._lsr |= LSR_THR_EMPTY
            self._thr_empty_pending = True
        self._update_irq()

    def _sent(self) -> None:
        """The shift register is empty: its byte has arrived at the other end."""
        byte = self._shifting
        assert byte is not None
        self._shifting = None
        if self._to_send:
            self._start_sending()
        else:
            self._lsr |= LSR_TRANSMITTER_EMPTY
        if self._mcr & MCR_LOOP:
            self._arrive(byte)
        elif self._sink is not None:
            self._sink(byte)

    def _word_mask(self) -> int:
        return 0xFF >> 3 - (self._lcr & LCR_WORD_LENGTH)

    # Receiver

    def receive(self, data: bytes) -> None:
        """Send ``data`` to the guest: it arrives byte by byte at line speed."""
        self._line.extend(data)
        if self._line and self._line_timer is None:
            self._line_timer = self._clock.call_after(self._character_time, self._end_of_character)

    @property
    def receiving(self) -> int:
        """Bytes from the host that have not arrived yet."""
        return len(self._line)

    def _end_of_character(self) -> None:
        byte = self._line.popleft()
        self._line_timer = None
        if self._line:
            self._line_timer = self._clock.call_after(self._character_time, self._end_of_character)
        if not self._mcr & MCR_LOOP:  # in loopback mode the input pin is disconnected
            self._arrive(byte)

    def _arrive(self, byte: int) -> None:
        """The receiver's shift register has a whole character."""
        received = self._received
        byte &= self._word_mask()
        if len(received) < (FIFO_SIZE if self._fifo else 1):
            received.append(byte)
        else:
            self._lsr |= LSR_OVERRUN
            if not self._fifo:
                received[0] = byte
        self._lsr |= LSR_DATA_READY
        self._restart_timeout()
        self._update_irq()

    def _read_received(self) -> int:
        received = self._received
        if not received:
            return 0
        byte = received.popleft()
        if not received:
            self._lsr &= ~LSR_DATA_READY
        self._restart_timeout()
        self._update_irq()
        return byte

    def _restart_timeout(self) -> None:
        """Count the silence anew: the FIFO was filled or read."""
        self._timeout_pending = False
        if self._timeout_timer is not None:
            self._timeout_timer.cancel()
            self._timeout_timer = None
        if self._fifo and self._received and self._ier & IER_RECEIVED_DATA:
            silence = TIMEOUT_CHARACTERS * self._character_time
            self._timeout_timer = self._clock.call_after(silence, self._timed_out)

    def _timed_out(self) -> None:
        self._timeout_timer = None
        self._timeout_pending = True
        self._update_irq()

    # Modem lines

    def set_modem_lines(self, lines: int) -> None:
        """Drive the inputs from outside: any of ``MSR_CTS | MSR_DSR | MSR_RI | MSR_DCD``."""
        self._modem_lines = lines & MSR_LINES
        self._update_modem_status()

    def _update_modem_status(self) -> None:
        lines = self._looped_lines() if self._mcr & MCR_LOOP else self._modem_lines
        before = self._msr & MSR_LINES
        deltas = (before ^ lines) >> 4
        if lines & MSR_RI:
            deltas &= ~MSR_TRAILING_EDGE_RI  # ring indicator counts when it ends only
        self._msr = lines | self._msr & MSR_DELTAS | deltas
        self._update_irq()

    def _looped_lines(self) -> int:
        """The modem inputs in loopback mode: RTS, DTR, OUT1 and OUT2 come back."""
        mcr = self._mcr
        lines = 0
        if mcr & MCR_RTS:
            lines |= MSR_CTS
        if mcr & MCR_DTR:
            lines |= MSR_DSR
        if mcr & MCR_OUT1:
            lines |= MSR_RI
        if mcr & MCR_OUT2:
            lines |= MSR_DCD
        return lines
