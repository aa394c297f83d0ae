"""The coprocessor's error latch and IRQ 13."""

from __future__ import annotations

import pytest

from pcemu.devices.coprocessor import CoprocessorError
from pcemu.irq import IrqLine


@pytest.fixture
def irq() -> IrqLine:
    return IrqLine()


@pytest.fixture
def latch(irq: IrqLine) -> CoprocessorError:
    return CoprocessorError(irq)


@pytest.mark.parametrize("register", [0, 1])
def test_an_error_holds_irq_13_until_a_port_is_written(
    latch: CoprocessorError, irq: IrqLine, register: int
) -> None:
    assert not irq.level
    latch.set_error(True)
    assert irq.level
    latch.set_error(False)  # the handler's FNCLEX
    assert irq.level
    latch.write(register, 0)
    assert not irq.level


def test_the_next_error_latches_again(latch: CoprocessorError, irq: IrqLine) -> None:
    latch.set_error(True)
    latch.write(0, 0)
    latch.set_error(False)
    assert not irq.level
    latch.set_error(True)
    assert irq.level


def test_reset(latch: CoprocessorError, irq: IrqLine) -> None:
    latch.set_error(True)
    latch.reset()
    assert not irq.level
    assert latch.read(0) == 0xFF
