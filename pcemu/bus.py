"""The I/O port bus: 65,536 ports, each answered by at most one device.

A device offers plain functions of a register number, so it does not know where it sits::

    read(register) -> int              write(register, value)

Ports are 8 bits wide unless attached with ``width=2`` (the ATA data register). A wider access to 8-bit
ports is split into byte accesses at consecutive ports, low byte first, as the ISA bus does. A port that
nobody answers reads as all ones and swallows writes.

A device that moves blocks through one port (PIO disks) also offers::

    read_block(register, size, count) -> bytes       at most count items of size bytes, at least one
    write_block(register, size, data) -> int          bytes taken, a multiple of size, at least one item

and string instructions are then served in one call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pcemu.errors import UsageError

PORTS = 0x10000
FLOATING_BUS = 0xFF

Read = Callable[[int], int]
Write = Callable[[int, int], None]
ReadBlock = Callable[[int, int, int], bytes]
WriteBlock = Callable[[int, int, memoryview], int]


class Handler(NamedTuple):
    """What answers one port."""

    name: str
    register: int
    width: int
    read: Read
    write: Write
    read_block: ReadBlock | None
    write_block: WriteBlock | None


def _read_nobody(register: int) -> int:
    return FLOATING_BUS


def _write_nobody(register: int, value: int) -> None:
    pass


class PortBus:
    """Dispatches port accesses; the processor calls :meth:`read` and :meth:`write`.

    Most accesses are a byte wide and to a port as wide, so these have a short cut: ``byte_reads`` and
    ``byte_writes`` hold function and register of each such port, and None where the port is wider.
    """

    def __init__(self) -> None:
        self.handlers: dict[int, Handler] = {}
        self.byte_reads: list[tuple[Read, int] | None] = [(_read_nobody, 0)] * PORTS
        self.byte_writes: list[tuple[Write, int] | None] = [(_write_nobody, 0)] * PORTS

    def attach(
        self,
        name: str,
        ports: range,
        read: Read,
        write: Write,
        *,
        base: int | None = None,
        width: int = 1,
        read_block: ReadBlock | None = None,
        write_block: WriteBlock | None = None,
    ) -> None:
        """Give ``ports`` to a device; its register number is ``port - base`` (base: the first port).

        Raises UsageError when another device answers one of them already.
        """
        if base is None:
            base = ports.start
        for port in ports:
            other = self.handlers.get(port)
            if other is not None:
                raise UsageError(f"port {port:#06x} is wanted by {name} but belongs to {other.name}")
        for port in ports:
            register = port - base
            self.handlers[port] = Handler(name, register, width, read, write, read_block, write_block)
            self.byte_reads[port] = (read, register) if width == 1 else None
            self.byte_writes[port] = (write, register) if width == 1 else None

    def read(self, port: int, size: int) -> int:
        """Read ``size`` (1, 2 or 4) bytes from ``port``."""
        handler = self.handlers.get(port)
        if handler is not None and (size == 1 or handler.width > 1):
            value = handler.read(handler.register)
            if size <= handler.width:
                return value & ((1 << 8 * size) - 1)
            return value | handler.read(handler.register) << 8 * handler.width
        value = 0
        for i in range(size):
            handler = self.handlers.get((port + i) & 0xFFFF)
            byte = FLOATING_BUS if handler is None else handler.read(handler.register) & 0xFF
            value |= byte << 8 * i
        return value

    def write(self, port: int, size: int, value: int) -> None:
        """Write the low ``size`` (1, 2 or 4) bytes of ``value`` to ``port``."""
        handler = self.handlers.get(port)
        if handler is not None and (size == 1 or handler.width > 1):
            width = handler.width
            for i in range(0, size, width):
                handler.write(handler.register, value >> 8 * i & ((1 << 8 * min(width, size)) - 1))
            return
        for i in range(size):
            handler = self.handlers.get((port + i) & 0xFFFF)
            if handler is not None:
                handler.write(handler.register, value >> 8 * i & 0xFF)
