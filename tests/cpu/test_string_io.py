"""INS and OUTS: a device that moves blocks and one that does not leave the same machine behind.

The reference is the engine itself, which serves a device without block functions item by item.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcemu.cpu import Registers, Stop
from pcemu.cpu.ports import PORT_TICKS, TICKS_PER_BLOCK_ITEM
from tests.cpu.guest import RESULTS, Guest
from tests.drives.proof import FULL

PORT = 0x1F0
PARAMETERS = 0x600
OPERATION = 0x7F00
SLICES = (1, 7, 100_000) if FULL else (7, 100_000)
DATA = range(0x10000, 0x30000)  # where the tests let blocks come from and go to
PATTERN = Random(1).randbytes(len(DATA))
SIZES = {"b": 1, "w": 2, "d": 4}
OVERRIDES = {"": b"", "es": b"\x26", "cs": b"\x2e", "ss": b"\x36", "ds": b"\x3e", "fs": b"d", "gs": b"e"}

# Loads the registers from PARAMETERS, then runs what lies at OPERATION.
LOADER = f"""
    mov ax, [{PARAMETERS}]
    mov es, ax
    mov ax, [{PARAMETERS + 2}]
    mov fs, ax
    mov ax, [{PARAMETERS + 4}]
    mov gs, ax
    mov ecx, [{PARAMETERS + 8}]
    mov esi, [{PARAMETERS + 12}]
    mov edi, [{PARAMETERS + 16}]
    mov edx, {PORT}
    push word [{PARAMETERS + 6}]
    popf
    mov ax, [{PARAMETERS + 20}]
    mov ss, ax
    mov ax, [{PARAMETERS + 22}]
    mov ds, ax
    jmp {OPERATION}
