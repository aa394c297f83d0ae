"""Addresses of images on servers, on the command line: how they become paths, and how they are treated."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pcemu.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

CACHE_SIZE, TIMEOUT = "PCEMU_CACHE_SIZE", "PCEMU_NETWORK_TIMEOUT"
LONGEST = 86_400.0  # s
MARK = "://"
_prepared = False


def prepare() -> None:
    """Tell the storage half where caches go, and what the environment says of them; once is enough."""
    global _prepared
    if _prepared:
        return
    from pcemu.drives.remote.settings import SETTINGS  # --help shall not wait for it

    _prepared = True
    SETTINGS.folder = _folder
    if os.environ.get(CACHE_SIZE):
        SETTINGS.cache_size = _size(os.environ[CACHE_SIZE], CACHE_SIZE)
    if os.environ.get(TIMEOUT):
        SETTINGS.timeout = _timeout(os.environ[TIMEOUT], TIMEOUT)


def _folder() -> Path:
    from pcemu.library.names import data_folder

    return data_folder() / "remote"


def remote_disk(text: str, *, to_run: bool = False) -> Path | None:
    """The path of the file that stands for an image on a server; None when ``text`` is no address.

    With ``to_run`` the connection is made while the rest of the program is loaded.
    """
    prepare()
    if MARK not in text:
        return None
    from pcemu.cli.output import name_for_people
    from pcemu.drives.remote.address import is_url
    from pcemu.drives.remote.drive import stand_in

    if not is_url(text):
        return None
    path = stand_in(text, connect_early=to_run)
    name_for_people(os.fspath(path), text)
    return path


def _size(text: str, name: str) -> int:
    from pcemu.cli.disk_common import SIZE, UNITS

    match = SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{name} {text!r}: expected bytes, or a number with K, M, G or T, such as 10G")
    return int(float(match[1]) * (1 << UNITS[match[2].upper()]))


def _timeout(text: str, name: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= LONGEST:
        raise UsageError(f"{name} {text!r}: expected seconds, more than 0 and up to {LONGEST:g}")
    return seconds


def _set_size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        prepare()
        from pcemu.drives.remote.settings import SETTINGS

        SETTINGS.cache_size = _size(value, "--cache-size")


def _set_timeout(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        prepare()
        from pcemu.drives.remote.settings import SETTINGS

        SETTINGS.timeout = _timeout(value, "--network-timeout")


def network_options(command: Command) -> Command:
    """Options for commands that go on reading from a server; before the addresses are looked at."""
    cache = click.option(
        "--cache-size",
        metavar="SIZE",
        callback=_set_size,
        is_eager=True,
        expose_value=False,
        help=f"What all that is kept from servers may take. [default: 10G; {CACHE_SIZE}]",
    )
    timeout = click.option(
        "--network-timeout",
        metavar="SECONDS",
        callback=_set_timeout,
        is_eager=True,
        expose_value=False,
        help=f"How long a server may take before a read fails. [default: 30; {TIMEOUT}]",
    )
    return cache(timeout(command))
