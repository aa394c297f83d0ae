"""Random protected-mode programs and tables: the processor goes on, shuts down, or says why it cannot.

``PCEMU_PROOF=full`` tries 8,000 of them.
"""

from __future__ import annotations

import random

import pytest

from pcemu.cpu import Stop
from pcemu.errors import GuestError
from tests.cpu.kernel import Board
from tests.cpu.test_paging import paged
from tests.drives.proof import scaled

CASES = scaled(120, 1600)  # for each way in
BLOB = 128
SNAPSHOTS = (range(0x5000, 0x20000), range(0x100000, 0x104000), range(0x200000, 0x204000))
WAYS_IN = {
    "kernel": "jmp blob",
    "kernel with paging": paged("jmp blob"),
    "user": paged("USER blob, 0x3002"),
    "virtual 8086": paged("VIRTUAL blob, 0x3002"),
}
TABLES = ("gdt", "ldt", "idt", "tss", "tss_b", "gdt_register", "idt_register")
# What changes modes, tables, stacks and levels, or is restarted
OPCODES = bytes.fromhex(
    "0f22 0f20 0f01 0f00 0f23 0f09 0fb2 cd cc ce cf 8e ea 9a ff ca cb 66 67 f3 f2 f0 6c 6d 6e 6f e4 e6 ec ee"
    "c8 c9 9c 9d 17 1f 07 fa fb f4 a4 a5 aa ab 60 61 0fc7 0fa2 0f31 d9 dd 9b"
)


class Wild:
    """One board that is reset before each case."""

    def __init__(self, way_in: str, public: bool) -> None:
        self.board = Board(f"{WAYS_IN[way_in]}\nblob: times {BLOB} nop\n", public)
        self.board.cpu.on_triple_fault = self._shut_down
        ram = self.board.ram
        self._before = [(area, bytes(ram[area.start : area.stop])) for area in SNAPSHOTS]
        self.is_down = False

    def _shut_down(self, reason: str) -> None:
        assert reason.startswith("triple fault: interrupt ") and " at " in reason
        self.is_down = True

    def run(self, seed: int) -> str:
        """Run the case ``seed``; how it ended."""
        draw, board = random.Random(seed), self.board
        for area, content in self._before:
            board.ram[area.start : area.stop] = content
        board.cpu.mmu.a20 = True
        board.cpu.reset()
        self.is_down = False
        body = bytearray(draw.randbytes(BLOB))
        for i in range(BLOB):
            if draw.random() < 0.45:
                body[i] = draw.choice(OPCODES)
        blob = board.labels["blob"]
        board.ram[blob : blob + BLOB] = body
        for table in TABLES:
            if draw.random() < 0.2:
                for _ in range(4):
                    board.ram[board.labels[table] + draw.randrange(64)] = draw.randrange(256)
        if draw.random() < 0.3:
            board.ram[0x100000 + draw.randrange(0x3000)] = draw.randrange(256)
        try:
            return self._run(draw)
        except GuestError as error:
            assert "engine error" not in str(error) and "gave the guest up" not in str(error)
            return "error"

    def _run(self, draw: random.Random) -> str:
        cpu = self.board.cpu
        for _ in range(12):
            if self.is_down:
                return "shutdown"
            stop = cpu.run(2000)
            if stop is Stop.HALT and not cpu.interrupts_enabled:
                return "halt"
            if cpu.interruptible and not self.is_down:
                cpu.interrupt(draw.choice((0x20, 8, 13)))
        return "runs"


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
@pytest.mark.parametrize("way_in", WAYS_IN)
def test_random_programs_do_no_harm(way_in: str, public: bool) -> None:
    wild = Wild(way_in, public)
    seen = {wild.run(seed) for seed in range(CASES if not public else CASES // 4)}
    assert len(seen) > 1
