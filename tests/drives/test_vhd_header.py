"""Footers, headers and BATs: the layout's two descriptions agree, and what is wrong is refused by name."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcemu.drives import vhd_layout as layout
from pcemu.drives.create import create_differencing, create_dynamic, create_fixed
from pcemu.drives.facts import facts_about
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format, probe
from pcemu.drives.vhd import vhd_geometry
from pcemu.drives.vhd_header import Blocks, check_blocks_of
from pcemu.errors import ImageError, ImageFormatError

BLOCK = 4096
SIZE = 16 * BLOCK


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A dynamic image with three blocks."""
    path = tmp_path / "disk.vhd"
    create_dynamic(path, SIZE, block_size=BLOCK)
    drive = open_drive(path)
    for block in (0, 5, 15):
        drive.write(block * 8, b"\x11" * 512)
    drive.close()
    return path


def test_the_fast_reader_agrees_with_the_declaration(image: Path) -> None:
    data = image.read_bytes()
    for unpack, declaration, offset in (
        (layout.unpack_footer, layout.FOOTER, 0),
        (layout.unpack_header, layout.HEADER, 512),
    ):
        size = declaration.sizeof()
        declared = declaration.parse(data[offset : offset + size])
        fast = unpack(data[offset : offset + size])._asdict()
        for name in fast.keys() - {"locators"}:
            assert fast[name] == declared[name], name
    assert (layout.FOOTER.sizeof(), layout.HEADER.sizeof(), layout.LOCATOR.sizeof()) == (512, 1024, 24)


def test_packing_is_the_inverse_of_unpacking(image: Path) -> None:
    data = image.read_bytes()
    assert layout.unpack_footer(data[:512]).pack() == data[:512] == data[-512:]
    locator = layout.Locator(b"W2ru", 512, 12, 0, 1536)
    header = layout.unpack_header(data[512:1536])._replace(locators=(locator,))
    assert layout.unpack_header(header.pack())._replace(checksum=0) == header._replace(checksum=0)
    assert header.pack()[576:600] == b"W2ru" + struct.pack(">IIIQ", 512, 12, 0, 1536)


@pytest.mark.parametrize(
    ("sectors", "geometry"),
    [  # worked out by hand from the rule of the specification
        (65536, (963, 4, 17)),
        (131072, (963, 8, 17)),
        (17 * 16 * 1024, (561, 16, 31)),
        (31 * 16 * 1024, (503, 16, 63)),
        (65535 * 16 * 63, (16191, 16, 255)),
        (1 << 32, (65535, 16, 255)),
    ],
)
def test_the_geometry_is_the_specifications(sectors: int, geometry: tuple[int, int, int]) -> None:
    assert vhd_geometry(sectors) == geometry


def rewrite(path: Path, offset: int, data: bytes, *, seal: bool = True) -> None:
    """Change bytes of the footer (both) or of the header, and set the checksum right."""
    content = bytearray(path.read_bytes())
    if offset < 512:
        places = [(0, 512, 64), (len(content) - 512, 512, 64)]
    else:
        places, offset = [(512, 1024, 36)], offset - 512
    for start, length, at in places:
        part = content[start : start + length]
        part[offset : offset + len(data)] = data
        if seal:
            part[at : at + 4] = bytes(4)
            part[at : at + 4] = struct.pack(">I", ~sum(part) & 0xFFFFFFFF)
        content[start : start + length] = part
    path.write_bytes(content)


def bat_entry(path: Path, index: int, value: int) -> None:
    content = bytearray(path.read_bytes())
    struct.pack_into(">I", content, 1536 + 4 * index, value)
    path.write_bytes(content)


def entry(path: Path, index: int) -> int:
    value: int = struct.unpack_from(">I", path.read_bytes(), 1536 + 4 * index)[0]
    return value


