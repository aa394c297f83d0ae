"""INMOS IMSG171: the colour palette of a VGA, and what turns its colours into voltages.

The VGA (vga.py) passes ports 3C6h–3C9h on:

====== ============================== ===========================================
Port   Read                           Write
====== ============================== ===========================================
3C6    pixel mask                     pixel mask
3C7    state                          read address
3C8    address                        write address
3C9    red, green, blue in turn       the same; the third stores the colour
====== ============================== ===========================================

**Not implemented**: the snow that accesses outside the retraces gave on the first boards.

Data sheet: INMOS IMSG171; the state register is IBM's (PS/2 Hardware Interface Technical Reference).
"""

from __future__ import annotations

RGB = tuple[int, int, int]


class Dac:
    """256 colours of 6 bits a component, reached through one address that counts up by itself."""

    STATE_WRITING, STATE_READING = 0x00, 0x03

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """All black, nothing masked."""
        self.colours = bytearray(256 * 3)
        self.mask = 0xFF
        self.state = self.STATE_WRITING
        self.address = 0
        self._colour = bytearray(3)
        self._component = 0

    def start_read(self, address: int) -> None:
        """3C7h: read from ``address`` on."""
        self.state = self.STATE_READING
        self.address = address
        self._component = 0
        self._fetch()

    def start_write(self, address: int) -> None:
        """3C8h: write from ``address`` on."""
        self.state = self.STATE_WRITING
        self.address = address
        self._component = 0

    def read_data(self) -> int:
        """3C9h: the next component."""
        value = self._colour[self._component]
        self._component += 1
        if self._component == 3:
            self._component = 0
            self._fetch()
        return value

    def write_data(self, value: int) -> None:
        """3C9h: the next component; the third stores the colour."""
        self._colour[self._component] = value & 0x3F
        self._component += 1
        if self._component == 3:
            self._component = 0
            self.colours[3 * self.address : 3 * self.address + 3] = self._colour
            self.address = self.address + 1 & 0xFF

    def rgb(self, index: int) -> RGB:
        """What a colour index looks like on a screen of 8 bits a component."""
        at = 3 * (index & self.mask)
        red, green, blue = self.colours[at : at + 3]
        return red << 2 | red >> 4, green << 2 | green >> 4, blue << 2 | blue >> 4

    def _fetch(self) -> None:
        self._colour[:] = self.colours[3 * self.address : 3 * self.address + 3]
        self.address = self.address + 1 & 0xFF
