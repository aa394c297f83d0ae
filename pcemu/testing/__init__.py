"""Helpers for tests: a clock that is moved by hand, a recorded interrupt line, a drive in memory."""
