"""One run of the machine for the command line: from opening the images to the last question about them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pcemu.cli.disks import SessionDisk, open_disks
from pcemu.cli.on_exit import OnExit
from pcemu.cli.output import complain, note, result
from pcemu.cli.script import Step
from pcemu.cli.signals import Interrupted, Interrupts
from pcemu.errors import GuestError, PcemuError, TimeoutReached, UsageError
from pcemu.frontends import terminal
from pcemu.frontends.serial import SerialEnd, open_file, open_serial
from pcemu.machine import DEFAULT_TIMEOUT, Machine, MachineConfig

NO_TIMEOUT = 1e9  # s; thirty years
LIVE_STRETCH = 60.0  # s
Ending = GuestError | TimeoutReached | Interrupted | None
"""Why a session ended; None when it came to its proper end."""


@dataclass(frozen=True)
class Options:
    """The command line, as `pcemu run --help` explains it."""

    disks: Sequence[Path]
    steps: Sequence[Step]
    memory: int
    pace: str | None
    mips: int
    date: datetime.datetime | None
    serial: str
    debug_console: Path | None
    headless: bool
    timeout: float | None
    screenshot: Path | None
    on_exit: str
    bios: Path | None
    quiet: bool


class Runner:
    """Runs one session; :meth:`run` gives the exit code."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._live = not options.headless and terminal.available()
        self._interrupts = Interrupts()
        self._host_errors: list[str] = []
        self._tell_host_error: Callable[[str], None] = complain

    def run(self) -> int:
        """The whole session. PcemuError when it cannot even begin."""
        options = self._options
        if self._live and options.serial == "stdout":
            raise UsageError("--serial stdout: the screen is shown there; use file:PATH, pty or --headless")
        with ExitStack() as stack:
            stack.enter_context(self._interrupts)
            disks = open_disks(options.disks)
            for disk in disks:
                stack.callback(disk.close)
            serial = open_serial(options.serial, self._on_sink_error)
            stack.callback(serial.close)
            pc = self._machine(disks, serial, stack)
            if serial.description:
                note(f"COM1 is {serial.description}")
            ending = self._play(pc, disks, serial)
            code = self._show_end(pc, ending)
            return self._settle(disks, ending) or code

    def _settle(self, disks: Sequence[SessionDisk], ending: Ending) -> int:
        """Commit or discard; the exit code, 0 when that worked."""
        options = self._options
        # Who sent SIGTERM or SIGHUP is not there to be asked.
        gone = isinstance(ending, Interrupted) and not ending.by_user
        on_exit = OnExit(disks, options.on_exit, self._interrupts, askable=not gone, quiet=options.quiet)
        return on_exit.settle()

    def _machine(self, disks: Sequence[SessionDisk], serial: SerialEnd, stack: ExitStack) -> Machine:
        options = self._options
        debug = None
        if options.debug_console is not None:
            console = open_file(options.debug_console, self._on_sink_error)
            stack.callback(console.close)
            debug = console.sink
        return Machine(
            MachineConfig(
                disks=[disk.drive for disk in disks],
                memory=options.memory,
                pace=options.pace or ("realtime" if self._live else "max"),
                date=options.date,
                mips=options.mips,
                serial=serial.sink,
                debug=debug,
                bios=options.bios,
                on_host_error=self._on_host_error,
            )
        )

    def _on_host_error(self, error: OSError) -> None:
        where = f"{error.filename}: " if error.filename else ""
        self._tell(f"{where}the host failed, and the guest was told of it: {error.strerror}")

    def _on_sink_error(self, error: OSError) -> None:
        self._tell(f"what the guest puts out is lost from here on: {error.strerror}")

    def _tell(self, message: str) -> None:
        if message not in self._host_errors:  # guests try again
            self._host_errors.append(message)
            self._tell_host_error(message)

    # -- playing ----------------------------------------------------------------------------------

    def _play(self, pc: Machine, disks: Sequence[SessionDisk], serial: SerialEnd) -> Ending:
        """Run the guest to the session's end, and leave the terminal as it was."""
        try:
            if self._live:
                self._play_live(pc, disks, serial)
            else:
                self._play_headless(pc, serial)
        except terminal.SessionEnded:
            return None
        except (GuestError, TimeoutReached, Interrupted) as ending:
            return ending
        return None

    def _play_headless(self, pc: Machine, serial: SerialEnd) -> None:
        timeout = self._options.timeout or DEFAULT_TIMEOUT

        def after_step() -> None:
            self._interrupts.check()
            _pass_on(serial, pc)

        pc.pacer.after_step = after_step
        for step in self._options.steps:
            step.play(pc, timeout)
        if not self._options.steps:
            pc.run(timeout)

    def _play_live(self, pc: Machine, disks: Sequence[SessionDisk], serial: SerialEnd) -> None:
        names = ", ".join(disk.path.name for disk in disks)
        view = terminal.TerminalView(
            lambda: pc.screen, pc.clock, pc.keyboard, f"pcemu: {names}. Ctrl-] ends the session."
        )
        descriptor = serial.fileno()
        if descriptor is not None:
            view.watched.append(descriptor)

        def after_step() -> None:
            self._interrupts.check()
            _pass_on(serial, pc)
            view.update()

        pc.pacer.after_step = after_step
        pc.pacer.wait = view.wait
        self._tell_host_error = view.alarm
        try:
            with view:
                for step in self._options.steps:
                    step.play(pc, self._options.timeout or NO_TIMEOUT)
                while True:
                    pc.run(LIVE_STRETCH)
        finally:
            self._tell_host_error = complain
            for message in self._host_errors:
                complain(message)

    # -- telling ----------------------------------------------------------------------------------

    def _show_end(self, pc: Machine, ending: Ending) -> int:
        """Show the final screen where it is wanted and why the session ended; the exit code."""
        failed = isinstance(ending, PcemuError)
        if not self._options.quiet and (failed or not self._live):
            result(pc.screen.text.rstrip())
        code = 0
        if self._options.screenshot is not None:
            try:
                pc.screenshot(self._options.screenshot)
            except PcemuError as error:
                complain(str(error))
                code = error.exit_code
        if ending is not None:
            complain(str(ending))
            code = ending.exit_code
        return code


def _pass_on(serial: SerialEnd, pc: Machine) -> None:
    """Give the guest what came from the host's end of COM1."""
    data = serial.read()
    if data:
        pc.com1.receive(data)
