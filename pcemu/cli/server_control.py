"""How `pcemu session` reaches a server that has an image's sessions open.

Each server listens at a socket per image in the user's runtime folder, which is the user's alone (0700), with
rights for the user alone (0600). Lines of JSON::

    {"action": "commit", "session": "alice", …}     ─►
                                                    ◄─  {"progress": [sectors done, sectors in all]}, often
                                                    ◄─  {"done": {…}} or {"error": "…", "exit_code": 2}
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcemu.errors import PcemuError

if TYPE_CHECKING:
    from pcemu.drives.lineage import Progress

SUFFIX = ".server"
MAX_LINE = 1 << 20
LIST_SECONDS = 10.0  # a server that is in the middle of a commit may not answer sooner


class ServerRefused(PcemuError):
    """What the server did not do, in its words."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def control_folder() -> Path:
    """Where the sockets are."""
    import warnings

    import platformdirs

    with warnings.catch_warnings():  # of a folder with other rights, in place of which it takes another
        warnings.simplefilter("ignore")
        return Path(platformdirs.user_runtime_dir("pcemu", appauthor=False))


def control_path(image: Path) -> Path:
    """The socket of the server of an image."""
    digest = hashlib.sha256(os.fsencode(os.path.realpath(image))).hexdigest()
    return control_folder() / f"{digest[:24]}{SUFFIX}"


def ask_server(
    image: Path, session: str, action: str, *, progress: Progress | None = None, **options: Any
) -> dict[str, Any] | None:
    """Have the server of ``image`` do something with a session; None when there is none. ServerRefused."""
    return _ask(control_path(image), {"action": action, "session": session, **options}, progress=progress)


def running_servers() -> list[dict[str, Any]]:
    """What all servers of this user tell of themselves."""
    try:
        paths = sorted(control_folder().glob(f"*{SUFFIX}"))
    except OSError:
        return []
    found = [_ask(path, {"action": "list"}, LIST_SECONDS) for path in paths]
    return [each for each in found if each is not None]


def _ask(
    path: Path, request: dict[str, Any], timeout: float | None = None, progress: Progress | None = None
) -> dict[str, Any] | None:
    reply: dict[str, Any] = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
        connected.settimeout(timeout)
        try:
            connected.connect(str(path))
            connected.sendall(json.dumps(request).encode() + b"\n")
            with connected.makefile("rb") as file:
                while line := file.readline(MAX_LINE):
                    reply = json.loads(line)
                    if "progress" not in reply:
                        break
                    if progress is not None:
                        progress(*reply["progress"])
        except OSError:
            return None
    if "error" in reply:
        raise ServerRefused(str(reply["error"]), int(reply["exit_code"]))
    done: dict[str, Any] | None = reply.get("done")
    return done
