"""`pcemu disk chain` and `orphans`: who is built on whom, and who has lost whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcemu.cli.disk_common import PATH, common_with_parents, epilog, human, image_argument, say
from pcemu.cli.session_common import age_text

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from pcemu.drives.tree import Node

FOUND = 1  # exit code
DEEP = 8  # layers that are drawn each further to the right
Sessions = dict[str, dict[str, Any]]

CHAIN_EPILOG = epilog("""
Examples:
  pcemu disk chain child.vhd
  pcemu disk chain --json base.img

Keys of --json: image (the path as given), base (the path of the ultimate parent), and tree, of which each
node has path, format, size, file_size, allocated, in_use_by (all but path null when it cannot be read),
empty (true for a child to which nothing was written), created (seconds since 1970, null for a raw image),
session (null, or session, state, in_use_by of the session that the drive belongs to), url (null, or the
address of the image on a server that it is the cache of), trouble ("" when it can be used), and children.
""")

ORPHANS_EPILOG = epilog("""
Examples:
  pcemu disk orphans                          in this folder
  pcemu disk orphans images backups
  pcemu disk orphans --remove                 and remove leftovers of killed operations

What is listed, in the table and as kind in --json:
  parent missing   a child whose parent is not where it says: move it there, or `pcemu disk relink`
  parent changed   a child whose parent is not as it was: restore that, or relink
  empty            a child that nothing was written to and nothing is built on: may be discarded
  interrupted      a note of an operation that was killed: run it again
  leftover         a temporary file of an operation that was killed: --remove removes it

With --remove, leftovers that the kernel says nobody holds are removed and told; nothing else ever is.

Keys of --json: folders, orphans, a list of path, kind, text, size, and removed, a list of paths (empty
without --remove). What was removed is not among the orphans.

