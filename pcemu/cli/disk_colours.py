"""The colours of layers in maps: the same in the terminal and in pictures."""

from __future__ import annotations

Colour = tuple[int, int, int]

BACKGROUND: Colour = (24, 26, 30)
NOBODYS: Colour = (52, 56, 64)
INK: Colour = (225, 228, 232)
# Told apart by all, also by those who see few colours: after Okabe and Ito. The first is the base's.
LAYERS: tuple[Colour, ...] = (
    (86, 120, 170),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (86, 180, 233),
    (213, 94, 0),
    (190, 190, 190),
)
MOST = 0.5  # a layer that holds so much of a cell gets its full colour
FAINT = 0.55


def colour_of(layer: int, share: float) -> Colour:
    """The colour of a cell of which ``layer`` holds ``share``; of nobody's, when the layer is negative."""
    if layer < 0:
        return NOBODYS
    strength = 1.0 if share > MOST else FAINT
    red, green, blue = (
        round(full * strength + ground * (1 - strength))
        for full, ground in zip(LAYERS[layer % len(LAYERS)], NOBODYS, strict=True)
    )
    return red, green, blue


def rich_style(layer: int, share: float) -> str:
    """The same, as rich names colours."""
    return hexadecimal(colour_of(layer, share))


def hexadecimal(colour: Colour) -> str:
    """As HTML names colours."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
