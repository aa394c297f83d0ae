"""ATA channel and drive: the PIO protocol, every command, errors, absent drives, block transfers.

Register numbers, bits and opcodes are written out from ATA/ATAPI-6, so that a wrong constant shows.
"""

from __future__ import annotations

import errno
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcemu.bus import PortBus
from pcemu.clock import FOREVER, MILLISECOND, SECOND
from pcemu.devices.ata import AtaChannel, AtaDrive
from pcemu.drives.drive import Geometry
from pcemu.testing.fakes import FakeClock, RecordingIrqLine
from pcemu.testing.memory_drive import MemoryDrive

DATA, ERROR, COUNT, LOW, MID, HIGH, DEVICE, STATUS = range(8)
BSY, DRDY, DF, DSC, DRQ, ERR = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01
READY = DRDY | DSC
UNC, IDNF, ABRT = 0x40, 0x10, 0x04
SECTORS = 16 * 63 * 20
CONTENT = random.Random(3).randbytes(SECTORS * 512)


class Host:
    """A channel with the given drives, and what a driver does with it."""

    def __init__(self, *disks: MemoryDrive | None) -> None:
        self.clock = FakeClock()
        self.irq = RecordingIrqLine(self.clock)
        self.errors: list[OSError] = []
        self.disks = disks
        self.drives = [
            None
            if disk is None
            else AtaDrive(disk, serial=f"SN{i}", model="TEST DISK", on_host_error=self.errors.append)
            for i, disk in enumerate((*disks, None, None)[:2])
        ]
        self.channel = AtaChannel(self.clock, self.irq, (self.drives[0], self.drives[1]))
        self.control(0x08)

    def control(self, value: int) -> None:
        self.channel.write_control(0, value)

    def alternate(self) -> int:
        return self.channel.read_control(0)

    def status(self) -> int:
        return self.channel.read(STATUS)

    def registers(self) -> tuple[int, ...]:
        return tuple(self.channel.read(register) for register in range(1, 7))

    def setup(self, lba: int = 0, count: int = 1, *, dev: int = 0, ext: bool = False) -> None:
        """Write an LBA address and a count to the registers."""
        head = 0x40 | dev << 4
        self.channel.write(DEVICE, head)
        if ext:
            for register, shift in ((LOW, 24), (MID, 32), (HIGH, 40)):
                self.channel.write(register, lba >> shift & 0xFF)
            self.channel.write(COUNT, count >> 8 & 0xFF)
        else:
            self.channel.write(DEVICE, head | lba >> 24 & 0x0F)
        self.channel.write(COUNT, count & 0xFF)
        for register, shift in ((LOW, 0), (MID, 8), (HIGH, 16)):
            self.channel.write(register, lba >> shift & 0xFF)

    def setup_chs(self, cylinder: int, head: int, sector: int, count: int = 1) -> None:
        self.channel.write(DEVICE, 0xA0 | head)
        for register, value in ((COUNT, count), (LOW, sector), (MID, cylinder & 0xFF), (HIGH, cylinder >> 8)):
            self.channel.write(register, value)

    def command(self, opcode: int) -> int:
        """Give a command, let it come to its first interrupt, and return the status read then."""
        self.channel.write(STATUS, opcode)
        return self.wait()

    def wait(self) -> int:
        """Let time pass while the drive is busy; then acknowledge."""
        for _ in range(3):
            if self.alternate() & BSY:
                self.clock.run_until(self.clock.deadline)
        return self.status()

    def read_words(self, count: int) -> bytes:
        return b"".join(self.channel.read(DATA).to_bytes(2, "little") for _ in range(count))

    def read(self, opcode: int, block: int = 1, count: int = 1) -> bytes:
        """Run a data-in command of ``count`` sectors to its end."""
        status = self.command(opcode)
        data = b""
        while count:
            assert status == READY | DRQ
            part = min(block, count)
            data += self.read_words(256 * part)
            count -= part
            status = self.wait()
        assert status == READY
        return data

    def write(self, opcode: int, data: bytes, block: int = 1) -> int:
        """Run a data-out command to its end, or to its error; returns the last status."""
        status = self.command(opcode)
        for at in range(0, len(data), 512 * block):
            if status & ERR:
                return status
            assert status == READY | DRQ
            part = data[at : at + 512 * block]
            for i in range(0, len(part), 2):
                self.channel.write(DATA, part[i] | part[i + 1] << 8)
            status = self.wait()
        return status

    def identify(self, dev: int = 0) -> list[int]:
        self.channel.write(DEVICE, dev << 4)
        data = self.read(0xEC)
        return [data[i] | data[i + 1] << 8 for i in range(0, 512, 2)]

    def address(self) -> int:
        """The 28-bit address left in the registers."""
        low, mid, high, device = (self.channel.read(register) for register in (LOW, MID, HIGH, DEVICE))
        return (device & 0x0F) << 24 | high << 16 | mid << 8 | low

    def address48(self) -> int:
        lba = self.address() & 0xFFFFFF
        self.control(0x88)
        lba |= (self.address() & 0xFFFFFF) << 24
        self.control(0x08)
        return lba


