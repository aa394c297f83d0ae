"""The window and the terminal: opened, and what their keys, lights and menus are connected to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pcemu.cli.disks import SessionDisk
from pcemu.cli.upkeep import Upkeep
from pcemu.drives.changes_text import size_text
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.errors import UsageError
from pcemu.frontends.controls import Controls, switched_off
from pcemu.frontends.inspector import Insides, Inspector
from pcemu.frontends.status import DriveLight
from pcemu.machine import IRQS, Machine

if TYPE_CHECKING:
    from pcemu.frontends.terminal.view import TerminalView
    from pcemu.frontends.window.view import WindowView


def open_window(
    disks: Sequence[SessionDisk], between: Callable[[], None], *, scale: int | None, full_screen: bool
) -> WindowView:
    """A window for a machine that is not there yet; ``between`` is called while it waits. UsageError."""
    from pcemu.frontends.window.display import Display, NoDisplay  # pygame, for which nobody else waits
    from pcemu.frontends.window.view import WindowView

    try:
        display = Display(f"{_names(disks)} – pcemu", scale, full_screen)
    except NoDisplay as error:
        raise UsageError(f"the window cannot be opened: {error}; try --ui terminal") from None
    return WindowView(display, switched_off(between))


def open_terminal(between: Callable[[], None]) -> TerminalView:
    """The same in the terminal."""
    from pcemu.frontends.terminal.display import Display  # urwid, likewise
    from pcemu.frontends.terminal.view import TerminalView

    return TerminalView(Display(), switched_off(between))


def controls_of(
    pc: Machine, disks: Sequence[SessionDisk], upkeep: Upkeep, between: Callable[[], None]
) -> Controls:
    """What a front end shows of ``pc`` and its session; ``between``: called while the guest stands still."""
    names = [disk.name for disk in disks]
    drives = [drive for channel in pc.ata for drive in channel.drives if drive is not None]
    return Controls(
        look=lambda: pc.screen,
        blink_phase=lambda: pc.vga.blink_phase,
        clock=pc.clock,
        keyboard=pc.keyboard,
        type_chords=pc.typist.type,
        typing=lambda: pc.typist.busy,
        stop_typing=pc.typist.cancel,
        reset=pc.reset,
        drives=[DriveLight(name, drive) for name, drive in zip(names, drives, strict=True)],
        undo_state=lambda: undo_state(disks, upkeep.activity, committed=upkeep.committed),
        checkpoint=upkeep.checkpoint,
        revert=upkeep.revert,
        commit=upkeep.commit,
        between=between,
        inspector=Inspector(
            Insides(
                registers=lambda: pc.registers._asdict(),
                pics=(pc.pic, pc.slave_pic),
                irqs=IRQS,
                watch=pc.bus.watch,
                drives=lambda: chains(disks),
            )
        ),
    )


def chains(disks: Sequence[SessionDisk]) -> list[str]:
    """The drives of each disk, a line for each: the image, its checkpoints, and what is written now."""
    lines = []
    for disk in disks:
        sizes = disk.session.sizes()
        lines.append(_drive_line(disk.name, disk.drive.sectors * SECTOR_SIZE))
        for depth, drive in enumerate(disk.session.drives):
            name = "now" if drive.frozen is None else f"{drive.number} {drive.name}".rstrip()
            lines.append(_drive_line(f"{' ' * depth}└ {name}", sizes.get(drive.number, 0)))
    return lines


def _drive_line(name: str, size: int) -> str:
    return f"{name[:23]:23} {size_text(size):>10}"


def _names(disks: Sequence[SessionDisk]) -> str:
    return ", ".join(disk.name for disk in disks)


def undo_state(disks: Sequence[SessionDisk], activity: str = "", *, committed: bool = False) -> str:
    """What could be undone, such as "12.4 MiB in 3 checkpoints, base untouched"; what is being done first."""
    if activity:
        return activity
    sectors = sum(disk.changed for disk in disks)
    base = " since the commit" if committed else ", base untouched"
    if not sectors:
        return f"nothing changed{base}"
    text = size_text(sectors * SECTOR_SIZE)
    checkpoints = sum(len(disk.session.checkpoints) for disk in disks)
    where = f"in {checkpoints} checkpoint{'s' * (checkpoints != 1)}" if checkpoints else "changed"
    return f"{text} {where}{base}"
