"""The processor that the guest finds: what CPUID says, and what is left out.

A Pentium II (family 6, model 3, stepping 3) without what the engine or this package does not do. Present:
FPU, debugging extensions (I/O breakpoints), 4 MiB pages, time-stamp counter, CMPXCHG8B, global pages, CMOV,
MMX. Absent, so that no program tries them: virtual-mode extensions, physical addresses beyond 32 bits,
machine checks, APIC, SYSENTER, MTRRs, model-specific registers, performance counters (RDPMC), FXSAVE and all
of SSE. Instructions of later processors are invalid opcodes.

Intel's application note AP-485, "Processor identification and the CPUID instruction".
"""

from __future__ import annotations

RESET_EDX = 0x633  # the same identification is in EDX after a reset
_SIGNATURE = 0x633

_FPU, _DE, _PSE, _TSC, _CX8 = 1 << 0, 1 << 2, 1 << 3, 1 << 4, 1 << 8
_PGE, _CMOV, _MMX = 1 << 13, 1 << 15, 1 << 23
FEATURES = _FPU | _DE | _PSE | _TSC | _CX8 | _PGE | _CMOV | _MMX

_MAX_LEAF = 2
_VENDOR = (0x756E6547, 0x49656E69, 0x6C65746E)  # "GenuineIntel" in EBX, EDX, ECX
# Leaf 2: caches and TLBs as a Pentium II reports them (512 KiB of second-level cache)
_CACHES = (0x03020101, 0, 0, 0x0C040843)


def cpuid(leaf: int) -> tuple[int, int, int, int]:
    """(EAX, EBX, ECX, EDX) for CPUID with EAX = ``leaf``; a leaf too high answers as the highest one."""
    if leaf == 0:
        ebx, edx, ecx = _VENDOR
        return _MAX_LEAF, ebx, ecx, edx
    if leaf == 1:
        return _SIGNATURE, 0, 0, FEATURES
    return _CACHES
