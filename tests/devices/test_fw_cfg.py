"""fw_cfg against QEMU's document of it."""

from __future__ import annotations

import struct

import pytest

from pcemu.devices.fw_cfg import NAME_SIZE, FwCfg

SELECTOR, DATA = 0, 1
FILES = {"etc/e820": b"map", "vgaroms/vga.bin": bytes(range(256))}


class Guest:
    """Reads items as firmware does."""

    def __init__(self, device: FwCfg) -> None:
        self.device = device

    def read(self, key: int, size: int) -> bytes:
        self.device.write(SELECTOR, key)
        return self.go_on(size)

    def go_on(self, size: int) -> bytes:
        return bytes(self.device.read(DATA) for _ in range(size))


@pytest.fixture
def guest() -> Guest:
    return Guest(FwCfg({0x05: b"\x01\x00", 0x8003: b"local"}, FILES))


def test_signature_and_features(guest: Guest) -> None:
    assert guest.read(0x0000, 4) == b"QEMU"
    assert guest.read(0x0001, 4) == struct.pack("<I", 1), "the ports, and no DMA"


def test_selecting_an_item_starts_it_afresh(guest: Guest) -> None:
    assert guest.read(0x05, 1) == b"\x01"
    assert guest.read(0x05, 2) == b"\x01\x00"
    assert guest.read(0x8003, 3) == b"loc"
    assert guest.go_on(2) == b"al"


def test_zeros_behind_the_end_and_where_no_item_is(guest: Guest) -> None:
    assert guest.read(0x0000, 6) == b"QEMU\0\0"
    assert guest.read(0x1234, 3) == bytes(3)


def test_the_directory_names_each_file(guest: Guest) -> None:
    (count,) = struct.unpack(">I", guest.read(0x19, 4))
    found = {}
    for _ in range(count):
        size, key, reserved, name = struct.unpack(">IHH56s", guest.go_on(64))
        assert key >= 0x20 and reserved == 0
        found[name.rstrip(b"\0").decode()] = (key, size)
    assert guest.go_on(4) == bytes(4)
    assert {name: guest.read(key, size) for name, (key, size) in found.items()} == FILES


def test_no_files() -> None:
    assert Guest(FwCfg({}, {})).read(0x19, 8) == bytes(8)


def test_blocks_are_what_single_bytes_are(guest: Guest) -> None:
    guest.read(0x8003, 1)
    assert guest.device.read_block(DATA, 1, 2) == b"oc"
    assert guest.go_on(1) == b"a"
    assert guest.device.read_block(DATA, 2, 2) == b"l\0\0\0"
    assert guest.device.read_block(DATA, 1, 3) == bytes(3)
    guest.device.write(SELECTOR, 0)
    assert guest.device.read_block(DATA, 4, 1) == b"QEMU"


def test_data_cannot_be_written(guest: Guest) -> None:
    guest.device.write(SELECTOR, 0x0000)
    guest.device.write(DATA, 0x55)
    assert guest.go_on(4) == b"QEMU"
    assert guest.read(0x4000, 4) == bytes(4), "the key for writing is another one"


def test_the_selector_cannot_be_read(guest: Guest) -> None:
    assert guest.device.read(SELECTOR) == 0


def test_reset_selects_the_signature(guest: Guest) -> None:
    guest.read(0x05, 1)
    guest.device.reset()
    assert guest.go_on(4) == b"QEMU"


def test_a_name_has_room_for_its_end() -> None:
    FwCfg({}, {"n" * (NAME_SIZE - 1): b""})
    with pytest.raises(ValueError, match="up to 55 characters"):
        FwCfg({}, {"n" * NAME_SIZE: b""})
