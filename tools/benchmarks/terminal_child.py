"""FreeDOS in the terminal, in a process of its own: ``terminal_child.py IMAGE IDLE_SECONDS``.

Its standard input and output are the terminal. On standard error it says READY when keys may be typed, and
its figures at the end.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pcemu.drives.overlay import MemoryOverlay
from pcemu.drives.raw import RawDrive
from pcemu.machine import Machine, MachineConfig

if TYPE_CHECKING:
    from pcemu.frontends.terminal.view import TerminalView

PROMPT = "C:\\>"
READY = "ready"
KEYS = "QWXYZKJVUGHNBFDT"  # of which the prompt and the escape sequences have none
FRAMES = 50


def main(image: str, idle_seconds: str) -> None:
    """Take the terminal, boot, echo keys, redraw, idle, tell."""
    disk = MemoryOverlay(RawDrive(Path(image), read_only=True))
    with Machine(MachineConfig(disks=[disk], pace="realtime")) as pc:
        start = time.perf_counter()

        from pcemu.frontends.controls import Controls
        from pcemu.frontends.inspector import Insides, Inspector
        from pcemu.frontends.terminal.display import Display
        from pcemu.frontends.terminal.view import TerminalView

        pics = pc.pic, pc.slave_pic
        inspector = Inspector(Insides(lambda: pc.registers._asdict(), pics, {}, pc.bus.watch, list))
        controls = Controls(
            look=lambda: pc.screen,
            blink_phase=lambda: pc.vga.blink_phase,
            clock=pc.clock,
            keyboard=pc.keyboard,
            type_chords=pc.typist.type,
            typing=lambda: pc.typist.busy,
            stop_typing=pc.typist.cancel,
            reset=pc.reset,
            inspector=inspector,
        )
        with TerminalView(Display(), controls) as view:
            view.update()
            facts = {"terminal-start": time.perf_counter() - start}
            pc.pacer.after_step, pc.pacer.wait = view.update, view.wait
            pc.run_until_text(PROMPT)
            pc.run(6)  # until the first message has gone
            print(READY, file=sys.stderr, flush=True)
            pc.run_until(lambda: KEYS in pc.screen.text)
            facts["terminal-frame"] = _frame(pc, view) * 1e3
            facts["terminal-idle"] = _idle(pc, float(idle_seconds))
            view._inspect(True)
            facts["terminal-panel"] = _idle(pc, float(idle_seconds))
    print(json.dumps(facts), file=sys.stderr, flush=True)


def _idle(pc: Machine, seconds: float) -> float:
    """Percent of a core that ``seconds`` of doing nothing take."""
    pc.run(1)
    start, used = time.perf_counter(), time.process_time()
    pc.run(seconds)
    used = time.process_time() - used
    return 100 * used / (time.perf_counter() - start)


def _frame(pc: Machine, view: TerminalView) -> float:
    """The median processor time of a frame in which every cell changes, in s."""
    text = pc.memory.view(range(0xB8000, 0xB8000 + 4000))
    before = bytes(text)
    times = []
    for number in range(FRAMES):
        text[:] = bytes((33 + (cell + number) % 94, 7)[half] for cell in range(2000) for half in (0, 1))
        while not view._display.ready:
            time.sleep(0.001)
        start = time.process_time()
        view._draw(time.monotonic())
        times.append(time.process_time() - start)
    text[:] = before
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main(*sys.argv[1:])