"""


class Device:
    """A 16-bit data port that gives words of a fixed sequence and keeps what is written.

    As a block device it moves at most ``limits`` items in one call, one limit after the other, the way a
    disk does at the ends of its blocks.
    """

    def __init__(self, limits: tuple[int, ...] = (256,)) -> None:
        self.limits = cycle(limits)
        self.reads = 0
        self.written: list[int] = []
        self.blocks = 0

    def read(self, register: int) -> int:
        self.reads += 1
        return self.reads * 0x9E37 + 0x1234 & 0xFFFF

    def write(self, register: int, value: int) -> None:
        self.written.append(value)

    def read_block(self, register: int, size: int, count: int) -> bytes:
        self.blocks += 1
        block = b""
        for _ in range(min(count, next(self.limits))):
            value = self.read(register)
            if size == 4:
                value |= self.read(register) << 16
            block += value.to_bytes(max(size, 2), "little")[:size]
        return block

    def write_block(self, register: int, size: int, data: memoryview) -> int:
        self.blocks += 1
        taken = min(len(data), next(self.limits) * size)
        for at in range(0, taken, min(size, 2)):
            self.write(register, int.from_bytes(data[at : at + min(size, 2)], "little"))
        return taken


@dataclass(frozen=True)
class Case:
    """One string instruction with the registers that it meets."""

    ins: bool
    size: str
    count: int
    offset: int = 0x100
    segment: int = DATA.start >> 4
    override: str = ""
    address32: bool = False
    backwards: bool = False
    rep: bytes = b"\xf3"
    upper: int = 0  # upper halves of ECX, ESI and EDI while addresses have 16 bits
    before: bytes = b""  # code in the same basic block
    ticks: int = 100_000
    limits: tuple[int, ...] = (256,)

    @property
    def code(self) -> bytes:
        """The instruction and HLT."""
        opcode = (0x6C if self.ins else 0x6E) + (self.size != "b")
        prefixes = OVERRIDES[self.override] + b"\x67" * self.address32 + b"\x66" * (self.size == "d")
        return self.before + prefixes + self.rep + bytes([opcode]) + b"\xf4"

    @property
    def parameters(self) -> bytes:
        """What LOADER loads: every segment that the instruction does not use points elsewhere."""
        other = 0x2800
        used = "es" if self.ins else self.override or "ds"
        segments = {name: other + 0x10 * i for i, name in enumerate(("es", "fs", "gs", "ss", "ds"))}
        if used != "cs":
            segments[used] = self.segment
        upper = 0 if self.address32 else self.upper << 16
        wide = [value + upper for value in (self.count, self.offset, self.offset)]
        half = [segments["es"], segments["fs"], segments["gs"], 0x400 if self.backwards else 0]
        return b"".join(
            [
                *(value.to_bytes(2, "little") for value in half),
                *(value.to_bytes(4, "little") for value in wide),
                *(segments[name].to_bytes(2, "little") for name in ("ss", "ds")),
            ]
        )


class Bench:
    """A guest that runs one case after the other, and its device."""

    def __init__(self, blocks: bool) -> None:
        self.guest = Guest(LOADER)
        self.blocks = blocks
        self.device = Device()
        bus = self.guest.bus
        bus.attach(
            "device",
            range(PORT, PORT + 1),
            lambda register: self.device.read(register),
            lambda register, value: self.device.write(register, value),
            width=2,
            read_block=(lambda *a: self.device.read_block(*a)) if blocks else None,
            write_block=(lambda *a: self.device.write_block(*a)) if blocks else None,
        )
        self.clean = bytes(self.guest.ram[:])

    def run(self, case: Case) -> tuple[Registers, bytes, int, list[int]]:
        """Registers, RAM, words read and words written."""
        guest, ram = self.guest, self.guest.ram
        self.device = Device(case.limits)
        guest.cpu.reset()
        ram[:] = self.clean
        ram[DATA.start : DATA.stop] = PATTERN
        ram[PARAMETERS : PARAMETERS + len(case.parameters)] = case.parameters
        ram[OPERATION : OPERATION + len(case.code)] = case.code
        guest.run(case.ticks, slices=200_000)
        return guest.cpu.registers, bytes(ram[:]), self.device.reads, self.device.written


@pytest.fixture(scope="module")
def benches() -> Iterator[tuple[Bench, Bench]]:
    yield Bench(blocks=True), Bench(blocks=False)


def check(benches: tuple[Bench, Bench], case: Case) -> Bench:
    """Both ways give the same; returns the bench with blocks."""
    fast, slow = benches
    got, expected = fast.run(case), slow.run(case)
    assert got[0] == expected[0], case
    assert got[2:] == expected[2:], case
    if got[1] != expected[1]:
        first = next(i for i in range(len(got[1])) if got[1][i] != expected[1][i])
        pytest.fail(f"{case}: RAM differs first at {first:#x}")
    return fast


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ins", [True, False], ids=["ins", "outs"])
def test_every_combination(benches: tuple[Bench, Bench], ins: bool, size: str) -> None:
    """Address size × direction × count × slice length × what the device moves at once."""
    for address32, backwards, count, ticks, limits in product(
        (False, True), (False, True), (0, 1, 2, 3, 40), SLICES, ((256,), (1, 2, 5))
    ):
        case = Case(
            ins, size, count, address32=address32, backwards=backwards, ticks=ticks, limits=limits
        )
        check(benches, replace(case, before=b"\x42\x4a"))
        fast = check(benches, case)
        # The reference says what is right; this says that it was done in blocks where it may be.
        assert bool(fast.device.blocks) is (count > 1 and not backwards), case


@pytest.mark.parametrize("override", OVERRIDES)
@pytest.mark.parametrize("ins", [True, False], ids=["ins", "outs"])
def test_the_source_may_be_in_any_segment_the_destination_is_in_es(
    benches: tuple[Bench, Bench], ins: bool, override: str
) -> None:
    fast = check(benches, Case(ins, "w", 30, override=override))
    assert fast.device.blocks
    if not ins and override != "cs":
        assert fast.device.written[0] == int.from_bytes(PATTERN[0x100:0x102], "little")


@pytest.mark.parametrize("rep", [b"\xf2", b"\xf3\xf3", b""], ids=["repne", "rep rep", "none"])
@pytest.mark.parametrize("ins", [True, False], ids=["ins", "outs"])
def test_other_prefixes(benches: tuple[Bench, Bench], ins: bool, rep: bytes) -> None:
    fast = check(benches, Case(ins, "w", 30, rep=rep))
    assert bool(fast.device.blocks) is bool(rep)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ins", [True, False], ids=["ins", "outs"])
@pytest.mark.parametrize("offset", [0xFFFF, 0xFFFE, 0xFFFD, 0xFFF8, 0xFFE1, 0])
def test_the_wrap_at_64_kib(benches: tuple[Bench, Bench], ins: bool, size: str, offset: int) -> None:
    for address32, backwards in product((False, True), (False, True)):
        check(benches, Case(ins, size, 40, offset=offset, address32=address32, backwards=backwards))


def test_upper_halves_of_registers_stay_with_16_bit_addresses(benches: tuple[Bench, Bench]) -> None:
    for ins, offset in product((True, False), (0x100, 0xFFF8)):
        fast = check(benches, Case(ins, "w", 40, offset=offset, upper=0xABCD))
        assert fast.guest.cpu.registers.ecx == 0xABCD0000
        assert fast.device.blocks


@pytest.mark.parametrize(
    ("segment", "offset"),
    [
        (0x9FF0, 0x0F0),  # up to the VGA window and into it
        (0xA000, 0),
        (0xBFF0, 0xF0),  # out of it, into the ROM area
        (0xFFF0, 0xF8),  # over the first mebibyte
        (0xFFFF, 0x10),  # extended memory
    ],
)
def test_the_edges_of_memory(benches: tuple[Bench, Bench], segment: int, offset: int) -> None:
    for ins, size, a20 in product((True, False), SIZES, (True, False)):
        for bench in benches:
            bench.guest.cpu.mmu.a20 = a20
        check(benches, Case(ins, size, 40, segment=segment, offset=offset))
    for bench in benches:
        bench.guest.cpu.mmu.a20 = True


@pytest.mark.parametrize("offset", [0x3FFFF0, 0x3FFFFF, 0x400000, 0xFFFFFFF0])
def test_the_end_of_ram_with_32_bit_addresses(benches: tuple[Bench, Bench], offset: int) -> None:
    for ins, size in product((True, False), SIZES):
        check(benches, Case(ins, size, 40, segment=0, offset=offset, address32=True))


@settings(max_examples=150, deadline=None)
@given(
    st.builds(
        Case,
        ins=st.booleans(),
        size=st.sampled_from(sorted(SIZES)),
        count=st.integers(0, 600),
        offset=st.integers(0, 0xFFFF),
        segment=st.integers(0x1000, 0x1FFF),
        override=st.sampled_from(sorted(OVERRIDES)),
        address32=st.booleans(),
        backwards=st.sampled_from([False, False, False, True]),
        upper=st.integers(0, 0xFFFF),
        before=st.sampled_from([b"", b"\x90"]),
        ticks=st.sampled_from([1, 3, 300, 100_000]),
        limits=st.lists(st.integers(1, 300), min_size=1, max_size=3).map(tuple),
    )
)
def test_random_cases(benches: tuple[Bench, Bench], case: Case) -> None:
    check(benches, case)


# A routine runs, INS replaces it, it runs again.
REPLACED = """
    mov dx, 0x1F0
    mov word [0x9000], 0x01B0       ; mov al, 1
    mov byte [0x9002], 0xC3         ; ret
    call 0x9000
    mov [0x2000], al
    mov di, 0x8FC0
    mov cx, 0x40
    rep insw
    call 0x9000
    mov [0x2001], al
