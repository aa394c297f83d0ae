"""The board: the one place that says which chip sits at which port and on which IRQ.

=========  =========  ====================================================
ports      IRQ        chip
=========  =========  ====================================================
20–21      –          8259A master
40–43      0          8254, counter 0
60, 64     1          8042 and the keyboard
61         –          system control port B: speaker, counter 2's gate
70–71      8          MC146818 real-time clock and CMOS RAM
92         –          system control port A: fast A20, fast reset
A0–A1      2 (in)     8259A slave
E9         –          debug console
F0–F1      13         coprocessor error latch
170–177    15         ATA, secondary channel (376: control)
1F0–1F7    14         ATA, primary channel (3F6: control)
3B4–3DA    –          VGA
3F8–3FF    4          16550, COM1
402        –          firmware's log
510–511    –          fw_cfg: what firmware is told
CF8        –          where PCI would be: takes doublewords as one, so that none reaches CF9
CF9        –          reset control
=========  =========  ====================================================
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pcemu.bus import PortBus
from pcemu.clock import MILLISECOND, SECOND, Clock
from pcemu.cpu import Cpu, Registers
from pcemu.devices.ata import AtaChannel, AtaDrive
from pcemu.devices.coprocessor import CoprocessorError
from pcemu.devices.debugport import DebugPort
from pcemu.devices.i8042 import I8042
from pcemu.devices.keyboard import Keyboard
from pcemu.devices.pic import I8259
from pcemu.devices.pit import I8254
from pcemu.devices.port61 import SystemControlPortB
from pcemu.devices.port92 import SystemControlPortA
from pcemu.devices.reset_control import ResetControl
from pcemu.devices.rtc import Mc146818
from pcemu.devices.uart import Uart16550
from pcemu.devices.vga import PORTS as VGA_PORTS
from pcemu.devices.vga import Vga
from pcemu.drives.drive import Drive
from pcemu.errors import TimeoutReached, UsageError
from pcemu.execution import Execution
from pcemu.firmware import CMOS_SHUTDOWN, configuration, fill_cmos
from pcemu.idle import GAP_TICKS, KeyboardPolls
from pcemu.keys import keys_for_text, parse_chord
from pcemu.memory import VGA_WINDOW, Memory
from pcemu.pacing import PACES, Pacer
from pcemu.resources import resource
from pcemu.screen import TextScreen, capture
from pcemu.typist import Typist

IRQS = {
    0: "timer", 1: "keyboard", 2: "slave", 4: "COM1", 8: "clock",
    12: "mouse", 13: "coprocessor", 14: "disk", 15: "disk 2",
}  # fmt: skip
"""What the board connects to the interrupt controllers."""
MAX_DISKS = 4
MAX_MIPS = 200
CODE_BYTES = 2.5  # of an average instruction
DEFAULT_TIMEOUT = 60.0
_POLL = 10 * MILLISECOND


@dataclass(frozen=True)
class MachineConfig:
    """What the machine is made of.

    ``disks``: up to four drives (primary master, primary slave, secondary master, secondary slave).
    ``memory``: RAM in MiB. ``pace``: ``"max"`` never waits, ``"realtime"`` keeps to the wall clock.
    ``date``: what the RTC says at power-on (the host's local time when None). ``mips``: the processor's
    speed in virtual time, about so many million instructions a second. ``serial``, ``debug``: called with
    each byte that COM1 and port E9h put out. ``bios``: the system ROM's file (pcemu's own when None), and
    ``vgabios`` the VGA's, which most system ROMs need. ``firmware_log``: called with each byte of what such
    firmware tells of itself at port 402h.
    ``on_host_error``: told of a host error that a disk reported to the guest. ``on_shutdown``: told why the
    processor shut down (a triple fault) and is reset now.
    """

    disks: Sequence[Drive | None] = ()
    memory: int = 32
    pace: str = "max"
    date: datetime.datetime | None = None
    mips: int = 100
    serial: Callable[[int], None] | None = None
    debug: Callable[[int], None] | None = None
    bios: Path | None = None
    vgabios: Path | None = None
    firmware_log: Callable[[int], None] | None = None
    on_host_error: Callable[[OSError], None] = field(default=lambda error: None)
    on_shutdown: Callable[[str], None] = field(default=lambda reason: None)


class Machine:
    """A PC. Everything that waits takes its deadline in seconds of virtual time.

    ::

        with Session("freedos.img") as session:
            pc = Machine(MachineConfig(disks=[session.start()]))
            pc.run_until_text("C:\\\\>")
            pc.type("dir\\n")
            pc.run_until_text("bytes free")
            print(pc.screen.text)
            session.discard()
    """

    def __init__(self, config: MachineConfig | None = None) -> None:
        self.config = config = config or MachineConfig()
        if len(config.disks) > MAX_DISKS:
            raise UsageError(f"{len(config.disks)} disks were given; the machine takes up to {MAX_DISKS}")
        for disk in config.disks:
            if disk is not None and not hasattr(disk, "sectors"):
                raise UsageError(
                    f"{disk!r} is no drive; expected what Session(PATH).start() gives, or open_drive(PATH)"
                )
        if config.pace not in PACES:
            raise UsageError(f"unknown pace {config.pace!r}; expected {' or '.join(PACES)}")
        if not 1 <= config.mips <= MAX_MIPS:
            raise UsageError(f"{config.mips} MIPS were asked for; give 1 to {MAX_MIPS}")
        self.clock = Clock()
        self.bus = PortBus()
        self.memory = Memory(config.memory)
        video_rom = self._load_roms()
        self.cpu = Cpu(self.memory, self.bus)
        self._ram = memoryview(self.memory.ram)
        self._wire()
        self._wire_for_firmware(video_rom)
        tick = max(1, round(1000 / config.mips / CODE_BYTES))
        self.execution = Execution(self.cpu, self.clock, self.pic, self._ram, tick)
        self.execution.on_reset = self._on_reset
        self.execution.on_shutdown = config.on_shutdown
        self.execution.is_planned = lambda: self.rtc.peek(CMOS_SHUTDOWN) != 0
        if config.bios is not None:  # pcemu's own halts the processor itself
            polls = KeyboardPolls(self.clock, self._ram, GAP_TICKS * tick, self.execution.rest)
            self.cpu.on_keyboard_service = polls.keyboard_service
        self.pacer = Pacer(config.pace)
        self.typist = Typist(self.clock, self.keyboard, self._ram)
        self.typist.before_last = self._remember_screen
        self._hard_reset_wanted = False
        self._seen: list[str] = []
        self._screen: TextScreen | None = None
        fill_cmos(self.rtc, self.memory.size, config.disks)

    # -- the board --------------------------------------------------------------------------------

    def _load_roms(self) -> bytes | None:
        """Put the ROMs into their sockets; the VGA's, when it has one."""
        config = self.config
        if config.bios is None:
            if config.vgabios is not None:
                raise UsageError(
                    f"{config.vgabios}: a VGA BIOS goes with a system ROM that starts it; "
                    "pcemu's own does not, so give another one, too"
                )
            own = resource("pcemu-bios.rom")
            self.memory.load_rom(_read_rom(own), str(own))
            return None
        self.memory.load_rom(_read_rom(config.bios), str(config.bios), shadow=True)
        if config.vgabios is None:
            return None
        video_rom = _read_rom(config.vgabios)
        self.memory.load_option_rom(video_rom, str(config.vgabios))
        return video_rom

    def _wire(self) -> None:
        config, clock, bus = self.config, self.clock, self.bus
        self.pic, self.slave_pic = I8259(), I8259()
        self.pic.connect_slave(2, self.slave_pic)
        irq = (*self.pic.lines, *self.slave_pic.lines)
        bus.attach("PIC master", range(0x20, 0x22), self.pic.read, self.pic.write)
        bus.attach("PIC slave", range(0xA0, 0xA2), self.slave_pic.read, self.slave_pic.write)

        self.pit = I8254(clock, irq[0])
        bus.attach("PIT", range(0x40, 0x44), self.pit.read, self.pit.write)
        self.port61 = SystemControlPortB(clock, self.pit)
        bus.attach("system control B", range(0x61, 0x62), self.port61.read, self.port61.write)

        self.keyboard = Keyboard(clock)
        self.i8042 = I8042(clock, irq[1], irq[12], self.keyboard, self._request_reset, self._on_a20)
        for port in (0x60, 0x64):
            bus.attach("8042", range(port, port + 1), self.i8042.read, self.i8042.write, base=0x60)
        self.port92 = SystemControlPortA(self._on_a20, self._request_reset)
        bus.attach("system control A", range(0x92, 0x93), self.port92.read, self.port92.write)

        self.rtc = Mc146818(clock, irq[8], config.date or datetime.datetime.now())
        bus.attach("RTC", range(0x70, 0x72), self.rtc.read, self.rtc.write)

        self.vga = Vga(clock, self.memory.view(VGA_WINDOW))
        for ports in VGA_PORTS:
            bus.attach("VGA", ports, self.vga.read, self.vga.write, base=0)

        self.com1 = Uart16550(clock, irq[4], config.serial)
        bus.attach("COM1", range(0x3F8, 0x400), self.com1.read, self.com1.write)
        debug = DebugPort(config.debug or (lambda byte: None))
        bus.attach("debug console", range(0xE9, 0xEA), debug.read, debug.write)

        self.coprocessor = CoprocessorError(irq[13])
        bus.attach("coprocessor", range(0xF0, 0xF2), self.coprocessor.read, self.coprocessor.write)
        self.cpu.on_fpu_error = self.coprocessor.set_error

        disks = [*config.disks, *[None] * (MAX_DISKS - len(config.disks))]
        drives = [
            None if disk is None else AtaDrive(disk, serial=f"PCEMU{i}", on_host_error=config.on_host_error)
            for i, disk in enumerate(disks)
        ]
        self.ata = (
            self._wire_ata("ATA primary", 0x1F0, AtaChannel(clock, irq[14], (drives[0], drives[1]))),
            self._wire_ata("ATA secondary", 0x170, AtaChannel(clock, irq[15], (drives[2], drives[3]))),
        )

    def _wire_for_firmware(self, video_rom: bytes | None) -> None:
        self.fw_cfg = fw_cfg = configuration(self.memory.size, video_rom)
        self.bus.attach("fw_cfg selector", range(0x510, 0x511), fw_cfg.read, fw_cfg.write, width=2)
        data = range(0x511, 0x512)
        self.bus.attach(
            "fw_cfg", data, fw_cfg.read, fw_cfg.write, base=0x510, read_block=fw_cfg.read_block
        )
        self.reset_control = control = ResetControl(self._request_reset)
        self.bus.attach("no PCI", range(0xCF8, 0xCF9), lambda _: -1, lambda _, value: None, width=4)
        self.bus.attach("reset control", range(0xCF9, 0xCFA), control.read, control.write)
        log = DebugPort(self.config.firmware_log or (lambda byte: None))
        self.bus.attach("firmware log", range(0x402, 0x403), log.read, log.write)

    def _wire_ata(self, name: str, base: int, channel: AtaChannel) -> AtaChannel:
        self.bus.attach(
            name,
            range(base, base + 1),
            channel.read,
            channel.write,
            width=2,
            read_block=channel.read_block,
            write_block=channel.write_block,
        )
        self.bus.attach(name, range(base + 1, base + 8), channel.read, channel.write, base=base)
        control = range(base + 0x206, base + 0x207)
        self.bus.attach(f"{name} control", control, channel.read_control, channel.write_control)
        return channel

    def _on_a20(self, level: bool) -> None:
        """Either gate opens address line 20."""
        self.cpu.mmu.a20 = self.i8042.a20 or self.port92.a20

    def _request_reset(self, hard: bool = False) -> None:
        self._hard_reset_wanted |= hard
        self.execution.request_reset()

    def _on_reset(self) -> None:
        if self._hard_reset_wanted:
            self.reset()
        else:
            self.cpu.reset()

    def reset(self) -> None:
        """The reset button: every chip starts afresh; RAM, CMOS and disks stay."""
        self._hard_reset_wanted = False
        for chip in (
            self.pic, self.slave_pic, self.pit, self.port61, self.i8042, self.keyboard,
            self.port92, self.rtc, self.vga, self.com1, self.coprocessor, *self.ata,
            self.fw_cfg, self.reset_control,
        ):  # fmt: skip
            chip.reset()
        self.memory.reset()
        self.cpu.reset()

    # -- running ----------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds of virtual time since power-on."""
        return self.clock.now / SECOND

    def run(self, seconds: float) -> None:
        """Run the guest for ``seconds`` of virtual time. GuestError when it cannot go on."""
        end = self.clock.now + round(seconds * SECOND)
        while self.clock.now < end:
            self.execution.run_until(min(end, self.clock.now + self.pacer.step))
            self.pacer.keep(self.clock.now)

    def run_until(self, condition: Callable[[], bool], timeout: float = DEFAULT_TIMEOUT) -> None:
        """Run until ``condition()`` holds. TimeoutReached after ``timeout`` seconds of virtual time."""
        end = self.clock.now + round(timeout * SECOND)
        while not condition():
            if self.clock.now >= end:
                raise TimeoutReached(f"what was waited for did not come within {timeout:g} s of virtual time")
            self.execution.run_until(min(end, self.clock.now + _POLL))
            self.pacer.keep(self.clock.now)

    def run_until_text(self, text: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Run until the screen shows ``text``; after :meth:`type`, in what appeared since its last key."""
        try:
            self.run_until(lambda: self.shows(text), timeout)
        except TimeoutReached:
            raise TimeoutReached(
                f"the screen did not show {text!r} within {timeout:g} s of virtual time; "
                f"it shows:\n{self.screen.text}"
            ) from None

    def type(self, text: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Type ``text`` on a US keyboard (``\\n`` is Enter); returns when the guest has taken it all."""
        self._press_all(keys_for_text(text), timeout)

    def press(self, chord: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Press keys together, named as in ``"ctrl+alt+del"`` or ``"f5"``, and let them go."""
        self._press_all([parse_chord(chord)], timeout)

    def _press_all(self, chords: Sequence[Sequence[str]], timeout: float) -> None:
        self.typist.type(chords)
        try:
            self.run_until(lambda: not self.typist.busy, timeout)
        except TimeoutReached:
            self.typist.cancel()
            raise TimeoutReached(
                f"the guest did not take the keys within {timeout:g} s of virtual time"
            ) from None

    # -- looking ----------------------------------------------------------------------------------

    @property
    def screen(self) -> TextScreen:
        """What the screen shows now."""
        self._screen = capture(self.vga, self._screen)
        return self._screen

    @property
    def fresh_text(self) -> str:
        """The screen's text without the lines that stood there before the last typed key."""
        lines = self.screen.text.split("\n")
        seen = self._seen
        for scrolled in range(len(seen)):
            kept = seen[scrolled:]
            if lines[: len(kept)] == kept:
                return "\n".join(lines[len(kept) :])
        return "\n".join(lines)

    def shows(self, text: str) -> bool:
        """True when ``text`` is in :attr:`fresh_text`; a blank at its end may be an empty cell."""
        fresh = self.fresh_text
        if text.endswith(" "):
            fresh = "\n".join(line.ljust(self.screen.columns) for line in fresh.split("\n"))
        return text in fresh

    def _remember_screen(self) -> None:
        screen = self.screen
        self._seen = [screen.line(row) for row in range(min(screen.cursor.row + 1, screen.rows))]

    @property
    def registers(self) -> Registers:
        """The processor's registers."""
        return self.cpu.registers

    def screenshot(self, path: str | Path) -> None:
        """Write the screen as a PNG file."""
        from pcemu.frontends.picture import render, save_png

        save_png(render(self.screen), Path(path))

    # -- ending -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the disks; what the guest was told is written stays written."""
        for disk in self.config.disks:
            if disk is not None:
                disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _read_rom(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: this ROM cannot be read: {error.strerror}") from None
