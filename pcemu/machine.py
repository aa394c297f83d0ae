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
=========  =========  ====================================================
"""

from __future__ import annotations

import contextlib
import datetime
import struct
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
from pcemu.devices.rtc import Mc146818
from pcemu.devices.uart import Uart16550
from pcemu.devices.vga import PORTS as VGA_PORTS
from pcemu.devices.vga import Vga
from pcemu.drives.drive import Drive
from pcemu.drives.geometry import logical_geometry
from pcemu.errors import TimeoutReached, UsageError
from pcemu.execution import Execution
from pcemu.keys import keys_for_text, parse_chord
from pcemu.memory import MEBIBYTE, VGA_WINDOW, Memory
from pcemu.pacing import PACES, Pacer
from pcemu.resources import resource
from pcemu.screen import TextScreen, capture
from pcemu.typist import Typist

MAX_DISKS = 4
MAX_CYLINDERS = 1024  # that INT 13h can name
MAX_MIPS = 200
CODE_BYTES = 2.5  # of an average instruction
DEFAULT_TIMEOUT = 60.0
_POLL = 10 * MILLISECOND

# CMOS RAM as AT firmware reads it
CMOS_SHUTDOWN = 0x0F
CMOS_BASE_KIB = 0x15
CMOS_EXTENDED_KIB = (0x17, 0x30)
CMOS_ABOVE_16_MIB = 0x34  # in 64 KiB units
CMOS_DISK_TYPES = 0x12  # of the first two disks, a nibble each; 15 says that the byte below has it
CMOS_DISKS = ((0x19, 0x1B), (0x1A, 0x24), (0x52, 0x40), (0x53, 0x49))  # type, and the geometry's nine bytes
DISK_TYPE_USER = 47  # the geometry is not in the ROM's list, but in the CMOS
FDPT_CONTROL_RETRY, FDPT_CONTROL_HEADS = 0xC0, 0x08  # the drive does its own retries; more than 8 heads


@dataclass(frozen=True)
class MachineConfig:
    """What the machine is made of.

    ``disks``: up to four drives (primary master, primary slave, secondary master, secondary slave).
    ``memory``: RAM in MiB. ``pace``: ``"max"`` never waits, ``"realtime"`` keeps to the wall clock.
    ``date``: what the RTC says at power-on (the host's local time when None). ``mips``: the processor's
    speed in virtual time, about so many million instructions a second. ``serial``, ``debug``: called with
    each byte that COM1 and port E9h put out. ``bios``: the system ROM's file (pcemu's own when None).
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
    on_host_error: Callable[[OSError], None] = field(default=lambda error: None)
    on_shutdown: Callable[[str], None] = field(default=lambda reason: None)


class Machine:
    """A PC. Everything that waits takes its deadline in seconds of virtual time.

    ::

        with Machine(MachineConfig(disks=[RawDrive("freedos.img")])) as pc:
            pc.run_until_text("C:\\\\>")
            pc.type("dir\\n")
            pc.run_until_text("bytes free")
            print(pc.screen.text)
    """

    def __init__(self, config: MachineConfig | None = None) -> None:
        self.config = config = config or MachineConfig()
        if len(config.disks) > MAX_DISKS:
            raise UsageError(f"{len(config.disks)} disks were given; the machine takes up to {MAX_DISKS}")
        if config.pace not in PACES:
            raise UsageError(f"unknown pace {config.pace!r}; expected {' or '.join(PACES)}")
        if not 1 <= config.mips <= MAX_MIPS:
            raise UsageError(f"{config.mips} MIPS were asked for; give 1 to {MAX_MIPS}")
        self.clock = Clock()
        self.bus = PortBus()
        self.memory = Memory(config.memory)
        rom = config.bios or resource("pcemu-bios.rom")
        self.memory.load_rom(_read_rom(rom), str(rom))
        self.cpu = Cpu(self.memory, self.bus)
        self._ram = memoryview(self.memory.ram)
        self._wire()
        tick = max(1, round(1000 / config.mips / CODE_BYTES))
        self.execution = Execution(self.cpu, self.clock, self.pic, self._ram, tick)
        self.execution.on_reset = self.cpu.reset
        self.execution.on_shutdown = config.on_shutdown
        self.execution.is_planned = lambda: self.rtc.peek(CMOS_SHUTDOWN) != 0
        self.pacer = Pacer(config.pace)
        self.typist = Typist(self.clock, self.keyboard, self._ram)
        self.typist.before_last = self._remember_screen
        self._seen: list[str] = []
        self._screen: TextScreen | None = None
        self._fill_cmos()

    # -- the board --------------------------------------------------------------------------------

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

    def _request_reset(self) -> None:
        self.execution.request_reset()

    def _fill_cmos(self) -> None:
        extended = self.memory.size - MEBIBYTE
        words = {CMOS_BASE_KIB: 640, CMOS_ABOVE_16_MIB: max(0, self.memory.size - 16 * MEBIBYTE) >> 16}
        for index in CMOS_EXTENDED_KIB:
            words[index] = min(extended >> 10, 0xFFFF)
        for index, value in words.items():
            self.rtc.poke(index, value & 0xFF)
            self.rtc.poke(index + 1, value >> 8)
        self._fill_cmos_disks()
        self.rtc.update_checksum()

    def _fill_cmos_disks(self) -> None:
        """What a setup program would ask for: the geometry of each disk, where the disk itself tells."""
        types = 0
        for index, (disk, (kind, place)) in enumerate(zip(self.config.disks, CMOS_DISKS, strict=False)):
            geometry = None
            if disk is not None:
                with contextlib.suppress(OSError):  # the guest will hear of it
                    geometry = logical_geometry(disk)
            if geometry is None:
                continue  # the BIOS has rules of its own
            types |= (0xF0, 0x0F, 0, 0)[index]
            cylinders = min(MAX_CYLINDERS, geometry.cylinders)
            control = FDPT_CONTROL_RETRY | (FDPT_CONTROL_HEADS if geometry.heads > 8 else 0)
            # Cylinders, heads, write precompensation (none), control byte, landing zone, sectors per track.
            area = struct.pack(
                "<HBHBHB", cylinders, geometry.heads, 0xFFFF, control, cylinders, geometry.sectors
            )
            self.rtc.poke(kind, DISK_TYPE_USER)
            for offset, value in enumerate(area):
                self.rtc.poke(place + offset, value)
        self.rtc.poke(CMOS_DISK_TYPES, types)

    def reset(self) -> None:
        """The reset button: every chip starts afresh; RAM, CMOS and disks stay."""
        for chip in (
            self.pic, self.slave_pic, self.pit, self.port61, self.i8042, self.keyboard,
            self.port92, self.rtc, self.vga, self.com1, self.coprocessor, *self.ata,
        ):  # fmt: skip
            chip.reset()
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
            self.run_until(lambda: text in self.fresh_text, timeout)
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
        raise UsageError(f"{path}: the system ROM cannot be read: {error.strerror}") from None
