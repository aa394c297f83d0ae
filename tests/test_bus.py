"""The port bus: who answers, how wide accesses are split, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pcemu.bus import Access, PortBus
from pcemu.errors import UsageError


class Device:
    """Answers each read with the next of ``values``, and logs every access."""

    def __init__(self, *values: int) -> None:
        self.values = list(values)
        self.log: list[tuple[int, int | None]] = []

    def read(self, register: int) -> int:
        self.log.append((register, None))
        return self.values.pop(0) if self.values else 0x50 + register

    def write(self, register: int, value: int) -> None:
        self.log.append((register, value))


@pytest.fixture
def bus() -> PortBus:
    return PortBus()


def attach(
    bus: PortBus, first: int, count: int, *values: int, base: int | None = None, width: int = 1
) -> Device:
    device, ports = Device(*values), range(first, first + count)
    bus.attach(f"device {first:X}", ports, device.read, device.write, base=base, width=width)
    return device


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_port_that_nobody_answers_reads_as_ones_and_swallows_writes(bus: PortBus, size: int) -> None:
    assert bus.read(0x300, size) == (1 << 8 * size) - 1
    bus.write(0x300, size, 0x12345678)


def test_the_register_is_the_port_less_the_base(bus: PortBus) -> None:
    own = attach(bus, 0x3F8, 8)
    whole = attach(bus, 0x3B0, 0x30, base=0)
    bus.read(0x3FA, 1)
    bus.write(0x3FF, 1, 7)
    bus.write(0x3D4, 1, 0x0E)
    assert own.log == [(2, None), (7, 7)]
    assert whole.log == [(0x3D4, 0x0E)]


def test_one_device_may_have_ports_apart(bus: PortBus) -> None:
    device = Device()
    for port in (0x60, 0x64):
        bus.attach("8042", range(port, port + 1), device.read, device.write, base=0x60)
    assert bus.read(0x60, 1) == 0x50
    assert bus.read(0x64, 1) == 0x54
    assert bus.read(0x61, 1) == 0xFF


@pytest.mark.parametrize("ports", [range(0x1F7, 0x1F8), range(0x1EE, 0x1F1), range(0x1E0, 0x200)])
def test_an_overlap_is_refused_with_both_names_and_attaches_nothing(bus: PortBus, ports: range) -> None:
    attach(bus, 0x1F0, 8)
    before = dict(bus.handlers)
    intruder = Device()
    with pytest.raises(UsageError, match=r"port 0x01f[07] is wanted by intruder but belongs to device 1F0"):
        bus.attach("intruder", ports, intruder.read, intruder.write)
    assert bus.handlers == before


def test_a_wide_access_to_byte_ports_is_split_low_byte_first(bus: PortBus) -> None:
    device = attach(bus, 0x300, 4)
    assert bus.read(0x300, 4) == 0x53525150
    bus.write(0x302, 2, 0xBBAA)
    assert device.log == [(0, None), (1, None), (2, None), (3, None), (2, 0xAA), (3, 0xBB)]


def test_a_wide_access_may_cross_into_another_device_and_into_nothing(bus: PortBus) -> None:
    low, high = attach(bus, 0x300, 1), attach(bus, 0x301, 2, base=0)
    assert bus.read(0x300, 4) == 0xFF525150
    bus.write(0x2FF, 4, 0x44332211)
    assert low.log == [(0, None), (0, 0x22)]
    assert high.log == [(0x301, None), (0x302, None), (0x301, 0x33), (0x302, 0x44)]


def test_a_wide_access_wraps_behind_the_last_port(bus: PortBus) -> None:
    last, first = attach(bus, 0xFFFF, 1), attach(bus, 0, 1)
    assert bus.read(0xFFFF, 2) == 0x5050
    bus.write(0xFFFF, 2, 0x2211)
    assert (last.log[-1], first.log[-1]) == ((0, 0x11), (0, 0x22))


def test_what_a_device_returns_beyond_its_width_is_cut_off(bus: PortBus) -> None:
    attach(bus, 0x300, 1, 0x1FF, 0xABCDEF)
    assert bus.read(0x300, 1) == 0xFF
    assert bus.read(0x300, 2) == 0xFFEF


@pytest.mark.parametrize(
    ("size", "read", "written"),
    [(1, 0x11, [(0, 0xDD)]), (2, 0x2211, [(0, 0xCCDD)]), (4, 0x44332211, [(0, 0xCCDD), (0, 0xAABB)])],
)
def test_a_port_of_16_bits_takes_words(
    bus: PortBus, size: int, read: int, written: list[tuple[int, int | None]]
) -> None:
    device = attach(bus, 0x1F0, 1, 0x2211, 0x4433, width=2)
    neighbour = attach(bus, 0x1F1, 7)
    assert bus.read(0x1F0, size) == read
    reads = len(device.log)
    assert reads == len(written)
    bus.write(0x1F0, size, 0xAABBCCDD)
    assert device.log[reads:] == written
    assert neighbour.log == []


def test_a_split_access_reaches_a_port_of_16_bits_as_a_byte(bus: PortBus) -> None:
    device = attach(bus, 0x1F0, 1, 0x2211, width=2)
    assert bus.read(0x1EF, 2) == 0x11FF
    bus.write(0x1EF, 2, 0xBBAA)
    assert device.log == [(0, None), (0, 0xBB)]


def test_block_functions_are_kept_with_the_port(bus: PortBus) -> None:
    device = Device()
    read_block: Callable[[int, int, int], bytes] = lambda register, size, count: bytes(size * count)  # noqa: E731
    write_block: Callable[[int, int, memoryview], int] = lambda register, size, data: len(data)  # noqa: E731
    bus.attach(
        "disk",
        range(0x1F0, 0x1F1),
        device.read,
        device.write,
        width=2,
        read_block=read_block,
        write_block=write_block,
    )
    handler = bus.handlers[0x1F0]
    assert (handler.read_block, handler.write_block) == (read_block, write_block)
    assert (handler.name, handler.register, handler.width) == ("disk", 0, 2)


# -- watching


def test_a_watcher_hears_of_every_access_and_changes_nothing(bus: PortBus) -> None:
    device = attach(bus, 0x60, 2, 0x11, 0x22, 0x33)
    accesses: list[Access] = []
    bus.watch(accesses.append)
    assert (bus.read(0x60, 1), bus.read(0x60, 2)) == (0x11, 0x3322)
    bus.write(0x61, 1, 7)
    assert bus.read(0x300, 1) == 0xFF
    assert accesses == [
        Access(0x60, "device 60", False, 0x11),
        Access(0x60, "device 60", False, 0x22),
        Access(0x61, "device 60", False, 0x33),
        Access(0x61, "device 60", True, 7),
    ]
    assert device.log == [(0, None), (0, None), (1, None), (1, 7)]


def test_a_watcher_hears_of_blocks(bus: PortBus) -> None:
    device = Device()
    bus.attach(
        "disk", range(0x1F0, 0x1F1), device.read, device.write, width=2,
        read_block=lambda register, size, count: bytes(size * count),
        write_block=lambda register, size, data: 4,
    )  # fmt: skip
    accesses: list[Access] = []
    bus.watch(accesses.append)
    handler = bus.handlers[0x1F0]
    assert handler.read_block is not None and handler.write_block is not None
    assert handler.read_block(0, 2, 256) == bytes(512)
    assert handler.write_block(0, 2, memoryview(bytes(512))) == 4
    assert accesses == [Access(0x1F0, "disk", False, 0, 256), Access(0x1F0, "disk", True, 0, 2)]


def test_nobody_pays_for_a_watcher_that_has_gone(bus: PortBus) -> None:
    attach(bus, 0x60, 2)
    attach(bus, 0x1F0, 1, width=2)
    before = dict(bus.handlers), list(bus.byte_reads), list(bus.byte_writes)
    accesses: list[Access] = []
    bus.watch(accesses.append)
    bus.watch(accesses.append)
    bus.read(0x60, 1)
    assert len(accesses) == 1
    bus.watch(None)
    assert (bus.handlers, bus.byte_reads, bus.byte_writes) == before
    bus.read(0x60, 1)
    assert len(accesses) == 1
