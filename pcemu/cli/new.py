"""`pcemu new`: a disk with one FAT partition, bootable when there is a system for it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from pcemu.cli.disk_common import DISK, PATH, Size, common, epilog, human, say, work
from pcemu.errors import UsageError
from pcemu.library.names import path_for_new, resolve_disk

EPILOG = epilog("""
Examples:
  pcemu new work --size 500M --system freedos        then: pcemu run work
  pcemu new games --from-folder ~/games --system freedos
  pcemu new ./data.img --size 2G                     no system: a second disk

Keys of --json:
  name          the name for `pcemu run`, or null for a path
  path
  size          bytes of the drive
  filesystem    FAT12, FAT16 or FAT32
  files         how many files of the folder are on it
  bootable      whether it has a system
""")


@click.command(epilog=EPILOG)
@click.argument("target", metavar="NAME|PATH")
@click.option("--size", type=Size(), default="500M", show_default=True, help="Of the drive.")
@click.option("--from-folder", metavar="DIR", type=PATH, help="Files and folders to put on it.")
@click.option(
    "--system",
    metavar="DISK",
    type=DISK,
    help="An image or name of a FreeDOS disk, to take the system from (KERNEL.SYS, COMMAND.COM).",
)
@click.option("--label", metavar="TEXT", default="", help="The volume's label.")
@click.option("--fat", type=click.Choice(["16", "32"]), help="[default: 32 above 512M, or as the system's]")
@common
def new(
    target: str,
    size: int,
    from_folder: Path | None,
    system: Path | None,
    label: str,
    fat: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make a disk with one FAT partition: NAME for `pcemu run NAME`, or PATH (.img or .vhd).

    Files of the folder keep their long names; of the same name as a system file, the folder's wins. A start
    file (AUTOEXEC.BAT) is added when the folder has none. What is there is never written over.
    """
    from pcemu.library.build import NewDisk, build_disk, collect, read_system

    is_path = any(letter in target for letter in "/\\.")
    path = Path(target) if is_path else path_for_new(target)
    if is_path and path.suffix.lower() not in (".img", ".vhd", ".raw"):
        raise UsageError(f"{target}: expected a name without dots, or a path that ends in .img or .vhd")
    files = None if system is None else read_system(resolve_disk(system))
    items = [] if from_folder is None else collect(from_folder)
    wanted = NewDisk(size, items, files, label, None if fat is None else int(fat))
    with work("writing", "nothing was made; run it again", quiet=quiet) as progress:
        filesystem = build_disk(path, wanted, progress)
    count = sum(item.size is not None for item in items)
    facts = {
        "name": None if is_path else path.stem,
        "path": str(path),
        "size": -(-size // 512) * 512,
        "filesystem": filesystem,
        "files": count,
        "bootable": files is not None,
    }
    text = f"made {path}: {human(size)}, {filesystem}, {count} file{'' if count == 1 else 's'}"
    start = f"; start it with `pcemu run {shlex.quote(target)}`"
    text += start if files is not None else ", without a system"
    say(text, facts, as_json=as_json, quiet=quiet)