@pytest.fixture
def host() -> Host:
    return Host(MemoryDrive(CONTENT))


def sectors(lba: int, count: int = 1) -> bytes:
    return CONTENT[lba * 512 : (lba + count) * 512]


def disk_of(host: Host, dev: int = 0) -> MemoryDrive:
    disk = host.disks[dev]
    assert disk is not None
    return disk


# Protocol order


def test_power_on_shows_a_ready_disk_with_its_signature(host: Host) -> None:
    assert host.registers() == (0x01, 0x01, 0x01, 0x00, 0x00, 0x00)
    assert host.status() == READY
    assert host.irq.edges == []


def test_data_in_order_of_bsy_drq_and_intrq(host: Host) -> None:
    host.setup(100, 2)
    host.channel.write(STATUS, 0x20)
    assert host.alternate() == BSY
    assert host.irq.rises == 0
    host.clock.advance(MILLISECOND)
    assert host.irq.rises == 1 and host.irq.level
    assert host.alternate() == READY | DRQ
    assert host.irq.level  # Alternate Status acknowledges nothing
    assert host.status() == READY | DRQ
    assert not host.irq.level
    assert host.read_words(255) == sectors(100)[:510]
    assert host.alternate() == READY | DRQ
    assert host.read_words(1) == sectors(100)[510:]
    assert host.alternate() == BSY
    assert host.irq.rises == 1
    host.clock.advance(MILLISECOND)
    assert host.irq.rises == 2
    assert host.status() == READY | DRQ
    assert host.read_words(256) == sectors(101)
    assert host.alternate() == READY
    host.clock.advance(SECOND)
    assert host.irq.rises == 2  # none behind the last block
    assert host.clock.deadline == FOREVER


def test_data_out_order_of_bsy_drq_and_intrq(host: Host) -> None:
    disk = disk_of(host)
    host.setup(50, 2)
    host.channel.write(STATUS, 0x30)
    assert host.alternate() == READY | DRQ
    assert host.irq.rises == 0  # none for the first block
    for _ in range(256):
        host.channel.write(DATA, 0x1122)
    assert host.alternate() == BSY
    host.clock.advance(MILLISECOND)
    assert host.irq.rises == 1
    assert host.status() == READY | DRQ
    for _ in range(256):
        host.channel.write(DATA, 0x3344)
    assert host.alternate() == BSY
    assert host.irq.rises == 1
    host.clock.advance(MILLISECOND)
    assert host.irq.rises == 2
    assert disk.data[50 * 512 : 52 * 512] == b"\x22\x11" * 256 + b"\x44\x33" * 256
    assert host.status() == READY
    assert host.irq.level is False


def test_command_without_data_interrupts_once(host: Host) -> None:
    host.channel.write(STATUS, 0xE7)
    assert host.alternate() == BSY
    host.clock.advance(MILLISECOND)
    assert host.irq.rises == 1
    assert host.status() == READY


@pytest.mark.parametrize("opcode", [0x20, 0xC4])
def test_nien_holds_the_interrupt_back_and_shows_it_when_cleared(host: Host, opcode: int) -> None:
    host.setup(count=2)
    host.command(0xC6)
    rises = host.irq.rises
    host.control(0x0A)
    host.setup(9, 2)
    host.channel.write(STATUS, opcode)
    host.clock.advance(MILLISECOND)
    assert host.alternate() == READY | DRQ and host.irq.rises == rises
    host.control(0x08)
    assert host.irq.rises == rises + 1
    host.control(0x0A)
    assert not host.irq.level
    host.status()
    host.control(0x08)
    assert host.irq.rises == rises + 1


def test_a_polled_host_gets_all_blocks_without_events(host: Host) -> None:
    host.control(0x0A)
    host.setup(10, 0)
    host.command(0x20)
    for lba in range(10, 266):
        assert host.status() == READY | DRQ
        assert host.channel.read_block(DATA, 2, 256) == sectors(lba)
        assert host.clock.deadline == FOREVER
    assert host.status() == READY
    assert host.irq.rises == 0
    assert disk_of(host).reads == 1


def test_a_polled_host_that_has_written_the_last_word_finds_the_drive_ready(host: Host) -> None:
    """Bochs' BIOS looks once."""
    host.control(0x0A)
    host.setup(10, 2)
    assert host.command(0x30) == READY | DRQ
    for ready in (READY | DRQ, READY):
        assert host.channel.write_block(DATA, 2, memoryview(b"\x5a" * 512)) == 512
        assert host.channel.read(STATUS) == ready
    assert disk_of(host).data[10 * 512 : 12 * 512] == b"\x5a" * 1024
    assert host.irq.rises == 0


def test_a_new_command_withdraws_the_pending_interrupt(host: Host) -> None:
    host.channel.write(STATUS, 0xE7)
    host.clock.advance(MILLISECOND)
    assert host.irq.level
    host.channel.write(STATUS, 0xE7)
    assert not host.irq.level
    host.clock.advance(MILLISECOND)
    assert host.irq.level