Damage = Callable[[Path], object]
DAMAGES: list[tuple[str, Damage, str]] = [
    ("footer's checksum", lambda p: rewrite(p, 28, b"x", seal=False), "checksum of the footer"),
    ("version", lambda p: rewrite(p, 12, b"\0\2\0\0"), "footer's version is 0x00020000, expected 0x00010000"),
    ("type", lambda p: rewrite(p, 60, b"\0\0\0\7"), "disk type is 7, expected 2"),
    ("no size", lambda p: rewrite(p, 48, bytes(8)), "size is 0 bytes"),
    ("half a sector", lambda p: rewrite(p, 48, struct.pack(">Q", SIZE + 256)), "expected a multiple of 512"),
    ("huge", lambda p: rewrite(p, 48, struct.pack(">Q", 1 << 62)), "expected at most"),
    ("header's place", lambda p: rewrite(p, 16, struct.pack(">Q", 1 << 40)), "dynamic header's place"),
    ("odd header", lambda p: rewrite(p, 16, struct.pack(">Q", 700)), "dynamic header's place is 700"),
    ("header's cookie", lambda p: rewrite(p, 512, b"cxsparsy"), "cookie is b'cxsparsy'"),
    ("header's checksum", lambda p: rewrite(p, 512 + 900, b"x", seal=False), "dynamic header's checksum"),
    ("header's version", lambda p: rewrite(p, 512 + 24, b"\0\3\0\0"), "dynamic header's version"),
    ("block size", lambda p: rewrite(p, 512 + 32, struct.pack(">I", 3 << 20)), "block size is 3145728"),
    ("tiny blocks", lambda p: rewrite(p, 512 + 32, struct.pack(">I", 512)), "block size is 512"),
    ("giant blocks", lambda p: rewrite(p, 512 + 32, struct.pack(">I", 1 << 31)), "block size is 2147483648"),
    ("BAT too short", lambda p: rewrite(p, 512 + 28, struct.pack(">I", 15)), "entries is 15, expected 16"),
    ("BAT too long", lambda p: rewrite(p, 512 + 28, struct.pack(">I", 1 << 31)), "number of BAT entries"),
    ("BAT behind the end", lambda p: rewrite(p, 512 + 16, struct.pack(">Q", 1 << 40)), "BAT's place"),
    ("BAT on the header", lambda p: rewrite(p, 512 + 16, struct.pack(">Q", 1024)), "outside the dynamic"),
    ("BAT on the footer", lambda p: rewrite(p, 512 + 16, bytes(8)), "512 behind the footer"),
    ("block behind the end", lambda p: bat_entry(p, 3, 5000), "BAT entry 3 is sector 5000"),
    ("block twice", lambda p: bat_entry(p, 3, entry(p, 5)), "outside the block at sector"),
    ("blocks overlap", lambda p: bat_entry(p, 3, entry(p, 5) + 3), "outside the block at sector"),
    ("block on the footer", lambda p: bat_entry(p, 3, 0), "BAT entry 3 is sector 0"),
    ("block on the BAT", lambda p: bat_entry(p, 0, 3), "outside the BAT"),
    ("cut", lambda p: p.write_bytes(p.read_bytes()[:1600]), ""),
    ("only a cookie", lambda p: p.write_bytes(b"conectix"), ""),
    ("only a footer", lambda p: p.write_bytes(p.read_bytes()[:512]), ""),
]


@pytest.mark.parametrize(("damage", "words"), [pytest.param(*each[1:], id=each[0]) for each in DAMAGES])
def test_damage_is_refused_by_name_and_nothing_is_changed(image: Path, damage: Damage, words: str) -> None:
    damage(image)
    before = image.read_bytes()
    for read_only in (True, False):
        with pytest.raises(ImageFormatError) as caught:
            open_drive(image, read_only=read_only)
        message = str(caught.value)
        assert message.startswith(f"{image}: ") and "; " in message and "\n" not in message
        assert words in message
    assert image.read_bytes() == before


def test_a_fixed_image_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fixed.vhd"
    create_fixed(path, 1 << 20)
    path.write_bytes(path.read_bytes()[512:])
    with pytest.raises(ImageFormatError, match="size is 1048576 bytes, expected at most 1048064"):
        open_drive(path)


