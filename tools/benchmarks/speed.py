"""Benchmarks of the machine's parts, by small guests of our own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pcemu.drives.overlay import MemoryOverlay
from pcemu.drives.raw import RawDrive
from pcemu.testing.memory_drive import MemoryDrive
from tools.benchmarks import bare, guests, qemu
from tools.benchmarks.figures import Benchmark, Figure, Sample
from tools.benchmarks.marks import Marks

MICROSECONDS = 1e6
# As in the sources of the guests
INTERRUPTS = 200_000
ACCESSES = 200_000
PM_INTERRUPTS = 50_000
PM_FILLS = 250 * 200
MODIFICATIONS = 40_000
LOOP_INSTRUCTIONS = 12_000_000
REQUEST = 127 * 512
DISK_REQUESTS = 1032  # 64 MiB
DISK_REQUESTS_OF_QEMU = 32  # its programmed I/O is slow


@contextmanager
def _file(image: bytes) -> Iterator[Path]:
    """A file that holds ``image`` for a while."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(image)
        file.flush()
        yield Path(file.name)


def _on_qemu(image: bytes, *, wall: bool = False) -> Marks | None:
    """Run a guest on QEMU if there is one."""
    if not qemu.available():
        return None
    with _file(image) as path:
        return qemu.run_guest(path, wall=wall)


def _note(
    sample: Sample, key: str, marks: Marks | None, part: str, convert: Callable[[float], float]
) -> None:
    """Put what a part of a guest took into the sample, if it was run."""
    seconds = marks.seconds(part) if marks is not None else None
    if seconds is not None:
        sample[key] = convert(seconds)


def interrupt() -> Sample:
    """INT and IRET."""
    sample: Sample = {}
    image = guests.assemble("interrupt")
    for key, marks in (("int", guests.run_program("interrupt")), ("int/QEMU", _on_qemu(image))):
        _note(sample, key, marks, "A", lambda seconds: seconds / INTERRUPTS * MICROSECONDS)
    return sample


def port() -> Sample:
    """Port accesses, beside a bare hook that does nothing."""
    sample: Sample = {}
    image = guests.assemble("port")
    runs = (
        ("", guests.run_program("port")),
        ("/bare hook", bare.run_guest(image, count=False)),
        ("/QEMU", _on_qemu(image)),
    )
    for peer, marks in runs:
        for key, part in (("in", "I"), ("out", "O"), ("nobody", "N")):
            _note(sample, key + peer, marks, part, lambda seconds: seconds / ACCESSES * MICROSECONDS)
    for key in ("in", "out"):
        sample[f"{key}-own"] = sample[key] - sample[f"{key}/bare hook"]
    return sample


def protected() -> Sample:
    """Interrupts, page faults and TLB fills in protected mode."""
    sample: Sample = {}
    runs = (("", guests.run_program("protected")), ("/QEMU", _on_qemu(guests.assemble("protected"))))
    for peer, marks in runs:
        for key, part in (("pm-int", "A"), ("pm-int-paged", "B"), ("pm-fault", "F"), ("pm-virtual", "V")):
            _note(sample, key + peer, marks, part, lambda seconds: seconds / PM_INTERRUPTS * MICROSECONDS)
        if marks is None or peer:  # QEMU's own fills are too fast for the difference to be told
            continue
        for key, filling, known in (("pm-fill", "M", "L"), ("pm-fill-paged", "Q", "P")):
            with_fills, without = marks.seconds(filling), marks.seconds(known)
            if with_fills is not None and without is not None:
                sample[key] = (with_fills - without) / PM_FILLS * MICROSECONDS
    return sample


def modify() -> Sample:
    """Programs that write into their own code, or beside it."""
    sample: Sample = {}
    runs = (("", guests.run_program("modify")), ("/QEMU", _on_qemu(guests.assemble("modify"))))
    for peer, marks in runs:
        for key, part in (("modify", "M"), ("modify-stack", "K"), ("modify-beside", "S")):
            _note(sample, key + peer, marks, part, lambda seconds: seconds / MODIFICATIONS * MICROSECONDS)
    return sample


