"""`pcemu run`: options and help; what happens then is in pcemu.cli.runner."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import click

from pcemu.cli.script import STEPS, ScriptCommand, steps
from pcemu.pacing import PACES

AS_IT_IS = "\b\n"  # click does not wrap the paragraph that begins with this line

HELP = r"""Run a PC whose hard disks are the raw images DISK (up to four), or the demo disk.

Started in a terminal, it shows the guest's screen there, and your keys go to the guest; Ctrl-] ends the
session. With --headless, or when input or output is not a terminal, nothing is shown while it runs; the
final screen is printed on stdout, messages go to stderr.

What the guest writes stays in memory: no image changes while the session runs, nor when it crashes. At the
end you decide (--on-exit): commit writes the changed sectors into the images, discard forgets them. Where
nobody can be asked, they are discarded, and a line says so. The demo disk is committed to a copy of your
own (~/.local/share/pcemu/demo.img), which the next `pcemu run` uses; delete it to start afresh.

--type, --press and --until can be given many times and mixed. They are done in the order in which they are
given; in a terminal the session is yours after the last one. Without any, a headless guest runs for
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
  pcemu run freedos.img                         live in this terminal
  pcemu run --headless --until 'C:\>' --type 'dir\n' --until 'bytes free' freedos.img
  pcemu run --headless --timeout 5 --screenshot boot.png --on-exit discard freedos.img
  pcemu run --headless --until 'C:\>' --type 'cd \\work\n' --on-exit commit freedos.img
  pcemu run --serial pty freedos.img            COM1 on a pseudo terminal

\b
Exit codes:
  0    the session ended, and commit or discard were done
  2    wrong usage: an option, a key name, a file to write that cannot be written
  3    an image does not exist
  4    an image is not usable: empty, truncated, not a multiple of 512 bytes, a directory
  5    an image is busy, may not be accessed, or failed (also when a commit fails)
  6    the guest cannot go on; the message says why and where (CS:EIP)
  7    --timeout passed before a step was done
  130  interrupted by Ctrl-C (129 by SIGHUP, 143 by SIGTERM), after --on-exit was applied

To complete options with Tab in bash: eval "$(_PCEMU_COMPLETE=bash_source pcemu)"; zsh and fish likewise.
""".replace("\\b\n", AS_IT_IS)

LONGEST = 1e9  # s; thirty years
FIRST_YEAR, LAST_YEAR = 1980, 2099  # what DOS can count


def _date(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> datetime.datetime | None:
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


@click.command(cls=ScriptCommand, help=HELP, epilog=EPILOG, short_help="Run a PC.")
@click.argument("disks", nargs=-1, metavar="[DISK]...", type=click.Path(path_type=Path))
@click.option("--memory", metavar="MIB", type=int, default=32, show_default=True, help="RAM.")
@click.option(
    "--pace",
    type=click.Choice(PACES),
    help="realtime keeps to the wall clock; max never waits. [default: realtime in a terminal, else max]",
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
@click.option("--headless", is_flag=True, help="Show nothing live, also in a terminal.")
@click.option("--type", "typed", metavar="TEXT", multiple=True, help="Step: type TEXT.")
@click.option("--press", "pressed", metavar="CHORD", multiple=True, help="Step: press keys together.")
@click.option("--until", "awaited", metavar="TEXT", multiple=True, help="Step: wait for TEXT on the screen.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=float,
    callback=_seconds,
    help="Virtual time for each step. [default: 60 headless, none in a terminal]",
)
@click.option(
    "--screenshot",
    metavar="FILE.png",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the final screen as a picture, also when a step failed.",
)
@click.option(
    "--on-exit",
    type=click.Choice(["ask", "commit", "discard"]),
    default="ask",
    show_default=True,
    help="What becomes of the guest's writes.",
)
@click.option(
    "--bios",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A system ROM instead of pcemu's own.",
)
@click.option("-q", "--quiet", is_flag=True, help="No final screen and no notes; errors only.")
@click.pass_context
def run(ctx: click.Context, /, disks: tuple[Path, ...], **options: Any) -> None:
    """Turn the command line into a session and run it."""
    script = steps(ctx)
    for name in STEPS:
        del options[name]
    from pcemu.cli.runner import Options, Runner  # --help and Tab shall not wait for the whole machine

    ctx.exit(Runner(Options(disks=disks, steps=script, **options)).run())
