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

# Moves 16 bytes up beyond 1 MiB and down again by INT 15h 87h, asks 88h and E820h, tries 89h where protected
# mode is on already, and writes what it got to a file.
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
        xor     ebx, ebx
.range: mov     eax, 0xE820
        mov     edx, 0x534D4150
        mov     ecx, 20
        mov     di, range
        int     0x15
        jc      .done
        cmp     dword [range + 16], 1
        jne     .other
        mov     eax, [range + 8]
        add     [usable], eax
.other: inc     byte [ranges]
        test    ebx, ebx
        jnz     .range
.done:  smsw    ax
        test    al, 1
        jz      .real
        mov     ah, 0x89
        mov     bx, 0x0870
        mov     si, table
        int     0x15
        sbb     al, al
        mov     [entered], ax
.real:  mov     ah, 0x3C
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
ranges: db      0
usable: dd      0
entered: dw     0
result_end:
range:  times 20 db 0
"""

# Allocates four pages of expanded memory, maps them to the same place of the frame one after the other,
# writes a pattern into each, and finds it there again; what INT 67h said and what was found go to a file.
EXPANDED_MEMORY = """
        mov     ah, 0x41                ; the frame
        int     0x67
        mov     [results], ah
        mov     [frame], bx
        mov     ah, 0x42                ; pages, free and in all
        int     0x67
        mov     [free], bx
        mov     ah, 0x43                ; allocate
        mov     bx, 4
        int     0x67
        mov     [results + 1], ah
        mov     [handle], dx
        mov     es, [frame]
        xor     bx, bx
.write: call    map
        mov     al, bl
        add     al, 'a'
        xor     di, di
        mov     cx, 0x4000
        rep     stosb
        inc     bx
        cmp     bx, 4
        jne     .write
.read:  dec     bx
        call    map
        mov     al, bl
        add     al, 'a'
        xor     di, di
        mov     cx, 0x4000
        repe    scasb
        jne     .next
        mov     [found + bx], al
.next:  test    bx, bx
        jnz     .read
        mov     ah, 0x45                ; free
        mov     dx, [handle]
        int     0x67
        mov     [results + 3], ah
        mov     ah, 0x42
        int     0x67
        sub     [free], bx
        mov     ah, 0x3C
        xor     cx, cx
        mov     dx, name
        int     0x21
        mov     bx, ax
        mov     ah, 0x40
        mov     cx, 10
        mov     dx, results
        int     0x21
        mov     ah, 0x3E
        int     0x21
        mov     ax, 0x4C00
        int     0x21
map:    mov     ax, 0x4400              ; logical page BX to the frame's first
        mov     dx, [handle]
        int     0x67
        or      [results + 2], ah
        ret
name:   db      "RESULT", 0
frame:  dw      0
handle: dw      0
results: db     0xFF, 0xFF, 0, 0xFF
free:   dw      0
found:  times 4 db 0
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
    (folder / "EXPANDED.COM").write_bytes(assemble(EXPANDED_MEMORY, 0x100))
    partition = f"{disk}@@{FIRST_SECTOR * SECTOR}"
    for name in ("FDCONFIG.SYS", "SERVICES.COM", "EXPANDED.COM"):
        command = ["mcopy", "-o", "-i", partition, str(folder / name), f"::{name}"]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
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


def test_expanded_memory(dos: FreeDos, manager: str, tmp_path: Path) -> None:
    """INT 67h maps pages, which is the page tables' work; there is none with HIMEMX alone."""
    if manager == "himemx":
        return
    dos.run("expanded")
    result = HostView(dos.disk, tmp_path).read("RESULT")
    assert result == bytes(4) + bytes(2) + b"abcd"


def test_bios_memory_services(dos: FreeDos, manager: str, tmp_path: Path) -> None:
    """INT 15h 87h moves memory beyond 1 MiB, through the manager where there is one.

    E820h tells of all memory under each of them; 89h refuses where protected mode is on.
    """
    dos.run("services")
    result = HostView(dos.disk, tmp_path).read("RESULT")
    assert result[:16] == b"sixteen letters!"
    assert result[16] == 0
    assert int.from_bytes(result[17:19], "little") in (0, 31 * 1024)  # 88h; a manager keeps all of it
    assert result[19] == 4  # E820h
    assert int.from_bytes(result[20:24], "little") == 0x9FC00 + 31 * 0x100000
    assert result[24:26] == (b"\0\0" if manager == "himemx" else b"\xff\x86")  # 89h: CF and AH


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