"""


@pytest.mark.parametrize("blocks", [True, False])
def test_code_that_a_block_replaced_is_translated_again(blocks: bool) -> None:
    guest = Guest(REPLACED)
    device = Device()
    sector = b"\x90" * 0x40 + b"\xb0\x02\xc3" + b"\x90" * 0x3D
    words = iter(int.from_bytes(sector[at : at + 2], "little") for at in range(0, 0x80, 2))
    device.read = lambda register: next(words)  # type: ignore[method-assign]
    guest.bus.attach(
        "disk", range(PORT, PORT + 1), device.read, device.write, width=2,
        read_block=device.read_block if blocks else None,
    )  # fmt: skip
    guest.run()
    assert guest.ram[RESULTS : RESULTS + 2] == b"\x01\x02"
    assert bool(device.blocks) is blocks


def test_code_is_translated_again_under_every_address_of_its_page() -> None:
    """The routine runs at 1000:0000 and 0F00:1000, the block arrives at 0000:F000 on."""
    guest = Guest(
        "mov dx, 0x1F0\nmov ax, 0x1000\nmov es, ax\nmov dword [es:0], 0x90CB01B0\n"
        "call 0x1000:0\nmov [0x2000], al\ncall 0x0F00:0x1000\nmov [0x2001], al\n"
        "mov ax, 0xF00\nmov es, ax\nmov di, 0xF80\nmov cx, 0x80\nrep insw\n"
        "call 0x1000:0\nmov [0x2002], al\ncall 0x0F00:0x1000\nmov [0x2003], al"
    )
    device = Device()
    sector = bytes(0x80) + b"\xb0\x07\xcb" + bytes(0x7D)
    words = iter(int.from_bytes(sector[at : at + 2], "little") for at in range(0, 0x100, 2))
    device.read = lambda register: next(words)  # type: ignore[method-assign]
    guest.bus.attach(
        "disk", range(PORT, PORT + 1), device.read, device.write, width=2, read_block=device.read_block
    )
    guest.run()
    assert device.blocks
    assert guest.ram[RESULTS : RESULTS + 4] == b"\x01\x01\x07\x07"


@pytest.mark.parametrize("blocks", [True, False])
def test_a_block_over_the_very_instruction_that_moves_it(blocks: bool) -> None:
    """The device gives the bytes that are there already: nothing changes, and nothing breaks."""
    guest = Guest("mov dx, 0x1F0\nmov di, 0x7C00\nmov cx, 0x80\nmov bx, 7\nrep insw\nmov [0x2000], bx")
    code = bytes(guest.ram[0x7C00:0x7D00])
    words = iter(int.from_bytes(code[at : at + 2], "little") for at in range(0, len(code), 2))
    device = Device()
    device.read = lambda register: next(words)  # type: ignore[method-assign]
    guest.bus.attach(
        "disk", range(PORT, PORT + 1), device.read, device.write, width=2,
        read_block=device.read_block if blocks else None,
    )  # fmt: skip
    guest.run()
    assert guest.word() == 7
    assert guest.ram[0x7C00:0x7D00] == code
    assert guest.cpu.registers.edi == 0x7D00


@pytest.mark.parametrize("code", ["rep insw", "rep outsw"])
def test_what_a_device_raises_in_a_block_comes_out_of_run(code: str) -> None:
    guest = Guest(f"mov dx, 0x1F0\nmov di, 0x3000\nmov si, di\nmov cx, 100\n{code}")

    def broken(register: int, size: int, items: object) -> int:
        raise OSError("broken block")

    device = Device()
    guest.bus.attach(
        "disk", range(PORT, PORT + 1), device.read, device.write, width=2,
        read_block=broken, write_block=broken,  # type: ignore[arg-type]
    )  # fmt: skip
    with pytest.raises(OSError, match="broken block"):
        guest.run()


@pytest.mark.parametrize("code", ["rep insw", "rep outsw"])
def test_a_block_takes_its_time_by_the_item(code: str) -> None:
    """The first item goes the slow way; the others are one access and so much for each item behind it."""

    def ticks(count: int) -> int:
        guest = Guest(f"mov dx, 0x1F0\nmov di, 0x3000\nmov si, di\nmov cx, {count}\njmp go\ngo: {code}")
        device = Device((1000,))
        guest.bus.attach(
            "disk", range(PORT, PORT + 1), device.read, device.write, width=2,
            read_block=device.read_block, write_block=device.write_block,
        )  # fmt: skip
        assert guest.cpu.run(1_000_000_000) is Stop.HALT
        return guest.cpu.ticks_used

    assert ticks(500) - ticks(100) == 400 * TICKS_PER_BLOCK_ITEM
    assert ticks(100) < 3 * PORT_TICKS + 100 * TICKS_PER_BLOCK_ITEM + 200


@pytest.mark.parametrize(
    ("offset", "kept", "blocks"),
    [
        (0xF1000, slice(0, 64), True),
        (0xFFFE0, slice(0, 64), True),  # and on in extended memory
        (0xEFFF0, slice(16, 64), True),  # from where no ROM is, item by item, into shadow RAM
        (0xE1000, slice(0, 0), False),
    ],
)
def test_shadow_ram_takes_blocks_and_where_no_rom_is_nothing(offset: int, kept: slice, blocks: bool) -> None:
    source = f"mov dx, 0x1F0\nxor ax, ax\nmov es, ax\nmov edi, {offset}\nmov ecx, 32\na32 rep insw"
    guest = Guest(source, shadow=True)
    data = bytes(range(1, 65))
    position = 0
    sizes = []

    def take(count: int) -> bytes:
        nonlocal position
        position += count
        return data[position - count : position]

    def read_block(register: int, size: int, count: int) -> bytes:
        sizes.append(count)
        return take(size * count)

    ports = range(0x1F0, 0x1F1)
    guest.bus.attach(
        "data",
        ports,
        lambda _: int.from_bytes(take(2), "little"),
        lambda _, value: None,
        width=2,
        read_block=read_block,
    )
    guest.cpu.mmu.a20 = True
    before = bytes(guest.ram[offset : offset + 64])
    guest.run()
    found = bytes(guest.ram[offset : offset + 64])
    assert found[kept] == data[kept]
    assert found[: kept.start] == before[: kept.start]
    assert position == 64
    assert bool(sizes) is blocks
