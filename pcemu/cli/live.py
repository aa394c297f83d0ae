"""Opens a window on a machine: what its keys, its lights and its menu are connected to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pcemu.cli.disks import SessionDisk
from pcemu.cli.upkeep import Upkeep
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.errors import UsageError
from pcemu.frontends.controls import Controls
from pcemu.frontends.status import DriveLight
from pcemu.frontends.window.display import Display, NoDisplay
from pcemu.frontends.window.view import WindowView
from pcemu.machine import Machine

MEGABYTE = 1_000_000
UNCHANGED = "nothing changed, base untouched"


def open_window(
    pc: Machine,
    disks: Sequence[SessionDisk],
    upkeep: Upkeep,
    between: Callable[[], None],
    *,
    scale: int | None,
    full_screen: bool,
) -> WindowView:
    """A window that shows ``pc``; ``between`` is called while the guest stands still. UsageError."""
    names = [disk.path.name for disk in disks]
    drives = [drive for channel in pc.ata for drive in channel.drives if drive is not None]
    controls = Controls(
        look=lambda: pc.screen,
        blink_phase=lambda: pc.vga.blink_phase,
        clock=pc.clock,
        keyboard=pc.keyboard,
        type_chords=pc.typist.type,
        typing=lambda: pc.typist.busy,
        stop_typing=pc.typist.cancel,
        reset=pc.reset,
        drives=[DriveLight(name, drive) for name, drive in zip(names, drives, strict=True)],
        undo_state=lambda: _undo_state(disks),
        checkpoint=upkeep.checkpoint,
        revert=upkeep.revert,
        between=between,
    )
    try:
        display = Display(f"{', '.join(names)} – pcemu", scale, full_screen)
    except NoDisplay as error:
        raise UsageError(f"the window cannot be opened: {error}; try --ui terminal") from None
    return WindowView(display, controls)


def _undo_state(disks: Sequence[SessionDisk]) -> str:
    """What could be undone, such as "12.4 MB in 3 checkpoints, base untouched"."""
    sectors = sum(disk.changed for disk in disks)
    if not sectors:
        return UNCHANGED
    size = sectors * SECTOR_SIZE
    text = f"{size / 1e6:.1f} MB" if size >= MEGABYTE else f"{size / 1e3:.1f} kB"
    checkpoints = sum(len(disk.session.checkpoints) for disk in disks)
    where = f"in {checkpoints} checkpoint{'s' * (checkpoints != 1)}" if checkpoints else "changed"
    return f"{text} {where}, base untouched"
