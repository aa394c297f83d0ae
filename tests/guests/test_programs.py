"""FreeDOS' programs on our machine copy, compare, pack, edit, trace; the host reads what they wrote."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path

from tests.guests.freedos import FreeDos, HostView


def test_copy_and_compare_a_megabyte(dos: FreeDos, tmp_path: Path) -> None:
    part = "fdos\\bin\\unzip.exe"
    dos.run(f"copy /b {'+'.join([part] * 6)} big")
    assert "big => big2" in dos.run("copy big big2")
    assert "No differences" in dos.run("fc /b big big2")
    host = HostView(dos.disk, tmp_path)
    expected = host.read("FDOS/BIN/UNZIP.EXE") * 6
    assert len(expected) > 1 << 20
    assert host.read("BIG2") == expected


def test_compare_finds_a_difference(dos: FreeDos) -> None:
    dos.write("one", "1234")
    dos.write("two", "1244")
    assert "No differences" not in dos.run("fc /b one two")


def test_md5sum(dos: FreeDos, tmp_path: Path) -> None:
    dos.run("copy fdos\\bin\\unzip.exe")
    host = HostView(dos.disk, tmp_path)
    for name in ("KERNEL.SYS", "COMMAND.COM", "UNZIP.EXE"):
        assert f"{hashlib.md5(host.read(name)).hexdigest()} *C:\\{name}" in dos.run(f"md5sum {name}")


def test_chkdsk_and_fsck(dos: FreeDos, tmp_path: Path) -> None:
    """After some work on it, the disk is in order, for DOS and for the host."""
    dos.run("xcopy fdos\\bin\\d*.* copy\\")
    dos.run("del copy\\debug.com")
    dos.run("ren copy\\du.exe disk.use")
    dos.write("copy\\note.txt", "a note", "of two lines")
    output = dos.run("chkdsk")
    free = re.search(r"([\d.]+) bytes available on the volume", output)
    assert free is not None
    assert "lost" not in output and "rror" not in output
    host = HostView(dos.disk, tmp_path)
    check = host.check()
    used, total = map(int, re.search(r"(\d+)/(\d+) clusters", check).groups())  # type: ignore[union-attr]
    assert int(free[1].replace(".", "")) == (total - used) * 2048
    assert host.read("COPY/NOTE.TXT") == b"a note\r\nof two lines\r\n"
    assert host.read("COPY/DISK.USE") == host.read("FDOS/BIN/DU.EXE")
    assert "debug.com" not in [name.lower() for name in host.names("COPY")]


def test_dosfsck(dos: FreeDos, tmp_path: Path) -> None:
    """A 32-bit program: it runs in protected mode, with paging, under CWSDPMI."""
    banner, counts = dos.run("dosfsck c:").strip().splitlines()  # and no complaint
    assert banner.startswith("dosfsck 2.11")
    clusters = re.search(r"\d+/\d+ clusters", HostView(dos.disk, tmp_path).check())
    assert clusters is not None
    assert counts.endswith(clusters[0])


def test_xcopy_tree_deltree(dos: FreeDos, tmp_path: Path) -> None:
    for folder in ("a", "a\\b", "a\\b\\c", "a\\empty"):
        dos.run(f"mkdir {folder}")
    dos.write("a\\one.txt", "1")
    dos.write("a\\b\\c\\two.txt", "2")
    assert "2 file(s) copied" in dos.run("xcopy a z /s /e /i")
    tree = dos.run("tree z /f")
    assert [line.strip() for line in tree.splitlines()[2:] if line.strip(" │")] == [
        "C:z",
        "│  ONE.TXT",
        "├──B",
        "│  └──C",
        "│        TWO.TXT",
        "└──EMPTY",
    ]
    before = HostView(dos.disk, tmp_path)
    assert before.read("Z/B/C/TWO.TXT") == b"2\r\n"
    dos.pc.type("cd fdos\n")
    dos.pc.run_until_text("C:\\FDOS>")
    dos.pc.type("deltree \\z\n")
    dos.answer("[ENTER] ?", "y\n")
    dos.pc.run_until_text("C:\\FDOS>")
    after = HostView(dos.disk, tmp_path)
    assert "A/" in [name.upper() for name in after.names()]
    assert "Z/" not in [name.upper() for name in after.names()]
    after.check()


def test_zip(dos: FreeDos, tmp_path: Path) -> None:
    """Packed by the guest, unpacked by the host."""
    dos.run("zip -r packed fdos\\bin\\d*.com")
    host = HostView(dos.disk, tmp_path)
    with zipfile.ZipFile(io.BytesIO(host.read("PACKED.ZIP"))) as archive:
        names = archive.namelist()
        assert "fdos/bin/debug.com" in names
        for name in names:
            assert archive.read(name) == host.read(name.upper())


def test_unzip(dos: FreeDos, tmp_path: Path) -> None:
    dos.run("zip -r packed fdos\\bin\\d*.com")
    dos.run("unzip packed -d out")
    host = HostView(dos.disk, tmp_path)
    assert host.read("OUT/FDOS/BIN/DEBUG.COM") == host.read("FDOS/BIN/DEBUG.COM")


def test_edit(dos: FreeDos, tmp_path: Path) -> None:
    pc = dos.pc
    pc.type("edit story.txt\n")
    pc.run_until_text("FreeDOS Edit 0.9a")
    pc.run_until(lambda: "Line:    1  Col:   1" in pc.screen.text)
    pc.type("Once upon a tine")
    pc.press("left")
    pc.press("backspace")
    pc.type("m")
    pc.press("end")
    pc.type("\nthere was a PC.")
    pc.run_until(lambda: "Line:    2  Col:  16" in pc.screen.text)
    pc.press("alt+f")
    pc.run_until(lambda: "Save as..." in pc.screen.text)
    pc.type("s")
    pc.run_until(lambda: "Save as..." not in pc.screen.text)
    pc.press("alt+f")
    pc.run_until(lambda: "Save as..." in pc.screen.text)
    pc.type("x")
    dos.wait_for_prompt()
    host = HostView(dos.disk, tmp_path)
    assert host.read("STORY.TXT").split() == b"Once upon a time there was a PC.".split()


def test_debug_assembles_and_traces(dos: FreeDos) -> None:
    pc = dos.pc
    pc.type("debug\n")
    pc.run_until_text("-")
    pc.type("a 100\nmov ax,1234\nadd ax,edcd\npush ax\nint 3\n\nr\n")
    pc.run_until_text("MOV     AX,1234")
    expected = [
        ("IP=0103", "AX=1234", None),
        ("IP=0106", "AX=0001", "NV UP EI PL NZ AC PO CY"),
        ("IP=0107", "SP=FFFC", "NV UP EI PL NZ AC PO CY"),
    ]
    for address, register, flags in expected:
        pc.type("t\n")
        pc.run_until_text(address)
        assert register in pc.fresh_text
        assert flags is None or flags in pc.fresh_text
    pc.type("g\n")
    pc.run_until_text("Unexpected breakpoint interrupt")
    pc.type("d ffff:0 f\n")
    pc.run_until_text("11/22/26")
    pc.type("q\n")
    dos.wait_for_prompt()


def test_debug_writes_a_program_that_runs(dos: FreeDos) -> None:
    pc = dos.pc
    pc.type("debug\na 100\nmov dl,2a\nmov ah,2\nint 21\nint 20\n\nr cx\n8\nn star.com\nw\nq\n")
    dos.wait_for_prompt()
    assert "Writing 0008 bytes" in pc.screen.text
    assert dos.run("star").startswith("*")


def test_division_by_zero_ends_the_program(dos: FreeDos) -> None:
    pc = dos.pc
    pc.type("debug\na 100\nxor bx,bx\ndiv bx\nint 20\n\nr cx\n8\nn zero.com\nw\nq\n")
    dos.wait_for_prompt()
    assert "Writing 0008 bytes" in pc.screen.text
    assert "ivide" in dos.run("zero")
