"""The engine's translations of guest code take a bounded amount of memory."""

from __future__ import annotations

import sys

import pytest

from tests.cpu.guest import RESULTS, Guest

resource = pytest.importorskip("resource")

ROUNDS = 160_000
# Each round changes an instruction, so that it is translated afresh; a translation takes about 1 KiB.
SELF_MODIFYING = f"""
    mov ecx, {ROUNDS}
    xor ebx, ebx
again:
    xor byte [changed + 3], 1
    jmp changed
changed:
    add ebx, 0
    a32 loop again
    mov [2000h], ebx
"""


def peak_mebibytes() -> float:
    """The most memory that this process has had resident so far."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


def test_self_modifying_code_stays_right_when_translations_are_thrown_away() -> None:
    before = peak_mebibytes()
    guest = Guest(SELF_MODIFYING).run()
    assert guest.word() | guest.word(RESULTS + 2) << 16 == ROUNDS // 2
    assert peak_mebibytes() - before < 64
