"""`pcemu serve` and `pcemu protect`: options and help; what happens then is in pcemu.cli.serving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pcemu.cli.disk_common import DISK, Disk, epilog, human, json_option, outside_option, quiet_option
from pcemu.cli.exit_option import on_exit_option

if TYPE_CHECKING:
    import ssl

    from pcemu.drives.nbd.listen import Address

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_ADDRESS = "127.0.0.1:10809"
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)

EXIT_CODES = """
Exit codes:
  0    a signal ended it, and what was decided was done
  2    wrong usage, also: an address that other hosts reach, without TLS
  3    an image does not exist
  4    an image is not usable
  5    an image is busy or may not be accessed; the address is taken
"""

SERVE_EPILOG = epilog(
    r"""
Examples:
  pcemu serve disk.vhd                                  nbdinfo nbd://127.0.0.1/disk
  pcemu serve disk.vhd --listen unix:/run/user/1000/disk.sock --read-only
  pcemu serve base.vhd --per-client-undo                nbdcopy … nbd://127.0.0.1/base@alice
  pcemu serve --list                                    who is connected
  pcemu serve --list nbd://host                         what a server there lends; also HOST:PORT, unix:PATH
  pcemu session commit base.vhd --session alice         while it runs, or later
  pcemu disk create -b /dev/sdb /dev/sdc                what is written to sdb goes to sdc
  pcemu serve /dev/sdc --in-place --allow-outside       until pcemu disk commit, or discard, /dev/sdc
  pcemu serve disk.vhd --listen 0.0.0.0 --tls-certificates pki

Keys of --list --json: a list of servers, each with image, export, listen (addresses), connections (to an
export without a session), clients: export, image, session, connections, sectors (changed; null when it is not
open). Of an address: name, description, size, read_only.
"""
    + EXIT_CODES
)

PROTECT_EPILOG = epilog(
    r"""
Examples:
  pcemu protect disk.img                       nbdfuse ~/disk nbd://127.0.0.1/disk
  sudo pcemu protect /dev/sdb                  nbd-client 127.0.0.1 /dev/nbd0 -N sdb
  pcemu protect disk.vhd --on-exit discard
