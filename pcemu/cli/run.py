"""`pcemu run`: options and help; what happens then is in pcemu.cli.runner."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import click

from pcemu.cli.disk_common import DISK_TO_RUN, outside_option
from pcemu.cli.exit_option import on_exit_option
from pcemu.cli.remote import network_options
from pcemu.cli.script import STEPS, ScriptCommand, steps
from pcemu.cli.ui import HEADLESS, UIS
from pcemu.errors import UsageError
from pcemu.pacing import PACES

AS_IT_IS = "\b\n"  # click does not wrap the paragraph that begins with this line

HELP = r"""Run a PC whose hard disks are the raw images DISK (up to four), or the demo disk.

A DISK may also be an address, such as nbd://host/export, https://… or s3://…: what is read is kept on this
computer, and the image there is never written.

Where a display is found, the guest's screen is shown in a window; the right Ctrl key with H shows which keys
are pcemu's. Otherwise it is shown in the terminal; there Ctrl-] opens a menu. All other keys go to the guest.
With --ui headless, or without a terminal, nothing is shown while it runs; the final screen is printed on
stdout, messages go to stderr. A script whose output is not a terminal runs headless by itself.

What the guest writes goes to a drive of its own beside the image (DISK.pcemu): no image changes while the
session runs, nor when it crashes. At the end you see what was changed and decide (--on-exit): commit writes
it into the images, discard forgets it, keep leaves the decision for later (the next `pcemu run` goes on with
it; see `pcemu session`), branch:NAME saves it as an image of its own, built on DISK. In a window or terminal
that was closed by mistake the guest can also go on. Where nobody can be asked, it is kept, and a line says
so. The demo disk is a copy of your own (~/.local/share/pcemu/demo.img); delete it to start afresh.

A checkpoint is a moment to which the menu and `pcemu session revert` can go back: the menu makes one, or
--checkpoint-every.

--type, --press and --until can be given many times and mixed. They are done in the order in which they are
given; in a window or terminal the session is yours after the last one. Without any, a headless guest runs for
--timeout seconds.

\b
In TEXT of --type:  \n Enter   \t Tab   \b Backspace   \e Escape   \\ backslash
TEXT of --until is taken as it is; after typed keys, only what appeared since counts.
CHORD of --press:   key names joined by +, such as f5, alt+x, ctrl+alt+del, shift+up
""".replace("\\b\n", AS_IT_IS)

EPILOG = r"""
\b
Examples:
  pcemu run                                     the demo disk
  pcemu run freedos.img                         live, in a window or in this terminal
  pcemu run --headless --until 'C:\>' --type 'dir\n' --until 'bytes free' freedos.img
  pcemu run --headless --timeout 5 --screenshot boot.png --on-exit discard freedos.img
  pcemu run --headless --until 'C:\>' --type 'cd \\work\n' --on-exit commit freedos.img
  pcemu run --serial pty freedos.img            COM1 on a pseudo terminal
  pcemu run nbd://host/freedos                  an image on a server
  pcemu run --bios bios.bin --vgabios vgabios-isavga.bin freedos.img     SeaBIOS

\b
Keys of --json, all of them always there:
  outcome          ended, failed, timeout, interrupted, or refused (the session did not begin)
  exit_code        as below
  error            the sentence about what went wrong, or null
  screen           the text on the final screen, lines joined by newlines
  until            for each --until: text, and at: the virtual time when it came (s), or null
  virtual_seconds  how long the guest ran, on its own clock
  wall_seconds     the same on the host's
  decision         commit, discard, keep, branch, or nothing where nothing was changed
  disks            for each: image, changed_sectors, changed_bytes, session (kept, or none)
  screenshot       the picture's path, or null

\b
Exit codes:
  0    the session ended, and what was decided was done
  2    wrong usage: an option, a key name, a file to write that cannot be written
  3    an image does not exist
  4    an image is not usable: empty, truncated, not a multiple of 512 bytes, a directory
  5    an image is busy, may not be accessed, or failed (also when a commit fails)
  6    the guest cannot go on; the message says why and where (CS:EIP)
  7    --timeout passed before a step was done
  130  interrupted by Ctrl-C (129 by SIGHUP, 143 by SIGTERM), after --on-exit was applied

To complete options with Tab in bash: eval "$(_PCEMU_COMPLETE=bash_source pcemu)"; zsh and fish likewise.
""".replace("\\b\n", AS_IT_IS)

MAX_SCALE = 16
INTERVAL = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)(?:s|sec)?)?")
LONGEST = 1e9  # s; thirty years
FIRST_YEAR, LAST_YEAR = 1980, 2099  # what DOS can count


def _date(ctx: click.Context, parameter: click.Parameter, value: str | None) -> datetime.datetime | None:
    """The local time that ``value`` names as ISO 8601 does."""
    if value is None:
        return None
    try:
        date = datetime.datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}; expected such as 1999-12-31T23:59:00") from None
    if not FIRST_YEAR <= date.year <= LAST_YEAR or date.tzinfo is not None:
        raise click.BadParameter(f"{value!r}: expected {FIRST_YEAR} to {LAST_YEAR}, without a time zone")
    return date


def _seconds(ctx: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """A time that the machine can count."""
    if value is not None and not 0 < value <= LONGEST:
        raise click.BadParameter(f"{value:g}: expected more than 0 and not more than {LONGEST:g} seconds")
    return value


def _interval(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Seconds from a text such as ``1h``, ``10m30s`` or ``90``."""
    if value is None:
        return None
    match = INTERVAL.fullmatch(value.strip().lower())
    seconds = 0.0
    if match is not None:
        hours, minutes, rest = (float(part or 0) for part in match.groups())
        seconds = hours * 3600 + minutes * 60 + rest
    if not 1 <= seconds <= LONGEST:
        raise click.BadParameter(f"{value!r}: expected a time such as 1h, 10m or 90s")
    return seconds


