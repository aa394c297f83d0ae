"""What the commands of `pcemu disk` share: options, sizes, and how they run, report and are interrupted."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from pcemu.cli.output import complain, note, result, spoken
from pcemu.cli.progress import ProgressBar
from pcemu.cli.remote import prepare, remote_disk
from pcemu.cli.signals import Interrupted, Interrupts
from pcemu.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])
Progress = Callable[[int, int], None]

UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?)\s*([KMGT]?)(?:I?B)?", re.IGNORECASE)
FORMATS = ("raw", "fixed", "dynamic", "differencing")
NEW_FORMATS = FORMATS[:3]


class Size(click.ParamType[int]):
    """A number of bytes, such as 500M or 2G."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Text to bytes."""
        if isinstance(value, int):
            return value
        match = SIZE.fullmatch(value.strip())
        if match is None:
            self.fail(f"{value!r}: expected bytes, or a number with K, M, G or T, such as 500M", param, ctx)
        return int(float(match[1]) * (1 << UNITS[match[2].upper()])) if match[2] else int(float(match[1]))


class SizeOrMore(click.ParamType[tuple[bool, int]]):
    """A size, or with a plus sign how much more: (is it that, bytes)."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[bool, int]:
        """Text to bytes."""
        if isinstance(value, tuple):
            return value
        more = value.startswith("+")
        return more, Size().convert(value.removeprefix("+"), param, ctx)


class Disk(click.Path):
    """A path, the name of a disk in the user's data folder, or the address of an image on a server."""

    name = "disk"

    def __init__(self, *, to_run: bool = False) -> None:
        super().__init__(readable=False, path_type=Path)
        self._to_run = to_run

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Text to a path."""
        found = remote_disk(os.fsdecode(value), to_run=self._to_run)
        if found is not None:
            return found
        from pcemu.library.names import find_disk

        return find_disk(Path(os.fsdecode(super().convert(value, param, ctx))))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names of disks that begin so and then files; files alone are the shell's own business."""
        from pcemu.library.names import known_disks

        names = [disk.name for disk in known_disks() if disk.name.startswith(incomplete)]
        if not names:  # also when it has a slash
            return super().shell_complete(ctx, param, incomplete)
        files = sorted(path.name for path in Path().glob(f"{glob.escape(incomplete)}*"))
        return [CompletionItem(text) for text in names + [file for file in files if file not in names]]


class ImagePath(click.Path):
    """A path; opening it says in one line what is wrong."""

    def __init__(self) -> None:
        super().__init__(readable=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Text to a path."""
        prepare()  # what is there may be built on an image on a server
        return super().convert(value, param, ctx)


PATH = ImagePath()
DISK = Disk()
DISK_TO_RUN = Disk(to_run=True)
image_argument = click.argument("image", type=DISK)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON; see the keys below.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
OUTSIDE_HELP = "Let a child's parent lie outside the child's folder."
outside_option = click.option("--allow-outside", is_flag=True, help=OUTSIDE_HELP)


def common(command: Command) -> Command:
    """Add the options that all commands have."""
    return quiet_option(json_option(command))


def common_with_parents(command: Command) -> Command:
    """As :func:`common`, for commands that open parents."""
    return common(outside_option(command))


def epilog(text: str) -> str:
    """Examples and keys as they are: click does not wrap paragraphs that begin with a line of \\b."""
    return "\n\n".join("\b\n" + part for part in text.strip("\n").split("\n\n"))


def say(text: str, facts: object, *, as_json: bool, quiet: bool) -> None:
    """Print what was done or found, for people or for programs."""
    if as_json:
        result(json.dumps(facts, indent=2, ensure_ascii=False))
    elif not quiet and text:
        result(spoken(text))


def warner(*, quiet: bool) -> Callable[[str], None]:
    """What tells the user of warnings."""

    def warn(text: str) -> None:
        if not quiet:
            note(text)

    return warn


@contextmanager
def work(doing: str, how_to_go_on: str, *, quiet: bool) -> Iterator[Progress]:
    """Around an operation: gives what shows its progress, and what ends it when a signal came.

    Signals act nowhere else, so that an operation ends where it can be left. Then ``how_to_go_on`` is said.
    """
    with Interrupts() as interrupts:
        try:
            with ProgressBar(doing, quiet=quiet) as bar:

                def progress(done: int, total: int) -> None:
                    interrupts.check()
                    bar(done, total)

                yield progress
        except Interrupted as signal:
            complain(f"{signal}: {how_to_go_on}")
            raise click.exceptions.Exit(signal.exit_code) from None
        if interrupts.number is not None:
            late = Interrupted(interrupts.number)
            complain(f"{late}, but by then it was done")
            raise click.exceptions.Exit(late.exit_code)


def human(size: int) -> str:
    """Bytes in words: ``1.5 GiB``."""
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value == int(value) else f"{value:.1f} {unit}"


def format_for(path: Path, asked: str | None) -> str:
    """The format of a new image: as asked for, else as its name says."""
    from pcemu.drives.probe import RAW_SUFFIXES

    suffix = path.suffix.lower()
    found = asked or {".vhd": "dynamic", **dict.fromkeys(RAW_SUFFIXES, "raw")}.get(suffix)
    if found is None:
        raise UsageError(
            f"{path}: its name does not tell its format, expected .vhd or .img; name the format (see --help)"
        )
    if found == "raw" and suffix == ".vhd":
        raise UsageError(
            f"{path}: a raw image under this name would be taken for a damaged VHD, expected another; "
            f"name it {path.with_suffix('.img').name}, or leave the format out"
        )
    return found


def allocated(path: Path) -> int:
    """Bytes that a file takes on its disk; its length where that is not known."""
    status = path.stat()
    blocks: int | None = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * 512
