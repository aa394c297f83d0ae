"""FreeDOS in a window, in a process of its own: ``window_child.py IMAGE IDLE_SECONDS``; prints figures.

A key is posted as an event of the window, so the way through the host's display server to it is not in the
figure; the way from there to the picture that is handed to the display is.
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
    from pcemu.frontends.window.view import WindowView

PROMPT = "C:\\>"
SCALE = 2
KEYS = "abcdefghijklmnopqrst"
FRAMES = 50


def main(image: str, idle_seconds: str) -> None:
    """Open the window, boot, press keys, redraw, idle, tell."""
    disk = MemoryOverlay(RawDrive(Path(image), read_only=True))
    with Machine(MachineConfig(disks=[disk], pace="realtime")) as pc:
        start = time.perf_counter()

        from pcemu.frontends.controls import Controls
        from pcemu.frontends.window.display import Display
        from pcemu.frontends.window.view import WindowView

        controls = Controls(
            look=lambda: pc.screen,
            blink_phase=lambda: pc.vga.blink_phase,
            clock=pc.clock,
            keyboard=pc.keyboard,
            type_chords=pc.typist.type,
            typing=lambda: pc.typist.busy,
            stop_typing=pc.typist.cancel,
            reset=pc.reset,
        )
        display = Display("pcemu", SCALE, full_screen=False)
        with WindowView(display, controls) as view:
            view.update()
            facts = {"window-start": time.perf_counter() - start}
            pc.pacer.after_step, pc.pacer.wait = view.update, view.wait
            pc.run_until_text(PROMPT)
            pc.run(1)
            facts["window-key"] = _key(pc, view) * 1e3
            facts["window-frame"] = _frame(pc, view) * 1e3
            pc.run(6)  # until the messages of the status line have gone
            start, used = time.perf_counter(), time.process_time()
            pc.run(float(idle_seconds))
            used = time.process_time() - used
            facts["window-idle"] = 100 * used / (time.perf_counter() - start)
    print(json.dumps(facts), flush=True)


def _key(pc: Machine, view: WindowView) -> float:
    """The median time from a key event to the changed picture, in s."""
    import pygame

    times = []
    for letter in KEYS:
        pc.run(0.1)
        before = pc.screen.cells
        scancode = getattr(pygame, f"KSCAN_{letter.upper()}")
        start = time.perf_counter()
        for kind in (pygame.KEYDOWN, pygame.KEYUP):
            pygame.event.post(pygame.event.Event(kind, scancode=scancode, key=ord(letter), unicode=letter))
        while (drawn := view._painter._screen) is None or drawn.cells == before:
            pc.run(0.001)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def _frame(pc: Machine, view: WindowView) -> float:
    """The median processor time of a frame in which every cell changes, in s."""
    text = pc.memory.view(range(0xB8000, 0xB8000 + 4000))
    times = []
    for number in range(FRAMES):
        text[:] = bytes((33 + (cell + number) % 94, 7)[half] for cell in range(2000) for half in (0, 1))
        start = time.process_time()
        view._draw(time.monotonic())
        times.append(time.process_time() - start)
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main(*sys.argv[1:])
