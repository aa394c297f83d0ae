"""ATA channel: the disk interface at 1F0h-1F7h/3F6h (IRQ 14) and 170h-177h/376h (IRQ 15), with two drives.

Command block (register = port - 1F0h or 170h)::

    0  Data (16 bits)           4  LBA mid, cylinder low
    1  Error / Features         5  LBA high, cylinder high
    2  Sector count             6  Device: LBA, DEV, head or LBA 27-24
    3  LBA low, sector          7  Status / Command

Control block, one port: Alternate Status when read, Device Control (HOB, SRST, nIEN) when written.

Both drives see every register that is written; DEV selects which of them answers and drives INTRQ. Where
device 1 is absent device 0 answers for it, with status 0. A channel without drives floats: every register
reads 7Fh, since pull-ups make ones and the host's resistor on DD7 makes the BSY bit a zero, so that a
firmware which waits for BSY to clear goes on at once.

Facts from ATA/ATAPI-6 (T13/1410D). The drives are in ata_drive.py and ata_pio.py.

**Not implemented**: the drive address register at 3F7h/377h; DMA.
"""

from __future__ import annotations

from pcemu.clock import Clock
from pcemu.devices.ata_drive import AtaDrive
from pcemu.devices.ata_pio import NO_DATA
from pcemu.devices.ata_registers import COMMAND, DATA, DEVICE, ERROR, STATUS, STATUS_OCCUPIED
from pcemu.irq import IrqLine

__all__ = ["AtaChannel", "AtaDrive"]

CONTROL_HOB = 0x80
CONTROL_SRST = 0x04
CONTROL_NIEN = 0x02
DEVICE_DEV = 0x10
EXECUTE_DEVICE_DIAGNOSTIC = 0x90
FLOATING = 0xFF7F
ABSENT_STATUS = 0x00


class AtaChannel:
    """Two drive positions behind one set of registers and one interrupt line."""

    def __init__(self, clock: Clock, irq: IrqLine, drives: tuple[AtaDrive | None, AtaDrive | None]) -> None:
        self.drives = drives
        self._irq = irq
        self._present = [drive for drive in drives if drive is not None]
        for drive in self._present:
            drive.connect(clock, self._update_irq)
        self.reset()

    def reset(self) -> None:
        """Power-on, or the RESET- wire of the cable; what a cut-off write brought is on the drive."""
        self._control = 0
        self._hob = False
        for drive in self._present:
            drive.polled = False
            drive.power_on()
        self._select(0)

    def read(self, register: int) -> int:
        """Read a command block register; reading Status acknowledges the interrupt."""
        drive = self._selected
        if drive is None:
            return self._read_absent(register)
        if register == STATUS:
            if drive.intrq:
                drive.intrq = False
                self._irq.set(False)
            return drive.status
        if register == DATA:
            return drive.read_data()
        return self._read_register(drive, register)

    def write(self, register: int, value: int) -> None:
        """Write a command block register."""
        drive = self._selected
        if register == DATA:
            if drive is not None:
                drive.write_data(value)
            return
        self._hob = False
        if register == COMMAND:
            if value == EXECUTE_DEVICE_DIAGNOSTIC:
                self._diagnose()
            elif drive is not None:
                drive.execute(value)
            return
        for each in self._present:
            if not each.status & STATUS_OCCUPIED:
                each.taskfile[register] = (each.taskfile[register] << 8 | value) & 0xFFFF
        if register == DEVICE:
            self._select(1 if value & DEVICE_DEV else 0)

    def read_control(self, register: int) -> int:
        """Alternate Status: as Status, but the interrupt stays."""
        drive = self._selected
        return self._read_absent(STATUS) if drive is None else drive.status

    def write_control(self, register: int, value: int) -> None:
        """Device Control."""
        changed = self._control ^ value
        self._control = value
        self._hob = bool(value & CONTROL_HOB)
        for drive in self._present:
            drive.polled = bool(value & CONTROL_NIEN)
            if changed & CONTROL_SRST:
                if value & CONTROL_SRST:
                    drive.begin_reset()
                else:
                    drive.end_reset()
        if value & CONTROL_SRST:
            self._select(0)
        self._update_irq()

    def read_block(self, register: int, size: int, count: int) -> bytes:
        """Up to ``count`` items from the data register, never beyond the end of a DRQ block."""
        drive = self._selected
        if size > 1 and drive is not None:
            data = drive.take(size, count)
            if data:
                return data
        # One item, as the bus would do it: no block is on offer, or an odd size.
        value = self.read(register)
        if size == 4:
            value |= self.read(register) << 16
        return (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    def write_block(self, register: int, size: int, data: memoryview) -> int:
        """Bytes of ``data`` taken by the data register, never beyond the end of a DRQ block."""
        drive = self._selected
        if size > 1 and drive is not None:
            taken = drive.put(size, data)
            if taken:
                return taken
        for at in range(0, size, 2):
            self.write(register, int.from_bytes(data[at : min(at + 2, size)], "little"))
        return size

    def _read_register(self, drive: AtaDrive, register: int) -> int:
        if register == ERROR:
            return drive.error
        value = drive.taskfile[register]
        return value >> 8 if self._hob and register != DEVICE else value & 0xFF

    def _read_absent(self, register: int) -> int:
        """What is read while the selected drive does not exist."""
        substitute = self.drives[0]
        if substitute is None:
            return FLOATING if register == DATA else FLOATING & 0xFF
        if register == STATUS:
            return ABSENT_STATUS
        return NO_DATA if register == DATA else self._read_register(substitute, register)

    def _diagnose(self) -> None:
        """Both drives test themselves; device 0 reports, and is selected behind it."""
        for drive in self._present:
            drive.diagnose(interrupts=drive is self.drives[0])
        self._select(0)

    def _select(self, device: int) -> None:
        self._selected = self.drives[device]
        self._update_irq()

    def _update_irq(self) -> None:
        drive = self._selected
        self._irq.set(drive is not None and drive.intrq and not self._control & CONTROL_NIEN)