def _png(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """A file of the one kind that is written."""
    if value is not None and value.suffix.lower() != ".png":
        raise click.BadParameter(f"'{value}': pictures are written as PNG, expected a name such as shot.png")
    return value


class RunCommand(ScriptCommand):
    """Tells programs, too, what is wrong with the command line, where --json is part of it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and print the line of --json when that fails."""
        as_json = "--json" in args
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if as_json:
                _report_refusal(error.format_message(), error.exit_code)
            raise


def _report_refusal(why: str, exit_code: int) -> None:
    from pcemu.cli.output import result
    from pcemu.cli.report import Report  # which --help and Tab need not wait for

    result(Report(exit_code=exit_code, error=why).line())


@click.command(cls=RunCommand, help=HELP, epilog=EPILOG, short_help="Run a PC.")
@click.argument("disks", nargs=-1, metavar="[DISK]...", type=DISK_TO_RUN)
@click.option("--memory", metavar="MIB", type=int, default=32, show_default=True, help="RAM.")
@click.option(
    "--pace",
    type=click.Choice(PACES),
    help="realtime keeps to the wall clock; max never waits. [default: max when headless, else realtime]",
)
@click.option(
    "--mips",
    metavar="N",
    type=int,
    default=100,
    show_default=True,
    help="Million instructions in a second of virtual time.",
)
@click.option("--date", metavar="ISO", callback=_date, help="Date and time at the start. [default: now]")
@click.option(
    "--serial",
    metavar="END",
    default="none",
    show_default=True,
    help="Where COM1 leads: stdout, file:PATH, pty or none.",
)
@click.option(
    "--debug-console", metavar="FILE", type=click.Path(path_type=Path), help="Bytes written to port E9h."
)
@click.option(
    "--ui", type=click.Choice(UIS), help="Where to show the screen. [default: the first that works]"
)
@click.option("--headless", is_flag=True, help="The same as --ui headless.")
@click.option(
    "--scale",
    metavar="N",
    type=click.IntRange(1, MAX_SCALE),
    help="Pixels of the window for a dot of the guest. [default: as the display is large]",
)
@click.option("--full-screen", is_flag=True, help="Let the window fill the display.")
@click.option("--type", "typed", metavar="TEXT", multiple=True, help="Step: type TEXT.")
@click.option("--press", "pressed", metavar="CHORD", multiple=True, help="Step: press keys together.")
@click.option("--until", "awaited", metavar="TEXT", multiple=True, help="Step: wait for TEXT on the screen.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=float,
    callback=_seconds,
    help="Virtual time for each step. [default: 60 headless, else none]",
)
@click.option(
    "--screenshot",
    metavar="FILE.png",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=_png,
    help="Write the final screen as a picture, also when a step failed.",
)
@on_exit_option("ask", "the guest's")
@click.option("--session", metavar="NAME", default="default", help="A session besides the usual one.")
@outside_option
@click.option(
    "--checkpoint-every", metavar="TIME", callback=_interval, help="Virtual time, such as 1h or 10m30s."
)
@click.option(
    "--keep-checkpoints",
    metavar="N",
    type=click.IntRange(1, 200),
    default=24,
    show_default=True,
    help="Merge the oldest of more automatic checkpoints than that.",
)
@click.option("--ask-every", metavar="TIME", callback=_interval, help="Ask whether to commit meanwhile.")
@click.option(
    "--preserve-siblings",
    is_flag=True,
    help="Let a commit first copy what it changes to other sessions of the image.",
)
@network_options
@click.option(
    "--bios",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A system ROM of 64 to 256 KiB instead of pcemu's own.",
)
@click.option(
    "--vgabios",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The VGA's ROM, which --bios needs to show anything.",
)
@click.option(
    "--firmware-log",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Bytes written to port 402h, where SeaBIOS and others tell what they do.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON at the end, not the screen.")
@click.option("-q", "--quiet", is_flag=True, help="No final screen and no notes; errors only.")
@click.pass_context
def run(ctx: click.Context, /, disks: tuple[Path, ...], **options: Any) -> None:
    """Turn the command line into a session and run it."""
    try:
        if options.pop("headless"):
            if options["ui"] not in (None, HEADLESS):
                raise UsageError(f"--headless does not go with --ui {options['ui']}")
            options["ui"] = HEADLESS
        script = steps(ctx)
    except UsageError as error:
        if options["as_json"]:
            _report_refusal(str(error), error.exit_code)
        raise
    for name in STEPS:
        del options[name]
    from pcemu.cli.runner import Options, Runner  # --help and Tab shall not wait for the whole machine

    ctx.exit(Runner(Options(disks=disks, steps=script, **options)).run())
