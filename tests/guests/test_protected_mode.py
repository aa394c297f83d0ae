"""Memory managers and DOS extenders: FreeDOS under HIMEMX, HIMEMX with JEMM386, and JEMMEX."""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.assembler import assemble
from tests.conftest import require
from tests.guests.freedos import FIRST_SECTOR, FreeDos, HostView

pytestmark = pytest.mark.slow

MANAGERS = {
    "himemx": "DEVICE=C:\\FDOS\\BIN\\HIMEMX.EXE",
    "jemm386": "DEVICE=C:\\FDOS\\BIN\\HIMEMX.EXE\r\nDEVICE=C:\\FDOS\\BIN\\JEMM386.EXE",
    "jemmex": "DEVICE=C:\\FDOS\\BIN\\JEMMEX.EXE",
}
CONFIGURATION = """SWITCHES=/N\r
!LASTDRIVE=Z\r
!FILES=40\r
!BUFFERS=20\r
DOS=HIGH,UMB\r
{manager}\r
SHELL=C:\\COMMAND.COM C:\\ /E:1024 /P=C:\\AUTOEXEC.BAT\r
"""
SECTOR = 512

# Moves 16 bytes up beyond 1 MiB and down again by INT 15h 87h, asks 88h, and writes what it got to a file.
MEMORY_SERVICES = """
        mov     ax, ds
        mov     es, ax
        movzx   eax, ax
        shl     eax, 4
        lea     ecx, [eax + pattern]
        call    address_1
        mov     ecx, 0x150000
        call    address_2
        call    move
        mov     ecx, 0x150000
        call    address_1
        mov     ax, ds
        movzx   ecx, ax
        shl     ecx, 4
        add     ecx, copy
        call    address_2
        call    move
        mov     ah, 0x88
        int     0x15
        mov     [extended], ax
        mov     ah, 0x3C
        xor     cx, cx
        mov     dx, name
        int     0x21
        mov     bx, ax
        mov     ah, 0x40
        mov     cx, result_end - result
        mov     dx, result
        int     0x21
        mov     ah, 0x3E
        int     0x21
        mov     ax, 0x4C00
        int     0x21
address_1:
        mov     [source + 2], ecx
        mov     byte [source + 5], 0x93
        ret
address_2:
        mov     [target + 2], ecx
        mov     byte [target + 5], 0x93
        ret
move:   mov     ah, 0x87
        mov     cx, 8
        mov     si, table
        int     0x15
        sbb     al, al
        or      [failed], al
        or      [failed], ah
        ret
name:   db      "RESULT", 0
pattern: db     "sixteen letters!"
        align   8
table:  times 16 db 0
source: dw      0xFFFF, 0, 0x9300, 0
target: dw      0xFFFF, 0, 0x9300, 0
        times 16 db 0
result:
copy:   times 16 db 0
failed: db      0
extended: dw    0
result_end:
"""


@pytest.fixture(params=MANAGERS, scope="module")
def manager(request: pytest.FixtureRequest) -> str:
    """The memory manager's name."""
    return str(request.param)