Exit codes: 0 when there is nothing of the kind, or nothing left of it, 1 when there is.
""")


@click.command(epilog=CHAIN_EPILOG)
@image_argument
@common_with_parents
def chain(image: Path, allow_outside: bool, as_json: bool, quiet: bool) -> None:
    """Draw the tree that IMAGE is in: its ultimate parent, and all children of that.

    Children are looked for in the folders of their parents, and where parents have notes of them. Nothing is
    locked: images may be in use. Where a tree is deep, an only child stands right below its parent,
    with an arrow.
    """
    from pcemu.cli.tables import drawn
    from pcemu.drives.tree import tree_of

    top = tree_of(image, allow_outside=allow_outside)
    own = str(image.resolve())
    sessions = _sessions(top)
    document = {"image": str(image), "base": top.path, "tree": _document(top, sessions)}
    picture = drawn(_tree(top, lambda node, folder: _label(node, own, folder, sessions.get(node.path))))
    say(picture, document, as_json=as_json, quiet=quiet)


def _sessions(top: Node) -> Sessions:
    """The sessions whose drives are in the tree, by the paths of these."""
    from pcemu.cli.disks import session_folder
    from pcemu.cli.session_common import session_row
    from pcemu.drives.hostfile import HOST
    from pcemu.session.folder import sessions_of

    found: Sessions = {}
    for node in top.walk():
        folders = sessions_of(node.path, str(session_folder()), HOST) if node.children else []
        for each in folders:
            row = session_row(each)
            found |= {str(Path(path).resolve()): row for path in each.drives().values()}
    return found


def _tree(top: Node, label: Callable[[Node, Path | None], Text]) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    straight = _depth(top) > DEEP

    def branch(tree: Tree, node: Node, folder: Path) -> None:
        lines = [label(node, folder)]
        while straight and len(node.children) == 1:
            folder, (node,) = Path(node.path).parent, node.children
            lines.append(Text.assemble("↳ ", label(node, folder)))
        below = tree.add(Text("\n").join(lines))
        for child in node.children:
            branch(below, child, Path(node.path).parent)

    tree = Tree(label(top, None))
    for child in top.children:
        branch(tree, child, Path(top.path).parent)
    return tree


def _depth(node: Node) -> int:
    return 1 + max(map(_depth, node.children), default=0)


def _label(node: Node, own: str, folder: Path | None, session: dict[str, Any] | None) -> Text:
    from rich.text import Text

    path = Path(node.path)
    facts = node.facts
    shown = path.name if path.parent in (folder, Path(f"{folder}", f"{path.parent.name}")) else node.path
    text = Text(facts.url if facts is not None and facts.url else shown, "bold")
    if session is not None:
        text.append(f"  session {session['session']}, {session['state']}", "not bold cyan")
    if facts is not None:
        empty = facts.child is not None and facts.child.empty
        takes = "empty" if empty else f"takes {human(facts.allocated)}"
        text.append(f"  {facts.format}, {human(facts.size)}, {takes}", "not bold")
        if facts.created is not None and facts.url is None:
            text.append(f", {age_text(facts.created)} old", "not bold")
        users = sorted({*facts.in_use_by, *(session["in_use_by"] if session else ())})
        if users:
            text.append(f", in use by process {', '.join(map(str, users))}", "not bold yellow")
        if facts.pending is not None:
            text.append(f", a {facts.pending.operation} was interrupted", "not bold red")
    if node.trouble:
        text.append(f"  {node.trouble}", "not bold red")
    if node.path == own:
        text.append("  ◄", "bold green")
    return text


def _document(node: Node, sessions: Sessions) -> dict[str, Any]:
    facts = node.facts
    row = sessions.get(node.path)
    session = None if row is None else {key: row[key] for key in ("session", "state", "in_use_by")}
    return {
        "path": node.path,
        "format": None if facts is None else facts.format.value,
        "size": None if facts is None else facts.size,
        "file_size": None if facts is None else facts.file_size,
        "allocated": None if facts is None else facts.allocated,
        "in_use_by": None if facts is None else list(facts.in_use_by),
        "empty": None if facts is None else facts.child is not None and facts.child.empty,
        "created": None if facts is None else facts.created,
        "session": session,
        "url": None if facts is None else facts.url,
        "trouble": node.trouble,
        "children": [_document(child, sessions) for child in node.children],
    }


@click.command(epilog=ORPHANS_EPILOG)
@click.argument("folders", nargs=-1, type=PATH, metavar="[FOLDER]...")
@click.option("--remove", is_flag=True, help="Remove leftovers that nobody holds; say which.")
@common_with_parents
@click.pass_context
def orphans(
    ctx: click.Context,
    /,
    folders: tuple[Path, ...],
    remove: bool,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """List what is amiss in FOLDERs (this one), not below them: children without parent, leftovers.

    Nothing is changed without --remove. Of a parent outside its child's folder only this is known without
    --allow-outside: whether it is there.
    """
    from pcemu.cli.tables import drawn, table
    from pcemu.drives.orphans import orphans_in, remove_leftovers

    folders = folders or (Path(),)
    found = [orphan for folder in folders for orphan in orphans_in(folder, allow_outside=allow_outside)]
    found, removed = remove_leftovers(found) if remove else (found, [])
    told = [f"removed {path}" for path in removed]
    if found:
        rows = [(each.path, each.kind.value, human(each.size), each.text) for each in found]
        kinds = Counter(each.kind.value for each in found)
        summary = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
        text = "\n".join([*told, drawn(table(("file", "what", "size", "why"), rows, right=[2]), summary)])
    else:
        text = "\n".join(told) or "nothing found"
    document = {
        "folders": [str(folder) for folder in folders],
        "orphans": [
            {"path": each.path, "kind": each.kind.value, "text": each.text, "size": each.size}
            for each in found
        ],
        "removed": removed,
    }
    say(text, document, as_json=as_json, quiet=quiet)
    ctx.exit(FOUND if found else 0)
