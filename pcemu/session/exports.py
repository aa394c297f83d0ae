"""Images as exports of a server: as they are, with one session for all clients, or with one for each.

::

    disk           the image; with a session, that: all clients share it
    disk@alice     with per-client undo: the session "alice" of the image; "disk" is the image, read-only

A client's name is a session's, checked like any, and never part of a path in another way. A client's session
begins when it comes, and is kept when its last connection ends; one that changed nothing leaves no trace. It
preserves what others commit (see :mod:`pcemu.session.rebase`), so that it can be committed while others work.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pcemu.drives.chain import Chain
from pcemu.drives.lineage import Progress, no_progress
from pcemu.drives.nbd.exports import Export, ExportRefused, ImpatientHost, Listed, launcher
from pcemu.drives.open import open_drive
from pcemu.errors import UsageError
from pcemu.session.folder import NAME, sessions_of
from pcemu.session.record import State
from pcemu.session.session import Session

SEPARATOR = "@"


@dataclass
class ServedImage:
    """What becomes of one image. ``session``, which is running, takes the writes of all clients.

    With ``per_client`` each client has a session; ``drive`` is written itself, without any; with none of
    them nobody can write.
    """

    name: str
    image: str
    session: Session | None = None
    per_client: bool = False
    drive: Chain | None = None
    base: Export | None = None
    clients: dict[str, _Client] = field(default_factory=dict)


@dataclass
class _Client:
    """A session that is open for somebody."""

    session: Session
    export: Export


class ClientFacts(NamedTuple):
    """A client's session: ``sectors`` are those it changed, None when nobody has it open here."""

    export: str
    image: str
    session: str
    connections: int
    sectors: int | None


class Decision(NamedTuple):
    """What to do with a session of an image."""

    image: str
    session: str
    action: str
    options: dict[str, Any]


