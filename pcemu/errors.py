"""The one tree of errors that pcemu raises on purpose.

::

    PcemuError
    ├── UsageError              the request itself is off               exit code 2
    ├── ImageError              an image cannot be used as it is
    │   ├── ImageNotFoundError  no such file                            exit code 3
    │   ├── ImageFormatError    empty, truncated, wrong size or kind    exit code 4
    │   └── ImageAccessError    no permission, busy, host I/O error     exit code 5
    ├── GuestError              the guest cannot go on (triple fault …) exit code 6
    └── TimeoutReached          a deadline in virtual time passed       exit code 7

A message is one sentence that names the file, what was found, what was expected, and how to go on.
"""

from __future__ import annotations


class PcemuError(Exception):
    """Root of the tree; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class UsageError(PcemuError):
    """The request itself is off: an option, a key name, a port range that overlaps another."""

    exit_code = 2


class ImageError(PcemuError):
    """A disk image cannot be used as it is."""

    exit_code = 4


class ImageNotFoundError(ImageError):
    """The image does not exist."""

    exit_code = 3


class ImageFormatError(ImageError):
    """The image is empty, truncated, of a wrong size, or not of the kind that was asked for."""

    exit_code = 4


class ImageAccessError(ImageError):
    """The image may not be read or written, is in use, or its host file failed."""

    exit_code = 5


class GuestError(PcemuError):
    """The guest cannot go on: a triple fault, garbage executed, halted with interrupts off."""

    exit_code = 6


class TimeoutReached(PcemuError):
    """What was waited for did not come within the given virtual time."""

    exit_code = 7
