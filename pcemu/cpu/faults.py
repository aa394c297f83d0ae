"""Exceptions of the processor, as Python exceptions on their way to delivery."""

from __future__ import annotations

DIVIDE_ERROR, DEBUG, NMI, BREAKPOINT, OVERFLOW, BOUND, INVALID_OPCODE, NO_DEVICE = range(8)
DOUBLE_FAULT, _, INVALID_TSS, NOT_PRESENT, STACK_FAULT, GENERAL_PROTECTION, PAGE_FAULT = range(8, 15)
FPU_ERROR, ALIGNMENT = 16, 17

NAMES = {
    DIVIDE_ERROR: "a divide error",
    DEBUG: "a debug trap",
    BREAKPOINT: "a breakpoint",
    OVERFLOW: "an overflow trap",
    BOUND: "a value out of bounds",
    INVALID_OPCODE: "an invalid opcode",
    NO_DEVICE: "an FPU instruction without FPU",
    DOUBLE_FAULT: "a double fault",
    GENERAL_PROTECTION: "a protection fault",
}

WITH_ERROR_CODE = frozenset(
    (DOUBLE_FAULT, INVALID_TSS, NOT_PRESENT, STACK_FAULT, GENERAL_PROTECTION, PAGE_FAULT, ALIGNMENT)
)
# Two of these in a row are a double fault; so are a page fault and any of these or another page fault.
CONTRIBUTORY = frozenset((DIVIDE_ERROR, INVALID_TSS, NOT_PRESENT, STACK_FAULT, GENERAL_PROTECTION))
# Reported before the instruction was executed, which therefore is to be restarted
RESTARTED = CONTRIBUTORY | {BOUND, INVALID_OPCODE, NO_DEVICE, PAGE_FAULT, FPU_ERROR, ALIGNMENT}


class Fault(Exception):
    """An exception that the guest is to be told of; ``error_code`` matters where the vector has one.

    ``in_new_task``: a task switch was too far to go back, so it is the new task's.
    """

    in_new_task = False

    def __init__(self, vector: int, error_code: int = 0) -> None:
        super().__init__(vector, error_code)
        self.vector = vector
        self.error_code = error_code


class PageFault(Fault):
    """A page fault; ``address`` is what CR2 gets."""

    def __init__(self, address: int, error_code: int) -> None:
        super().__init__(PAGE_FAULT, error_code)
        self.address = address


class TripleFault(Exception):
    """The processor shut down: a fault while delivering a double fault. ``vector`` is what began it."""

    def __init__(self, vector: int) -> None:
        super().__init__(vector)
        self.vector = vector
