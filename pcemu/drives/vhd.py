"""VHD images: what is common to their kinds, and the fixed one.

A fixed VHD is a raw image with a footer behind it. Dynamic and differencing ones are a
:class:`pcemu.drives.sparse.SparseLayer`, read through a :class:`pcemu.drives.chain.Chain`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pcemu.drives.drive import SECTOR_SIZE, Geometry
from pcemu.drives.hostfile import HostFile
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.vhd_header import Structures, facts_of, footer_geometry
from pcemu.drives.vhd_layout import Footer

MAX_CHS_SECTORS = 65535 * 16 * 255


class FixedVhd(FlatDrive):
    """A drive on an open fixed VHD, whose footer is never written."""

    def __init__(self, file: HostFile, footer: Footer) -> None:
        self.footer = footer
        super().__init__(file, footer.current_size // SECTOR_SIZE, footer_geometry(footer))

    @property
    def unique_id(self) -> bytes:
        """The id by which children know this image."""
        return self.footer.unique_id


def layers_of(images: Sequence[Structures]) -> list[SparseLayer]:
    """Dynamic and differencing images whose structures were read; ImageFormatError when one is damaged."""
    return [SparseLayer(image.file, facts) for image, facts in zip(images, facts_of(images), strict=True)]


def vhd_geometry(sectors: int) -> Geometry:
    """The geometry that the format's specification computes for a size."""
    sectors = min(sectors, MAX_CHS_SECTORS)
    if sectors >= 65535 * 16 * 63:
        per_track, heads = 255, 16
    else:
        per_track = 17
        heads = max(4, -(-(sectors // per_track) // 1024))
        if heads > 16 or sectors // per_track >= heads * 1024:
            per_track, heads = 31, 16
        if per_track == 31 and sectors // per_track >= heads * 1024:
            per_track = 63
    return Geometry(max(1, sectors // per_track // heads), heads, per_track)
