"""The arithmetic flags, worked out when somebody wants to see them.

The engine does not compute CF, PF, AF, ZF, SF and OF after each instruction: it keeps the result (CC_DST),
one operand (CC_SRC) and the kind and size of the operation (CC_OP), from which they follow. At an interrupt
they have to be pushed, and asking the engine for them costs more than all the rest of the delivery.
"""

from __future__ import annotations

from pcemu.cpu.state import ARITHMETIC_FLAGS, CC_OP_EFLAGS, FLAG_DF, EngineState

CF, PF, AF, ZF, SF, OF = 0x1, 0x4, 0x10, 0x40, 0x80, 0x800
UNKNOWN = -1

_ADD, _SUB, _LOGIC, _INC, _DEC, _SHL, _SAR = range(7)
# The first CC_OP of each kind; those for bytes, words and doublewords follow each other.
_FIRST = {_ADD: 6, _SUB: 14, _LOGIC: 22, _INC: 26, _DEC: 30, _SHL: 34, _SAR: 38}
# CC_OP: kind, sign bit
_OPERATIONS = {
    first + size: (kind, 0x80 << (8 << size) - 8) for kind, first in _FIRST.items() for size in range(3)
}
# These need no operand.
LOGIC_OPERATIONS = range(_FIRST[_LOGIC], _FIRST[_LOGIC] + 3)
_PARITY = tuple(0 if byte.bit_count() & 1 else PF for byte in range(256))


def whole_eflags(
    state: EngineState, flags: int, result: int, operand: int, operation: int, direction: int
) -> int:
    """EFLAGS as the guest sees them, of what the engine keeps in EFLAGS, CC_DST, CC_SRC, CC_OP and DF."""
    if operation == CC_OP_EFLAGS:
        arithmetic = operand & ARITHMETIC_FLAGS
    else:
        arithmetic = arithmetic_flags(operation, result, operand)
        if arithmetic < 0:
            return state.read_eflags()
    return flags | arithmetic if direction == 1 else flags | arithmetic | FLAG_DF


def arithmetic_flags(operation: int, result: int, operand: int) -> int:
    """The flags that CC_OP, CC_DST and CC_SRC stand for; UNKNOWN for an operation that is not known here.

    Known are those that the last instruction before an INT usually was: not ADC, SBB and multiplications.
    """
    kind_and_sign = _OPERATIONS.get(operation)
    if kind_and_sign is None:
        return UNKNOWN
    kind, sign = kind_and_sign
    mask = sign * 2 - 1
    result &= mask
    flags = _PARITY[result & 0xFF]
    if not result:
        flags |= ZF
    elif result & sign:
        flags |= SF
    if kind == _LOGIC:
        return flags
    operand &= mask
    if kind == _SUB:  # the operand is what was taken away
        left = result + operand & mask
        carry = int(left < operand)
        overflow = (left ^ operand) & (left ^ result)
        flags |= (left ^ operand ^ result) & AF
    elif kind == _ADD:  # the operand is the left one
        right = result - operand
        carry = int(result < operand)
        overflow = ~(operand ^ right) & (operand ^ result)
        flags |= (operand ^ right ^ result) & AF
    elif kind == _INC:  # the operand is the carry, which INC and DEC leave alone
        carry = operand & 1
        overflow = result & ~(result - 1)  # from 7F… to 80…
        flags |= AF if not result & 0xF else 0
    elif kind == _DEC:
        carry = operand & 1
        overflow = result + 1 & ~result
        flags |= AF if result & 0xF == 0xF else 0
    else:  # the operand is what one more shift would make the result
        carry = operand & (sign if kind == _SHL else 1)
        overflow = operand ^ result
    if carry:
        flags |= CF
    if overflow & sign:
        flags |= OF
    return flags
