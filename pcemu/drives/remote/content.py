"""The drive that a remote file holds: raw, or a VHD without a parent, read through the bytes of a source."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import NamedTuple

from pcemu.drives.chain import NO_LAYER, Chain, Run
from pcemu.drives.drive import SECTOR_SIZE, Geometry
from pcemu.drives.hostfile import HostFile, SystemCalls
from pcemu.drives.probe import Ends, Format
from pcemu.drives.remote.source import Readable
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.vhd_header import footer_geometry, read_facts
from pcemu.drives.vhd_layout import TYPE_NAMES
from pcemu.errors import ImageFormatError

NO_DESCRIPTOR = -2  # open, and the kernel knows nothing of it


class SourceFile(HostFile):
    """A source in the clothes of a file: for what reads headers."""

    __slots__ = ("_source",)

    def __init__(self, source: Readable, url: str) -> None:
        super().__init__(SystemCalls(), NO_DESCRIPTOR, url, read_only=True)
        self._source = source

    def read(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill ``buffer`` from byte ``offset`` on."""
        view = memoryview(buffer)
        if len(view):
            view[:] = self._source.read(offset, len(view))

    def size(self) -> int:
        """Bytes in the file."""
        return self._source.size

    def close(self) -> None:
        """The source is its owner's to close."""


class Facts(NamedTuple):
    """What a remote image is; the geometry is None where the format says nothing."""

    format: Format
    sectors: int
    geometry: Geometry | None


class Content:
    """Sectors of a remote drive; several threads may read at once."""

    def __init__(self, source: Readable, url: str, format: Format | None = None) -> None:
        """``format`` is told from the content when it is None."""
        self._source = source
        self._lock = threading.Lock()
        self._chain: Chain | None = None
        if format is Format.RAW or format is Format.FIXED:
            return
        file = SourceFile(source, url)
        ends = Ends(file)
        if format is None and not ends.have_vhd_traces():
            self.facts = _of_raw(source.size, url)
            return
        facts = read_facts(ends)
        found = Format(TYPE_NAMES[facts.footer.type])
        if found is Format.DIFFERENCING:
            raise ImageFormatError(
                f"{url}: is a child, whose parent is elsewhere, expected a whole image; serve one that "
                f"`pcemu disk flatten` made"
            )
        self.facts = Facts(found, facts.footer.current_size // SECTOR_SIZE, footer_geometry(facts.footer))
        if found is Format.DYNAMIC:
            self._chain = Chain([SparseLayer(file, facts)])

    def read(self, lba: int, count: int) -> bytes | bytearray:
        """``count`` sectors from ``lba`` on."""
        if self._chain is None:
            return self._source.read(lba * SECTOR_SIZE, count * SECTOR_SIZE)
        with self._lock:  # the bitmaps on the way are read by one thread at a time
            runs = list(self._chain.runs(lba, count))
        return b"".join(self._parts(runs))

    def _parts(self, runs: list[Run]) -> Iterator[bytes | bytearray]:
        for _, count, layer, offset in runs:
            size = count * SECTOR_SIZE
            yield bytes(size) if layer == NO_LAYER else self._source.read(offset, size)


def _of_raw(size: int, url: str) -> Facts:
    if size == 0 or size % SECTOR_SIZE:
        raise ImageFormatError(
            f"{url}: is {size} bytes long, expected a multiple of {SECTOR_SIZE}, and not 0; it may be "
            f"truncated or packed: serve a raw image or a VHD"
        )
    return Facts(Format.RAW, size // SECTOR_SIZE, None)