@pytest.fixture(scope="module")
def configured(image: Path, manager: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the hard disk that loads the manager, and holds a program of ours."""
    require(shutil.which("mcopy") is not None, "mtools")
    folder = tmp_path_factory.mktemp(manager)
    disk = folder / "disk.img"
    shutil.copyfile(image, disk)
    (folder / "FDCONFIG.SYS").write_text(CONFIGURATION.format(manager=MANAGERS[manager]), newline="")
    (folder / "SERVICES.COM").write_bytes(assemble(MEMORY_SERVICES, 0x100))
    partition = f"{disk}@@{FIRST_SECTOR * SECTOR}"
    for name in ("FDCONFIG.SYS", "SERVICES.COM"):
        command = ["mcopy", "-o", "-i", partition, str(folder / name), f"::{name}"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    return disk


@pytest.fixture
def dos(configured: Path) -> Iterator[FreeDos]:
    """FreeDOS under the manager."""
    with FreeDos(configured) as guest:
        yield guest


def test_memory(dos: FreeDos, manager: str) -> None:
    """MEM sees upper memory blocks and EMS with the two that make them, in virtual 8086 mode."""
    report = dos.run("mem")
    upper = re.search(r"Upper +(\d+)K", report)
    assert upper is not None
    assert "FreeDOS is resident in the high memory area" in report
    if manager == "himemx":
        assert int(upper[1]) == 0
        assert not dos.pc.cpu.protected
    else:
        assert int(upper[1]) >= 64
        assert re.search(r"Free Expanded \(EMS\) +\d+M", report)
        assert dos.pc.cpu.protected


def test_xms(configured: Path) -> None:
    """XMSTEST fills all there is: let that be little."""
    with FreeDos(configured, memory=4) as dos:
        report = dos.run("xmstest", timeout=300)
        assert "done - total allocated" in report
        assert "total time" in report
        assert "error" not in report.lower() and "fail" not in report.lower()
        assert "XMS version: 3.0" in dos.run("xmsstat")


def test_bios_memory_services(dos: FreeDos, tmp_path: Path) -> None:
    """INT 15h 87h moves memory beyond 1 MiB, through the manager where there is one."""
    dos.run("services")
    result = HostView(dos.disk, tmp_path).read("RESULT")
    assert result[:16] == b"sixteen letters!"
    assert result[16] == 0
    assert int.from_bytes(result[17:19], "little") in (0, 31 * 1024)  # 88h; a manager keeps all of it


def test_cwsdpmi_programs(dos: FreeDos, tmp_path: Path) -> None:
    """LZMA and LZIP pack and unpack; the host reads what they made."""
    dos.run("copy fdos\\bin\\edit.exe x")
    dos.run("lzma -2 -k -S .lzm x", timeout=300)
    dos.run("lzip -1 -k x", timeout=300)
    dos.run("del x")
    dos.run("lzma -d -k -S .lzm x.lzm", timeout=300)
    dos.run("ren x unpacked.1")
    dos.run("lzip -d -k x.lz", timeout=300)
    host = HostView(dos.disk, tmp_path)
    original = host.read("FDOS/BIN/EDIT.EXE")
    assert lzma.decompress(host.read("X.LZM"), lzma.FORMAT_ALONE) == original
    assert host.read("UNPACKED.1") == original
    packed = host.read("X.LZ")
    assert packed[:4] == b"LZIP"
    assert int.from_bytes(packed[-20:-16], "little") == zlib.crc32(original)
    assert host.read("X") == original


def test_gzip(dos: FreeDos, tmp_path: Path) -> None:
    """A 16-bit program, in virtual 8086 mode under two of the three."""
    dos.run("copy fdos\\bin\\edit.exe x")
    dos.run("gzip x", timeout=300)
    host = HostView(dos.disk, tmp_path)
    (name,) = (name for name in host.names() if name.upper().startswith("X."))
    assert gzip.decompress(host.read(name)) == host.read("FDOS/BIN/EDIT.EXE")
    dos.run(f"gzip -d {name}", timeout=300)
    assert "No differences" in dos.run("fc /b x fdos\\bin\\edit.exe")


def test_dos32a_program(dos: FreeDos, tmp_path: Path) -> None:
    """EDLIN32, a linear executable of Watcom's, edits a file."""
    dos.pc.type("dos32a fdos\\bin\\edlin32.exe new.txt\n")
    dos.answer("0 lines read", "i\n")
    dos.answer(":", "first line\n")
    dos.pc.type("second line\n.\n")
    dos.answer("*", "e\n")
    dos.wait_for_prompt()
    assert HostView(dos.disk, tmp_path).read("NEW.TXT") == b"first line\r\nsecond line\r\n"