def test_commands_and_registers_are_deaf_while_occupied(host: Host) -> None:
    host.setup(7, 1)
    host.channel.write(STATUS, 0x20)
    for state in (BSY, READY | DRQ):
        assert host.alternate() == state
        host.channel.write(LOW, 99)
        host.channel.write(STATUS, 0x30)
        host.clock.advance(MILLISECOND)
    assert host.read_words(256) == sectors(7)
    assert host.alternate() == READY


def test_the_data_register_without_drq_neither_gives_nor_takes(host: Host) -> None:
    host.channel.write(DATA, 0x1234)
    assert host.channel.read(DATA) == 0xFFFF
    assert host.channel.read_block(DATA, 2, 100) == b"\xff\xff"
    assert host.channel.write_block(DATA, 4, memoryview(bytes(64))) == 4
    host.setup(3)
    host.command(0x30)
    assert host.channel.read(DATA) == 0xFFFF  # the wrong direction does not move the position
    for i in range(256):
        host.channel.write(DATA, i)
    assert host.wait() == READY
    assert disk_of(host).data[3 * 512 : 4 * 512] == b"".join(i.to_bytes(2, "little") for i in range(256))


# Reading, writing, addressing


@pytest.mark.parametrize(("opcode", "ext"), [(0x20, False), (0x21, False), (0x24, True)])
@pytest.mark.parametrize(("lba", "count"), [(0, 1), (5, 3), (SECTORS - 1, 1), (1000, 255)])
def test_read_sectors(host: Host, opcode: int, ext: bool, lba: int, count: int) -> None:
    host.setup(lba, count, ext=ext)
    assert host.read(opcode, count=count) == sectors(lba, count)
    assert host.channel.read(COUNT) == 0
    assert (host.address48() if ext else host.address()) == lba + count - 1
    assert host.drives[0] is not None and host.drives[0].reads == count


@pytest.mark.parametrize(("opcode", "ext"), [(0x30, False), (0x31, False), (0x34, True)])
@pytest.mark.parametrize(("lba", "count"), [(0, 1), (5, 3), (SECTORS - 1, 1), (1000, 255)])
def test_write_sectors(host: Host, opcode: int, ext: bool, lba: int, count: int) -> None:
    data = random.Random(lba).randbytes(count * 512)
    host.setup(lba, count, ext=ext)
    assert host.write(opcode, data) == READY
    expected = bytearray(CONTENT)
    expected[lba * 512 : (lba + count) * 512] = data
    assert disk_of(host).data == expected
    assert (host.address48() if ext else host.address()) == lba + count - 1
    assert host.drives[0] is not None and host.drives[0].writes == count


@pytest.mark.parametrize(("opcode", "ext", "count"), [(0x20, False, 256), (0x24, True, 300)])
def test_count_zero_and_large_counts(host: Host, opcode: int, ext: bool, count: int) -> None:
    host.setup(20, count if ext else 0, ext=ext)
    assert host.read(opcode, count=count) == sectors(20, count)


def test_count_zero_of_lba48_means_65536() -> None:
    disk = MemoryDrive(65536 + 1)
    disk.data[65535 * 512] = 0x77
    disk.data[65536 * 512] = 0x99
    host = Host(disk)
    host.setup(count=128)
    host.command(0xC6)
    host.setup(0, 0, ext=True)
    status = host.command(0x29)
    size = 0
    while status == READY | DRQ:
        last = host.channel.read_block(DATA, 4, 1 << 20)
        size += len(last)
        status = host.wait()
    assert (status, size, last[-512]) == (READY, 65536 * 512, 0x77)


