"""The look inside: what it says of a machine that really runs, and that looking changes nothing."""

from __future__ import annotations

import datetime

import pytest

from pcemu.bus import Access, Watcher
from pcemu.frontends.inspector import WIDTH, Insides, Inspector
from pcemu.machine import IRQS
from tests.boot import Booted

# Leaves known registers behind, reads a port some times, and idles.
GUEST = """
    cli
    mov eax, 0x12345678
    mov ebp, 0xCAFEF00D
    mov cx, 5
again: in al, 0x61
    loop again
    out 0x20, al
    sti
idle: hlt
    jmp idle
"""


def insides(pc: Booted, drives: list[str]) -> Insides:
    return Insides(
        registers=lambda: pc.registers._asdict(),
        pics=(pc.pic, pc.slave_pic),
        irqs=IRQS,
        watch=pc.bus.watch,
        drives=lambda: drives,
    )


def test_what_it_shows_of_a_running_machine() -> None:
    with Booted(GUEST) as pc:
        inspector = Inspector(insides(pc, ["disk.img     1.0 MB", "└ now        0.0 kB"]))
        inspector.open()
        pc.run(0.3)
        lines = inspector.grid(30).text.split("\n")
        registers = pc.registers
    text = "\n".join(lines)
    assert f"EAX {registers.eax:08X}" in text
    assert "EBP CAFEF00D" in text
    assert f"CS:EIP {registers.cs:04X}:{registers.eip:08X}" in text
    assert " IF " in text and " df " in text
    assert "in  061 system control B" in text
    assert text.index("── Drives") < text.index("disk.img") < text.index("└ now")
    assert max(map(len, lines)) <= WIDTH


def test_requests_are_told_by_line_and_by_name() -> None:
    with Booted("cli\nhang: jmp hang\n") as pc:
        pc.run(0.5)  # the timer's request waits
        text = Inspector(insides(pc, [])).grid(30).text
        assert pc.pic.irr & 1
    line = next(line for line in text.split("\n") if "requested" in line)
    assert line.split()[1].startswith("1")
    assert "pending: 0 timer" in text


def test_looking_changes_nothing_in_the_machine() -> None:
    ends = []
    for look in (False, True):
        with Booted(GUEST, date=datetime.datetime(1999, 12, 31)) as pc:
            inspector = Inspector(insides(pc, []))
            for _ in range(20):
                if look:
                    inspector.open()
                    inspector.grid(25)
                pc.run(0.02)
            ends.append((pc.now, pc.registers, bytes(pc.memory.ram[:0x10000]), pc.screen))
    assert ends[0] == ends[1]


class Recorder:
    """Stands in for the bus."""

    def __init__(self) -> None:
        self.watcher: Watcher | None = None

    def watch(self, watcher: Watcher | None) -> None:
        self.watcher = watcher


class QuietPic:
    irr = isr = imr = 0


def quiet(recorder: Recorder, drives: list[str]) -> Inspector:
    names = ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp", "eip", "eflags")
    registers = dict.fromkeys((*names, "cs", "ds", "es", "ss", "fs", "gs"), 0)
    pics = (QuietPic(), QuietPic())
    return Inspector(Insides(lambda: registers, pics, {}, recorder.watch, lambda: drives))


def test_accesses_in_a_row_are_counted_and_the_last_is_first() -> None:
    bus = Recorder()
    inspector = quiet(bus, [])
    inspector.open()
    assert bus.watcher is not None
    for value in (1, 2, 3):
        bus.watcher(Access(0x60, "8042", False, value))
    bus.watcher(Access(0x1F0, "disk", False, 0, 256))
    bus.watcher(Access(0x20, "PIC", True, 0x20))
    lines = inspector.grid(30).text.split("\n")
    first = next(number for number, line in enumerate(lines) if "Ports" in line) + 1
    assert [line.split() for line in lines[first : first + 3]] == [
        ["out", "020", "PIC", "20"],
        ["in", "1F0", "disk", "block", "x256"],
        ["in", "060", "8042", "03", "x3"],
    ]
    inspector.close()
    assert bus.watcher is None


@pytest.mark.parametrize("rows", [1, 10, 20, 25, 40])
def test_any_height_will_do(rows: int) -> None:
    bus = Recorder()
    drives = ["base.img", *(f"└ {number}" for number in range(30)), "└ now"]
    inspector = quiet(bus, drives)
    inspector.open()
    assert bus.watcher is not None
    for port in range(100):
        bus.watcher(Access(port, "device", False, 0))
    grid = inspector.grid(rows)
    assert (grid.rows, grid.columns) == (rows, WIDTH)
    if rows >= 25:
        assert "base.img" in grid.text and "└ now" in grid.text and "more" in grid.text
