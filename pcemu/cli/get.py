"""`pcemu get`: a system by its name, downloaded from its official site."""

from __future__ import annotations

import json
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from pcemu.cli.disk_common import common, epilog, human
from pcemu.cli.output import complain, note, result
from pcemu.library.catalogue import SYSTEMS, find_release, install
from pcemu.library.download import DEFAULT_TIMEOUT
from pcemu.library.names import path_for_new

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

INTERRUPTED = 130  # what shells make of SIGINT

EPILOG = epilog("""
Examples:
  pcemu get freedos && pcemu run freedos
  pcemu get freedos --version 1.3 --name freedos13
  pcemu get freedos --mirror https://mirror.example/freedos
  pcemu get freedos --url file:///media/usb/FD14-LiteUSB.zip

Keys of --json:
  name, version, url, path
  size          bytes of the image
""")


@click.command(epilog=EPILOG)
@click.argument("system", type=click.Choice(sorted(SYSTEMS), case_sensitive=False))
@click.option("--version", metavar="N", help="Which version. [default: the newest]")
@click.option("--mirror", metavar="URL", help="A server with the same folders as the official one.")
@click.option("--url", metavar="URL", help="The archive itself: http, https or file.")
@click.option("--name", metavar="NAME", help="What to call the disk. [default: the system's name]")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0.1, 3600),
    default=DEFAULT_TIMEOUT,
    show_default=True,
    help="How long the server may be silent.",
)
@common
def get(
    system: str,
    version: str | None,
    mirror: str | None,
    url: str | None,
    name: str | None,
    timeout: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Download SYSTEM as a disk that `pcemu run` knows by its name.

    What comes is used only when it has the right SHA-256, wherever it comes from. A download that broke off
    goes on where it was when the same command is given again.
    """
    if mirror and url:
        raise click.UsageError("--mirror and --url exclude each other")
    release = find_release(system, version)
    path = path_for_new(name or system.lower())
    url = url or release.url(mirror)
    try:
        with _Bar(f"{system} {release.version}", quiet=quiet) as bar:
            size = install(
                release, path, url, progress=bar.update, on_unpack=bar.unpacking, timeout=timeout
            )
    except KeyboardInterrupt:
        complain("interrupted; run the same command again, and it goes on where it stopped")
        raise click.exceptions.Exit(INTERRUPTED) from None
    facts = {
        "name": path.stem,
        "version": release.version,
        "url": url,
        "path": str(path),
        "size": size,
    }
    if as_json:
        result(json.dumps(facts, indent=2))
    elif not quiet:
        note(f"{path} is there ({human(size)}): start it with `pcemu run {path.stem}`")


class _Bar:
    """A progress bar with amounts and speed on a terminal."""

    def __init__(self, what: str, *, quiet: bool) -> None:
        self._what = what
        self._quiet = quiet
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        from rich import progress
        from rich.console import Console

        console = Console(stderr=True)
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(binary_units=True),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=console,
            disable=self._quiet or not console.is_terminal,
            transient=True,
        )
        self._bar.add_task(self._what, total=None)
        self._bar.start()
        return self

    def update(self, done: int, total: int | None) -> None:
        """Show how far the download got."""
        assert self._bar is not None
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def unpacking(self) -> None:
        """Say that the download is over."""
        assert self._bar is not None
        self._bar.update(self._bar.task_ids[0], description=f"{self._what}: unpacking")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
