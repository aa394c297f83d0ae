"""What the host key and the menu can do: one table for both, and for the help."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Entry(NamedTuple):
    """``key`` goes with the host key; ``label`` is what the menu says, ``meaning`` what the help says."""

    key: str
    label: str
    meaning: str
    in_menu: bool = True


class Action(Enum):
    """Something that the user can ask pcemu to do, in the order of the menu."""

    HELP = Entry("h", "Help", "this page")
    MENU = Entry("m", "Menu", "the menu", in_menu=False)
    PAUSE = Entry("p", "Pause", "let the guest stand still, and go on")
    CTRL_ALT_DEL = Entry("d", "Ctrl-Alt-Del", "press Ctrl, Alt and Del")
    RESET = Entry("r", "Reset", "press the reset button")
    CHECKPOINT = Entry("k", "Checkpoint", "make a checkpoint of the disks")
    REVERT = Entry("u", "Revert", "undo: take the disks back to a checkpoint")
    PASTE = Entry("v", "Paste", "type the clipboard's text; again: stop typing")
    COPY = Entry("c", "Copy", "copy the marked text, or the whole screen")
    SCREENSHOT = Entry("s", "Screenshot", "save the screen as a PNG file")
    FULL_SCREEN = Entry("f", "Full screen", "full screen, and back")
    SHAPE = Entry("a", "Shape 4:3", "dots as high as on old monitors, and back")
    LARGER = Entry("+", "Larger", "a larger picture", in_menu=False)
    SMALLER = Entry("-", "Smaller", "a smaller picture", in_menu=False)
    END = Entry("q", "End session", "end the session; the question comes then")

    value: Entry


BY_KEY: dict[str, Action] = {action.value.key: action for action in Action} | {"=": Action.LARGER}
"""The actions by the character of their key; + is Shift + = on many boards."""

HOST_KEY_NAME = "Right Ctrl"
