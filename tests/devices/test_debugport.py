"""Debug console port E9h."""

from __future__ import annotations

from pcemu.devices.debugport import DebugPort


def test_writes_reach_the_sink_in_order() -> None:
    heard = bytearray()
    port = DebugPort(heard.append)
    for byte in b"hello\n\xff":
        port.write(0, byte)
    assert heard == b"hello\n\xff"


def test_reads_give_the_port_number() -> None:
    port = DebugPort(lambda byte: None)
    port.write(0, 0x12)
    port.reset()
    assert port.read(0) == 0xE9
