"""``python -m pcemu``, and the console script: the command line, guarded from its first import on."""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130  # what shells make of SIGINT


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback also while modules are being loaded."""
    try:
        open_closed_streams()
        from pcemu.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def open_closed_streams() -> None:
    """Put the null device where a standard stream was closed, lest a disk image get its descriptor."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of descriptors
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


if __name__ == "__main__":
    main()
