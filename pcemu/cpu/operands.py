"""Where the instruction at CS:EIP stores to: only what CR2 needs, and only without views of the engine.

Intel's Software Developer's Manual, volume 2, "Instruction format".

**Not implemented**: the processor's own stores (descriptors, task states), for which None is the answer.
"""

from __future__ import annotations

from pcemu.cpu.state import (
    CS,
    DESCRIPTOR_BIG,
    DS,
    EAX,
    EBP,
    EBX,
    ECX,
    EDI,
    EDX,
    ES,
    ESI,
    ESP,
    FS,
    GS,
    HF_CS32,
    HFLAGS,
    SEGMENT_BASE,
    SEGMENT_FLAGS,
    SS,
    EngineState,
)

_SEGMENTS = {0x26: ES, 0x2E: CS, 0x36: SS, 0x3E: DS, 0x64: FS, 0x65: GS}
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67
_IGNORED = (0xF0, 0xF2, 0xF3)
_ESCAPE = 0x0F
_STRING_STORES = frozenset((0x6C, 0x6D, 0xA4, 0xA5, 0xAA, 0xAB))
_TO_OFFSET = frozenset((0xA2, 0xA3))  # MOV of the accumulator
_GROUP_5 = 0xFF  # its registers 2, 3 and 6 are CALL, CALL far and PUSH
_PUSHES_GROUP_5 = {2: 1, 3: 2, 6: 1}
_FBSTP = 0xDF, 6
_SIGN_OF_DECIMAL = 9  # the byte that FBSTP stores first
# Items that each opcode pushes
_PUSHES = {
    **dict.fromkeys((0x06, 0x0E, 0x16, 0x1E, 0x68, 0x6A, 0x9C, 0xC8, 0xE8, *range(0x50, 0x58)), 1),
    0x60: 8,
    0x9A: 2,
}
_PUSHES_0F = {0xA0: 1, 0xA8: 1}

# Base and index registers of 16-bit addressing
_PAIRS = ((EBX, ESI), (EBX, EDI), (EBP, ESI), (EBP, EDI), (ESI,), (EDI,), (EBP,), (EBX,))
_GENERAL = (EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI)
_NO_INDEX = 4


def store_address(state: EngineState, code: bytes) -> int | None:
    """The linear address that ``code`` stores to first; None when that is not known."""
    try:
        return _Decoder(state, code).store_address()
    except IndexError:  # the instruction goes on in a page that is not there
        return None


class _Decoder:
    def __init__(self, state: EngineState, code: bytes) -> None:
        self._q, self._d = state.q, state.d
        self._code = code
        self._at = 0
        self._wide = self._wide_operand = bool(self._d[HFLAGS] & HF_CS32)
        self._segment: int | None = None

    def _byte(self) -> int:
        self._at += 1
        return self._code[self._at - 1]

    def _number(self, size: int) -> int:
        """A signed little-endian number."""
        start, self._at = self._at, self._at + size
        if self._at > len(self._code):
            raise IndexError
        return int.from_bytes(self._code[start : self._at], "little", signed=True)

    def _opcode(self) -> int:
        while True:
            byte = self._byte()
            if byte in _SEGMENTS:
                self._segment = _SEGMENTS[byte]
            elif byte == _OPERAND_SIZE:
                self._wide_operand = not self._wide_operand
            elif byte == _ADDRESS_SIZE:
                self._wide = not self._wide
            elif byte not in _IGNORED:
                return byte

    def store_address(self) -> int | None:
        opcode = self._opcode()
        if opcode in _STRING_STORES:
            return self._linear(ES, self._q[EDI])
        if opcode in _TO_OFFSET:
            return self._linear(self._default(DS), self._number(4 if self._wide else 2))
        if opcode in _PUSHES:
            return self._pushed(_PUSHES[opcode])
        if opcode == _ESCAPE:
            opcode = self._byte()
            if opcode in _PUSHES_0F:
                return self._pushed(_PUSHES_0F[opcode])
        modrm = self._byte()
        if opcode == _GROUP_5 and (modrm >> 3 & 7) in _PUSHES_GROUP_5:
            return self._pushed(_PUSHES_GROUP_5[modrm >> 3 & 7])
        if modrm >> 6 == 3:
            return None
        address = self._address_32(modrm) if self._wide else self._address_16(modrm)
        return address + _SIGN_OF_DECIMAL if (opcode, modrm >> 3 & 7) == _FBSTP else address

    def _default(self, segment: int) -> int:
        return segment if self._segment is None else self._segment

    def _linear(self, segment: int, offset: int) -> int:
        offset &= 0xFFFFFFFF if self._wide else 0xFFFF
        return self._q[SEGMENT_BASE[segment]] + offset & 0xFFFFFFFF

    def _pushed(self, items: int) -> int:
        """The lowest address for many items, the highest for the two of a far call."""
        size = 4 if self._wide_operand else 2
        count = 1 if items == 2 else items
        big = self._d[SEGMENT_FLAGS[SS]] & DESCRIPTOR_BIG
        offset = self._q[ESP] - count * size & (0xFFFFFFFF if big else 0xFFFF)
        return self._q[SEGMENT_BASE[SS]] + offset & 0xFFFFFFFF

    def _address_16(self, modrm: int) -> int:
        mode, memory = modrm >> 6, modrm & 7
        if mode == 0 and memory == 6:
            return self._linear(self._default(DS), self._number(2))
        registers = _PAIRS[memory]
        offset = sum(self._q[register] for register in registers)
        if mode:
            offset += self._number(mode)
        return self._linear(self._default(SS if EBP in registers else DS), offset)

    def _address_32(self, modrm: int) -> int:
        mode, base = modrm >> 6, modrm & 7
        offset = 0
        if base == ESP:
            sib = self._byte()
            base = sib & 7
            index = sib >> 3 & 7
            if index != _NO_INDEX:
                offset = self._q[_GENERAL[index]] << (sib >> 6)
        if mode == 0 and base == EBP:
            return self._linear(self._default(DS), offset + self._number(4))
        offset += self._q[base]
        if mode:
            offset += self._number(1 if mode == 1 else 4)
        return self._linear(self._default(SS if base in (ESP, EBP) else DS), offset)
