"""The 8259A, case by case from its datasheet, then at random against a reference model."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcemu.devices.pic import I8259
from tests.devices.reference_pic import ReferencePic, cascade

COMMAND, DATA = 0, 1
MASTER_BASE, SLAVE_BASE = 0x08, 0x70

ICW1_CASCADE, ICW1_SINGLE, ICW1_LEVEL = 0x11, 0x13, 0x1B
ICW4_8086, ICW4_AEOI, ICW4_SFNM = 0x01, 0x03, 0x11

NON_SPECIFIC_EOI, SPECIFIC_EOI = 0x20, 0x60
ROTATE_NON_SPECIFIC, ROTATE_SPECIFIC, SET_PRIORITY = 0xA0, 0xE0, 0xC0
ROTATE_AEOI_SET, ROTATE_AEOI_CLEAR = 0x80, 0x00
READ_IRR, READ_ISR, POLL = 0x0A, 0x0B, 0x0C
SPECIAL_MASK_SET, SPECIAL_MASK_RESET = 0x68, 0x48


def single(icw1: int = ICW1_SINGLE, icw4: int = ICW4_8086) -> I8259:
    pic = I8259()
    for register, value in ((COMMAND, icw1), (DATA, MASTER_BASE), (DATA, icw4)):
        pic.write(register, value)
    return pic


def pair(master_icw4: int = ICW4_8086, slave_icw4: int = ICW4_8086) -> tuple[I8259, I8259]:
    master, slave = I8259(), I8259()
    master.connect_slave(2, slave)
    for chip, base, icw3, icw4 in (
        (master, MASTER_BASE, 0x04, master_icw4),
        (slave, SLAVE_BASE, 0x02, slave_icw4),
    ):
        chip.write(COMMAND, ICW1_CASCADE)
        for value in (base, icw3, icw4):
            chip.write(DATA, value)
    return master, slave


def in_service(pic: I8259) -> int:
    pic.write(COMMAND, READ_ISR)
    return pic.read(COMMAND)


def requested(pic: I8259) -> int:
    pic.write(COMMAND, READ_IRR)
    return pic.read(COMMAND)


# Initialisation


def test_a_chip_that_was_not_initialised_is_silent() -> None:
    pic = I8259()
    pic.lines[0].set(True)
    assert not pic.int_out


@pytest.mark.parametrize(
    ("icw1", "rest"),
    [(0x12, 1), (0x13, 2), (0x10, 2), (0x11, 3)],
    ids=["single", "single with ICW4", "cascade", "cascade with ICW4"],
)
def test_icw1_says_how_many_words_follow(icw1: int, rest: int) -> None:
    pic = I8259()
    pic.write(COMMAND, icw1)
    for _ in range(rest):
        pic.lines[3].set(False)
        pic.lines[3].set(True)
        assert not pic.int_out
        pic.write(DATA, 0x20)
    pic.lines[3].set(False)
    pic.lines[3].set(True)
    assert pic.int_out
    pic.write(DATA, 0x08)  # by now this is OCW1
    assert pic.read(DATA) == 0x08
    assert not pic.int_out


def test_icw1_clears_mask_service_priority_special_mask_and_register_choice() -> None:
    pic = single()
    pic.write(DATA, 0x0F)
    pic.write(COMMAND, SET_PRIORITY | 3)
    pic.write(COMMAND, SPECIAL_MASK_SET)
    pic.write(COMMAND, READ_ISR)
    pic.lines[6].set(True)
    pic.acknowledge()
    for register, value in ((COMMAND, ICW1_SINGLE), (DATA, MASTER_BASE), (DATA, ICW4_8086)):
        pic.write(register, value)
    assert pic.read(DATA) == 0
    pic.lines[5].set(True)
    assert pic.read(COMMAND) == 0x20, "reads IRR again"
    assert in_service(pic) == 0
    pic.lines[0].set(True)
    assert pic.acknowledge() == MASTER_BASE, "IR7 is lowest again"


def test_icw1_without_ic4_switches_automatic_eoi_off() -> None:
    pic = single(icw4=ICW4_AEOI)
    pic.write(COMMAND, 0x12)
    pic.write(DATA, MASTER_BASE)
    pic.lines[1].set(True)
    pic.acknowledge()
    assert in_service(pic) == 0x02


def test_a_line_that_is_high_during_icw1_needs_a_new_edge() -> None:
    pic = I8259()
    pic.lines[4].set(True)
    for register, value in ((COMMAND, ICW1_SINGLE), (DATA, MASTER_BASE), (DATA, ICW4_8086)):
        pic.write(register, value)
    assert not pic.int_out
    pic.lines[4].set(False)
    pic.lines[4].set(True)
    assert pic.int_out


def test_the_vector_takes_its_high_five_bits_from_icw2() -> None:
    pic = single()
    pic.write(COMMAND, ICW1_SINGLE)
    pic.write(DATA, 0x57)
    pic.write(DATA, ICW4_8086)
    pic.lines[2].set(True)
    assert pic.acknowledge() == 0x52


def test_reset_leaves_a_silent_chip_that_still_sees_its_wires() -> None:
    pic = single()
    pic.lines[1].set(True)
    assert pic.int_out
    pic.reset()
    assert not pic.int_out
    for register, value in ((COMMAND, ICW1_LEVEL), (DATA, MASTER_BASE), (DATA, ICW4_8086)):
        pic.write(register, value)
    assert pic.acknowledge() == MASTER_BASE + 1


# Requests


def test_an_edge_asks_once() -> None:
    pic = single()
    pic.lines[1].set(True)
    assert pic.int_out
    assert requested(pic) == 0x02
    assert pic.acknowledge() == MASTER_BASE + 1
    assert requested(pic) == 0
    assert in_service(pic) == 0x02
    assert not pic.int_out
    pic.write(COMMAND, NON_SPECIFIC_EOI)
    assert not pic.int_out, "the line is high, but that edge is spent"
    pic.lines[1].set(False)
    pic.lines[1].set(True)
    assert pic.int_out


def test_a_level_asks_again_as_long_as_it_lasts() -> None:
    pic = single(icw1=ICW1_LEVEL)
    pic.lines[1].set(True)
    assert pic.acknowledge() == MASTER_BASE + 1
    assert requested(pic) == 0x02
    assert not pic.int_out, "its own service blocks it"
    pic.write(COMMAND, NON_SPECIFIC_EOI)
    assert pic.int_out
    pic.lines[1].set(False)
    assert not pic.int_out


@pytest.mark.parametrize("icw1", [ICW1_SINGLE, ICW1_LEVEL], ids=["edge", "level"])
def test_a_line_that_falls_before_the_acknowledge_gives_spurious_level_7(icw1: int) -> None:
    pic = single(icw1=icw1)
    pic.lines[3].set(True)
    pic.lines[3].set(False)
    assert requested(pic) == 0
    assert not pic.int_out
    assert pic.acknowledge() == MASTER_BASE + 7
    assert in_service(pic) == 0, "a real level 7 would be in service"


def test_a_masked_edge_waits_for_the_mask_to_go() -> None:
    pic = single()
    pic.write(DATA, 0x10)
    pic.lines[4].set(True)
    assert not pic.int_out
    assert requested(pic) == 0x10
    pic.write(DATA, 0x00)
    assert pic.int_out


def test_a_higher_level_interrupts_a_lower_one_and_not_the_other_way_round() -> None:
    pic = single()
    pic.lines[4].set(True)
    pic.acknowledge()
    pic.lines[5].set(True)
    assert not pic.int_out
    pic.lines[3].set(True)
    assert pic.acknowledge() == MASTER_BASE + 3
    assert in_service(pic) == 0x18
    pic.write(COMMAND, NON_SPECIFIC_EOI)
    assert in_service(pic) == 0x10
    assert not pic.int_out
    pic.write(COMMAND, NON_SPECIFIC_EOI)
    assert pic.acknowledge() == MASTER_BASE + 5


def test_int_changed_hears_every_change_and_the_drop_at_the_acknowledge() -> None:
    pic = single(icw4=ICW4_AEOI)
    heard: list[bool] = []
    pic.int_changed = heard.append
    pic.lines[1].set(True)
    pic.lines[0].set(True)
    pic.acknowledge()
    assert heard == [True, False, True]
    assert pic.int_out


# End of interrupt and rotation


def test_a_specific_eoi_ends_the_level_that_it_names() -> None:
    pic = single()
    for level in (6, 2):
        pic.lines[level].set(True)
        pic.acknowledge()
    pic.write(COMMAND, SPECIFIC_EOI | 6)
    assert in_service(pic) == 0x04


def test_an_eoi_with_nothing_in_service_is_harmless() -> None:
    pic = single()
    pic.write(COMMAND, ROTATE_NON_SPECIFIC)
    pic.lines[7].set(True)
    pic.lines[0].set(True)
    assert pic.acknowledge() == MASTER_BASE


def test_ocw2_010_does_nothing() -> None:
    pic = single()
    pic.lines[3].set(True)
    pic.acknowledge()
    pic.write(COMMAND, 0x43)
    assert in_service(pic) == 0x08
    pic.lines[2].set(True)
    assert pic.acknowledge() == MASTER_BASE + 2


def test_rotate_on_non_specific_eoi_makes_the_served_level_lowest() -> None:
    pic = single()
    pic.lines[4].set(True)
    pic.lines[6].set(True)
    pic.acknowledge()
    pic.write(COMMAND, ROTATE_NON_SPECIFIC)
    pic.lines[4].set(False)
    pic.lines[4].set(True)
    pic.lines[3].set(True)
    assert [pic.acknowledge()] == [MASTER_BASE + 6], "order is now 5 6 7 0 1 2 3 4"
    pic.write(COMMAND, NON_SPECIFIC_EOI)
    assert pic.acknowledge() == MASTER_BASE + 3
    pic.write(COMMAND, NON_SPECIFIC_EOI)
    assert pic.acknowledge() == MASTER_BASE + 4


def test_rotate_on_specific_eoi_ends_and_makes_lowest() -> None:
    pic = single()
    pic.lines[1].set(True)
    pic.acknowledge()
    pic.write(COMMAND, ROTATE_SPECIFIC | 1)
    assert in_service(pic) == 0
    pic.lines[0].set(True)
    pic.lines[2].set(True)
    assert pic.acknowledge() == MASTER_BASE + 2


def test_set_priority_touches_nothing_in_service() -> None:
    pic = single()
    pic.lines[5].set(True)
    pic.acknowledge()
    pic.lines[6].set(True)
    assert not pic.int_out
    pic.write(COMMAND, SET_PRIORITY | 5)
    assert in_service(pic) == 0x20
    assert pic.acknowledge() == MASTER_BASE + 6, "5 is lowest, so 6 is highest"


def test_automatic_eoi_leaves_nothing_in_service() -> None:
    pic = single(icw4=ICW4_AEOI)
    pic.lines[2].set(True)
    pic.lines[5].set(True)
    assert pic.acknowledge() == MASTER_BASE + 2
    assert in_service(pic) == 0
    assert pic.acknowledge() == MASTER_BASE + 5


def test_rotation_in_automatic_eoi_mode_can_be_set_and_cleared() -> None:
    pic = single(icw4=ICW4_AEOI)
    pic.write(COMMAND, ROTATE_AEOI_SET)
    for level in (0, 1):
        pic.lines[level].set(True)
    assert pic.acknowledge() == MASTER_BASE
    pic.lines[0].set(False)
    pic.lines[0].set(True)
    assert pic.acknowledge() == MASTER_BASE + 1
    pic.write(COMMAND, ROTATE_AEOI_CLEAR)
    pic.lines[1].set(False)
    pic.lines[1].set(True)
    assert pic.acknowledge() == MASTER_BASE, "order is 2 3 4 5 6 7 0 1"
    pic.lines[0].set(False)
    pic.lines[0].set(True)
    assert pic.acknowledge() == MASTER_BASE, "no longer rotated to the end"


# Special modes


def test_special_mask_mode_lets_lower_levels_through_a_masked_service() -> None:
    pic = single()
    pic.lines[3].set(True)
    pic.acknowledge()
    pic.lines[6].set(True)
    pic.write(DATA, 0x08)
    assert not pic.int_out
    pic.write(COMMAND, SPECIAL_MASK_SET)
    assert pic.acknowledge() == MASTER_BASE + 6
    pic.write(COMMAND, NON_SPECIFIC_EOI)
    assert in_service(pic) == 0x08
    pic.write(COMMAND, NON_SPECIFIC_EOI)
    assert in_service(pic) == 0x08, "a non-specific EOI overlooks what the special mask hides"
    pic.write(COMMAND, SPECIFIC_EOI | 3)
    assert in_service(pic) == 0


def test_special_mask_mode_changes_only_with_esmm() -> None:
    pic = single()
    pic.lines[0].set(True)
    pic.acknowledge()
    pic.lines[7].set(True)
    pic.write(DATA, 0x01)
    pic.write(COMMAND, 0x28)
    assert not pic.int_out
    pic.write(COMMAND, SPECIAL_MASK_SET)
    pic.write(COMMAND, 0x08)
    assert pic.int_out
    pic.write(COMMAND, SPECIAL_MASK_RESET)
    assert not pic.int_out


def test_the_choice_of_irr_or_isr_stays_until_changed() -> None:
    pic = single()
    pic.lines[1].set(True)
    pic.acknowledge()
    pic.lines[5].set(True)
    pic.write(COMMAND, READ_ISR)
    assert [pic.read(COMMAND) for _ in range(2)] == [0x02, 0x02]
    pic.write(COMMAND, SPECIAL_MASK_RESET)
    assert pic.read(COMMAND) == 0x02
    pic.write(COMMAND, READ_IRR)
    assert pic.read(COMMAND) == 0x20


def test_a_poll_acknowledges_and_holds_for_one_read() -> None:
    pic = single()
    pic.lines[5].set(True)
    pic.write(COMMAND, POLL)
    assert pic.read(COMMAND) == 0x85
    assert not pic.int_out
    assert pic.read(COMMAND) == 0, "IRR: the request has gone into service"
    assert in_service(pic) == 0x20


def test_a_poll_without_a_request_says_so() -> None:
    pic = single()
    pic.write(COMMAND, POLL)
    assert not pic.read(COMMAND) & 0x80
    assert in_service(pic) == 0


# Cascade


def test_a_slave_interrupt_goes_through_both_chips() -> None:
    master, slave = pair()
    slave.lines[6].set(True)
    assert master.int_out
    assert master.acknowledge() == SLAVE_BASE + 6
    assert in_service(master) == 0x04
    assert in_service(slave) == 0x40
    slave.write(COMMAND, NON_SPECIFIC_EOI)
    master.write(COMMAND, NON_SPECIFIC_EOI)
    assert in_service(master) == in_service(slave) == 0


@pytest.mark.parametrize("level", range(8))
def test_every_level_of_the_slave_has_its_own_vector(level: int) -> None:
    master, slave = pair()
    slave.lines[level].set(True)
    assert master.acknowledge() == SLAVE_BASE + level
    assert in_service(slave) == 1 << level


def test_two_slave_interrupts_in_turn() -> None:
    master, slave = pair()
    slave.lines[0].set(True)
    slave.lines[6].set(True)
    assert master.acknowledge() == SLAVE_BASE
    assert not master.int_out
    slave.write(COMMAND, NON_SPECIFIC_EOI)
    assert not master.int_out
    master.write(COMMAND, NON_SPECIFIC_EOI)
    assert master.acknowledge() == SLAVE_BASE + 6


def test_a_slave_in_automatic_eoi_gives_the_master_an_edge_for_each_request() -> None:
    master, slave = pair(slave_icw4=ICW4_AEOI)
    slave.lines[0].set(True)
    slave.lines[6].set(True)
    assert master.acknowledge() == SLAVE_BASE
    master.write(COMMAND, NON_SPECIFIC_EOI)
    assert master.acknowledge() == SLAVE_BASE + 6


def test_slave_levels_rank_between_ir1_and_ir3() -> None:
    master, slave = pair()
    slave.lines[0].set(True)
    master.lines[3].set(True)
    master.lines[1].set(True)
    vectors = []
    while master.int_out:
        vectors.append(master.acknowledge())
        if vectors[-1] >= SLAVE_BASE:
            slave.write(COMMAND, NON_SPECIFIC_EOI)
        master.write(COMMAND, NON_SPECIFIC_EOI)
    assert vectors == [MASTER_BASE + 1, SLAVE_BASE, MASTER_BASE + 3]


def test_a_request_that_leaves_the_slave_before_its_vector_gives_spurious_irq_15() -> None:
    # The processor's INTA freezes the master's IR2; only then does the slave find nothing to answer with.
    master, slave = pair()
    slave.lines[4].set(True)
    slave.int_changed = lambda level: None
    slave.lines[4].set(False)
    assert master.acknowledge() == SLAVE_BASE + 7
    assert in_service(slave) == 0
    assert in_service(master) == 0x04, "the master must get an EOI, the slave must not"


def test_a_request_that_leaves_the_slave_in_time_gives_spurious_irq_7() -> None:
    master, slave = pair()
    slave.lines[4].set(True)
    slave.lines[4].set(False)
    assert not master.int_out
    assert master.acknowledge() == MASTER_BASE + 7
    assert in_service(master) == 0


def test_a_slave_of_another_identity_does_not_answer() -> None:
    master, slave = pair()
    slave.write(COMMAND, ICW1_CASCADE)
    for value in (SLAVE_BASE, 0x05, ICW4_8086):
        slave.write(DATA, value)
    slave.lines[1].set(True)
    assert master.acknowledge() == 0xFF
    assert in_service(slave) == 0


def test_a_slave_that_got_no_icw3_has_identity_7() -> None:
    for level, expected in ((7, MASTER_BASE + 1), (2, 0xFF)):
        master, _ = pair()
        slave = single()
        master.connect_slave(level, slave)
        master.write(COMMAND, ICW1_CASCADE)
        for value in (0x20, 1 << level, ICW4_8086):
            master.write(DATA, value)
        slave.lines[1].set(True)
        assert master.acknowledge() == expected


def test_normal_nesting_shuts_out_the_slave_in_service_and_special_nesting_does_not() -> None:
    for icw4, expected in ((ICW4_8086, False), (ICW4_SFNM, True)):
        master, slave = pair(master_icw4=icw4)
        slave.lines[5].set(True)
        master.acknowledge()
        slave.lines[1].set(True)
        assert slave.int_out
        assert master.int_out is expected
    assert master.acknowledge() == SLAVE_BASE + 1
    slave.write(COMMAND, NON_SPECIFIC_EOI)
    assert in_service(slave) == 0x20, "software asks this before it ends the master's level"


def test_special_nesting_is_for_slave_levels_only() -> None:
    master, _ = pair(master_icw4=ICW4_SFNM)
    master.lines[4].set(True)
    master.acknowledge()
    master.lines[4].set(False)
    master.lines[4].set(True)
    assert not master.int_out


def test_a_poll_of_the_master_leaves_the_slave_to_be_polled() -> None:
    master, slave = pair()
    slave.lines[3].set(True)
    master.write(COMMAND, POLL)
    assert master.read(COMMAND) == 0x82
    slave.write(COMMAND, POLL)
    assert slave.read(COMMAND) == 0x83


def test_a_slave_that_asked_before_it_was_wired_is_heard() -> None:
    slave = single()
    slave.lines[0].set(True)
    master = single()
    master.connect_slave(2, slave)
    assert master.acknowledge() == MASTER_BASE + 2, "in single mode IR2 is a level like any other"


# At random

Step = tuple[str, int, int, int]


class Rig:
    """The chips and the reference side by side; ``do`` makes a step in both and compares all that shows."""

    def __init__(self) -> None:
        self.chips = (I8259(), I8259())
        self.chips[0].connect_slave(2, self.chips[1])
        self.models = (ReferencePic(), ReferencePic())
        cascade(self.models[0], 2, self.models[1])

    def do(self, step: Step) -> None:
        action, who, register, value = step
        chip, model = self.chips[who], self.models[who]
        if action == "line":
            if (who, register) != (0, 2):
                chip.lines[register].set(bool(value))
                model.drive(register, bool(value))
        elif action == "write":
            chip.write(register, value)
            model.write(register, value)
        elif action == "read":
            assert chip.read(register) == model.read(register), step
        elif action == "acknowledge":
            assert self.chips[0].acknowledge() == self.models[0].inta(), step
        else:
            chip.reset()
            model.power_on()
        for chip, model in zip(self.chips, self.models, strict=True):
            assert chip.int_out is model.int_pin, step
            assert chip.irr == sum(model.requested(n) << n for n in range(8)), step
            assert chip.isr == sum(model.service[n] << n for n in range(8)), step


def initialise(chip: int, ltim: int, icw3: int, icw4: int) -> list[Step]:
    words = (ICW1_CASCADE | ltim, (MASTER_BASE, SLAVE_BASE)[chip], icw3, icw4)
    return [("write", chip, int(i > 0), word) for i, word in enumerate(words)]


CHIP = st.integers(0, 1)
ICW4 = st.sampled_from([0x01, 0x01, 0x03, 0x11, 0x13])
LTIM = st.sampled_from([0, 0, 0, 8])
INITIALISATIONS = st.one_of(
    st.builds(initialise, st.just(0), LTIM, st.sampled_from([0x04, 0x04, 0x06, 0x00]), ICW4),
    st.builds(initialise, st.just(1), LTIM, st.sampled_from([0x02, 0x02, 0x02, 0x05]), ICW4),
)
OCW2 = st.builds(lambda command, level: command << 5 | level, st.integers(0, 7), st.integers(0, 7))
OCW3 = st.sampled_from([READ_IRR, READ_ISR, POLL, SPECIAL_MASK_SET, SPECIAL_MASK_RESET, 0x28, 0x0E])
MASK = st.one_of(st.just(0), st.integers(0, 7).map(lambda n: 1 << n), st.integers(0, 0xFF))
STEPS = st.one_of(
    st.tuples(st.just("line"), CHIP, st.integers(0, 7), st.integers(0, 1)),
    st.tuples(st.just("line"), CHIP, st.integers(0, 7), st.just(1)),
    st.tuples(st.just("acknowledge"), st.just(0), st.just(0), st.just(0)),
    st.tuples(st.just("write"), CHIP, st.just(COMMAND), st.one_of(OCW2, st.just(NON_SPECIFIC_EOI), OCW3)),
    st.tuples(st.just("write"), CHIP, st.just(DATA), MASK),
    st.tuples(st.just("read"), CHIP, st.integers(0, 1), st.just(0)),
).map(lambda step: [step])


@settings(max_examples=150, deadline=None)
@given(INITIALISATIONS, st.lists(st.one_of(STEPS, STEPS, STEPS, STEPS, INITIALISATIONS), max_size=40))
def test_any_sequence_behaves_as_the_reference(first: list[Step], later: list[list[Step]]) -> None:
    rig = Rig()
    for chip in (0, 1):
        for step in initialise(chip, 0, (0x04, 0x02)[chip], ICW4_8086):
            rig.do(step)
    for steps in (first, *later):
        for step in steps:
            rig.do(step)


def test_a_long_run_of_raw_bytes_behaves_as_the_reference() -> None:
    dice = random.Random(8259)
    rig = Rig()
    for _ in range(20_000):
        action = dice.choices(("line", "write", "read", "acknowledge", "reset"), (8, 8, 3, 3, 0.02))[0]
        who = dice.randrange(2)
        if action == "line":
            rig.do((action, who, dice.randrange(8), dice.randrange(2)))
        else:
            value = dice.choice((dice.randrange(256), dice.randrange(256) & ~0x10))
            rig.do((action, who, dice.randrange(2), value))
