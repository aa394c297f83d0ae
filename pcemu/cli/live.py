"""What the keys, the lights and the menu of a front end are connected to; the window, opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pcemu.cli.disks import SessionDisk
from pcemu.cli.upkeep import Upkeep
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.errors import UsageError
from pcemu.frontends.controls import Controls, switched_off
from pcemu.frontends.status import DriveLight
from pcemu.frontends.window.display import Display, NoDisplay
from pcemu.frontends.window.view import WindowView
from pcemu.machine import Machine

MEGABYTE = 1_000_000
UNCHANGED = "nothing changed, base untouched"


def open_window(
    disks: Sequence[SessionDisk], between: Callable[[], None], *, scale: int | None, full_screen: bool
) -> WindowView:
    """A window for a machine that is not there yet; ``between`` is called while it waits. UsageError."""
    try:
        display = Display(f"{_names(disks)} – pcemu", scale, full_screen)
    except NoDisplay as error:
        raise UsageError(f"the window cannot be opened: {error}; try --ui terminal") from None
    return WindowView(display, switched_off(between))


def controls_of(
    pc: Machine, disks: Sequence[SessionDisk], upkeep: Upkeep, between: Callable[[], None]
) -> Controls:
    """What a front end shows of ``pc`` and its session; ``between``: called while the guest stands still."""
    names = [disk.path.name for disk in disks]
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
        undo_state=lambda: undo_state(disks, upkeep.activity),
        checkpoint=upkeep.checkpoint,
        revert=upkeep.revert,
        commit=upkeep.commit,
        between=between,
    )


def _names(disks: Sequence[SessionDisk]) -> str:
    return ", ".join(disk.path.name for disk in disks)


def undo_state(disks: Sequence[SessionDisk], activity: str = "") -> str:
    """What could be undone, such as "12.4 MB in 3 checkpoints, base untouched"; what is being done first."""
    if activity:
        return activity
    sectors = sum(disk.changed for disk in disks)
    if not sectors:
        return UNCHANGED
    size = sectors * SECTOR_SIZE
    text = f"{size / 1e6:.1f} MB" if size >= MEGABYTE else f"{size / 1e3:.1f} kB"
    checkpoints = sum(len(disk.session.checkpoints) for disk in disks)
    where = f"in {checkpoints} checkpoint{'s' * (checkpoints != 1)}" if checkpoints else "changed"
    return f"{text} {where}, base untouched"
