"""An ATA hard disk: power-on, resets, and what each command does.

Facts from ATA/ATAPI-6 (T13/1410D); obsolete commands of ATA-1 to ATA-3 that BIOSes use are there as well.
The channel (ata.py) owns the ports, the device selection and the interrupt line; ata_pio.py moves the data.
A command sets BSY, and an event of the clock carries it out.

**Not implemented**: DMA, SMART, security, SET MAX (READ NATIVE MAX is there), READ and WRITE LONG, READ and
WRITE BUFFER, FORMAT TRACK, WRITE VERIFY: all abort. Standby timers are accepted and never run out.
"""

from __future__ import annotations

from collections.abc import Callable

from pcemu.clock import MICROSECOND, Clock
from pcemu.devices.ata_identify import MAX_CHS_SECTORS, MAX_LBA28_SECTORS, MAX_MULTIPLE, Identity, identify
from pcemu.devices.ata_pio import BUFFER_SECTORS, COMMAND_TIME, AtaPio
from pcemu.devices.ata_registers import (
    COUNT,
    DEVICE,
    DEVICE_HEAD,
    DEVICE_LBA,
    DIAGNOSTIC_PASSED,
    ERROR_IDNF,
    FEATURES,
    LBA_LOW,
    POWER_ACTIVE,
    POWER_IDLE,
    POWER_STANDBY,
    STATUS_BSY,
    STATUS_DRQ,
    STATUS_OCCUPIED,
    STATUS_READY,
)
from pcemu.drives.drive import SECTOR_SIZE, Drive, Geometry

# SET FEATURES subcommands.
FEATURE_WRITE_CACHE_ON = 0x02
FEATURE_WRITE_CACHE_OFF = 0x82
FEATURE_TRANSFER_MODE = 0x03
FEATURE_LOOK_AHEAD_ON = 0xAA
FEATURE_LOOK_AHEAD_OFF = 0x55
FEATURE_KEEP_SETTINGS = 0x66
FEATURE_REVERT_SETTINGS = 0xCC
TRANSFER_MODES = {0x00, 0x01, 0x08, 0x09, 0x0A, 0x0B, 0x0C}  # PIO default (without IORDY), PIO 0-4

RESET_TIME = 100 * MICROSECOND
MODEL = "PCEMU HARD DISK"
ATA_MAX_HEADS, ATA_MAX_SECTORS, ATA_MAX_CYLINDERS = 16, 63, 16383
MAX_CURRENT_CYLINDERS = 65535


