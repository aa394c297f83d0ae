"""One run of the machine for the command line: from opening the images to the last question about them."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcemu.cli.asking import TerminalAsker
from pcemu.cli.begin import begin
from pcemu.cli.disks import SessionDisk, open_disks
from pcemu.cli.on_exit import OnExit, ask_at_end, refuse_branch
from pcemu.cli.outage import Outage
from pcemu.cli.output import complain, held, note, result, spoken
from pcemu.cli.outputs import refuse_images
from pcemu.cli.report import ENDED, FAILED, INTERRUPTED, TIMEOUT, Awaited, Report
from pcemu.cli.script import Step, Until
from pcemu.cli.signals import Interrupted, Interrupts
from pcemu.cli.ui import HEADLESS, TERMINAL, WINDOW, choose
from pcemu.cli.upkeep import Upkeep
from pcemu.drives.remote.settings import SETTINGS
from pcemu.errors import GuestError, PcemuError, TimeoutReached, UsageError
from pcemu.frontends.prompt import GO_ON, KEEP, REFUSED, Asker, Question, Reply
from pcemu.frontends.serial import SerialEnd, open_file, open_serial
from pcemu.frontends.view import SessionEnded, View
from pcemu.machine import DEFAULT_TIMEOUT, Machine, MachineConfig

if TYPE_CHECKING:
    from pcemu.frontends.interactive import InteractiveView

NO_TIMEOUT = 1e9  # s; thirty years
LIVE_STRETCH = 60.0  # s
FULL_DISK_PATIENCE = 300.0  # s, where nobody watches

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
    firmware_log: Path | None
    ui: str | None
    scale: int | None
    full_screen: bool
    timeout: float | None
    screenshot: Path | None
    on_exit: Reply
    session: str
    allow_outside: bool
    checkpoint_every: float | None
    keep_checkpoints: int
    ask_every: float | None
    preserve_siblings: bool
    bios: Path | None
    vgabios: Path | None
    quiet: bool
    as_json: bool

    @property
    def outputs(self) -> list[tuple[str, Path | None]]:
        """The options that name files to write, and those files."""
        kind, _, path = self.serial.partition(":")
        serial = Path(path) if kind == "file" and path else None
        return [
            ("--serial", serial),
            ("--debug-console", self.debug_console),
            ("--firmware-log", self.firmware_log),
            ("--screenshot", self.screenshot),
        ]


class Runner:
    """Runs one session; :meth:`run` gives the exit code."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._wish = options.on_exit
        self._ui = choose(options.ui, scripted=bool(options.steps))
        self._live = self._ui != HEADLESS
        self._view: InteractiveView[Any] | None = None
        self._interrupts = Interrupts()
        self._host_errors: list[str] = []
        self._tell_host_error: Callable[[str], None] = complain
        self._asker = TerminalAsker(self._interrupts)
        self._report = Report()
        self._outage = Outage(self._interrupts, self._notice)
        self._upkeep: Upkeep

    def run(self) -> int:
        """The whole session. PcemuError when it cannot even begin."""
        report = self._report
        try:
            report.exit_code = self._run()
        except PcemuError as error:
            report.error, report.exit_code = str(error), error.exit_code
            raise
        finally:
            if self._options.as_json:
                result(report.line())
        return report.exit_code

    def _run(self) -> int:
        options = self._options
        if self._ui == TERMINAL and options.serial == "stdout":
            raise UsageError("--serial stdout: the screen is shown there; use file:PATH, pty or --headless")
        with ExitStack() as stack:
            stack.enter_context(self._interrupts)
            stack.callback(setattr, SETTINGS, "waiting", SETTINGS.waiting)
            SETTINGS.waiting = self._outage
            disks = open_disks(options.disks, options.session, allow_outside=options.allow_outside)
            for disk in disks:
                stack.callback(disk.close)
            self._open_view(disks, stack)
            try:
                self._begin(disks)
            except Interrupted as signal:
                return signal.exit_code
            except SessionEnded:
                note("the last session is as it was, to be decided another time")
                return 0
            with self._leaving_as_found(disks):
                refuse_images(options.outputs)
                refuse_branch(disks, self._wish)
                serial = open_serial(options.serial, self._on_sink_error)
                stack.callback(serial.close)
                pc = self._machine(disks, serial, stack)
            self._report.outcome = FAILED  # until it is known better
            if serial.description:
                note(f"COM1 is {serial.description}")
                if self._ui == TERMINAL:  # where the note waits for the end
                    self._tell_in_view("COM1", f"COM1 is {serial.description}")
            self._upkeep = Upkeep(
                disks,
                lambda: pc.now,
                self._notice,
                self._warn,
                pc.reset,
                halted=lambda: pc.execution.halted_ns * 1e-9,
                checkpoint_every=options.checkpoint_every,
                keep_checkpoints=options.keep_checkpoints,
                ask_every=options.ask_every,
                preserve_siblings=options.preserve_siblings,
                patience=None if self._live else FULL_DISK_PATIENCE,
            )
            if self._view is not None:
                self._connect(self._view, pc, disks, serial)
            try:
                ending = self._play(pc, serial, disks)
            finally:
                self._outage.ending = True
                self._upkeep.finish()
            code = self._show_end(pc, ending)
            return self._settle(disks, ending) or code

    @contextmanager
    def _leaving_as_found(self, disks: Sequence[SessionDisk]) -> Iterator[None]:
        """What is refused now has not interrupted the sessions that were just begun."""
        try:
            yield
        except PcemuError:
            OnExit(disks, Reply(KEEP.word), self._interrupts, None, quiet=self._options.quiet).settle()
            raise

    def _begin(self, disks: Sequence[SessionDisk]) -> None:
        """Start the sessions, and ask about what was interrupted. Interrupted, SessionEnded: not decided.

        Interrupted, too, when a signal came while a server was being waited for.
        """
        asker: Asker | None = self._asker if self._live and self._asker.available else None
        if self._view is not None:
            asker = self._ask_or_end
        working = self._view.working if self._view is not None else None
        try:
            begin(disks, asker, self._interrupts, self._notice, quiet=self._options.quiet, working=working)
        except PcemuError:
            self._interrupts.check()
            raise

    def _ask_or_end(self, question: Question) -> Reply:
        """The user's answer; SessionEnded when the view is closed instead."""
        assert self._view is not None
        reply = self._view.ask(question)
        if reply is None:
            raise SessionEnded
        return reply

    def _settle(self, disks: Sequence[SessionDisk], ending: Ending) -> int:
        """Do with the session what the user wants; the exit code, 0 when that worked."""
        options = self._options
        self._report.note_disks(disks)
        # Who sent SIGTERM or SIGHUP is not there to be asked.
        gone = isinstance(ending, Interrupted) and not ending.by_user
        on_exit = OnExit(
            disks,
            self._wish,
            self._interrupts,
            None if gone else self._whom_to_ask(),
            quiet=options.quiet,
            preserve_siblings=options.preserve_siblings,
            working=self._view.working if self._view is not None else None,
            refused=self._refuse,
        )
        try:
            return on_exit.settle()
        finally:
            self._report.note_decision(on_exit.decision, disks)

    def _whom_to_ask(self) -> Asker | None:
        """The user, in a view or on the terminal; None when there is nobody."""
        if self._view is not None:
            return self._ask_in_view
        return self._asker if self._asker.available else None

    def _ask_in_view(self, question: Question) -> Reply | None:
        """The user's answer; None when a signal came instead."""
        assert self._view is not None
        try:
            return self._view.ask(question)
        except Interrupted:
            return None

    def _refuse(self, text: str) -> None:
        """Tell why what the user wanted was not done."""
        complain(text)
        self._tell_in_view(REFUSED, text)

    def _tell_in_view(self, title: str, text: str) -> None:
        if self._view is not None:
            with suppress(Interrupted):
                self._view.tell(title, spoken(text))

    def _machine(self, disks: Sequence[SessionDisk], serial: SerialEnd, stack: ExitStack) -> Machine:
        options = self._options

        def sink(path: Path | None) -> Callable[[int], None] | None:
            if path is None:
                return None
            file = open_file(path, self._on_sink_error)
            stack.callback(file.close)
            return file.sink

        return Machine(
            MachineConfig(
                disks=[disk.drive for disk in disks],
                memory=options.memory,
                pace=options.pace or ("realtime" if self._live else "max"),
                date=options.date,
                mips=options.mips,
                serial=serial.sink,
                debug=sink(options.debug_console),
                bios=options.bios,
                vgabios=options.vgabios,
                firmware_log=sink(options.firmware_log),
                on_host_error=self._on_host_error,
                on_shutdown=lambda reason: self._tell(f"{reason}; the processor was reset, as in a PC"),
            )
        )

    def _notice(self, text: str) -> None:
        """Tell of the session's own doings: below the screen, or as a note."""
        if self._view is not None:
            self._view.note(spoken(text))
        elif not self._options.quiet:
            note(text)

    def _warn(self, text: str) -> None:
        """Tell of what must not be missed: below the screen, or on stderr."""
        self._tell_host_error(text)

    def _on_host_error(self, error: OSError) -> None:
        self._upkeep.on_host_error(error)
        where = f"{error.filename}: " if error.filename else ""
        self._tell(f"{where}the host failed, and the guest was told of it: {error.strerror}")

    def _on_sink_error(self, error: OSError) -> None:
        self._tell(f"what the guest puts out is lost from here on: {error.strerror}")

    def _tell(self, message: str) -> None:
        if message not in self._host_errors:  # guests try again
            self._host_errors.append(message)
            self._tell_host_error(message)

    # -- playing ----------------------------------------------------------------------------------

    def _play(self, pc: Machine, serial: SerialEnd, disks: Sequence[SessionDisk]) -> Ending:
        """Run the guest to the session's end."""
        try:
            if self._view is not None:
                self._upkeep.asker = self._view.ask
                self._play_live(pc, serial, self._view, disks)
            else:
                self._play_headless(pc, serial)
        except SessionEnded:
            return None
        except (GuestError, TimeoutReached, Interrupted) as ending:
            return ending
        finally:
            self._tell_host_error = complain
            if self._live:  # what was shown beside the screen is gone with it
                for message in self._host_errors:
                    complain(message)
        return None

    def _play_headless(self, pc: Machine, serial: SerialEnd) -> None:
        timeout = self._options.timeout or DEFAULT_TIMEOUT

        def after_step() -> None:
            self._interrupts.check()
            _pass_on(serial, pc)
            self._upkeep.after_step()

        def wait(seconds: float) -> None:
            self._interrupts.check()
            time.sleep(seconds)

        self._upkeep.wait = wait
        pc.pacer.after_step = after_step
        self._play_steps(pc, timeout)
        if not self._options.steps:
            pc.run(timeout)

    def _play_steps(self, pc: Machine, timeout: float) -> None:
        steps = self._options.steps
        self._report.until = [Awaited(step.text) for step in steps if isinstance(step, Until)]
        awaited = iter(self._report.until)
        for step in steps:
            step.play(pc, timeout)
            if isinstance(step, Until):
                next(awaited).at = round(pc.now, 6)

    def _open_view(self, disks: Sequence[SessionDisk], stack: ExitStack) -> None:
        """Open the window or take the terminal, where one is wanted."""
        if not self._live:
            return
        from pcemu.cli.live import open_terminal, open_window  # headless, nobody waits for it

        options, between = self._options, self._interrupts.check
        if self._ui == WINDOW:
            window = open_window(disks, between, scale=options.scale, full_screen=options.full_screen)
            self._view = stack.enter_context(window)
        else:
            terminal = open_terminal(between)
            stack.enter_context(held())
            self._view = stack.enter_context(terminal)

    def _connect(
        self, view: InteractiveView[Any], pc: Machine, disks: Sequence[SessionDisk], serial: SerialEnd
    ) -> None:
        from pcemu.cli.live import controls_of

        view.connect(controls_of(pc, disks, self._upkeep, self._interrupts.check))
        descriptor = serial.fileno()
        if descriptor is not None:
            view.watch(descriptor)
        self._upkeep.holding = view.holding
        self._outage.amid = view.amid
        self._upkeep.working = view.working
        self._upkeep.refuse = self._refuse

    def _play_live(self, pc: Machine, serial: SerialEnd, view: View, disks: Sequence[SessionDisk]) -> None:
        """Run the guest in a view until the user ends the session."""

        def update() -> None:
            try:
                view.update()
            except SessionEnded:
                self._end_unless_resumed(disks)

        def wait(seconds: float) -> None:
            try:
                view.wait(seconds)
            except SessionEnded:
                self._end_unless_resumed(disks)

        def after_step() -> None:
            self._interrupts.check()
            _pass_on(serial, pc)
            update()
            self._upkeep.after_step()

        def wait_for_room(seconds: float) -> None:
            self._interrupts.check()
            wait(seconds)
            update()

        self._upkeep.wait = wait_for_room
        pc.pacer.after_step = after_step
        pc.pacer.wait = wait
        self._tell_host_error = lambda text: view.alarm(spoken(text))
        self._play_steps(pc, self._options.timeout or NO_TIMEOUT)
        while True:
            pc.run(LIVE_STRETCH)

    def _end_unless_resumed(self, disks: Sequence[SessionDisk]) -> None:
        """Ask what becomes of the changes while the guest is still there; SessionEnded unless it goes on."""
        self._outage.ending = True
        self._upkeep.finish_commits()
        changed = [disk for disk in disks if disk.changed]
        if changed and self._wish.word == "ask":
            reply = ask_at_end(changed, self._ask_in_view, may_go_on=True) or Reply(KEEP.word)
            if reply.word == GO_ON.word:
                self._outage.ending = False
                return
            self._wish = reply
        raise SessionEnded

    # -- telling ----------------------------------------------------------------------------------

    def _show_end(self, pc: Machine, ending: Ending) -> int:
        """Show the final screen where it is wanted and why the session ended; the exit code."""
        failed = isinstance(ending, PcemuError)
        self._note_end(pc, ending)
        if not self._options.quiet and not self._options.as_json and (failed or not self._live):
            result(self._report.screen)
        code = 0
        if self._options.screenshot is not None:
            try:
                pc.screenshot(self._options.screenshot)
                self._report.screenshot = str(self._options.screenshot.resolve())
            except PcemuError as error:
                complain(str(error))
                self._report.error, code = str(error), error.exit_code
        if ending is not None:
            complain(str(ending))
            if failed:
                self._tell_in_view("The session cannot go on", str(ending))
            code = ending.exit_code
        return code

    def _note_end(self, pc: Machine, ending: Ending) -> None:
        """What the report says of the guest."""
        report = self._report
        report.screen = pc.screen.text.rstrip()
        report.virtual_seconds = pc.now
        report.error = None if ending is None else str(ending)
        report.outcome = {GuestError: FAILED, TimeoutReached: TIMEOUT, Interrupted: INTERRUPTED}.get(
            type(ending), ENDED
        )


def _pass_on(serial: SerialEnd, pc: Machine) -> None:
    """Give the guest what came from the host's end of COM1."""
    data = serial.read()
    if data:
        pc.com1.receive(data)