def test_a_lost_tail_is_read_with_a_warning_and_not_written(image: Path) -> None:
    whole = image.read_bytes()
    for tail in (b"", b"\xa5" * 512, b"\xa5" * 5000, bytes(100)):
        image.write_bytes(whole[:-512] + tail)
        before = image.read_bytes()
        with pytest.raises(ImageFormatError, match="disk repair"):
            open_drive(image)
        drive = open_drive(image, read_only=True)
        buffer = bytearray(512)
        drive.read(5 * 8, buffer)
        assert buffer == b"\x11" * 512
        assert "footer at its end is lost" in drive.warnings[0]
        drive.close()
        assert image.read_bytes() == before


def test_footers_of_511_bytes_are_known(tmp_path: Path) -> None:
    for kind, make in ((Format.FIXED, create_fixed), (Format.DYNAMIC, create_dynamic)):
        path = tmp_path / f"{kind}.vhd"
        make(path, 1 << 20)
        path.write_bytes(path.read_bytes()[:-1])
        assert probe(path) == kind
        drive = open_drive(path)
        drive.write(5, b"\x22" * 1024)
        drive.close()
        buffer = bytearray(1024)
        drive = open_drive(path)
        drive.read(5, buffer)
        drive.close()
        assert buffer == b"\x22" * 1024


def test_bits_that_are_clear_read_as_zeros_whatever_lies_there(image: Path) -> None:
    content = bytearray(image.read_bytes())
    content[entry(image, 5) * 512] = 0x7F  # the first sector of block 5
    image.write_bytes(content)
    drive = open_drive(image)
    buffer = bytearray(1024)
    drive.read(5 * 8, buffer)
    assert not any(buffer)
    drive.write(5 * 8, b"\x33" * 512)
    drive.close()
    assert image.read_bytes()[entry(image, 5) * 512] == 0xFF


def test_probing_tells_the_formats_apart(tmp_path: Path, image: Path) -> None:
    raw, fixed, child = tmp_path / "a.img", tmp_path / "b.vhd", tmp_path / "c.vhd"
    raw.write_bytes(bytes(1024))
    create_fixed(fixed, 1 << 20)
    create_differencing(child, image)
    assert [probe(each) for each in (raw, fixed, image, child)] == list(Format)
    with pytest.raises(ImageFormatError, match="is a fixed VHD, expected dynamic"):
        open_drive(fixed, format=Format.DYNAMIC)
    with pytest.raises(ImageFormatError, match="no VHD footer"):
        open_drive(raw, format=Format.DYNAMIC)
    as_raw = open_drive(fixed, format=Format.RAW)
    assert as_raw.sectors == (1 << 20) // 512 + 1
    as_raw.close()


@pytest.mark.parametrize("name", ["disk.vhd", "DISK.VHD"])
def test_a_vhd_by_its_name_alone_is_refused_unless_it_is_said_to_be_raw(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"a boot sector".ljust(1024, b"\x55"))
    for look in (probe, open_drive, facts_about):
        with pytest.raises(ImageFormatError, match=r"neither .*expected .*conectix.*rename it to .img"):
            look(path)
    open_drive(path, format=Format.RAW).close()
    assert facts_about(path, Format.RAW).format == Format.RAW
    child = tmp_path / "child.vhd"
    create_differencing(child, path, parent_format=Format.RAW)  # which the child remembers
    open_drive(child).close()
    path.rename(tmp_path / "disk.img")
    assert probe(tmp_path / "disk.img") == Format.RAW


