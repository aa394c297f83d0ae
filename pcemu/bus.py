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

:meth:`PortBus.watch` tells of every access. It puts itself between the processor and the devices for as long
as somebody watches, so that nobody pays for it otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pcemu.errors import UsageError

PORTS = 0x10000
FLOATING_BUS = 0xFF

Read = Callable[[int], int]
Write = Callable[[int, int], None]
ReadBlock = Callable[[int, int, int], bytes]
WriteBlock = Callable[[int, int, memoryview], int]


class Access(NamedTuple):
    """One access to one port. ``items``: how many, in a block; ``value``: the only one, or 0 for a block."""

    port: int
    device: str
    written: bool
    value: int
    items: int = 1


class Handler(NamedTuple):
    """What answers one port."""

    name: str
    register: int
    width: int
    read: Read
    write: Write
    read_block: ReadBlock | None
    write_block: WriteBlock | None


Watcher = Callable[[Access], None]


def _read_nobody(register: int) -> int:
    return FLOATING_BUS


def _write_nobody(register: int, value: int) -> None:
    pass


class PortBus:
    """Dispatches port accesses; the processor calls :meth:`read` and :meth:`write`.

    Most accesses are a byte wide and to a port as wide, so these have a short cut: ``byte_reads`` and
    ``byte_writes`` hold function and register of each such port, and None where the port is wider.
    ``no_reads`` and ``no_writes``, which are always None, stand in for them while there is no short cut.
    """

    no_reads: Sequence[tuple[Read, int] | None] = (None,) * PORTS
    no_writes: Sequence[tuple[Write, int] | None] = (None,) * PORTS

    def __init__(self) -> None:
        self.handlers: dict[int, Handler] = {}
        self.byte_reads: list[tuple[Read, int] | None] = [(_read_nobody, 0)] * PORTS
        self.byte_writes: list[tuple[Write, int] | None] = [(_write_nobody, 0)] * PORTS
        self._unwatched: dict[int, Handler] = {}

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
            self._put(port, Handler(name, register, width, read, write, read_block, write_block))

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

    def watch(self, watcher: Watcher | None) -> None:
        """Tell ``watcher`` of every access to a port that a device answers; None ends it."""
        for port, handler in self._unwatched.items():
            self._put(port, handler)
        self._unwatched = {}
        if watcher is not None:
            self._unwatched = dict(self.handlers)
            for port, handler in self._unwatched.items():
                self._put(port, _watched(port, handler, watcher))

    def _put(self, port: int, handler: Handler) -> None:
        self.handlers[port] = handler
        byte_wide = handler.width == 1
        self.byte_reads[port] = (handler.read, handler.register) if byte_wide else None
        self.byte_writes[port] = (handler.write, handler.register) if byte_wide else None


def _watched(port: int, handler: Handler, watcher: Watcher) -> Handler:
    """``handler`` with a word to ``watcher`` about everything that passes."""
    name, _, _, plain_read, plain_write, plain_read_block, plain_write_block = handler

    def read(register: int) -> int:
        value = plain_read(register)
        watcher(Access(port, name, False, value))
        return value

    def write(register: int, value: int) -> None:
        watcher(Access(port, name, True, value))
        plain_write(register, value)

    def read_block(register: int, size: int, count: int) -> bytes:
        assert plain_read_block is not None
        block = plain_read_block(register, size, count)
        watcher(Access(port, name, False, 0, len(block) // size))
        return block

    def write_block(register: int, size: int, data: memoryview) -> int:
        assert plain_write_block is not None
        taken = plain_write_block(register, size, data)
        watcher(Access(port, name, True, 0, taken // size))
        return taken

    return handler._replace(
        read=read,
        write=write,
        read_block=None if plain_read_block is None else read_block,
        write_block=None if plain_write_block is None else write_block,
    )
