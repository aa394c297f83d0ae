"""Drives: sectors that can be read and written. Imports nothing of the emulator."""