class AtaDrive(AtaPio):
    """A hard disk whose sectors are those of ``drive``.

    ``serial`` and ``model`` are what IDENTIFY DEVICE tells (ASCII, 20 and 40 characters at most). A failure
    of the host becomes an ATA error and is told to ``on_host_error``. ``reads`` and ``writes`` count the
    sectors moved, for activity lights.
    """

    def __init__(
        self, drive: Drive, serial: str, model: str = MODEL, *, on_host_error: Callable[[OSError], None]
    ) -> None:
        super().__init__(drive, on_host_error)
        self._serial = serial
        self._model = model
        self._default_geometry = ata_geometry(drive)

    def connect(self, clock: Clock, on_intrq: Callable[[], None]) -> None:
        """Plug the drive into a channel, which hears through ``on_intrq`` of INTRQ, and switch it on."""
        super().connect(clock, on_intrq)
        self.power_on()

    def power_on(self) -> None:
        """The state after power-on or a hardware reset."""
        self._stop()
        self._power_on_settings()
        self._write_cache = True
        self._look_ahead = True
        self._sign_in()

    def begin_reset(self) -> None:
        """SRST was set: give up what is going on, and be busy."""
        self._stop()
        if self._revert:
            self._power_on_settings()
        self._asleep = False
        self.status = STATUS_BSY

    def end_reset(self) -> None:
        """SRST was cleared: the signature is there a moment later; no interrupt tells."""
        self._timer = self._clock.call_after(RESET_TIME, self._sign_in)

    def diagnose(self, interrupts: bool) -> None:
        """EXECUTE DEVICE DIAGNOSTIC, which both drives of a channel obey."""
        if self._accept():
            ending = self._sign_in_and_interrupt if interrupts else self._sign_in
            self._timer = self._clock.call_after(COMMAND_TIME, ending)

    def execute(self, command: int) -> None:
        """The command register was written; ignored while the drive is occupied or asleep."""
        if self._accept():
            self._ext = command in EXT_COMMANDS
            self._per_block = 1
            if command in MULTIPLE_COMMANDS:
                self._per_block = self._multiple
            run = COMMANDS.get(command, AtaDrive._abort)
            if run is AtaDrive._start_write:
                self._start_write()
            else:
                self._timer = self._clock.call_after(COMMAND_TIME, lambda: run(self))

    # States

    def _accept(self) -> bool:
        """Turn busy for a new command; False when it has to be ignored."""
        if self.status & STATUS_OCCUPIED or self._asleep:
            return False
        self.error = 0
        self.status = STATUS_BSY
        if self.intrq:
            self.intrq = False
            self._on_intrq()
        return True

    def _stop(self) -> None:
        """End whatever is going on; what the guest has written up to now goes to the drive."""
        self._timer.cancel()
        if self._gathering:
            self._transfer(self._drive.write, self._pos // SECTOR_SIZE)
        self._idle()
        self.intrq = False

    def _power_on_settings(self) -> None:
        self._geometry = self._default_geometry
        self._multiple = 0
        self._revert = True
        self._asleep = False
        self._power = POWER_ACTIVE

    def _sign_in(self) -> None:
        """Ready, with the signature of a disk (not of a packet device) in the registers."""
        self.taskfile[:] = [0] * 8
        self.taskfile[COUNT] = self.taskfile[LBA_LOW] = 1
        self.error = DIAGNOSTIC_PASSED
        self.status = STATUS_READY

    def _sign_in_and_interrupt(self) -> None:
        self._sign_in()
        self._interrupt()

    # Commands; those that move sectors are in AtaPio

    def _identify(self) -> None:
        identity = Identity(
            sectors=self._sectors,
            default=self._default_geometry,
            current=self._geometry,
            serial=self._serial,
            model=self._model,
            multiple=self._multiple,
            write_cache=self._write_cache,
            look_ahead=self._look_ahead,
        )
        self._view[:SECTOR_SIZE] = identify(identity)
        self._read_end = SECTOR_SIZE
        self.status = STATUS_READY | STATUS_DRQ
        self._interrupt()

    def _verify(self) -> None:
        if not self._locate():
            return
        while self._left:
            count = min(self._left, BUFFER_SECTORS)
            if self._transfer(self._drive.read, count) < count:
                self._fail_here()
                return
            self._left -= count
        self._leave_end()
        self._finish()

    def _seek(self) -> None:
        if self._locate():
            if self._lba < self._sectors:
                self._finish()
            else:
                self._fail(ERROR_IDNF)

    def _read_native_max(self) -> None:
        if self._ext:
            self._leave_address(self._sectors - 1)
        elif self.taskfile[DEVICE] & DEVICE_LBA:
            self._leave_address(min(self._sectors - 1, MAX_LBA28_SECTORS))
        else:
            self._abort()
            return
        self._finish()

    def _set_multiple_mode(self) -> None:
        count = self.taskfile[COUNT] & 0xFF
        if count > MAX_MULTIPLE or count & (count - 1):
            self._abort()
            return
        self._multiple = count
        self._finish()

    def _initialize_device_parameters(self) -> None:
        heads = (self.taskfile[DEVICE] & DEVICE_HEAD) + 1
        sectors = self.taskfile[COUNT] & 0xFF
        cylinders = min(self._sectors, MAX_CHS_SECTORS) // (heads * sectors) if sectors else 0
        if not cylinders:
            self._abort()
            return
        self._geometry = Geometry(min(cylinders, MAX_CURRENT_CYLINDERS), heads, sectors)
        self._finish()

    def _set_features(self) -> None:
        feature = self.taskfile[FEATURES] & 0xFF
        if feature == FEATURE_WRITE_CACHE_ON:
            self._write_cache = True
        elif feature == FEATURE_WRITE_CACHE_OFF:
            if not self._flushed():
                return
            self._write_cache = False
        elif feature in (FEATURE_LOOK_AHEAD_ON, FEATURE_LOOK_AHEAD_OFF):
            self._look_ahead = feature == FEATURE_LOOK_AHEAD_ON
        elif feature in (FEATURE_KEEP_SETTINGS, FEATURE_REVERT_SETTINGS):
            self._revert = feature == FEATURE_REVERT_SETTINGS
        elif feature != FEATURE_TRANSFER_MODE or self.taskfile[COUNT] & 0xFF not in TRANSFER_MODES:
            self._abort()
            return
        self._finish()

    def _flush_cache(self) -> None:
        if self._flushed():
            self._finish()

    def _standby(self) -> None:
        if self._flushed():
            self._power = POWER_STANDBY
            self._finish()

    def _go_idle(self) -> None:
        self._power = POWER_IDLE
        self._finish()

    def _sleep(self) -> None:
        if self._flushed():
            self._asleep = True
            self._finish()

    def _check_power_mode(self) -> None:
        self.taskfile[COUNT] = self._power
        self._finish()


def ata_geometry(drive: Drive) -> Geometry:
    """The drive's own geometry, or 16 heads of 63 sectors where it has more than ATA can address."""
    _, heads, sectors = drive.geometry
    if heads > ATA_MAX_HEADS or sectors > ATA_MAX_SECTORS:
        heads, sectors = ATA_MAX_HEADS, ATA_MAX_SECTORS
    return Geometry(max(1, min(ATA_MAX_CYLINDERS, drive.sectors // (heads * sectors))), heads, sectors)


EXT_COMMANDS = {0x24, 0x27, 0x29, 0x34, 0x39, 0x42}
MULTIPLE_COMMANDS = {0x29, 0x39, 0xC4, 0xC5}
COMMANDS: dict[int, Callable[[AtaDrive], None]] = {
    **dict.fromkeys(range(0x10, 0x20), AtaDrive._finish),  # RECALIBRATE
    0x20: AtaDrive._start_read,  # READ SECTORS
    0x21: AtaDrive._start_read,  # READ SECTORS without retry
    0x24: AtaDrive._start_read,  # READ SECTORS EXT
    0x27: AtaDrive._read_native_max,  # READ NATIVE MAX ADDRESS EXT
    0x29: AtaDrive._start_read,  # READ MULTIPLE EXT
    0x30: AtaDrive._start_write,  # WRITE SECTORS
    0x31: AtaDrive._start_write,  # WRITE SECTORS without retry
    0x34: AtaDrive._start_write,  # WRITE SECTORS EXT
    0x39: AtaDrive._start_write,  # WRITE MULTIPLE EXT
    0x40: AtaDrive._verify,  # READ VERIFY SECTORS
    0x41: AtaDrive._verify,  # READ VERIFY SECTORS without retry
    0x42: AtaDrive._verify,  # READ VERIFY SECTORS EXT
    **dict.fromkeys(range(0x70, 0x80), AtaDrive._seek),  # SEEK
    0x91: AtaDrive._initialize_device_parameters,
    0xC4: AtaDrive._start_read,  # READ MULTIPLE
    0xC5: AtaDrive._start_write,  # WRITE MULTIPLE
    0xC6: AtaDrive._set_multiple_mode,
    0xE7: AtaDrive._flush_cache,  # FLUSH CACHE
    0xEA: AtaDrive._flush_cache,  # FLUSH CACHE EXT
    0xEC: AtaDrive._identify,
    0xEF: AtaDrive._set_features,
    0xF8: AtaDrive._read_native_max,  # READ NATIVE MAX ADDRESS
    # Power management, with the opcodes of ATA-1 beside today's.
    **dict.fromkeys((0xE0, 0x94, 0xE2, 0x96), AtaDrive._standby),  # STANDBY IMMEDIATE, STANDBY
    **dict.fromkeys((0xE1, 0x95, 0xE3, 0x97), AtaDrive._go_idle),  # IDLE IMMEDIATE, IDLE
    **dict.fromkeys((0xE5, 0x98), AtaDrive._check_power_mode),
    **dict.fromkeys((0xE6, 0x99), AtaDrive._sleep),
}