"""
    + EXIT_CODES
)


def _addresses(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[Address, ...]:
    from pcemu.drives.nbd.listen import parse_address

    return tuple([parse_address(value) for value in values or (DEFAULT_ADDRESS,)])


class DiskOrServer(Disk):
    """A disk to serve; with --list the address of a server, as it is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Text to a path."""
        if ctx is not None and ctx.params.get("listing"):
            return value
        return super().convert(value, param, ctx)


def server_options(on_exit: str) -> Callable[[Command], Command]:
    """What both commands take."""
    options = [
        click.option(
            "--listen",
            metavar="ADDRESS",
            multiple=True,
            callback=_addresses,
            help=f"HOST[:PORT] or unix:PATH; can be given many times. [default: {DEFAULT_ADDRESS}]",
        ),
        click.option(
            "--name",
            "names",
            metavar="EXPORT",
            multiple=True,
            help="The export's name, once for each image. [default: the file's]",
        ),
        click.option("--session", metavar="NAME", default="default", help="A session besides the usual one."),
        on_exit_option(on_exit, "the clients'"),
        click.option(
            "--preserve-siblings",
            is_flag=True,
            help="Let a commit first copy what it changes to other sessions of the image.",
        ),
        click.option(
            "--tls-certificates",
            metavar="DIR",
            type=FOLDER,
            help="TLS for all, with server-cert.pem and server-key.pem in DIR.",
        ),
        click.option(
            "--tls-verify-peer", is_flag=True, help="Clients need a certificate of DIR/ca-cert.pem, too."
        ),
        click.option(
            "--tls-psk",
            metavar="FILE",
            type=FILE,
            help="TLS for all, with keys as psktool makes them (Python 3.13).",
        ),
        click.option(
            "--allow-insecure", is_flag=True, help="Listen without TLS where other hosts can connect."
        ),
        click.option(
            "--max-connections",
            metavar="N",
            type=click.IntRange(1, 10_000),
            default=256,
            show_default=True,
            help="More clients are turned away.",
        ),
        outside_option,
        quiet_option,
    ]

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.command(epilog=SERVE_EPILOG, short_help="Lend images to NBD clients; their writes can be undone.")
@click.argument("images", nargs=-1, type=DiskOrServer(), metavar="IMAGE...")
@click.option("--per-client-undo", "per_client", is_flag=True, help="Each client has a session of its own.")
@click.option("--read-only", is_flag=True, help="Nobody can write.")
@click.option(
    "--in-place", is_flag=True, help="IMAGE is a child, or a device with one, and takes the writes itself."
)
@click.option(
    "--list",
    "listing",
    is_flag=True,
    is_eager=True,
    help="List servers and their clients, or an ADDRESS' exports.",
)
@server_options("keep")
@json_option
@click.pass_context
def serve(
    ctx: click.Context, /, images: tuple[Path, ...], listing: bool, as_json: bool, **options: Any
) -> None:
    """Lend IMAGEs, or block devices, to NBD clients: qemu, nbd-client, nbdcopy, nbdfuse and others.

    No image changes: writes go to an undo session beside it, one that all clients share, or with
    --per-client-undo one for each, in which the client opens the export IMAGE@NAME with a name of its own.
    Sessions are decided with `pcemu session commit IMAGE --session NAME`, discard, keep or branch, also while
    the server runs. A commit is refused when others committed to the image since the session began; then
    `pcemu session rebase` carries its changes over.

    \b
      pcemu serve [OPTIONS] IMAGE...
      pcemu serve --list [ADDRESS]
    """
    if listing:
        _list(images, options["tls_certificates"], as_json=as_json)
        return
    if not images:
        raise click.UsageError("Missing argument 'IMAGE...'.")
    if sum(map(bool, (options["read_only"], options["per_client"], options["in_place"]))) > 1:
        raise click.UsageError("--read-only, --per-client-undo and --in-place do not go with each other")
    _serve(ctx, images, options)


@click.command(epilog=PROTECT_EPILOG, short_help="Lend an image or device, and ask at the end what to do.")
@click.argument("image", type=DISK, metavar="IMAGE-OR-DEVICE")
@server_options("ask")
@click.pass_context
def protect(ctx: click.Context, /, image: Path, **options: Any) -> None:
    """Lend IMAGE-OR-DEVICE to NBD clients, with all writes going to a drive of their own, until Ctrl-C.

    Then you see what was changed, and decide: commit, discard, keep for later, or branch.
    """
    _serve(ctx, (image,), {**options, "per_client": False, "read_only": False, "in_place": False})


def _serve(ctx: click.Context, images: tuple[Path, ...], options: dict[str, Any]) -> None:
    from pcemu.cli.serving import ServeOptions, Serving  # --help shall not wait for it

    ctx.exit(Serving(ServeOptions(images=images, **options)).run())


def _list(places: tuple[Path, ...], certificates: Path | None, *, as_json: bool) -> None:
    import json

    from pcemu.cli.output import result
    from pcemu.cli.server_control import running_servers
    from pcemu.cli.tables import drawn, table

    rows: list[tuple[str, ...]]
    if places:
        found = [facts for place in places for facts in _exports_at(str(place), certificates)]
        headings: tuple[str, ...] = ("export", "size", "")
        rows = [(facts["name"], _size(facts["size"]), _rights(facts)) for facts in found]
    else:
        found = running_servers()
        headings = ("export", "at", "connections", "changed")
        rows = []
        for server in found:
            at = ", ".join(server["listen"])
            if server["connections"] or not server["clients"]:
                rows.append((server["export"], at, str(server["connections"]), ""))
            rows += [(client["export"], at, *_state(client)) for client in server["clients"]]
    if as_json:
        result(json.dumps(found, indent=2, ensure_ascii=False))
    elif rows:
        result(drawn(table(headings, rows)))
    else:
        result("no server is running" if not places else "no exports")


def _exports_at(place: str, certificates: Path | None) -> list[dict[str, Any]]:
    from pcemu.drives.nbd.listing import list_exports

    address, context, host = _server_at(place, certificates)
    return [facts._asdict() for facts in list_exports(address, context, host)]


def _server_at(place: str, certificates: Path | None) -> tuple[Address, ssl.SSLContext | None, str]:
    """Where a server listens, how TLS is done with it, and its name in its certificate, "" for the host's."""
    from pcemu.drives.nbd.listen import Address, parse_address
    from pcemu.drives.nbd.tls import authority_context
    from pcemu.drives.remote.address import NBD_SCHEMES, is_url, parse_nbd, scheme_of
    from pcemu.errors import UsageError

    if not is_url(place):
        return parse_address(place), authority_context(certificates) if certificates else None, ""
    if scheme_of(place) not in NBD_SCHEMES:
        raise UsageError(f"{place}: is no NBD server, expected such as nbd://host or unix:/run/disk.sock")
    found = parse_nbd(place)
    if found.certificates:
        certificates = Path(found.certificates).expanduser()
    context = authority_context(certificates) if found.tls else None
    return Address(found.host, found.port, found.socket), context, found.hostname


def _size(size: int | None) -> str:
    return "" if size is None else human(size)


def _rights(facts: dict[str, Any]) -> str:
    return "read-only" if facts["read_only"] else ""


def _state(client: dict[str, Any]) -> tuple[str, str]:
    from pcemu.drives.changes_text import amount

    sectors = client["sectors"]
    return str(client["connections"]), "kept" if sectors is None else amount(sectors)