def memory() -> Sample:
    """Loops on memory and in registers."""
    sample: Sample = {}
    image = guests.assemble("memory")
    runs = (
        ("", guests.run_program("memory")),
        ("/bare", bare.run_guest(image, count=False)),
        ("/bare with count", bare.run_guest(image, count=True)),
        ("/QEMU", _on_qemu(image)),
    )
    for peer, marks in runs:
        for key, part in (("loop", "L"), ("unrolled", "U"), ("registers", "R")):
            _note(sample, key + peer, marks, part, lambda seconds: LOOP_INSTRUCTIONS / seconds / 1e6)
    return sample


def _disk_image(requests: int) -> bytes:
    return guests.assemble("disk", REQUESTS=requests) + bytes((requests + 1) * REQUEST)


def disk() -> Sample:
    """64 MiB through INT 13h, there and back."""
    sample: Sample = {}
    image, wall = _disk_image(DISK_REQUESTS), time.perf_counter
    with _file(image) as path:
        runs = [
            ("memory", guests.run(MemoryDrive(image), wall)),
            ("overlay", guests.run(MemoryOverlay(RawDrive(path, read_only=True)), wall)),
            ("raw", guests.run(RawDrive(path), wall)),
        ]
    on_qemu = _on_qemu(_disk_image(DISK_REQUESTS_OF_QEMU), wall=True)
    for kind, marks in runs:
        for key, part in (("read", "R"), ("write", "W")):
            name = f"{key}-{kind}"
            _note(sample, name, marks, part, lambda seconds: DISK_REQUESTS * REQUEST / 1e6 / seconds)
            _note(
                sample,
                f"{name}/QEMU",
                on_qemu,
                part,
                lambda seconds: DISK_REQUESTS_OF_QEMU * REQUEST / 1e6 / seconds,
            )
    return sample


def post() -> Sample:
    """From power-on to the first instruction of the boot sector."""
    marks = guests.run_program("interrupt")
    return {"post": (marks.at("P") - marks.at("0")) * 1000}


_BARE = ("bare", "bare with count")
BENCHMARKS = (
    Benchmark("post", (Figure("post", "POST to the boot sector", "ms", 20),), post),
    Benchmark("int", (Figure("int", "INT and IRET", "µs", 4),), interrupt),
    Benchmark(
        "port",
        (
            Figure("in", "IN from a chip, in all", "µs"),
            Figure("in-own", "… beyond the bare hook", "µs", 0.6),
            Figure("out", "OUT to a chip, in all", "µs"),
            Figure("out-own", "… beyond the bare hook", "µs", 0.6),
            Figure("nobody", "IN where nobody answers", "µs"),
        ),
        port,
    ),
    Benchmark(
        "protected",
        (
            Figure("pm-int", "Protected mode: INT and IRETD", "µs", 12),
            Figure("pm-int-paged", "… with paging", "µs", 12),
            Figure("pm-virtual", "… from virtual 8086 mode and back", "µs"),
            Figure("pm-fault", "Page fault and back", "µs", 15),
            Figure("pm-fill", "A page for the TLB", "µs", 2),
            Figure("pm-fill-paged", "… with paging", "µs", 5),
        ),
        protected,
    ),
    Benchmark(
        "modify",
        (
            Figure("modify", "Call of code that writes its INT number", "µs"),
            Figure("modify-stack", "… of code that is made on the stack", "µs"),
            Figure("modify-beside", "Store beside code that runs", "µs"),
        ),
        modify,
    ),
    Benchmark(
        "disk",
        (
            Figure("read-memory", "INT 13h reads, disk in memory", "MB/s", 100, at_least=True),
            Figure("write-memory", "INT 13h writes, disk in memory", "MB/s", 80, at_least=True),
            Figure("read-raw", "INT 13h reads, raw image", "MB/s", 100, at_least=True),
            Figure("write-raw", "INT 13h writes, raw image", "MB/s", 80, at_least=True),
            Figure("read-overlay", "INT 13h reads, overlay on it", "MB/s", 100, at_least=True),
            Figure("write-overlay", "INT 13h writes, overlay on it", "MB/s", 80, at_least=True),
        ),
        disk,
    ),
    Benchmark(
        "memory",
        (
            Figure("loop", "Memory-bound loop", "M instr/s", 5, at_least=True, against=_BARE),
            Figure("unrolled", "… unrolled", "M instr/s", 5, at_least=True, against=_BARE),
            Figure("registers", "Loop in registers", "M instr/s"),
        ),
        memory,
    ),
)