def test_a_parent_with_damaged_blocks_is_refused_by_name(tmp_path: Path, image: Path) -> None:
    line = [image, *[tmp_path / f"{name}.vhd" for name in ("child", "grandchild", "head")]]
    for parent, child in pairwise(line):
        create_differencing(child, parent, block_size=BLOCK)
        drive = open_drive(child)
        drive.write(0, b"\x44" * 512)
        drive.write(BLOCK // 512, b"\x44" * 512)
        drive.close()
    content = bytearray(line[1].read_bytes())
    bat = layout.unpack_header(content[512:1536]).bat_offset
    content[bat : bat + 4] = content[bat + 4 : bat + 8]
    line[1].write_bytes(content)
    with pytest.raises(ImageFormatError, match=r"child\.vhd: BAT entry 1 is .* outside the block at sector"):
        open_drive(line[3])


ENTRIES, SPAN, FILE_END = 6, 1 + BLOCK // 512, 60  # a block's bitmap takes a sector


@st.composite
def blocks(draw: st.DrawFn) -> Blocks:
    """A BAT in front of the blocks or among them, with entries of which few may be right."""
    bat_sector = draw(st.sampled_from([3, 3, 30]))
    usual = st.sampled_from([layout.NO_BLOCK, 4, 13, 22, 31, 40, 49])
    entries = usual | st.integers(0, FILE_END)
    header = layout.Header(bat_offset=bat_sector * 512, bat_entries=ENTRIES, block_size=BLOCK)
    footer = layout.Footer(type=layout.TYPE_DYNAMIC, header_offset=512)
    bat = array("I", draw(st.lists(entries, min_size=ENTRIES, max_size=ENTRIES)))
    return Blocks("disk.vhd", footer, header, bat, (bat_sector + 1) * 512, FILE_END * 512)


def is_right(image: Blocks) -> bool:
    """No sector is used twice, none outside the file; told by writing each of them down."""
    bat_sector = image.header.bat_offset // 512
    used = [0, 1, 2, bat_sector]
    for entry in image.bat:
        used += range(entry, entry + SPAN) if entry != layout.NO_BLOCK else ()
    return len(used) == len(set(used)) and max(used) < FILE_END


@settings(max_examples=400, deadline=None)
@given(images=st.lists(blocks(), min_size=1, max_size=4))
def test_blocks_of_several_images_are_checked_as_of_each(images: list[Blocks]) -> None:
    if all(map(is_right, images)):
        check_blocks_of(images)
    else:
        with pytest.raises(ImageFormatError, match="BAT entry"):
            check_blocks_of(images)


FUZZED: dict[str, bytes] = {}


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_no_damage_crashes_or_writes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    if not FUZZED:
        folder = tmp_path_factory.mktemp("seed")
        create_dynamic(folder / "base.vhd", SIZE, block_size=BLOCK)
        create_differencing(folder / "child.vhd", folder / "base.vhd", block_size=BLOCK)
        drive = open_drive(folder / "child.vhd")
        drive.write(3, bytes(range(256)) * 40)
        drive.close()
        FUZZED.update({path.name: path.read_bytes() for path in folder.iterdir()})
        FUZZED["folder"] = str(folder).encode()
    folder = Path(FUZZED["folder"].decode())
    path = folder / "child.vhd"
    (folder / "base.vhd").write_bytes(FUZZED["base.vhd"])
    content = bytearray(FUZZED["child.vhd"])
    for _ in range(data.draw(st.integers(1, 4))):
        offset = data.draw(st.integers(0, len(content) - 8))
        content[offset : offset + 8] = data.draw(st.binary(min_size=1, max_size=8)).ljust(8, b"\0")
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path.write_bytes(content[:cut])
    for start, length, at in ((0, 512, 64), (cut - 512, 512, 64), (512, 1024, 36)):
        if data.draw(st.booleans()) and start >= 0 and start + length <= cut:
            rewrite_checksum(path, start, length, at)
    before = path.read_bytes()
    try:
        drive = open_drive(path, read_only=True)
    except ImageError:
        pass
    else:
        for lba in range(0, min(drive.sectors, 1 << 12), 100):
            drive.read(lba, bytearray(512))
        drive.close()
    assert path.read_bytes() == before


def rewrite_checksum(path: Path, start: int, length: int, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[start + at : start + at + 4] = bytes(4)
    checksum = ~sum(content[start : start + length]) & 0xFFFFFFFF
    content[start + at : start + at + 4] = struct.pack(">I", checksum)
    path.write_bytes(content)
