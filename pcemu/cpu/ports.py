"""Port accesses of the guest: time, permission, and the way to the device.

In real mode every port is free for all, so a byte to or from a port as wide goes straight to its device. All
others go through the guard: the I/O permission of protected mode, and string instructions that move a block.
"""

from __future__ import annotations

from collections.abc import Callable

from pcemu.bus import PortBus
from pcemu.cpu.faults import GENERAL_PROTECTION, Fault, PageFault
from pcemu.cpu.io_guard import IoGuard
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.state import CR0, CR0_PE, EngineState
from pcemu.cpu.string_io import StringIo
from pcemu.cpu.tasks import Tasks

PORT_TICKS = 250
TICKS_PER_BLOCK_ITEM = 2


class Ports:
    """The engine's port hooks. ``budget[0]`` pays for accesses; ``fail`` gets what a device raises."""

    def __init__(
        self,
        bus: PortBus,
        state: EngineState,
        mmu: Mmu,
        string_io: StringIo,
        tasks: Tasks,
        guard: IoGuard,
        budget: memoryview,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._bus = bus
        self._handlers = bus.handlers
        self._q = state.q
        self._string_io = string_io
        self._tasks = tasks
        self._guard = guard
        self._budget = budget
        self._fail = fail
        self._on_mode(False)
        mmu.on_mode = self._on_mode

    def on_in(self, uc: int, port: int, size: int, data: int) -> int:
        """The engine's hook for IN and INS; EIP is at the instruction."""
        try:
            self._budget[0] -= PORT_TICKS
            if size == 1:
                answer = self._free_reads[port]
                if answer is not None:
                    read, register = answer
                    return read(register)
            return self._guarded_in(port, size)
        except BaseException as error:
            self._fail(error)
            return 0

    def _guarded_in(self, port: int, size: int) -> int:
        if self._q[CR0] & CR0_PE and not self._may_access(port, size):
            return 0
        handler = self._handlers.get(port)
        if handler is not None and handler.read_block is not None:
            value = self._string_io.read(handler, size)
            if value >= 0:
                self._charge_block()
                return value
        return self._bus.read(port, size)

    def on_out(self, uc: int, port: int, size: int, value: int, data: int) -> None:
        """The engine's hook for OUT and OUTS."""
        try:
            self._budget[0] -= PORT_TICKS
            if size == 1:
                answer = self._free_writes[port]
                if answer is not None:
                    write, register = answer
                    write(register, value)
                    return
            self._guarded_out(port, size, value)
        except BaseException as error:
            self._fail(error)

    def _guarded_out(self, port: int, size: int, value: int) -> None:
        if self._q[CR0] & CR0_PE and not self._may_access(port, size):
            return
        handler = self._handlers.get(port)
        if handler is not None and handler.write_block is not None and self._string_io.write(handler, size):
            self._charge_block()
        else:
            self._bus.write(port, size, value)

    def _on_mode(self, protected: bool) -> None:
        """Protected mode was entered or left: only in real mode is every port free for all."""
        bus = self._bus
        self._free_reads = bus.no_reads if protected else bus.byte_reads
        self._free_writes = bus.no_writes if protected else bus.byte_writes

    def _charge_block(self) -> None:
        self._budget[0] -= self._string_io.moved * TICKS_PER_BLOCK_ITEM
        self._string_io.moved = 0

    def _may_access(self, port: int, size: int) -> bool:
        """In protected mode: may the program do this? If not, what it gets instead is on its way."""
        guard = self._guard
        if guard.refused is not None:
            return False
        fault = Fault(GENERAL_PROTECTION)
        try:
            if self._tasks.io_permitted(port, size):
                return True
        except PageFault as page_fault:  # in the permission map
            fault = page_fault
        guard.refuse(port, fault)
        return False