class SessionExports:
    """An ExportProvider of images; for use inside of one event loop.

    ``host`` is what the sessions of ``images`` were opened with. ``disconnect`` ends the connections to an
    export, and returns when it is released.
    """

    def __init__(
        self,
        images: Sequence[ServedImage],
        host: ImpatientHost,
        *,
        fallback: str | None = None,
        allow_outside: bool = False,
    ) -> None:
        self.disconnect: Callable[[Export], Awaitable[None]]
        self._images = {image.name: image for image in images}
        self._host = host
        self._fallback = fallback
        self._allow_outside = allow_outside
        self._launch = launcher()
        self._lock = asyncio.Lock()
        for image in images:
            if image.session is not None:
                image.base = self._export(image.name, image.session.drive, "all clients share its session")
            elif image.drive is not None:
                image.base = self._export(image.name, image.drive, "writes go into the image")

    def _export(self, name: str, drive: Any, description: str, *, read_only: bool = False) -> Export:
        return Export(name, drive, self._launch, description=description, read_only=read_only)

    async def check_images(self) -> None:
        """Refuse at once what could not be opened for clients later. ImageError."""
        for image in self._images.values():
            if image.session is None and image.drive is None:
                drive = await asyncio.to_thread(self._open_image, image)
                drive.close()

    # -- names ------------------------------------------------------------------------------------------

    def listed(self) -> list[Listed]:
        """The images, and the clients' sessions that are there."""
        found = []
        for image in self._images.values():
            found.append(Listed(image.name, image.image))
            if image.per_client:
                found += [Listed(f"{image.name}{SEPARATOR}{name}", "") for name in self._sessions(image)]
        return found

    def _sessions(self, image: ServedImage) -> list[str]:
        left = [folder.name for folder in sessions_of(image.image, self._fallback, self._host)]
        return sorted({*left, *image.clients})

    def check(self, name: str) -> None:
        """ExportRefused when there can be no export of this name."""
        self._parse(name)

    def _parse(self, name: str) -> tuple[ServedImage, str]:
        """The image and the client that an export's name means."""
        export, separator, client = name.rpartition(SEPARATOR) if SEPARATOR in name else (name, "", "")
        image = self._images.get(export) if export else next(iter(self._images.values()))
        if image is None:
            known = ", ".join(self._images)
            raise ExportRefused(f"{name!r}: no such export, expected one of {known}")
        if separator and not image.per_client:
            raise ExportRefused(f"{name!r}: clients have no drives of their own here, expected {image.name}")
        if separator and not NAME.fullmatch(client):
            raise ExportRefused(
                f"{name!r}: cannot be a client's name, expected up to 32 letters, digits and underscores "
                f"behind {SEPARATOR}"
            )
        return image, client

    # -- opening -----------------------------------------------------------------------------------------

    async def open(self, name: str) -> Export:
        """The export of this name; a client's session begins, or goes on."""
        image, client = self._parse(name)
        async with self._lock:
            if client:
                export = await self._open_client(image, client)
            else:
                export = await self._open_base(image)
            export.connections += 1
            return export

    async def _open_base(self, image: ServedImage) -> Export:
        if image.base is None:
            drive = await asyncio.to_thread(self._open_image, image)
            image.base = self._export(image.name, drive, "the image itself", read_only=True)
        return image.base

    def _open_image(self, image: ServedImage) -> Any:
        return open_drive(image.image, read_only=True, allow_outside=self._allow_outside, host=self._host)

    async def _open_client(self, image: ServedImage, name: str) -> Export:
        client = image.clients.get(name)
        if client is None:
            session = await asyncio.to_thread(self._begin, image, name)
            export = self._export(f"{image.name}{SEPARATOR}{name}", session.drive, "a client's own drive")
            client = image.clients[name] = _Client(session, export)
        return client.export

    def _begin(self, image: ServedImage, name: str) -> Session:
        session = self._find(image, name)
        try:
            session.start()
            session.preserve()
        except BaseException:
            session.close()
            raise
        return session

    def _find(self, image: ServedImage, name: str) -> Session:
        return Session(
            image.image, name, fallback=self._fallback, allow_outside=self._allow_outside, host=self._host
        )

    async def release(self, export: Export) -> None:
        """One connection less: after the last, a client's session is kept, if it has anything."""
        async with self._lock:
            export.connections -= 1
            if export.connections:
                return
            for image in self._images.values():
                if image.base is export and image.session is None and image.drive is None:
                    image.base = None
                    async with export.gate.held():
                        await asyncio.to_thread(export.drive.close)
                for name, client in list(image.clients.items()):
                    if client.export is export:
                        del image.clients[name]
                        async with export.gate.held():
                            await asyncio.to_thread(_leave, client.session)

    # -- deciding ----------------------------------------------------------------------------------------

    def connections(self, path: str) -> int:
        """How many use what has no session: an image as it is, or one that is written in place."""
        image = self._image(path)
        return image.base.connections if image.base is not None and image.session is None else 0

    async def clients(self) -> list[ClientFacts]:
        """All sessions that were begun for clients, connected or not."""
        async with self._lock, contextlib.AsyncExitStack() as stack:
            for image in self._images.values():
                for export in self._exports_of(image):
                    await stack.enter_async_context(export.gate.held())
            return await asyncio.to_thread(self._clients)

    def _clients(self) -> list[ClientFacts]:
        found = []
        for image in self._images.values():
            if image.session is not None and image.base is not None:
                count = image.base.connections
                sectors = image.session.changed_sectors
                found.append(ClientFacts(image.name, image.image, image.session.name, count, sectors))
            for name in self._sessions(image) if image.per_client else []:
                client = image.clients.get(name)
                export = f"{image.name}{SEPARATOR}{name}"
                if client is None:
                    found.append(ClientFacts(export, image.image, name, 0, None))
                else:
                    sectors = client.session.changed_sectors
                    found.append(ClientFacts(export, image.image, name, client.export.connections, sectors))
        return found

    async def decide(self, decision: Decision, progress: Progress = no_progress) -> dict[str, Any]:
        """Commit, discard, keep, branch or rebase a session of a served image; what came of it.

        ``progress`` is called by a thread.

        A commit does not disturb anybody: all read what they read before. All else but keep changes what the
        client reads, and is refused while it is connected, unless the option ``disconnect`` is set.
        UsageError, ImageError.
        """
        image = self._image(decision.image)
        name = decision.session
        if decision.action not in (COMMIT, KEEP):
            await self._let_go(image, name, bool(decision.options.get("disconnect")))
        async with self._lock, contextlib.AsyncExitStack() as stack:
            for export in self._exports_of(image):
                await stack.enter_async_context(export.gate.held())
            return await asyncio.to_thread(self._decide, image, decision, progress)

    def _image(self, path: str) -> ServedImage:
        for image in self._images.values():
            if os.path.realpath(image.image) == os.path.realpath(path):
                return image
        raise UsageError(f"{path}: is not served here, expected one of {', '.join(self._images)}")

    def _exports_of(self, image: ServedImage) -> list[Export]:
        base = [] if image.base is None else [image.base]
        return base + [client.export for client in image.clients.values()]

    async def _let_go(self, image: ServedImage, name: str, disconnect: bool) -> None:
        client = image.clients.get(name)
        export = None if client is None else client.export
        if image.session is not None and image.session.name == name:
            raise UsageError(
                f"{image.image}: session {name!r} is that of all clients, expected the server ended"
            )
        if export is None:
            return
        if not disconnect:
            raise UsageError(
                f"{image.image}: client {name!r} is connected and would read other data, expected it gone; "
                f"let it disconnect, or do that with --disconnect"
            )
        await self.disconnect(export)

    def _decide(self, image: ServedImage, decision: Decision, progress: Progress) -> dict[str, Any]:
        """In a thread; all gates of the image are held."""
        _, name, action, options = decision
        if image.session is not None and image.session.name == name:
            live: Session | None = image.session
        else:
            live = image.clients[name].session if name in image.clients else None
        with contextlib.ExitStack() as stack:
            if action == COMMIT:
                stack.enter_context(self._others_aside(image, live))
            if live is not None:
                if action not in (COMMIT, KEEP):
                    raise UsageError(f"{image.image}: client {name!r} came back, expected it gone; try again")
                return self._decide_live(live, decision, progress, preserve=image.per_client)
            session = stack.enter_context(self._find(image, name))
            if session.found is State.NEW:
                raise UsageError(f"{image.image}: has no session {name!r}; `pcemu serve --list` shows all")
            return _ACTIONS[action](session, options, progress)

    @contextlib.contextmanager
    def _others_aside(self, image: ServedImage, live: Session | None) -> Iterator[None]:
        """Close all that has the image open, so that a commit can have it."""
        with contextlib.ExitStack() as stack:
            if image.base is not None and image.session is None:
                stack.enter_context(self._base_aside(image, image.base))
            for client in image.clients.values():
                if client.session is not live:
                    stack.enter_context(client.session.set_aside())
            yield

    @contextlib.contextmanager
    def _base_aside(self, image: ServedImage, base: Export) -> Iterator[None]:
        base.drive.close()
        try:
            yield
        finally:
            base.drive = self._open_image(image)

    def _decide_live(
        self, session: Session, decision: Decision, progress: Progress, *, preserve: bool
    ) -> dict[str, Any]:
        """The client's drive goes on as the same object, with the same content."""
        if decision.action == KEEP:
            session.drive.flush()
            return {"drives": len(session.drives)}
        try:
            return _ACTIONS[decision.action](session, decision.options, progress)
        finally:
            if not session.open:
                session.start()
            if preserve:
                session.preserve()

    async def finish(self) -> None:
        """Let go of all that no client has left behind by now."""
        async with self._lock:
            for image in self._images.values():
                for client in image.clients.values():
                    await asyncio.to_thread(_leave, client.session)
                image.clients.clear()
                if image.base is not None and image.session is None:  # also a drive that is written itself
                    await asyncio.to_thread(image.base.drive.close)
                    image.base = None


