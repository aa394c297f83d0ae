"""`pcemu session`: what became of runs, and deciding later."""

from __future__ import annotations

import click

from pcemu.cli.disk_common import epilog
from pcemu.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("pcemu.cli.session_look", "List sessions that were not decided yet."),
    "show": ("pcemu.cli.session_look", "Draw a session's drives, and what each changed."),
    "resume": ("pcemu.cli.session_decide", "Go on with a session: as `pcemu run`."),
    "commit": ("pcemu.cli.session_decide", "Write the changes into the image, or some of the files."),
    "discard": ("pcemu.cli.session_decide", "Throw the changes away."),
    "keep": ("pcemu.cli.session_decide", "Mark an interrupted session as one to be decided later."),
    "branch": ("pcemu.cli.session_decide", "Save the changes as an image of their own."),
    "rebase": ("pcemu.cli.session_decide", "Put the changes on an image that others committed to."),
    "revert": ("pcemu.cli.session_decide", "Go back to a checkpoint."),
    "pin": ("pcemu.cli.session_notes", "Keep a checkpoint from being merged."),
    "note": ("pcemu.cli.session_notes", "Name a checkpoint, or write something down about it."),
}

INTRODUCTION = """
All that a guest writes in `pcemu run DISK` goes to drives of its session, in the folder DISK.pcemu, until it
is committed or discarded. A checkpoint is named by its number or name; "start" is the beginning.
"""

DETAILS = r"""
Examples:
  pcemu session list
  pcemu session show disk.img                    what was changed since when
  pcemu session revert disk.img before-install
  pcemu session commit disk.img --only 'C:\SAVES\**'
  pcemu session discard disk.img

Exit codes:
  0    done
  2    wrong usage, also: what was asked for is refused, and the message says why
  3    the image does not exist
  4    the image or the session is damaged, or does not fit
  5    the image or the session is in use, may not be accessed, has no room, or its disk failed
  130  interrupted by Ctrl-C: nothing is lost; the message says how to go on
"""


@click.command(cls=LazyGroup, lazy=COMMANDS, epilog=INTRODUCTION + "\n" + epilog(DETAILS))
def session() -> None:
    """Look at undo sessions, and decide what becomes of them."""
