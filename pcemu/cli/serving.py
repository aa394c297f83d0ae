"""What `pcemu serve` and `pcemu protect` do: sessions around a server, until a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcemu.cli.asking import TerminalAsker
from pcemu.cli.begin import begin
from pcemu.cli.control_socket import Control
from pcemu.cli.disks import SessionDisk, session_folder
from pcemu.cli.on_exit import OnExit, refuse_branch
from pcemu.cli.outage import Outage
from pcemu.cli.output import note, result
from pcemu.cli.signals import Interrupted, Interrupts
from pcemu.drives.chain import Chain
from pcemu.drives.hostfile import check_kind
from pcemu.drives.lineage import Progress, told
from pcemu.drives.nbd.exports import ImpatientHost
from pcemu.drives.nbd.listen import Address
from pcemu.drives.nbd.server import NbdServer
from pcemu.drives.nbd.tls import certificates_context, psk_context
from pcemu.drives.open import open_drive
from pcemu.drives.remote.settings import SETTINGS
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import PcemuError, UsageError
from pcemu.frontends.prompt import Reply
from pcemu.library.names import resolve_disk
from pcemu.session.exports import SEPARATOR, Decision, ServedImage, SessionExports
from pcemu.session.session import Session

MAX_NAME = 256  # bytes
LIST = "list"


@dataclass(frozen=True)
class ServeOptions:
    """The command line."""

    images: Sequence[Path]
    names: Sequence[str]
    listen: Sequence[Address]
    session: str
    per_client: bool
    read_only: bool
    in_place: bool
    on_exit: Reply
    tls_certificates: Path | None
    tls_verify_peer: bool
    tls_psk: Path | None
    max_connections: int
    allow_insecure: bool
    allow_outside: bool
    preserve_siblings: bool
    quiet: bool


class ServedDisk(SessionDisk):
    """An image whose session takes the writes of all clients."""

    def __init__(self, path: Path, session: str, host: ImpatientHost, allow_outside: bool) -> None:
        self._host = host
        self._allow_outside = allow_outside
        super().__init__(path, session)

    def _open(self) -> Session:
        return Session(
            self.path,
            self._name,
            fallback=session_folder(),
            allow_outside=self._allow_outside,
            host=self._host,
        )


class Serving:
    """One run of a server; :meth:`run` gives the exit code."""

    def __init__(self, options: ServeOptions) -> None:
        self._options = options
        self._host = ImpatientHost()
        self._interrupts = Interrupts()
        self._asker = TerminalAsker(self._interrupts)
        self._outage = Outage(self._interrupts, self._say, meanwhile="")
        self._addresses: list[Address] = []

    def run(self) -> int:
        """Serve until a signal comes, then settle. PcemuError when it cannot begin."""
        options = self._options
        tls = self._tls()
        paths = [resolve_disk(path) for path in options.images]
        names = _names(paths, options.names)
        with ExitStack() as stack:
            stack.enter_context(self._interrupts)
            stack.callback(setattr, SETTINGS, "waiting", SETTINGS.waiting)
            SETTINGS.waiting = self._outage
            disks: list[ServedDisk] = []
            try:
                if not (options.read_only or options.per_client or options.in_place):
                    self._begin(paths, disks, stack)
                number = asyncio.run(self._serve(paths, names, disks, tls))
            except Interrupted as interrupted:
                return interrupted.exit_code
            except PcemuError:
                if self._interrupts.number is None:
                    raise
                return Interrupted(self._interrupts.number).exit_code  # it did not wait for a server
            gone = number != signal.SIGINT  # who sent SIGTERM or SIGHUP is not there to be asked
            asker = None if gone or not self._asker.available else self._asker
            return OnExit(
                disks,
                options.on_exit,
                self._interrupts,
                asker,
                quiet=options.quiet,
                preserve_siblings=options.preserve_siblings,
            ).settle()

    def _begin(self, paths: Sequence[Path], disks: list[ServedDisk], stack: ExitStack) -> None:
        """Start the images' sessions."""
        options = self._options
        for path in paths:
            disks.append(ServedDisk(path, options.session, self._host, options.allow_outside))
            stack.callback(disks[-1].close)
        refuse_branch(disks, options.on_exit)
        begin(disks, None, self._interrupts, self._say, quiet=options.quiet)

    def _tls(self) -> ssl.SSLContext | None:
        options = self._options
        if options.tls_verify_peer and options.tls_certificates is None:
            raise UsageError(
                "--tls-verify-peer: goes with --tls-certificates, expected the folder with the certificates"
            )
        if options.tls_psk is not None:
            if options.tls_certificates is not None:
                raise UsageError("--tls-psk and --tls-certificates: expected one of them")
            return psk_context(options.tls_psk)
        if options.tls_certificates is not None:
            return certificates_context(options.tls_certificates, verify_peer=options.tls_verify_peer)
        return None

    async def _serve(
        self,
        paths: Sequence[Path],
        names: Sequence[str],
        disks: Sequence[ServedDisk],
        tls: ssl.SSLContext | None,
    ) -> int:
        """The number of the signal that ended it."""
        options = self._options
        sessions: list[Session | None] = [disk.session for disk in disks]
        sessions += [None] * (len(paths) - len(sessions))
        images = [
            ServedImage(name, str(path), session, per_client=options.per_client)
            for name, path, session in zip(names, paths, sessions, strict=True)
        ]
        async with AsyncExitStack() as stack:
            if options.in_place:
                for image in images:
                    image.drive = self._open_child(image.image)
                    stack.callback(image.drive.close)
            exports = SessionExports(
                images, self._host, fallback=str(session_folder()), allow_outside=options.allow_outside
            )
            await exports.check_images()
            server = NbdServer(
                exports,
                tls=tls,
                max_connections=options.max_connections,
                allow_insecure=options.allow_insecure,
            )
            exports.disconnect = server.disconnect
            stack.push_async_callback(exports.finish)
            await stack.enter_async_context(server)
            for image in images:
                control = Control(Path(image.image), self._handler(image, exports))
                await control.listen()
                stack.push_async_callback(control.close)
            for address in options.listen:
                self._addresses.append(await server.listen(address))
            self._host.begin()
            stack.callback(self._host.end)
            self._announce(images, tls)
            with _woken(self._interrupts) as came:
                number = await came
                self._outage.ending = True
                return number

    def _open_child(self, path: str) -> Chain:
        """A drive that keeps its parent as it is."""
        drive = open_drive(path, allow_outside=self._options.allow_outside, host=self._host)
        head = drive.head if isinstance(drive, Chain) else None
        if isinstance(drive, Chain) and isinstance(head, SparseLayer) and head.is_child:
            return drive
        drive.close()
        raise UsageError(
            f"{path}: is no child of another image, expected one for --in-place; make it with `pcemu disk "
            f"create -b`, or leave the option out"
        )

    def _handler(self, image: ServedImage, exports: SessionExports) -> Any:
        async def handle(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
            action = request.pop("action")
            if action == LIST:
                return await self._describe(image, exports)
            name = request.pop("session")
            return await exports.decide(Decision(image.image, name, action, request), progress)

        return handle

    async def _describe(self, image: ServedImage, exports: SessionExports) -> dict[str, Any]:
        clients = [each._asdict() for each in await exports.clients() if each.image == image.image]
        return {
            "image": image.image,
            "export": image.name,
            "listen": [str(address) for address in self._addresses],
            "connections": exports.connections(image.image),
            "clients": clients,
        }

    def _announce(self, images: Sequence[ServedImage], tls: ssl.SSLContext | None) -> None:
        """On stdout, what clients take; on stderr, what people want to know."""
        options = self._options
        for image in images:
            for address in self._addresses:
                name = f"{image.name}{SEPARATOR}CLIENT" if image.per_client else image.name
                result(address.uri(name, tls=tls is not None))
        if tls is None:
            for address in self._addresses:
                if not address.is_local:
                    note(f"warning: {address} is open to everybody who can reach this host, without TLS")
        if options.read_only:
            self._say("nobody can write; Ctrl-C ends it")
        elif options.in_place:
            self._say("writes go into the image itself, a child; Ctrl-C ends it")
        elif options.per_client:
            self._say(
                "each CLIENT's writes go to a session of that name (`pcemu serve --list`); Ctrl-C ends it"
            )
        else:
            self._say(f"all writes go to session {options.session!r}; Ctrl-C ends it")

    def _say(self, text: str) -> None:
        if not self._options.quiet:
            note(text)


@contextlib.contextmanager
def _woken(interrupts: Interrupts) -> Iterator[asyncio.Future[int]]:
    """What is done when a signal came: the event loop sleeps, and its handler alone would not wake it."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[int] = loop.create_future()
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)

    def look() -> None:
        with contextlib.suppress(BlockingIOError):
            reader.recv(64)
        number, interrupts.number = interrupts.number, None
        if number is not None and not came.done():
            came.set_result(number)

    before = signal.set_wakeup_fd(writer.fileno())
    loop.add_reader(reader, look)
    try:
        look()
        yield came
    finally:
        loop.remove_reader(reader)
        signal.set_wakeup_fd(before)
        reader.close()
        writer.close()


def _names(paths: Sequence[Path], given: Sequence[str]) -> list[str]:
    """The names of the exports: as given, else the files'."""
    if given and len(given) != len(paths):
        raise UsageError(
            f"--name was given {len(given)} times, expected once for each of {len(paths)} images"
        )
    for path in paths:  # before a folder's name is found fault with
        with (
            told(path, "looking at it", "check the path and its permissions"),
            contextlib.suppress(FileNotFoundError),
        ):
            check_kind(str(path), path.stat().st_mode)
    names = list(given) or [path.stem for path in paths]
    for name in names:
        if not (name and name.isprintable()) or len(name.encode()) > MAX_NAME or SEPARATOR in name:
            raise UsageError(
                f"{name!r}: cannot be an export's name, expected up to {MAX_NAME} bytes without {SEPARATOR}; "
                f"give another (--name)"
            )
    if len(set(names)) < len(names):
        raise UsageError(
            f"{', '.join(names)}: the exports' names are not all different; give others (--name)"
        )
    return names
