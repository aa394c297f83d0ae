"""The command line."""

from __future__ import annotations

import sys

import click

from pcemu import __version__
from pcemu.cli.lazy import LazyGroup
from pcemu.cli.output import complain, lost
from pcemu.errors import ImageAccessError, PcemuError

INTERRUPTED = 130  # what shells make of SIGINT

# command: (module, one line for the overview)
COMMANDS = {
    "disk": ("pcemu.cli.disk", "Make, look at, commit, merge, convert and repair disk images."),
    "get": ("pcemu.cli.get", "Download a system, such as FreeDOS, as a disk known by name."),
    "list": ("pcemu.cli.list", "List the disks known by name."),
    "new": ("pcemu.cli.new", "Make a bootable FAT disk, also of a folder of files."),
    "protect": ("pcemu.cli.serve", "Lend an image or device to NBD clients, and ask at the end."),
    "run": ("pcemu.cli.run", "Run a PC with the given hard disks, or with the demo disk."),
    "serve": ("pcemu.cli.serve", "Lend images to NBD clients; what they write can be undone."),
    "session": ("pcemu.cli.session", "Look at what runs changed, and decide later."),
}

EPILOG = """
Exit codes: 0 done, 2 wrong usage, 3 no such image, 4 not a usable image, 5 image busy or not accessible,
6 the guest cannot go on, 7 the timeout was reached, 130 interrupted.

\b
The Tab key completes commands, options and names of disks with this in ~/.bashrc:
  eval "$(_PCEMU_COMPLETE=bash_source pcemu)"
and with zsh_source in ~/.zshrc, or fish_source in fish.
"""


@click.command(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="pcemu")
def cli() -> None:
    """An IBM-AT-class PC whose hard disk can be undone."""


def main() -> None:
    """The console script: errors that pcemu raises on purpose become one line and an exit code."""
    try:
        code = cli.main(prog_name="pcemu", standalone_mode=False)
        if lost():
            complain(f"stdout: cannot be written: {lost()}; all is done, but not all of its results are told")
        sys.exit(code or (ImageAccessError.exit_code if lost() else 0))
    except PcemuError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except OSError as error:  # the host failed where nothing better could be said
        complain(f"{error.filename or 'the host'}: {error.strerror or error}")
        sys.exit(ImageAccessError.exit_code)
