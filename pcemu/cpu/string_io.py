"""INS and OUTS that move a whole block in one call.

``rep insw`` from a disk's data register calls the port hook once a word. When the device can hand out a
block, the first hook call does the work of all: item 0 is returned and the engine stores it at the old
EDI; items 1 to k are written here, and ECX and EDI are moved on as if k iterations had run. ``rep outsw``
likewise. Only what cannot be told from the slow way is done: DF clear, no wrap of the segment offset,
plain RAM; under paging up to the end of the page, from where the next hook call goes on.
"""

from __future__ import annotations

from pcemu.bus import Handler
from pcemu.cpu.faults import PageFault
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.state import (
    CS,
    DF,
    DS,
    ECX,
    EDI,
    ES,
    ESI,
    FS,
    GS,
    HF_CPL,
    HF_CS32,
    HFLAGS,
    SEGMENT_BASE,
    SS,
    EngineState,
)
from pcemu.memory import MEBIBYTE, PAGE_SIZE, VGA_WINDOW

_SEGMENT_PREFIXES = {0x26: ES, 0x2E: CS, 0x36: SS, 0x3E: DS, 0x64: FS, 0x65: GS}
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67
_REP = (0xF2, 0xF3)
_INS, _OUTS = (0x6C, 0x6D), (0x6E, 0x6F)


_STRING = frozenset((*_INS, *_OUTS, *range(0xA4, 0xA8), *range(0xAA, 0xB0)))
_OTHER_PREFIXES = frozenset((*_SEGMENT_PREFIXES, _OPERAND_SIZE, _ADDRESS_SIZE))


def is_repeated(code: bytes) -> bool:
    """Does ``code`` begin with a string instruction that is repeated?"""
    repeated = False
    for byte in code:
        if byte in _REP:
            repeated = True
        elif byte not in _OTHER_PREFIXES:
            return repeated and byte in _STRING
    return False


class StringIo:
    """Recognises a repeated string instruction at CS:EIP and moves its block.

    ``moved`` counts items moved beyond the one of each hook call, for the account of virtual time.
    """

    def __init__(self, state: EngineState, ram: memoryview, mmu: Mmu) -> None:
        self._q = state.q
        self._d = state.d
        self._ram = ram
        self._mmu = mmu
        self.moved = 0

    def _decode(self, opcodes: tuple[int, int]) -> tuple[int, int] | None:
        """(segment of the source, address mask) of a repeated instruction that may be done at once."""
        d = self._d
        if d[DF] != 1:
            return None
        wide = bool(d[HFLAGS] & HF_CS32)
        segment = DS
        repeated = False
        for byte in self._mmu.instruction():
            if byte in opcodes:
                break
            if byte in _REP:
                repeated = True
            elif byte == _ADDRESS_SIZE:
                wide = not wide
            elif byte in _SEGMENT_PREFIXES:
                segment = _SEGMENT_PREFIXES[byte]
            elif byte != _OPERAND_SIZE:
                return None
        return (segment, 0xFFFFFFFF if wide else 0xFFFF) if repeated else None

    def _span(self, register: int, segment: int, size: int, mask: int, write: bool) -> tuple[int, int] | None:
        """(physical address, items) that the instruction can reach without a wrap, of at least two items."""
        q = self._q
        offset = q[register] & mask
        items = min(q[ECX] & mask, (mask + 1 - offset) // size)
        start = q[SEGMENT_BASE[segment]] + offset & 0xFFFFFFFF
        if self._mmu.paging:
            items = min(items, (PAGE_SIZE - start % PAGE_SIZE) // size)
            try:
                start = self._mmu.physical(start, write, self._d[HFLAGS] & HF_CPL == 3)
            except PageFault:
                return None
        elif not self._mmu.a20 and start + items * size > MEBIBYTE:
            return None
        if start < VGA_WINDOW.start:
            items = min(items, (VGA_WINDOW.start - start) // size)
        elif start < MEBIBYTE:
            items = min(items, (self._mmu.shadow_end(start) - start) // size)
        items = min(items, (len(self._ram) - start) // size)
        return (start, items) if items > 1 else None

    def _step(self, register: int, items: int, size: int, mask: int) -> None:
        """Let ``items`` iterations be done as far as the registers show it."""
        q = self._q
        q[ECX] = q[ECX] & ~mask | (q[ECX] - items & mask)
        q[register] = q[register] & ~mask | (q[register] + items * size & mask)
        self.moved += items

    def read(self, handler: Handler, size: int) -> int:
        """Serve an IN or INS of ``size`` bytes; the value for the engine to store."""
        decoded = self._decode(_INS)
        span = self._span(EDI, ES, size, decoded[1], True) if decoded else None
        if decoded is None or span is None or handler.read_block is None:
            return -1
        start, items = span
        block = handler.read_block(handler.register, size, items)
        length = len(block)
        if length > size:
            self._ram[start + size : start + length] = block[size:]
            self._mmu.memory_written(start + size, length - size)
            self._step(EDI, length // size - 1, size, decoded[1])
        return int.from_bytes(block[:size], "little")

    def write(self, handler: Handler, size: int) -> bool:
        """Serve an OUTS of ``size`` bytes; False when it has to go item by item."""
        decoded = self._decode(_OUTS)
        span = self._span(ESI, decoded[0], size, decoded[1], False) if decoded else None
        if decoded is None or span is None or handler.write_block is None:
            return False
        start, items = span
        taken = handler.write_block(handler.register, size, self._ram[start : start + items * size])
        self._step(ESI, taken // size - 1, size, decoded[1])
        return True
