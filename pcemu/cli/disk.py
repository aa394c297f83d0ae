"""`pcemu disk`: the storage half by hand, in the manner of qemu-img.

Each command prints a text for people, or with ``--json`` one JSON document whose keys its --help lists; keys
are only ever added. Sizes are bytes in JSON, and whole numbers. On failure there is one line on stderr.
"""

from __future__ import annotations

import click

from pcemu.cli.disk_common import epilog
from pcemu.cli.lazy import LazyGroup

COMMANDS = {
    "create": ("pcemu.cli.disk_create", "Make an empty image, or a child of one."),
    "info": ("pcemu.cli.disk_info", "Say what an image is."),
    "chain": ("pcemu.cli.disk_chain", "Draw the tree of all children of an image's base."),
    "map": ("pcemu.cli.disk_map", "Draw which layer holds which part of a drive."),
    "check": ("pcemu.cli.disk_check", "Look for damage, missing parents, interrupted operations."),
    "repair": ("pcemu.cli.disk_check", "Restore a lost footer."),
    "commit": ("pcemu.cli.disk_change", "Write what a child holds into an image that it is built on."),
    "discard": ("pcemu.cli.disk_change", "Throw a child away, with all that was written to it."),
    "merge": ("pcemu.cli.disk_change", "Make one layer of several."),
    "flatten": ("pcemu.cli.disk_copy", "Make one image without parent of a child and its parents."),
    "convert": ("pcemu.cli.disk_copy", "Copy an image to another format."),
    "resize": ("pcemu.cli.disk_change", "Make an image larger."),
    "relink": ("pcemu.cli.disk_change", "Tell a child where its parent is now."),
    "orphans": ("pcemu.cli.disk_chain", "List children without their parent, and leftovers."),
    "compare": ("pcemu.cli.disk_copy", "Compare what two images hold."),
    "ls": ("pcemu.cli.disk_files", "List files inside a FAT partition."),
    "get": ("pcemu.cli.disk_files", "Copy files out of a FAT partition."),
    "put": ("pcemu.cli.disk_put", "Copy files into a FAT partition, to be undone like any other write."),
    "compact": ("pcemu.cli.disk_change", "Give back space that an image does not need."),
    "cache": ("pcemu.cli.disk_cache", "Look at and clear what is kept of images on servers."),
}

INTRODUCTION = """
A child (differencing image) holds what was written since it was made, and reads the rest from its parent.
PATHs of parents are kept in children; relative to them, so that a family may be moved together.
"""

DETAILS = """
Examples:
  pcemu disk create disk.vhd 500M              a dynamic VHD
  pcemu disk create -b disk.vhd try.vhd        a child: disk.vhd stays as it is
  pcemu run try.vhd
  pcemu disk map try.vhd                       what was written
  pcemu disk commit try.vhd                    write it into disk.vhd
  pcemu disk discard try.vhd                   or forget it

What is called otherwise in qemu-img:
  vpc, -o subformat=fixed             dynamic, fixed
  --backing-chain, --output=json      info --chain, --json
  -p                                  bars show themselves on a terminal, when it takes long
  check -r all                        repair
  snapshot -c, -a                     create -b, and write to the child; discard
  rebase -u                           relink, with --trust for another parent
  commit -d                           here removes the child, which is empty after a commit

Exit codes:
  0    done
  1    compare: the images differ; check, orphans: something was found
  2    wrong usage, also: what was asked for is refused, and the message says why
  3    an image, or the parent of one, does not exist
  4    an image is damaged, or not of the right kind, or its parent is not the right one
  5    an image is busy, may not be accessed, has no room, or its disk failed
  130  interrupted by Ctrl-C (129 by SIGHUP, 143 by SIGTERM): nothing is lost; the message says how to go on
"""


@click.command(cls=LazyGroup, lazy=COMMANDS, epilog=INTRODUCTION + "\n" + epilog(DETAILS))
def disk() -> None:
    """Make, look at and change disk images: raw, and VHD fixed, dynamic and differencing.

    Sizes are bytes, or end in K, M, G or T (times 1024), such as 500M or 1.5G.
    """
