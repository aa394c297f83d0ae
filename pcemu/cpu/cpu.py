"""The processor: runs the guest in slices that end between two basic blocks, never asynchronously.

Virtual time is counted in *ticks*: a byte of code is one tick (slices.py tells why), a port access
:data:`pcemu.cpu.ports.PORT_TICKS`, an interrupt :data:`INTERRUPT_TICKS`. A device that wants attention
earlier than the slice was meant to end lowers its budget (:meth:`Cpu.limit_slice`), and the slice ends with
the basic block. An interrupt request (:attr:`Cpu.set_request`) ends it before the first block where it can be
taken.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from pcemu.bus import PortBus
from pcemu.cpu.control import INTERCEPT_BASE, ControlRegisters
from pcemu.cpu.corrections import Corrections
from pcemu.cpu.cpuid import cpuid
from pcemu.cpu.engine import CPUID, NO_CODE, RDTSC, REFUSED, SYSCALL, SYSENTER, Engine
from pcemu.cpu.faults import (
    DEBUG,
    INVALID_OPCODE,
    NAMES,
    PAGE_FAULT,
    Fault,
    PageFault,
    TripleFault,
)
from pcemu.cpu.interrupts import Interrupts
from pcemu.cpu.io_guard import IoGuard
from pcemu.cpu.mmu import WRITE_SINK, Mmu
from pcemu.cpu.open_state import open_state
from pcemu.cpu.ports import Ports
from pcemu.cpu.registers import Registers, read_registers, reset_registers
from pcemu.cpu.slices import slice_counter
from pcemu.cpu.state import (
    CR0,
    CR0_NE,
    CR0_PE,
    CS,
    DR6_BREAKPOINTS,
    DR6_SINGLE_STEP,
    EAX,
    EBX,
    ECX,
    EDX,
    EFLAGS,
    EIP,
    FLAG_IF,
    FLAG_RF,
    FLAG_TF,
    SEGMENT_BASE,
    SELECTOR,
)
from pcemu.cpu.string_io import StringIo, is_repeated
from pcemu.cpu.tasks import Tasks
from pcemu.errors import GuestError
from pcemu.memory import LOW_ROM, PAGE_SIZE, TOP_ROM, Memory

KEYBOARD_SERVICE = 0x16  # INT
INTERRUPT_TICKS = 250
# Reported by the engine, and not simply to be delivered; intercepts have numbers beyond the vectors.
_SPECIAL = frozenset((DEBUG, PAGE_FAULT, KEYBOARD_SERVICE, *range(INTERCEPT_BASE, 2 * INTERCEPT_BASE)))
RDTSC_TICKS = 20
STUCK_AFTER = 10_000  # invalid opcodes at one address, with nothing but their handler in between

FPU_ERROR = 0x80  # ES in the FPU's status word
_NOWHERE = 1 << 32
_ALL_BITS = (1 << 64) - 1
_ESCAPE = 0x0F  # first byte of the opcode


class Stop(Enum):
    """Why a slice ended."""

    COUNT = "count"
    HALT = "halt"


class Cpu:
    """A Pentium II-class processor (cpuid.py) on a port bus and guest memory.

    ``time_stamp``: what RDTSC reads. ``on_triple_fault``: told why the processor shut down; it may have it
    reset, or raise (GuestError, unless set otherwise). ``on_fpu_error``: the level of the FPU's error output,
    as far as CR0.NE sends it there, at the end of each slice. ``on_keyboard_service``: told AH before each
    INT 16h. ``public_state``: see open_state.py.
    """

    def __init__(self, memory: Memory, bus: PortBus, public_state: bool | None = None) -> None:
        self._engine = engine = Engine()
        self._error: BaseException | None = None
        self._ram = memoryview(memory.ram)
        engine.map_buffer(0, memory.ram)
        engine.map_nothing(memory.size, TOP_ROM.start - memory.size)
        engine.map_buffer(TOP_ROM.start, memory.top_rom)
        engine.uc.mem_map(WRITE_SINK, PAGE_SIZE)
        engine.configure()
        self._state = state = open_state(engine, self._ram, public_state)
        self._q, self._d, self._h = state.q, state.d, state.h
        self._fpu_status = state.fpu_status
        self._halted, self._invalid_address = state.halted, state.invalid_address
        self._software_interrupt = state.software_interrupt
        self.mmu = Mmu(engine, state, self._ram, memory.read_only)
        self._counter = counter = slice_counter(engine, state)
        self._budget = counter.budget
        self.set_request = counter.set_request
        self._granted = 0
        self._before = 0
        self._tasks = Tasks(state, self.mmu)
        self._interrupts = Interrupts(state, self._ram, self.mmu, self._tasks)
        self._control = ControlRegisters(state, self.mmu, lambda: self.limit_slice(self.ticks_used + 1))
        self._guard = IoGuard(engine, state)
        self._held: int | None = None  # the budget while a block is to be translated anew
        self._corrections = Corrections(engine, state, self.mmu, self._hold, self._guard.refuse_next)
        string_io = StringIo(state, self._ram, self.mmu)
        ports = Ports(bus, state, self.mmu, string_io, self._tasks, self._guard, self._budget, self._fail)
        self._last_invalid = (-1, 0)
        self._shutdown: str | None = None
        self.time_stamp: Callable[[], int] = lambda: self._before + self.ticks_used
        self.on_fpu_error: Callable[[bool], None] = lambda level: None
        self._fpu_error = False
        self.on_triple_fault: Callable[[str], None] = _give_up
        self.on_keyboard_service: Callable[[int], None] = lambda function: None
        engine.hook_interrupts(self._on_interrupt)
        engine.hook_invalid(self._on_invalid)
        engine.hook_ports(ports.on_in, ports.on_out)
        engine.hook_instruction(CPUID, self._on_cpuid)
        engine.hook_instruction(RDTSC, self._on_rdtsc)
        engine.hook_instruction(SYSCALL, self._on_system_call)
        engine.hook_instruction(SYSENTER, self._on_system_call)
        self.running = False
        self.reset()

    # -- state ------------------------------------------------------------------------------------

    def reset(self) -> None:
        """The state after the RESET pin: real mode, about to execute at FFFFFFF0."""
        reset_registers(self._state)
        self._halted[0] = 0
        self._shutdown = None
        self._interrupts.last_exception = None
        self._guard.refused = None
        self.mmu.forget_code()

    @property
    def registers(self) -> Registers:
        """All registers at this instant."""
        return read_registers(self._state, self._interrupts.eflags())

    @property
    def location(self) -> str:
        """CS:EIP, with the bytes there, for messages; of the HLT itself once the processor is halted."""
        behind = self._halted[0]
        offset = self._q[EIP] - behind & 0xFFFFFFFF
        at = self.physical_ip - behind
        code = bytes(self._ram[at : at + 8]).hex(" ") if at < len(self._ram) else "no memory"
        return f"{self._d[SELECTOR[CS]]:04X}:{offset:04X} ({code})"

    @property
    def cause(self) -> str:
        """The last exception of real mode, for a message that the firmware halted: "" when it did not."""
        exception = self._interrupts.last_exception
        if exception is None or self.physical_ip not in LOW_ROM:
            return ""
        vector, segment, offset = exception
        return f", after {NAMES.get(vector, 'an exception')} at {segment:04X}:{offset:04X}"

    @property
    def physical_ip(self) -> int:
        """The physical address of the next instruction; beyond all memory when its page is not present."""
        try:
            return self.mmu.physical(self._q[SEGMENT_BASE[CS]] + self._q[EIP] & 0xFFFFFFFF)
        except PageFault:
            return _NOWHERE

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
        self._before += self._granted - self._budget[0]
        self._granted = self._budget[0] = max(ticks, 1)
        self._control.arm()
        self.running = True
        try:
            status = self._state.run(self._q[EIP] & 0xFFFFFFFF)
            while (status or self._guard.refused or self._held is not None) and self._resume(status):
                status = self._state.run(self._q[EIP] & 0xFFFFFFFF)
        finally:  # a KeyboardInterrupt may come in behind the engine
            self.running = False
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        error_level = bool(self._h[self._fpu_status] & FPU_ERROR) and not self._q[CR0] & CR0_NE
        if error_level != self._fpu_error:
            self._fpu_error = error_level
            self.on_fpu_error(error_level)
        if self._shutdown is not None:
            self._report_shutdown()
        elif status:
            raise GuestError(f"the engine gave the guest up with its error {status} at {self.location}")
        return Stop.HALT if self._halted[0] else Stop.COUNT

    def _resume(self, status: int) -> bool:
        """The run ended for an exception that is ours to deliver: do so. False when it ended otherwise."""
        if self._error is not None or self._shutdown is not None:
            return False
        if self._held is not None:
            self._budget[0], self._held = self._held, None
            return True
        try:
            if self._guard.refused is not None:
                self._interrupts.deliver_fault(self._guard.settle())
            elif status == REFUSED and self.mmu.page_fault is not None:
                self._deliver_page_fault()
            elif status == NO_CODE:  # FF FF … is an invalid instruction
                self._count_invalid()
                self._interrupts.deliver_fault(Fault(INVALID_OPCODE))
            else:
                return False
        except TripleFault as end:
            self._shut_down(end)
        self._budget[0] -= INTERRUPT_TICKS
        return self._shutdown is None

    def _deliver_page_fault(self) -> None:
        """Deliver what the TLB hook has refused."""
        error_code, self.mmu.page_fault = self.mmu.page_fault or 0, None
        self._interrupts.deliver_page_fault(self._invalid_address[0] & 0xFFFFFFFF, error_code)

    def _hold(self) -> None:
        """End the run before the next block, but not the slice."""
        if self._held is None:
            self._held, self._budget[0] = self._budget[0], 0

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
        if self._is_repeating():
            self._q[EFLAGS] |= FLAG_RF  # a breakpoint there has been met before
        try:
            self._interrupts.deliver_external(vector)
        except TripleFault as end:
            self._shut_down(end)
            self._report_shutdown()

    def _is_repeating(self) -> bool:
        """Is the next instruction a string instruction in the middle of its repetitions?

        The engine makes a block of each of them.
        """
        address = self._q[SEGMENT_BASE[CS]] + self._q[EIP] & 0xFFFFFFFF
        return self._counter.block[0] == address and is_repeated(self.mmu.instruction())

    def _shut_down(self, end: TripleFault) -> None:
        """A triple fault: nothing more is executed until a reset."""
        what = f"interrupt {end.vector:02X}h could not be delivered"
        self._shutdown = f"triple fault: {what} at {self.location}"
        self._engine.stop()

    def _report_shutdown(self) -> None:
        reason, self._shutdown = self._shutdown, None
        self.on_triple_fault(reason or "")

    # -- hooks ------------------------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        """Keep what a hook raised; :meth:`run` raises it after the slice."""
        if self._error is None:
            self._error = error
        self._engine.stop()

    def _on_interrupt(self, uc: int, vector: int, data: int) -> None:
        self._budget[0] -= INTERRUPT_TICKS
        try:
            if vector in _SPECIAL:
                self._on_special(vector)
            else:
                self._interrupts.deliver(vector)
            self._d[self._software_interrupt] = 0  # an intercept would take it for its own
        except TripleFault as end:
            self._shut_down(end)
        except BaseException as error:
            self._fail(error)

    def _on_special(self, vector: int) -> None:
        """What is not, or not only, delivered to the guest."""
        if vector == PAGE_FAULT and self.mmu.page_fault is not None:
            if self._state.stay():
                self._deliver_page_fault()
            else:
                self.mmu.page_fault = None  # what has stopped the run goes first
        elif vector == DEBUG:
            self._on_debug()
        elif vector >= INTERCEPT_BASE:
            self._on_intercept(vector)
        else:
            if vector == KEYBOARD_SERVICE:
                self.on_keyboard_service(self._q[EAX] >> 8 & 0xFF)
            self._interrupts.deliver(vector)

    def _on_intercept(self, vector: int) -> None:
        q = self._q
        try:
            done = self._control.intercepted(vector)
        except Fault as fault:
            self._interrupts.deliver_fault(fault)
            return
        if done and q[EFLAGS] & FLAG_TF:
            q[self._state.debug + 6] |= DR6_SINGLE_STEP
            self._interrupts.deliver_fault(Fault(DEBUG))

    def _on_debug(self) -> None:
        """#DB: it may be a port access refused, or not the guest's at all."""
        q, dr6 = self._q, self._state.debug + 6
        if self._guard.refused is not None:
            self._interrupts.deliver_fault(self._guard.settle())
        elif self._d[self._software_interrupt]:
            self._control.watch_resume_flag()
            self._interrupts.deliver(DEBUG)
        elif self._control.only_code_breakpoints and self._is_repeating():
            self._control.pass_breakpoint()  # met before the first repetition: RF lasts until the last
        elif q[dr6] & (DR6_BREAKPOINTS | DR6_SINGLE_STEP):
            self._control.watch_resume_flag()
            self._interrupts.deliver(DEBUG)
        else:
            q[EFLAGS] |= FLAG_RF  # a breakpoint from before a reset: go on behind it

    def _on_invalid(self, uc: int, data: int) -> bool:
        state = self._state
        try:
            if self._d[self._software_interrupt]:
                self._q[EIP] = self._q[state.next_eip]  # INT 6: EIP goes past it
            else:
                self._count_invalid()
            self._interrupts.deliver(INVALID_OPCODE)
            self._d[self._software_interrupt] = 0
        except TripleFault as end:
            self._shut_down(end)
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
        here = self.physical_ip
        self._last_invalid = (here, times + 1 if here == where else 1)
        if self._last_invalid[1] > STUCK_AFTER:
            raise GuestError(f"the guest executes an invalid instruction over and over at {self.location}")

    def _on_cpuid(self, uc: int, data: int) -> int:
        q = self._q
        q[EAX], q[EBX], q[ECX], q[EDX] = cpuid(q[EAX] & 0xFFFFFFFF)
        return 1

    def _on_rdtsc(self, uc: int, data: int) -> int:
        try:
            self._budget[0] -= RDTSC_TICKS
            stamp = self.time_stamp()
            self._q[EAX], self._q[EDX] = stamp & 0xFFFFFFFF, stamp >> 32 & 0xFFFFFFFF
        except BaseException as error:
            self._fail(error)
        return 1

    def _on_system_call(self, uc: int, data: int) -> int:
        """SYSCALL or SYSENTER, which the engine would pass over, and a Pentium II does not have."""
        length = self.mmu.instruction().find(_ESCAPE) + 2  # with prefixes
        self._on_invalid(uc, data)
        self._q[EIP] = self._q[EIP] - length & _ALL_BITS  # which the engine will add
        return 1


def _give_up(reason: str) -> None:
    raise GuestError(reason)