@pytest.mark.parametrize("block", [1, 2, 8, 64, 128])
@pytest.mark.parametrize("ext", [False, True])
def test_multiple_moves_whole_blocks_and_a_shorter_last_one(host: Host, block: int, ext: bool) -> None:
    host.setup(count=block)
    assert host.command(0xC6) == READY
    assert host.identify()[59] == 0x0100 | block
    count = 2 * block + max(1, block // 2) if block < 128 else 200
    rises = host.irq.rises
    host.setup(33, count, ext=ext)
    assert host.read(0x29 if ext else 0xC4, block, count) == sectors(33, count)
    assert host.irq.rises - rises == -(-count // block)
    data = random.Random(block).randbytes(count * 512)
    rises = host.irq.rises
    host.setup(33, count, ext=ext)
    assert host.write(0x39 if ext else 0xC5, data, block) == READY
    assert host.irq.rises - rises == -(-count // block)
    assert disk_of(host).data[33 * 512 : (33 + count) * 512] == data


@pytest.mark.parametrize("opcode", [0xC4, 0xC5, 0x29, 0x39])
def test_multiple_aborts_until_it_is_set(host: Host, opcode: int) -> None:
    host.setup(1, 1)
    assert host.command(opcode) == READY | ERR
    assert host.channel.read(ERROR) == ABRT


@pytest.mark.parametrize("count", [3, 5, 100, 129, 192, 255])
def test_set_multiple_refuses_other_counts(host: Host, count: int) -> None:
    host.setup(count=8)
    host.command(0xC6)
    host.setup(count=count)
    assert host.command(0xC6) == READY | ERR
    assert host.channel.read(ERROR) == ABRT
    assert host.identify()[59] == 0x0108


def test_lba28_takes_its_upper_bits_from_the_device_register() -> None:
    class Sparse(MemoryDrive):
        """Large, and tells its sectors' numbers."""

        @property
        def sectors(self) -> int:
            return 1 << 40

        def read(self, lba: int, buffer: bytearray | memoryview) -> None:
            buffer[:8] = lba.to_bytes(8, "little")

    host = Host(Sparse(1))
    for lba in (0x0FFF_FFFF, 0x0ABC_DEF0, 0x0100_0000):
        host.setup(lba)
        assert int.from_bytes(host.read(0x20)[:8], "little") == lba
        assert host.address() == lba
    lba = 0xA9_8765_4321
    host.setup(lba, ext=True)
    assert int.from_bytes(host.read(0x24)[:8], "little") == lba
    assert host.address48() == lba
    assert host.channel.read(DEVICE) == 0x40
    words = host.identify()
    assert words[60] | words[61] << 16 == 0x0FFF_FFFF
    assert words[100:104] == [0, 0, 0x100, 0]
    host.setup()
    host.command(0xF8)
    assert host.address() == 0x0FFF_FFFF
    host.command(0x27)
    assert host.address48() == (1 << 40) - 1


def test_hob_shows_the_previous_bytes_until_a_register_is_written(host: Host) -> None:
    host.setup(0x66_5544_3322_11, 0x8877, ext=True)
    assert [host.channel.read(r) for r in (COUNT, LOW, MID, HIGH)] == [0x77, 0x11, 0x22, 0x33]
    host.control(0x88)
    assert [host.channel.read(r) for r in (COUNT, LOW, MID, HIGH)] == [0x88, 0x44, 0x55, 0x66]
    host.channel.write(ERROR, 0)
    assert [host.channel.read(r) for r in (COUNT, LOW, MID, HIGH)] == [0x77, 0x11, 0x22, 0x33]


@pytest.mark.parametrize("address", [(0, 0, 1), (0, 15, 63), (3, 7, 10), (19, 15, 63)])
def test_chs_in_the_default_translation(host: Host, address: tuple[int, int, int]) -> None:
    cylinder, head, sector = address
    host.setup_chs(*address)
    assert host.read(0x20) == sectors((cylinder * 16 + head) * 63 + sector - 1)
    assert host.channel.read(LOW) == sector
    assert host.channel.read(MID) | host.channel.read(HIGH) << 8 == cylinder
    assert host.channel.read(DEVICE) == 0xA0 | head


def test_chs_crosses_tracks_and_cylinders(host: Host) -> None:
    host.setup_chs(1, 15, 60, 10)
    assert host.read(0x20, count=10) == sectors((16 + 15) * 63 + 59, 10)
    assert [host.channel.read(r) for r in (LOW, MID, HIGH, DEVICE)] == [6, 2, 0, 0xA0]


@pytest.mark.parametrize("address", [(20, 0, 1), (0, 0, 0), (0, 0, 64), (65535, 0, 1)])
def test_chs_addresses_that_do_not_exist(host: Host, address: tuple[int, int, int]) -> None:
    host.setup_chs(*address)
    assert host.command(0x20) == READY | ERR
    assert host.channel.read(ERROR) == IDNF


def test_initialize_device_parameters_sets_the_translation(host: Host) -> None:
    host.channel.write(COUNT, 17)
    host.channel.write(DEVICE, 0xA0 | 3)
    assert host.command(0x91) == READY
    words = host.identify()
    cylinders = SECTORS // (4 * 17)
    assert words[54:57] == [cylinders, 4, 17]
    assert words[57] | words[58] << 16 == cylinders * 4 * 17
    assert (words[1], words[3], words[6]) == (20, 16, 63)
    host.setup_chs(100, 3, 17)
    assert host.read(0x20) == sectors((100 * 4 + 3) * 17 + 16)
    host.setup_chs(0, 4, 1)
    assert host.command(0x20) & ERR
    for count in (0, 255):  # none at all, and then more than the disk has when it is this small
        host.channel.write(COUNT, count)
        host.channel.write(DEVICE, 0xAF)
        status = host.command(0x91)
        assert (status, host.channel.read(ERROR)) == ((READY | ERR, ABRT) if count == 0 else (READY, 0))


def test_a_translation_larger_than_the_disk_aborts() -> None:
    host = Host(MemoryDrive(1000))
    host.channel.write(COUNT, 255)
    host.channel.write(DEVICE, 0xAF)
    assert host.command(0x91) == READY | ERR
    assert host.channel.read(ERROR) == ABRT


# Errors


def test_reading_beyond_the_end_delivers_what_there_is(host: Host) -> None:
    host.setup(SECTORS - 2, 5)
    assert host.command(0x20) == READY | DRQ
    assert host.read_words(256) == sectors(SECTORS - 2)
    assert host.wait() == READY | DRQ
    assert host.read_words(256) == sectors(SECTORS - 1)
    assert host.wait() == READY | ERR
    assert (host.channel.read(ERROR), host.address(), host.channel.read(COUNT)) == (IDNF, SECTORS, 3)
    assert host.errors == []


@pytest.mark.parametrize("opcode", [0x20, 0x24, 0x30, 0x34, 0x40, 0x42])
def test_starting_beyond_the_end_is_idnf(host: Host, opcode: int) -> None:
    before = host.irq.rises
    host.setup(SECTORS, 1, ext=opcode in (0x24, 0x34, 0x42))
    assert host.command(opcode) == READY | ERR
    assert host.channel.read(ERROR) == IDNF
    assert host.address() == SECTORS
    assert host.irq.rises == before + 1


def test_writing_across_the_end_keeps_what_fits(host: Host) -> None:
    host.setup(SECTORS - 1, 3)
    assert host.write(0x30, b"e" * 1536) == READY | ERR
    assert (host.channel.read(ERROR), host.address(), host.channel.read(COUNT)) == (IDNF, SECTORS, 2)
    assert disk_of(host).data == CONTENT[:-512] + b"e" * 512


def test_an_unreadable_sector_is_unc_at_its_address(host: Host) -> None:
    disk_of(host).fail_reads = {303}
    host.setup(300, 8)
    status = host.command(0x20)
    for lba in (300, 301, 302):
        assert status == READY | DRQ
        assert host.read_words(256) == sectors(lba)
        status = host.wait()
    assert status == READY | ERR
    assert (host.channel.read(ERROR), host.address(), host.channel.read(COUNT)) == (UNC, 303, 5)
    assert {error.errno for error in host.errors} == {errno.EIO}
    host.setup(304, 2)
    assert host.read(0x20, count=2) == sectors(304, 2)
    assert host.channel.read(ERROR) == 0


def test_a_block_with_an_unreadable_sector_is_not_offered(host: Host) -> None:
    host.setup(count=4)
    host.command(0xC6)
    disk_of(host).fail_reads = {306}
    host.setup(300, 12)
    assert host.command(0xC4) == READY | DRQ
    assert host.read_words(1024) == sectors(300, 4)
    assert host.wait() == READY | ERR
    assert (host.channel.read(ERROR), host.address()) == (UNC, 306)


def test_a_full_host_disk_is_abrt_and_df_at_the_address(host: Host) -> None:
    disk_of(host).fail_writes = {402}
    host.setup(400, 4)
    assert host.write(0x30, b"w" * 2048) == READY | DF | ERR
    assert (host.channel.read(ERROR), host.address(), host.channel.read(COUNT)) == (ABRT, 402, 2)
    assert [error.errno for error in host.errors] == [errno.ENOSPC]
    expected = bytearray(CONTENT)
    expected[400 * 512 : 402 * 512] = b"w" * 1024
    assert disk_of(host).data == expected


def test_a_failure_in_the_middle_of_a_long_write_ends_it(host: Host) -> None:
    disk_of(host).fail_writes = {10}
    host.setup(count=64)
    host.command(0xC6)
    host.setup(0, 128)
    assert host.write(0xC5, b"v" * 64 * 512 * 2, 64) == READY | DF | ERR
    assert host.address() == 10
    assert disk_of(host).data[10 * 512 :] == CONTENT[10 * 512 :]


@pytest.mark.parametrize("opcode", [0xE7, 0xEA, 0xE0, 0xE2, 0xE6])
def test_a_failed_flush_is_abrt_and_df(host: Host, opcode: int) -> None:
    disk_of(host).fail_flush = True
    assert host.command(opcode) == READY | DF | ERR
    assert host.channel.read(ERROR) == ABRT
    assert len(host.errors) == 1
    disk_of(host).fail_flush = False
    assert host.command(0xE7) == READY


def test_a_read_only_drive_aborts_writes_and_tells() -> None:
    host = Host(MemoryDrive(CONTENT, read_only=True))
    host.setup(1, 1)
    assert host.command(0x30) == READY | ERR
    assert host.channel.read(ERROR) == ABRT
    assert [type(error) for error in host.errors] == [PermissionError]


@pytest.mark.parametrize("opcode", [0x00, 0x08, 0xA1, 0xA0, 0x50, 0x22, 0xC8, 0xCA, 0x25, 0x35, 0xB0, 0xFF])
def test_what_is_not_supported_aborts(host: Host, opcode: int) -> None:
    assert host.command(opcode) == READY | ERR
    assert host.channel.read(ERROR) == ABRT
    assert host.irq.rises == 1


# Commands without data


@pytest.mark.parametrize(("opcode", "ext"), [(0x40, False), (0x41, False), (0x42, True)])
def test_verify_reads_without_giving_data(host: Host, opcode: int, ext: bool) -> None:
    host.setup(100, 0, ext=False)
    if ext:
        host.setup(100, 1000, ext=True)
    assert host.command(opcode) == READY
    assert host.irq.rises == 1
    assert host.address() == (1099 if ext else 355)
    disk_of(host).fail_reads = {200}
    host.setup(190, 20, ext=ext)
    assert host.command(opcode) == READY | ERR
    assert (host.channel.read(ERROR), host.address()) == (UNC, 200)


@pytest.mark.parametrize("opcode", [0x10, 0x1F, 0x70, 0x7F])
def test_recalibrate_and_seek(host: Host, opcode: int) -> None:
    host.setup_chs(3, 2, 1)
    assert host.command(opcode) == READY


def test_seeking_beyond_the_end_is_idnf(host: Host) -> None:
    host.setup(SECTORS)
    assert host.command(0x70) == READY | ERR
    assert host.channel.read(ERROR) == IDNF
    host.setup_chs(20, 0, 1)
    assert host.command(0x70) == READY | ERR


def test_read_native_max(host: Host) -> None:
    host.setup()
    assert host.command(0xF8) == READY
    assert host.address() == SECTORS - 1
    host.channel.write(DEVICE, 0xA0)
    assert host.command(0xF8) == READY | ERR
    host.setup()
    assert host.command(0x27) == READY
    assert host.address48() == SECTORS - 1


def test_flush_reaches_the_drive(host: Host) -> None:
    for expected, opcode in enumerate((0xE7, 0xEA), 1):
        assert host.command(opcode) == READY
        assert disk_of(host).flushes == expected


def test_write_cache_off_flushes_behind_each_write(host: Host) -> None:
    def feature(value: int, count: int = 0) -> int:
        host.channel.write(ERROR, value)
        host.channel.write(COUNT, count)
        return host.command(0xEF)

    host.setup(1)
    host.write(0x30, bytes(512))
    assert disk_of(host).flushes == 0
    assert host.identify()[85] & 0x20
    assert feature(0x82) == READY
    assert not host.identify()[85] & 0x20
    flushes = disk_of(host).flushes
    host.setup(1)
    assert host.write(0x30, bytes(512)) == READY
    assert disk_of(host).flushes == flushes + 1
    disk_of(host).fail_flush = True
    host.setup(1)
    assert host.write(0x30, bytes(512)) == READY | DF | ERR
    disk_of(host).fail_flush = False
    assert feature(0x02) == READY
    assert host.identify()[85] & 0x20
    assert feature(0x55) == READY
    assert not host.identify()[85] & 0x40
    assert feature(0xAA) == READY
    assert host.identify()[85] & 0x40
    for mode in (0x00, 0x01, 0x08, 0x0C):
        assert feature(0x03, mode) == READY
    for mode in (0x0D, 0x20, 0x45):  # PIO 5, DMA, Ultra DMA
        assert feature(0x03, mode) == READY | ERR
    assert feature(0x77) == READY | ERR


def test_power_modes(host: Host) -> None:
    def mode() -> int:
        assert host.command(0xE5) == READY
        return host.channel.read(COUNT)

    assert mode() == 0xFF
    for opcodes, expected in (((0xE0, 0x94, 0xE2, 0x96), 0x00), ((0xE1, 0x95, 0xE3, 0x97), 0x80)):
        for opcode in opcodes:
            assert host.command(opcode) == READY
            assert mode() == expected
            host.setup(5)
            host.read(0x20)
            assert mode() == 0xFF
    assert host.command(0x98) == READY


def test_sleep_ends_with_a_reset_only(host: Host) -> None:
    assert host.command(0xE6) == READY
    host.setup(5)
    host.channel.write(STATUS, 0x20)
    host.clock.advance(SECOND)
    assert host.alternate() == READY
    host.control(0x0C)
    host.control(0x08)
    host.clock.advance(SECOND)
    host.setup(5)
    assert host.read(0x20) == sectors(5)


# IDENTIFY DEVICE


def text(words: list[int]) -> str:
    return b"".join(word.to_bytes(2, "big") for word in words).decode("ascii")


def test_identify_is_complete_and_coherent(host: Host) -> None:
    words = host.identify()
    assert words[0] & 0x8000 == 0 and words[0] & 0x40
    assert (words[1], words[3], words[6]) == (20, 16, 63)
    assert (words[4], words[5]) == (63 * 512, 512)
    assert text(words[10:20]) == "SN0".ljust(20)
    assert text(words[27:47]) == "TEST DISK".ljust(40)
    assert words[47] & 0xFF == 128
    assert words[49] & 0x0300 == 0x0200  # LBA, no DMA
    assert words[53] & 0x03 == 0x03
    assert words[54:57] == [20, 16, 63]
    assert words[57] | words[58] << 16 == 20 * 16 * 63
    assert words[60] | words[61] << 16 == SECTORS
    assert words[63] == words[88] == 0
    assert words[80] & 0x40  # ATA-6
    for word in (83, 84, 87):
        assert words[word] & 0xC000 == 0x4000
    assert words[83] & words[86] & 0x3400 == 0x3400  # LBA48, FLUSH CACHE, FLUSH CACHE EXT
    assert words[82] == words[85]  # all that is supported is enabled at power-on
    assert words[100:104] == [SECTORS, 0, 0, 0]
    assert words[255] & 0xFF == 0xA5
    assert sum(word & 0xFF for word in words) + sum(word >> 8 for word in words) & 0xFF == 0


def test_identify_of_a_large_disk_stops_chs_at_its_limit() -> None:
    class Large(MemoryDrive):
        @property
        def sectors(self) -> int:
            return 40_000_000

        @property
        def geometry(self) -> Geometry:
            return Geometry(2489, 255, 63)  # as a partition table made elsewhere asks for

    words = Host(Large(1)).identify()
    assert (words[1], words[3], words[6]) == (16383, 16, 63)
    assert words[57] | words[58] << 16 == 16383 * 16 * 63
    assert words[60] | words[61] << 16 == 40_000_000


# Two drives, one drive, none


def test_both_drives_see_register_writes_and_only_the_selected_one_acts() -> None:
    second = random.Random(4).randbytes(SECTORS * 512)
    host = Host(MemoryDrive(CONTENT), MemoryDrive(second))
    host.setup(8, 2)
    host.channel.write(DEVICE, 0x50)
    assert host.read(0x20, count=2) == second[8 * 512 : 10 * 512]
    assert disk_of(host, 0).reads == 0
    host.setup(9, dev=1)
    host.channel.write(DEVICE, 0x40)
    assert host.read(0x20) == sectors(9)
    assert text(host.identify(0)[10:20]).strip() == "SN0"
    assert text(host.identify(1)[10:20]).strip() == "SN1"


def test_the_line_follows_the_selected_drive() -> None:
    host = Host(MemoryDrive(CONTENT), MemoryDrive(CONTENT))
    host.channel.write(DEVICE, 0x00)
    host.channel.write(STATUS, 0xE7)
    host.clock.advance(MILLISECOND)
    assert host.irq.level
    host.channel.write(DEVICE, 0x10)
    assert not host.irq.level
    host.status()  # drive 1 has nothing to acknowledge
    host.channel.write(DEVICE, 0x00)
    assert host.irq.level
    host.status()
    assert not host.irq.level


def test_absent_drive_1_reads_status_0_and_drive_0s_registers(host: Host) -> None:
    host.setup(1, 0x55, dev=1)
    assert host.status() == host.alternate() == 0
    assert host.channel.read(COUNT) == 0x55
    host.channel.write(STATUS, 0xEC)
    host.clock.advance(MILLISECOND)
    assert host.status() == 0
    assert host.irq.rises == 0
    host.channel.write(DATA, 1)
    host.channel.write(DEVICE, 0x40)
    assert host.status() == READY


@pytest.mark.parametrize("dev", [0, 1])
def test_an_empty_channel_floats_with_bsy_clear(dev: int) -> None:
    host = Host(None, None)
    host.channel.write(DEVICE, dev << 4)
    host.channel.write(COUNT, 0x55)
    assert host.alternate() == 0x7F
    assert [host.channel.read(register) for register in range(1, 8)] == [0x7F] * 7
    assert host.channel.read(DATA) & 0xFF == 0x7F
    host.channel.write(STATUS, 0x90)
    host.control(0x0C)
    host.control(0x08)
    host.clock.advance(SECOND)
    assert host.irq.rises == 0


def test_drive_1_alone_leaves_drive_0_floating() -> None:
    host = Host(None, MemoryDrive(CONTENT))
    assert host.status() == 0x7F
    host.setup(6, dev=1)
    assert host.read(0x20) == sectors(6)
    host.channel.write(STATUS, 0x90)
    host.clock.advance(SECOND)
    assert host.status() == 0x7F


# Resets and diagnostics


@pytest.mark.parametrize("dev", [0, 1])
def test_srst_gives_the_signature_of_both_drives_and_selects_0(dev: int) -> None:
    host = Host(MemoryDrive(CONTENT), MemoryDrive(CONTENT))
    host.setup(77, 5, dev=dev)
    host.channel.write(STATUS, 0x20)
    host.control(0x0C)
    assert host.alternate() == BSY
    host.clock.advance(MILLISECOND)
    assert host.alternate() == BSY  # as long as the bit is set
    host.control(0x08)
    assert host.alternate() == BSY
    host.clock.advance(MILLISECOND)
    for device in (0, 1):
        assert host.status() == READY
        assert host.registers()[:5] == (0x01, 0x01, 0x01, 0x00, 0x00)
        assert host.channel.read(DEVICE) == (0x10 if device else 0x00)
        host.channel.write(DEVICE, 0x10)
    assert host.irq.rises == 0
    assert host.channel.read(DATA) == 0xFFFF


def test_srst_reverts_settings_unless_told_to_keep_them(host: Host) -> None:
    for keep in (False, True):
        host.channel.write(ERROR, 0x66 if keep else 0xCC)
        assert host.command(0xEF) == READY
        host.setup(count=16)
        host.command(0xC6)
        host.control(0x0C)
        host.control(0x08)
        host.clock.advance(SECOND)
        assert host.identify()[59] == (0x0110 if keep else 0)
    host.channel.reset()
    assert host.identify()[59] == 0


def test_sectors_given_before_a_reset_are_not_lost(host: Host) -> None:
    for reset in ("soft", "hard"):
        host.setup(500, 4)
        host.command(0x30)
        fill = ord(reset[0]) * 0x0101
        for _ in range(256 * 2 + 100):
            host.channel.write(DATA, fill)
            if host.alternate() & BSY:
                host.wait()
        if reset == "soft":
            host.control(0x0C)
            host.control(0x08)
            host.clock.advance(SECOND)
        else:
            host.channel.reset()
        assert host.status() == READY
        assert disk_of(host).data[500 * 512 : 503 * 512] == reset[:1].encode() * 1024 + sectors(502)
        assert host.clock.deadline == FOREVER


@pytest.mark.parametrize("disks", [1, 2])
@pytest.mark.parametrize("dev", [0, 1])
def test_diagnostic_is_for_both_and_reported_by_drive_0(disks: int, dev: int) -> None:
    host = Host(*[MemoryDrive(CONTENT) for _ in range(disks)])
    host.setup(123, 45, dev=dev)
    host.channel.write(STATUS, 0x90)
    assert host.alternate() == BSY
    host.clock.advance(MILLISECOND)
    assert host.irq.rises == 1
    assert host.status() == READY
    assert host.registers() == (0x01, 0x01, 0x01, 0x00, 0x00, 0x00)
    if disks == 2:
        host.channel.write(DEVICE, 0x10)
        assert host.status() == READY
        assert host.registers()[:5] == (0x01, 0x01, 0x01, 0x00, 0x00)
    assert host.irq.rises == 1


# Block transfers


def observe(host: Host) -> tuple[object, ...]:
    return host.alternate(), host.irq.level, host.irq.edges[:], host.registers(), host.clock.deadline


moves = st.lists(st.tuples(st.sampled_from([1, 2, 2, 2, 4]), st.integers(1, 1500)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([0x20, 0x24, 0x30, 0x34, 0xC4, 0x29, 0xC5, 0x39, 0xEC]),
    st.sampled_from([1, 2, 4, 16]),
    st.integers(1, 70),
    st.sampled_from([0, 30, SECTORS - 3]),
    st.booleans(),
    moves,
)
def test_a_block_transfer_equals_single_accesses_of_the_bus(
    opcode: int, block: int, count: int, lba: int, polled: bool, moves: list[tuple[int, int]]
) -> None:
    hosts = Host(MemoryDrive(CONTENT)), Host(MemoryDrive(CONTENT))
    for host in hosts:
        disk_of(host).fail_writes = disk_of(host).fail_reads = {40}
        host.setup(count=block)
        host.command(0xC6)
        host.control(0x0A if polled else 0x08)
        host.setup(lba, count, ext=opcode in (0x24, 0x34, 0x29, 0x39))
        host.command(opcode)
    by_block, by_word = hosts
    bus = PortBus()
    bus.attach("data", range(0x1F0, 0x1F1), by_word.channel.read, by_word.channel.write, width=2)
    source = random.Random(opcode)
    for size, items in moves:
        if opcode in (0x30, 0x34, 0xC5, 0x39):
            data = source.randbytes(size * items)
            taken = by_block.channel.write_block(DATA, size, memoryview(data))
            assert 0 < taken <= len(data) and taken % size == 0
            for at in range(0, taken, size):
                bus.write(0x1F0, size, int.from_bytes(data[at : at + size], "little"))
        else:
            got = by_block.channel.read_block(DATA, size, items)
            assert 0 < len(got) <= size * items and len(got) % size == 0
            single = b"".join(bus.read(0x1F0, size).to_bytes(size, "little") for _ in range(len(got) // size))
            assert got == single
        assert observe(by_block) == observe(by_word)
        for host in hosts:
            host.clock.advance(MILLISECOND)
        assert observe(by_block) == observe(by_word)
        assert by_block.status() == by_word.status()
    assert disk_of(by_block).data == disk_of(by_word).data


def test_a_block_transfer_stops_at_the_end_of_a_drq_block(host: Host) -> None:
    host.setup(11, 2)
    host.command(0x20)
    assert host.channel.read_block(DATA, 2, 100_000) == sectors(11)
    assert host.alternate() == BSY
    assert host.channel.read_block(DATA, 2, 100_000) == b"\xff\xff"
    assert host.wait() == READY | DRQ
    assert host.channel.read_block(DATA, 4, 100_000) == sectors(12)


@pytest.mark.parametrize("multiple", [1, 16, 64, 128])
def test_the_hosts_drive_is_asked_for_large_pieces(host: Host, multiple: int) -> None:
    host.setup(count=multiple)
    host.command(0xC6)
    disk = disk_of(host)
    host.setup(0, 0)
    assert host.read(0xC4, multiple, 256) == sectors(0, 256)
    assert disk.reads == 1
    host.setup(0, 0)
    assert host.write(0xC5, bytes(256 * 512), multiple) == READY
    assert disk.writes == 1
