"""What the host key and the menu can do: one table for both, and for the help."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
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
    REVERT = Entry("u", "Revert", "undo: take a disk back to a checkpoint")
    COMMIT = Entry("w", "Commit", "write the changes, or some files, into the images now")
    PASTE = Entry("v", "Paste", "type the clipboard's text; again: stop typing")
    COPY = Entry("c", "Copy", "copy the marked text, or the whole screen")
    SCREENSHOT = Entry("s", "Screenshot", "save the screen as a PNG file")
    INSPECT = Entry("i", "Inspect", "show registers, ports, interrupts and drives, and back")
    FULL_SCREEN = Entry("f", "Full screen", "full screen, and back")
    SHAPE = Entry("a", "Shape 4:3", "dots as high as on old monitors, and back")
    LARGER = Entry("+", "Larger", "a larger picture", in_menu=False)
    SMALLER = Entry("-", "Smaller", "a smaller picture", in_menu=False)
    END = Entry("q", "End session", "end the session; the question comes then")

    value: Entry


@dataclass(frozen=True)
class Reach:
    """What the host key can do on one front end, and how.

    ``host_key`` is its name, ``joint`` what stands between it and the other key, ``how`` what to do with it
    in words, and ``more`` further lines for the help. ``meanings`` are those that are others here.
    """

    host_key: str
    joint: str
    how: str
    lacks: Collection[Action]
    more: tuple[str, ...]
    meanings: Mapping[Action, str] = field(default_factory=dict)

    @cached_property
    def actions(self) -> tuple[Action, ...]:
        """All that can be done here, in the order of the menu."""
        return tuple(action for action in Action if action not in self.lacks)

    @cached_property
    def by_key(self) -> dict[str, Action]:
        """The actions by the character of their key; + is Shift + = on many boards."""
        keys = {action.value.key: action for action in self.actions}
        return keys | ({"=": keys["+"]} if "+" in keys else {})

    def meaning(self, action: Action) -> str:
        """What the help says of an action."""
        return self.meanings.get(action, action.value.meaning)

    def press(self, action: Action) -> str:
        """What to press for an action."""
        return f"{self.host_key}{self.joint}{action.value.key.upper()}"
