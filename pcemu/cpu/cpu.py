"""The processor: runs the guest in slices that end between two basic blocks, never asynchronously.

Virtual time is counted in *ticks*: a byte of code is one tick (slices.py tells why), a port access
:data:`PORT_TICKS`, an interrupt :data:`INTERRUPT_TICKS`. A device that wants attention earlier than the
slice was meant to end lowers its budget (:meth:`Cpu.limit_slice`), and the slice ends with the basic block.
An interrupt request (:attr:`Cpu.set_request`) ends it before the first block where it can be taken.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from unicorn import x86_const

from pcemu.bus import PortBus
from pcemu.cpu.engine import Engine
from pcemu.cpu.interrupts import INVALID_OPCODE, Interrupts, TripleFault
from pcemu.cpu.mmu import WRITE_SINK, Mmu
from pcemu.cpu.slices import slice_counter
from pcemu.cpu.state import (
    CC_OP,
    CC_OP_EFLAGS,
    CC_SRC,
    CR0,
    CR0_PE,
    CS,
    DF,
    DS,
    EAX,
    EBP,
    EBX,
    ECX,
    EDI,
    EDX,
    EFLAGS,
    EIP,
    ES,
    ESI,
    ESP,
    FLAG_IF,
    FS,
    GDT_BASE,
    GDT_LIMIT,
    GS,
    HF_ADDSEG,
    HF_CS32,
    HF_INHIBIT_IRQ,
    HF_SS32,
    HFLAGS,
    IDT_BASE,
    IDT_LIMIT,
    NO_EXCEPTION,
    REFUSED_ADDRESS,
    SEGMENT_BASE,
    SEGMENT_FLAGS,
    SEGMENT_LIMIT,
    SELECTOR,
    SS,
    EngineState,
)
from pcemu.cpu.string_io import StringIo
from pcemu.errors import GuestError
from pcemu.memory import PAGE_SIZE, TOP_ROM, Memory

PORT_TICKS = 250
INTERRUPT_TICKS = 250
TICKS_PER_BLOCK_ITEM = 2
STUCK_AFTER = 10_000  # invalid opcodes at one address, with nothing but their handler in between

_DATA_SEGMENT, _CODE_SEGMENT = 0x9300, 0x9B00  # descriptor flags after reset
_CR0_RESET = 0x10  # ET
_RESET_EDX = 0x633  # family, model, stepping


class Stop(Enum):
    """Why a slice ended."""

    COUNT = "count"
    HALT = "halt"


class Registers(NamedTuple):
    """The registers as a debugger shows them."""

    eax: int
    ebx: int
    ecx: int
    edx: int
    esi: int
    edi: int
    ebp: int
    esp: int
    eip: int
    eflags: int
    cs: int
    ds: int
    es: int
    ss: int
    fs: int
    gs: int


class Cpu:
    """An 80386-class processor on a port bus and guest memory."""

    def __init__(self, memory: Memory, bus: PortBus) -> None:
        self._engine = engine = Engine()
        self._handlers = bus.handlers
        self._byte_reads, self._byte_writes = bus.byte_reads, bus.byte_writes
        self._bus = bus
        self._error: BaseException | None = None
        self._ram = memoryview(memory.ram)
        engine.map_buffer(0, memory.ram)
        engine.map_nothing(memory.size, TOP_ROM.start - memory.size)
        engine.map_buffer(TOP_ROM.start, memory.top_rom)
        engine.uc.mem_map(WRITE_SINK, PAGE_SIZE)
        engine.configure()
        self.mmu = Mmu(engine)
        self._state = state = self._find_state()
        self._q, self._d = state.q, state.d
        self._halted = state.halted
        self._counter = counter = slice_counter(engine, state)
        self._budget = counter.budget
        self.set_request = counter.set_request
        self._granted = 0
        self._interrupts = Interrupts(
            state, self._ram, self.mmu.physical, lambda: engine.read_register(x86_const.UC_X86_REG_EFLAGS)
        )
        self._string_io = StringIo(state, self._ram, self.mmu, counter)
        self._last_invalid = (-1, 0)
        engine.hook_interrupts(self._on_interrupt)
        engine.hook_invalid(self._on_invalid)
        engine.hook_ports(self._on_in, self._on_out)
        self.running = False
        self.reset()

    def _find_state(self) -> EngineState:
        uc = self._engine.uc
        uc.reg_write(x86_const.UC_X86_REG_CR0, _CR0_RESET)
        for segment in (x86_const.UC_X86_REG_CS, x86_const.UC_X86_REG_SS, x86_const.UC_X86_REG_DS):
            uc.reg_write(segment, 0)
        self.mmu.refused_page = REFUSED_ADDRESS & ~(PAGE_SIZE - 1)
        state = EngineState(self._engine, self._ram)
        self.mmu.refused_page = None
        return state

    # -- state ------------------------------------------------------------------------------------

    def reset(self) -> None:
        """The state after the RESET pin: real mode, about to execute at FFFFFFF0."""
        uc, q, d = self._engine.uc, self._q, self._d
        uc.reg_write(x86_const.UC_X86_REG_CR0, _CR0_RESET)
        uc.reg_write(x86_const.UC_X86_REG_CR4, 0)
        uc.reg_write(x86_const.UC_X86_REG_EFLAGS, 2)
        for register in range(8):
            q[register] = 0
        q[EDX] = _RESET_EDX
        for segment in (ES, SS, DS, FS, GS):
            self._set_segment(segment, 0, 0, 0xFFFF, _DATA_SEGMENT)
        self._set_segment(CS, 0xF000, 0xFFFF0000, 0xFFFF, _CODE_SEGMENT)
        q[GDT_BASE], d[GDT_LIMIT] = 0, 0xFFFF
        q[IDT_BASE], d[IDT_LIMIT] = 0, 0xFFFF
        d[HFLAGS] &= ~(HF_CS32 | HF_SS32 | HF_INHIBIT_IRQ)
        d[HFLAGS] |= HF_ADDSEG
        d[self._state.old_exception] = NO_EXCEPTION
        q[EIP] = 0xFFF0
        self._halted[0] = 0
        self.mmu.forget_code()

    def _set_segment(self, segment: int, selector: int, base: int, limit: int, flags: int) -> None:
        self._d[SELECTOR[segment]] = selector
        self._q[SEGMENT_BASE[segment]] = base
        self._d[SEGMENT_LIMIT[segment]] = limit
        self._d[SEGMENT_FLAGS[segment]] = flags

    @property
    def registers(self) -> Registers:
        """All registers at this instant."""
        q, d = self._q, self._d
        general = (q[register] & 0xFFFFFFFF for register in (EAX, EBX, ECX, EDX, ESI, EDI, EBP, ESP, EIP))
        segments = (d[SELECTOR[segment]] for segment in (CS, DS, ES, SS, FS, GS))
        return Registers._make((*general, self._interrupts.eflags(), *segments))

    @property
    def location(self) -> str:
        """CS:EIP, with the bytes there, for messages."""
        offset = self._q[EIP] & 0xFFFFFFFF
        at = self.linear_ip
        code = bytes(self._ram[at : at + 8]).hex(" ") if at < len(self._ram) else "no memory"
        return f"{self._d[SELECTOR[CS]]:04X}:{offset:04X} ({code})"

    @property
    def linear_ip(self) -> int:
        """The physical address of the next instruction."""
        return self.mmu.physical(self._q[SEGMENT_BASE[CS]] + self._q[EIP] & 0xFFFFFFFF)

    @property
    def protected(self) -> bool:
        """True in protected mode."""
        return bool(self._q[CR0] & CR0_PE)

    @property
    def halted(self) -> bool:
        """True after HLT, until an interrupt or a reset."""
        return bool(self._halted[0])

    @property
    def interrupts_enabled(self) -> bool:
        """The IF flag."""
        return bool(self._q[EFLAGS] & FLAG_IF)

    @property
    def interruptible(self) -> bool:
        """True when an interrupt request would be taken now: IF set, and no shadow of STI or MOV SS."""
        return self._state.interruptible

    # -- running ----------------------------------------------------------------------------------

    def run(self, ticks: int) -> Stop:
        """Execute for about ``ticks`` ticks (at least one block); :attr:`ticks_used` tells how many.

        Raises what a device raised, and GuestError when the guest cannot go on.
        """
        self._granted = self._budget[0] = max(ticks, 1)
        self.running = True
        try:
            status = self._engine.run(self._q[EIP] & 0xFFFFFFFF)
        finally:  # a KeyboardInterrupt may come in behind the engine
            self.running = False
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if status:
            raise GuestError(f"the engine gave the guest up with its error {status} at {self.location}")
        return Stop.HALT if self._halted[0] else Stop.COUNT

    @property
    def ticks_used(self) -> int:
        """Ticks of the running slice so far, or of the last one."""
        return self._granted - self._budget[0]

    def limit_slice(self, ticks: int) -> None:
        """End the running slice once it has used ``ticks`` ticks, or with this block."""
        excess = self._granted - ticks
        if excess > 0:
            excess = min(excess, max(self._budget[0], 0))
            self._granted -= excess
            self._budget[0] -= excess

    def end_slice(self) -> None:
        """End the running slice with this block."""
        self.limit_slice(0)

    def interrupt(self, vector: int) -> None:
        """Deliver an external interrupt; wakes a halted processor."""
        self._halted[0] = 0
        try:
            self._interrupts.deliver(vector)
        except TripleFault:
            raise GuestError(self._triple_fault(vector)) from None

    def _triple_fault(self, vector: int) -> str:
        return f"triple fault: interrupt {vector:02X}h could not be delivered at {self.location}"

    # -- hooks ------------------------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        """Keep what a hook raised; :meth:`run` raises it after the slice."""
        if self._error is None:
            self._error = error
        self._engine.stop()

    def _on_interrupt(self, uc: int, vector: int, data: int) -> None:
        self._budget[0] -= INTERRUPT_TICKS
        try:
            self._interrupts.deliver(vector)
        except TripleFault:
            self._fail(GuestError(self._triple_fault(vector)))
        except BaseException as error:
            self._fail(error)

    def _on_invalid(self, uc: int, data: int) -> bool:
        state = self._state
        try:
            if self._d[state.software_interrupt]:
                self._q[EIP] = self._q[state.next_eip]  # INT 6: EIP goes past it
            else:
                self._count_invalid()
            self._interrupts.deliver(INVALID_OPCODE)
        except TripleFault:
            self._fail(GuestError(self._triple_fault(INVALID_OPCODE)))
        except BaseException as error:
            self._fail(error)
        return True

    def check_segment_end(self) -> None:
        """GuestError when the guest ran past the end of its code segment in real mode.

        A processor would fault there, without end; the engine does not look at the limit.
        """
        if self._q[EIP] & 0xFFFFFFFF > 0xFFFF and not self.protected:
            raise GuestError(f"the guest ran past the end of its code segment, and is at {self.location}")

    def _count_invalid(self) -> None:
        """Refuse to go on when a handler returns to the same invalid opcode for ever."""
        self.check_segment_end()
        where, times = self._last_invalid
        here = self.linear_ip
        self._last_invalid = (here, times + 1 if here == where else 1)
        if self._last_invalid[1] > STUCK_AFTER:
            raise GuestError(f"the guest executes an invalid instruction over and over at {self.location}")

    def _on_in(self, uc: int, port: int, size: int, data: int) -> int:
        try:
            self._budget[0] -= PORT_TICKS
            if size == 1:
                answer = self._byte_reads[port]
                if answer is not None:
                    read, register = answer
                    return read(register)
            return self._wide_in(port, size)
        except BaseException as error:
            self._fail(error)
            return 0

    def _wide_in(self, port: int, size: int) -> int:
        handler = self._handlers.get(port)
        if handler is not None and handler.read_block is not None:
            value = self._string_io.read(handler, size)
            if value >= 0:
                self._charge_block()
                return value
        return self._bus.read(port, size)

    def _on_out(self, uc: int, port: int, size: int, value: int, data: int) -> None:
        try:
            self._budget[0] -= PORT_TICKS
            if size == 1:
                answer = self._byte_writes[port]
                if answer is not None:
                    write, register = answer
                    write(register, value & 0xFF)
                    return
            self._wide_out(port, size, value)
        except BaseException as error:
            self._fail(error)

    def _wide_out(self, port: int, size: int, value: int) -> None:
        handler = self._handlers.get(port)
        if handler is not None and handler.write_block is not None and self._string_io.write(handler, size):
            self._charge_block()
        else:
            self._bus.write(port, size, value)

    def _charge_block(self) -> None:
        self._budget[0] -= self._string_io.moved * TICKS_PER_BLOCK_ITEM
        self._string_io.moved = 0

    def set_eflags(self, value: int) -> None:
        """Load EFLAGS as the engine keeps them."""
        q, d = self._q, self._d
        q[CC_SRC] = value & 0x8D5
        d[CC_OP] = CC_OP_EFLAGS
        d[DF] = 0xFFFFFFFF if value & 0x400 else 1
        q[EFLAGS] = value & ~0xCD5 & 0xFFFFFFFF | 2
