"""Benchmarks of a real system: FreeDOS boots to its prompt, and then idles."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tools.benchmarks import qemu
from tools.benchmarks.figures import Benchmark, Figure, Sample, Unavailable

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "freedos-1.2-hd.img"
SHA256 = "0ca69aa705c11b9cde8e27effc39f8f872d0623e2c452765107856b55c7589e2"
PROMPT = "C:\\>"
PARTITION = 63 * 512  # where it begins
IDLE_SECONDS = 10.0
SEABIOS = (Path("/usr/share/seabios/bios.bin"), Path("/usr/share/seabios/vgabios-isavga.bin"))


def find_freedos(folder: Path) -> Path:
    """The FreeDOS image, unpacked into ``folder``."""
    guests = os.environ.get("PCEMU_GUESTS")
    if not guests:
        raise Unavailable(f"FreeDOS is missing: set PCEMU_GUESTS to the folder that holds {NAME}.xz")
    packed = Path(guests, f"{NAME}.xz")
    if not packed.exists():
        raise Unavailable(f"{packed}: no such file; set PCEMU_GUESTS to the folder that holds {NAME}.xz")
    data = lzma.decompress(packed.read_bytes())
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise Unavailable(f"{packed}: its content has the SHA-256 {found}, expected {SHA256}")
    image = folder / NAME
    image.write_bytes(data)
    return image


def _with_jemmex(image: Path, folder: Path) -> Path:
    """A copy of the FreeDOS image that loads JEMMEX where it loaded HIMEMX."""
    if shutil.which("mcopy") is None:
        raise Unavailable("mtools is missing, which puts JEMMEX into FreeDOS' configuration; install mtools")
    changed, configuration = folder / "jemmex.img", folder / "FDCONFIG.SYS"
    shutil.copyfile(image, changed)
    partition = f"{changed}@@{PARTITION}"
    subprocess.run(["mcopy", "-i", partition, f"::{configuration.name}", configuration], check=True)
    text = configuration.read_bytes()
    if text.count(b"HIMEMX.EXE") != 1:
        raise Unavailable(f"{image}: its FDCONFIG.SYS does not load HIMEMX.EXE")
    configuration.write_bytes(text.replace(b"HIMEMX.EXE", b"JEMMEX.EXE"))
    subprocess.run(["mcopy", "-o", "-i", partition, configuration, f"::{configuration.name}"], check=True)
    return changed


class Booting:
    """The benchmarks on one ``image``, which is never written to."""

    def __init__(self, image: Path) -> None:
        self._image = image
        # Compiled modules are kept, as they are wherever pcemu is installed; the first boot makes them.
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._warm = False

    def _run(self) -> float:
        """Seconds that `pcemu run` takes, from the start of its process to the end."""
        command = [sys.executable, "-c", "from pcemu.cli import main; main()", "run", "--headless", "--quiet"]
        options = ["--until", PROMPT, "--on-exit", "discard", str(self._image)]
        start = time.perf_counter()
        subprocess.run([*command, *options], env=self._environment, check=True)
        return time.perf_counter() - start

    def _script(
        self, pace: str = "max", idle: float = 0.0, image: Path | None = None, roms: Sequence[Path] = ()
    ) -> tuple[float, dict[str, float]]:
        """Seconds from the start of a script to the prompt, and what it then said about itself."""
        program = str(Path(__file__).with_name("child.py"))
        command = [sys.executable, program, str(image or self._image), pace, str(idle)]
        command += map(str, roms)
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=self._environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            seconds = time.perf_counter() - start
            facts = process.stdout.readline()
        if not facts:
            raise Unavailable("pcemu did not boot FreeDOS; see its message above")
        return seconds, json.loads(facts)

    def boot(self) -> Sample:
        """Boot to the prompt as fast as possible."""
        if not self._warm:
            self._run()
            self._warm = True
        sample = {"boot": self._run(), "boot-script": self._script()[0]}
        if qemu.available():
            with qemu.Qemu(self._image) as peer:
                sample["boot/QEMU"] = sample["boot-script/QEMU"] = peer.wait_for_text(PROMPT)
        return sample

    def jemmex(self) -> Sample:
        """Boot to the prompt with JEMMEX in the place of HIMEMX: DOS is in virtual 8086 mode, with paging."""
        with tempfile.TemporaryDirectory() as folder:
            sample = {"jemmex": self._script(image=_with_jemmex(self._image, Path(folder)))[0]}
        sample["jemmex/without"] = self._script()[0]
        return sample

    def seabios(self) -> Sample:
        """Boot to the prompt under SeaBIOS, which is what QEMU has; and let it wait there."""
        if not all(rom.exists() for rom in SEABIOS):
            raise Unavailable(f"{SEABIOS[0]}: no such file; install Debian's seabios")
        sample = {"seabios": self._script(roms=SEABIOS)[0], "seabios/own BIOS": self._script()[0]}
        sample["seabios-idle"] = self._script("realtime", IDLE_SECONDS, roms=SEABIOS)[1]["idle_percent"]
        if qemu.available():
            with qemu.Qemu(self._image) as peer:
                sample["seabios/QEMU"] = peer.wait_for_text(PROMPT)
                sample["seabios-idle/QEMU"] = self._idle_percent(peer)
        return sample

    @staticmethod
    def _idle_percent(peer: qemu.Qemu) -> float:
        start, used = time.perf_counter(), peer.processor_seconds()
        time.sleep(IDLE_SECONDS)
        used = peer.processor_seconds() - used
        return 100 * used / (time.perf_counter() - start)

    def rss(self) -> Sample:
        """Look at the memory that has been used when the prompt is there."""
        sample = {"rss": self._script()[1]["peak_mebibytes"]}
        if qemu.available():
            with qemu.Qemu(self._image) as peer:
                peer.wait_for_text(PROMPT)
                sample["rss/QEMU"] = peer.peak_mebibytes()
        return sample

    def idle(self) -> Sample:
        """Let the prompt wait at the pace of the wall clock."""
        _, facts = self._script("realtime", IDLE_SECONDS)
        sample = {"idle": facts["idle_percent"]}
        if qemu.available():
            with qemu.Qemu(self._image) as peer:
                peer.wait_for_text(PROMPT)
                sample["idle/QEMU"] = self._idle_percent(peer)
        return sample

    def benchmarks(self) -> list[Benchmark]:
        """All of them."""
        boot = (
            Figure("boot", f"pcemu run to {PROMPT}, its whole process", "s", 1.0, against=("QEMU",)),
            Figure("boot-script", f"a script, from its start to {PROMPT}", "s", 1.0, against=("QEMU",)),
        )
        title = "A script under JEMMEX, from its start to the prompt"
        jemmex = Figure("jemmex", title, "s", 2, against=("without",))
        title = "A script under SeaBIOS, from its start to the prompt"
        seabios = (
            Figure("seabios", title, "s", against=("own BIOS", "QEMU")),
            Figure("seabios-idle", f"Idle {PROMPT} under SeaBIOS", "% of a core", against=("QEMU",)),
        )
        rss = Figure("rss", f"Resident memory at {PROMPT}, 32 MiB guest", "MiB", 150)
        idle = Figure("idle", f"Idle {PROMPT} at pace realtime", "% of a core", 10)
        return [
            Benchmark("boot", boot, self.boot),
            Benchmark("jemmex", (jemmex,), self.jemmex),
            Benchmark("seabios", seabios, self.seabios),
            Benchmark("rss", (rss,), self.rss),
            Benchmark("idle", (idle,), self.idle),
        ]