def _leave(session: Session) -> None:
    """Keep a session with changes; one without leaves no trace."""
    try:
        if session.changed_sectors:
            session.keep()
        else:
            session.discard()
    finally:
        session.close()


COMMIT, DISCARD, KEEP, BRANCH, REBASE = "commit", "discard", "keep", "branch", "rebase"


def _commit(session: Session, options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    preserve = bool(options.get("preserve_siblings"))
    only, except_ = options.get("only") or (), options.get("except") or ()
    if only or except_:
        if not session.open:
            session.start()
        files = session.commit_files(only, except_, preserve_siblings=preserve, progress=progress)
        return {"sectors": 0, "files": files}
    return {"sectors": session.commit(progress, preserve_siblings=preserve), "files": []}


def _discard(session: Session, options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    session.discard()
    return {}


def _keep(session: Session, options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    session.start()
    session.keep()
    return {"drives": len(session.drives)}


def _branch(session: Session, options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {"path": session.branch(str(options["name"]), progress)}


def _rebase(session: Session, options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    session.start()
    done = session.rebase(str(options.get("save_as") or ""), progress)
    session.keep()
    return done._asdict()


_ACTIONS: dict[str, Callable[[Session, dict[str, Any], Progress], dict[str, Any]]] = {
    COMMIT: _commit,
    DISCARD: _discard,
    KEEP: _keep,
    BRANCH: _branch,
    REBASE: _rebase,
}
