"""Undo sessions: every write to a disk undoable until the user decides. Knows drives, and no emulator."""
