"""The part of an ATA hard disk that moves sectors: addresses, DRQ blocks, and errors on the way.

A data-in command offers one DRQ block after the other, each with INTRQ; a data-out command asks for its
first block at once and without INTRQ, and for each further one with it. Behind the last block a data-in
command is over, while a data-out command turns busy and interrupts when it is done (ATA/ATAPI-6, clause
9.5 and 9.6).

The host's drive is asked for up to 128 KiB of a command at a time, and given as much: blocks from the guest
are gathered until the command is over or the buffer full. A command never ends before all of its data was
handed over.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from pcemu.clock import MICROSECOND, Clock, Timer
from pcemu.devices.ata_registers import (
    COUNT,
    DEVICE,
    DEVICE_HEAD,
    DEVICE_LBA,
    ERROR_ABRT,
    ERROR_IDNF,
    ERROR_UNC,
    LBA_HIGH,
    LBA_LOW,
    LBA_MID,
    POWER_ACTIVE,
    STATUS_BSY,
    STATUS_DF,
    STATUS_DRQ,
    STATUS_ERR,
    STATUS_READY,
)
from pcemu.drives.drive import SECTOR_SIZE, Drive

COMMAND_TIME = 20 * MICROSECOND
BLOCK_TIME = 2 * MICROSECOND  # long enough that a host which reads Status behind a block sees BSY
BUFFER_SECTORS = 256
NO_DATA = 0xFFFF
NOWHERE = -1


class AtaPio:
    """Registers and transfer state of a drive; AtaDrive adds the commands.

    ``taskfile`` holds the registers: the byte written last and, above it, the one before (for LBA48).
    ``polled`` tells that the host has switched INTRQ off. ``reads`` and ``writes`` count sectors.
    """

    _gathering: bool
    _pos: int
    _filled: int
    _read_end: int
    _write_end: int
    _left: int

    def __init__(self, drive: Drive, on_host_error: Callable[[OSError], None]) -> None:
        self.reads = 0
        self.writes = 0
        self.status = 0
        self.error = 0
        self.taskfile = [0] * 8
        self.intrq = False
        self.polled = False
        self._drive = drive
        self._on_host_error = on_host_error
        self._sectors = drive.sectors
        self._buffer = bytearray(BUFFER_SECTORS * SECTOR_SIZE)
        self._view = memoryview(self._buffer)
        self._timer = Timer(0, lambda: None)
        self._geometry = drive.geometry
        self._power = POWER_ACTIVE
        self._write_cache = True
        # The command: its addressing, its present sector, its last one + 1, and what failed it.
        self._ext = False
        self._lba = 0
        self._end = 0
        self._trouble = (0, 0)
        self._per_block = 1
        self._idle()

    def connect(self, clock: Clock, on_intrq: Callable[[], None]) -> None:
        """Plug the drive into a channel, which hears through ``on_intrq`` that ``intrq`` changed."""
        self._clock = clock
        self._on_intrq = on_intrq

    # The data register. A position at or behind the end means that no word is on offer.

    def read_data(self) -> int:
        """The next word of a data-in block."""
        pos = self._pos
        if pos >= self._read_end:
            return NO_DATA
        self._pos = pos + 2
        value = self._buffer[pos] | self._buffer[pos + 1] << 8
        if pos + 2 == self._read_end:
            self._block_taken()
        return value

    def write_data(self, value: int) -> None:
        """The next word of a data-out block."""
        pos = self._pos
        if pos < self._write_end:
            self._buffer[pos] = value & 0xFF
            self._buffer[pos + 1] = value >> 8 & 0xFF
            self._pos = pos + 2
            if pos + 2 == self._write_end:
                self._block_given()

    def take(self, size: int, count: int) -> bytes:
        """Up to ``count`` items of 2 or 4 bytes from the present block; empty when it has none left."""
        pos = self._pos
        left = self._read_end - pos
        end = pos + min(size * count, left - left % size)
        if end <= pos:
            return b""
        data = bytes(self._view[pos:end])
        self._pos = end
        if end == self._read_end:
            self._block_taken()
        return data

    def put(self, size: int, data: memoryview) -> int:
        """Put items of 2 or 4 bytes into the present block; the bytes taken, 0 when it has no room."""
        pos = self._pos
        left = self._write_end - pos
        end = pos + min(len(data), left - left % size)
        if end <= pos:
            return 0
        self._buffer[pos:end] = data[: end - pos]
        self._pos = end
        if end == self._write_end:
            self._block_given()
        return end - pos

    # How a command ends

    def _idle(self) -> None:
        """No data to transfer in either direction."""
        self._gathering = False  # data of a write command
        self._pos = 0  # in the buffer, of the next word
        self._filled = 0  # end of what the host's drive delivered
        self._read_end = 0  # of the block on offer
        self._write_end = 0  # of the block asked for
        self._left = 0  # sectors of the command behind the present block

    def _interrupt(self) -> None:
        self.intrq = True
        if not self.polled:
            self._on_intrq()

    def _finish(self) -> None:
        """The command ended well."""
        self._idle()
        self.status = STATUS_READY
        self._interrupt()

    def _fail(self, error: int, fault: int = 0) -> None:
        self._idle()
        self.error = error
        self.status = STATUS_READY | STATUS_ERR | fault
        self._interrupt()

    def _abort(self) -> None:
        self._fail(ERROR_ABRT)

    def _soon(self, step: Callable[[], None], delay: int = BLOCK_TIME) -> None:
        """Go on behind a block. A host that polls cannot tell how soon, so it is spared the event.

        Bochs' BIOS even counts on that: it looks at Status once, and only once, behind each block it writes.
        """
        if self.polled:
            step()
        else:
            self._timer = self._clock.call_after(delay, step)

    # Addresses

    def _locate(self) -> bool:
        """Work out where and how much a command is for; False when that failed it (IDNF)."""
        registers = self.taskfile
        low, mid, high = registers[LBA_LOW : LBA_HIGH + 1]
        lba = (high & 0xFF) << 16 | (mid & 0xFF) << 8 | low & 0xFF
        count = registers[COUNT] & 0xFF or 0x100
        if self._ext:
            lba |= (high >> 8) << 40 | (mid >> 8) << 32 | (low >> 8) << 24
            count = registers[COUNT] or 0x10000
        elif registers[DEVICE] & DEVICE_LBA:
            lba |= (registers[DEVICE] & DEVICE_HEAD) << 24
        else:
            lba = self._lba_of_chs(lba >> 8, lba & 0xFF)
        self._power = POWER_ACTIVE
        if lba == NOWHERE:
            self._fail(ERROR_IDNF)
            return False
        self._lba = lba
        self._left = count
        self._end = lba + count
        return True

    def _lba_of_chs(self, cylinder: int, sector: int) -> int:
        """The sector at a CHS address in the current translation, or NOWHERE."""
        head = self.taskfile[DEVICE] & DEVICE_HEAD
        cylinders, heads, sectors = self._geometry
        if cylinder >= cylinders or head >= heads or not 1 <= sector <= sectors:
            return NOWHERE
        return (cylinder * heads + head) * sectors + sector - 1

    def _leave_address(self, lba: int) -> None:
        """Put an address into the registers, in the way the command gave its own."""
        registers = self.taskfile
        if not self._ext and not registers[DEVICE] & DEVICE_LBA:
            _, heads, sectors = self._geometry
            track, sector = divmod(lba, sectors)
            cylinder, head = divmod(track, heads)
            lba = head << 24 | (cylinder & 0xFFFF) << 8 | sector + 1
        registers[LBA_LOW] = lba & 0xFF
        registers[LBA_MID] = lba >> 8 & 0xFF
        registers[LBA_HIGH] = lba >> 16 & 0xFF
        if self._ext:
            registers[LBA_LOW] |= (lba >> 24 & 0xFF) << 8
            registers[LBA_MID] |= (lba >> 32 & 0xFF) << 8
            registers[LBA_HIGH] |= (lba >> 40 & 0xFF) << 8
        else:
            registers[DEVICE] = registers[DEVICE] & ~DEVICE_HEAD | lba >> 24 & DEVICE_HEAD

    def _leave_end(self) -> None:
        """The registers of a transfer that ended well: its last sector, and nothing left to do."""
        self._leave_address(self._end - 1)
        self.taskfile[COUNT] = 0

    def _fail_here(self) -> None:
        """End a transfer with the error that :meth:`_transfer` met, leaving its address and what is left."""
        self._leave_address(self._lba)
        self.taskfile[COUNT] = (self._end - self._lba) & (0xFFFF if self._ext else 0xFF)
        self._fail(*self._trouble)

    # Moving sectors between the buffer and the host's drive

    def _transfer(self, action: Callable[[int, memoryview], None], count: int) -> int:
        """Move ``count`` sectors from the command's present one on; how many went well.

        When that is less than ``count``, ``_lba`` is the sector that failed and ``_trouble`` says why.
        """
        inside = max(0, min(count, self._sectors - self._lba))
        done = 0
        try:
            if inside:
                action(self._lba, self._view[: inside * SECTOR_SIZE])
            done = inside
        except OSError:
            # Find the sector that is to blame, and save the ones before it.
            try:
                while done < inside:
                    action(self._lba + done, self._view[done * SECTOR_SIZE : (done + 1) * SECTOR_SIZE])
                    done += 1
            except OSError as error:
                self._on_host_error(error)
                self._trouble = (ERROR_ABRT, STATUS_DF) if self._gathering else (ERROR_UNC, 0)
        if inside == done < count:
            self._trouble = (ERROR_IDNF, 0)
        if self._gathering:
            self.writes += done
        else:
            self.reads += done
        self._lba += done
        return done

    def _flushed(self) -> bool:
        """Make the host's drive safe; False when that failed the command."""
        try:
            self._drive.flush()
        except OSError as error:
            self._on_host_error(error)
            self._fail(ERROR_ABRT, STATUS_DF)
            return False
        return True

    # Data-in commands

    def _start_read(self) -> None:
        if not self._per_block:
            self._abort()
        elif self._locate():
            self._offer_block()

    def _offer_block(self) -> None:
        """Offer the next DRQ block of a read, or end it at a bad sector inside that block."""
        left = self._left
        if self._pos == self._filled:
            self._pos = 0
            self._filled = self._transfer(self._drive.read, min(left, BUFFER_SECTORS)) * SECTOR_SIZE
        block = min(left, self._per_block)
        end = self._pos + block * SECTOR_SIZE
        if end > self._filled:
            self._fail_here()
            return
        self._left = left - block
        self._read_end = end
        self.status = STATUS_READY | STATUS_DRQ
        self._interrupt()

    def _block_taken(self) -> None:
        """The host has read the last word of a block; behind the last block no interrupt follows."""
        self._read_end = 0
        if self._left:
            self.status = STATUS_BSY
            self._soon(self._offer_block)
            return
        if self._filled:
            self._leave_end()
        self._idle()
        self.status = STATUS_READY

    # Data-out commands

    def _start_write(self) -> None:
        if not self._per_block:
            self._abort()
        elif self._locate():
            if self._drive.read_only:
                self._on_host_error(PermissionError(errno.EROFS, "the guest wrote to a read-only drive"))
                self._abort()
            elif self._lba >= self._sectors:
                self._trouble = (ERROR_IDNF, 0)
                self._fail_here()
            else:
                self._gathering = True
                self._ask_for_block()

    def _ask_for_block(self) -> None:
        block = min(self._left, self._per_block)
        self._left -= block
        self._write_end = self._pos + block * SECTOR_SIZE
        self.status = STATUS_READY | STATUS_DRQ

    def _ask_for_another_block(self) -> None:
        self._ask_for_block()
        self._interrupt()

    def _block_given(self) -> None:
        """The host has written the last word of a block."""
        self._write_end = 0
        self.status = STATUS_BSY
        if not self._left:
            self._soon(self._end_write, COMMAND_TIME)
        elif self._pos == len(self._buffer):
            self._soon(self._go_on_writing)
        else:
            self._soon(self._ask_for_another_block)

    def _write_out(self) -> bool:
        """Hand over what was gathered; False when that failed the command."""
        count = self._pos // SECTOR_SIZE
        self._pos = 0
        if self._transfer(self._drive.write, count) < count:
            self._fail_here()
            return False
        return True

    def _go_on_writing(self) -> None:
        if self._write_out():
            self._ask_for_another_block()

    def _end_write(self) -> None:
        if self._write_out() and (self._write_cache or self._flushed()):
            self._leave_end()
            self._finish()
