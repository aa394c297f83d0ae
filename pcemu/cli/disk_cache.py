"""`pcemu disk cache`: what is kept of images on servers."""

from __future__ import annotations

from pathlib import Path

import click

from pcemu.cli.disk_common import common, epilog, human, say, work
from pcemu.cli.output import complain
from pcemu.cli.remote import prepare
from pcemu.errors import ImageError, UsageError

FOUND = 1  # exit code
UNIT = 65536

EPILOG = epilog("""
Examples:
  pcemu disk cache list
  pcemu disk cache verify                         all; or name addresses
  pcemu disk cache clear nbd://host/base
  pcemu disk cache clear --all

What is done:
  list      shows what is kept, and who uses it; no server is asked
  verify    compares it with what the servers have; what differs is forgotten
  clear     forgets it, damaged or not. What sessions and children hold is theirs, and stays. Where nothing is
            built on an image, also its version is forgotten: the next use takes what is on the server then.

When an image was changed on its server, what was built on the old one cannot be used: flatten or discard it
(with the old image back there for a moment), then clear.

Keys of --json, for each address:
  url, path     the address ("" when damaged), and the file that is its cache
  size, allocated, in_use_by, version, children     with list: bytes of the drive, and on disk; process
                numbers; what is compared on every connect; how many sessions and images are built on it
  damaged                                           with list: why it cannot be used, or ""
  checked, wrong                                    with verify: units of 64 KiB
  freed, forgotten                                  with clear: bytes; is the version forgotten, too?

Exit codes: 0 done, 1 verify found something that was wrong, others when a server did not answer.
""")


@click.command(epilog=EPILOG)
@click.argument("action", type=click.Choice(["list", "verify", "clear"]))
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option("--all", "all_", is_flag=True, help="With clear: of all addresses.")
@common
@click.pass_context
def cache(
    ctx: click.Context, /, action: str, urls: tuple[str, ...], all_: bool, as_json: bool, quiet: bool
) -> None:
    """Look at, compare or clear what is kept of images on servers.

    An image that is named by its address is read through a file on this computer, so that nothing is read
    twice. All of these together take 10G at most (PCEMU_CACHE_SIZE, `pcemu run --cache-size`); those that
    were not used for the longest time give way.
    """
    prepare()
    if action == "clear" and not urls and not all_:
        raise UsageError("no address is given, expected URLs or --all; `pcemu disk cache list` shows them")
    paths = _paths(urls)
    code = 0
    if action == "list":
        text, documents = _list(paths)
    elif action == "clear":
        text, documents = _clear(paths)
    else:
        (text, documents), code = _verify(paths, quiet)
        code = FOUND if any(each["wrong"] for each in documents) else code
    say(text if paths else "nothing is kept", documents, as_json=as_json, quiet=quiet)
    ctx.exit(code)


Answer = tuple[str, list[dict[str, object]]]


def _list(paths: list[Path]) -> Answer:
    from pcemu.cli.tables import drawn, table
    from pcemu.drives.remote.housekeeping import facts_of

    found = [facts_of(path) for path in paths]
    rows = []
    for each in found:
        users = ", ".join(map(str, each.in_use_by))
        size = "damaged" if each.damaged else human(each.size)
        rows.append((each.url or each.path, size, human(each.allocated), users, str(each.children)))
    total = human(sum(each.allocated for each in found))
    headings = ("address", "drive", "kept", "in use by", "built on it")
    text = drawn(table(headings, rows, right=(1, 2, 4)), f"{total} in all")
    return text, [each._asdict() for each in found]


def _verify(paths: list[Path], quiet: bool) -> tuple[Answer, int]:
    """What was found, and the exit code of what could not be looked at, which keeps nothing else from it."""
    from pcemu.drives.remote.housekeeping import verify

    done, lines, code = [], [], 0
    for path in paths:
        try:
            with work("comparing", "run it again: nothing is lost", quiet=quiet) as progress:
                found = verify(path, progress=progress)
        except ImageError as error:
            complain(str(error))
            code = error.exit_code
            continue
        wrong = f"{found.wrong} pieces were wrong and are forgotten" if found.wrong else ""
        size = human(found.checked * UNIT)
        lines.append(f"{found.url}: {size} compared, {wrong or 'all as on the server'}")
        done.append(found._asdict())
    return ("\n".join(lines), done), code


def _clear(paths: list[Path]) -> Answer:
    from pcemu.drives.remote.housekeeping import clear

    done = [clear(path) for path in paths]
    text = "\n".join(f"{each.url or each.path}: {human(each.freed)} freed" for each in done)
    return text, [each._asdict() for each in done]


def _paths(urls: tuple[str, ...]) -> list[Path]:
    """The caches of addresses, or all; UsageError when nothing is kept of one."""
    from pcemu.drives.remote.address import check_url, is_url
    from pcemu.drives.remote.cache_folder import cache_path, caches_in
    from pcemu.drives.remote.settings import SETTINGS

    folder = SETTINGS.folder()
    kept = [path.resolve() for path in caches_in(folder)]
    found = caches_in(folder) if not urls else []
    for url in urls:
        path = cache_path(check_url(url), folder) if is_url(url) else Path(url)
        if path.resolve() not in kept:
            raise UsageError(
                f"{url}: nothing is kept of it, expected an address that was used; "
                f"`pcemu disk cache list` shows them"
            )
        found.append(path)
    return found
