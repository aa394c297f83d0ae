"""The command behind tools/bench: choose, measure, show."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tools.benchmarks import booting, drives, nbd, qemu, remote, sessions, sharing, speed, terminal, window
from tools.benchmarks.figures import Benchmark, Result, Sample, Unavailable

NAMES = (
    *("boot", "jemmex", "seabios", "post", "int", "port", "protected"),
    *("modify", "disk", "memory", "idle", "rss", "window", "terminal"),
    *drives.NAMES, *nbd.NAMES, *remote.NAMES, *sessions.NAMES, *sharing.NAMES,
)  # fmt: skip
GROUPS = {
    "drives": drives.NAMES,
    "nbd": nbd.NAMES,
    "remote": remote.NAMES,
    "session": sessions.NAMES,
    "sharing": sharing.NAMES,
}
WIDTH = 130  # of the table where there is no terminal


def main() -> int:
    """Measure what was asked for; 0, 1 when a target was missed, 3 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="tools/bench", description="Measure pcemu beside its peers.")
    groups = ", ".join(f"or {group} for all {group}-…" for group in GROUPS)
    what = f"what to measure: {', '.join(NAMES)}, {groups} (everything)"
    parser.add_argument("names", nargs="*", metavar="NAME", help=what)
    parser.add_argument("--runs", type=int, default=5, help="samples to take the medians of (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples to a file, too")
    arguments = parser.parse_args()
    wanted = [each for name in arguments.names for each in GROUPS.get(name, (name,))] or list(NAMES)
    unknown = set(wanted).difference(NAMES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join((*NAMES, *GROUPS))}")
    if arguments.runs < 1:
        parser.error("--runs wants at least 1")
    console = Console(stderr=True)
    if not qemu.available():
        console.print(f"{qemu.PROGRAM} is missing: measuring without it; install QEMU for its figures")
    with tempfile.TemporaryDirectory() as folder:
        chosen = _choose(wanted, Path(folder), console)
        results, failed = _measure(chosen, arguments.runs, console)
    out = Console()
    if not out.is_terminal:
        out.width = WIDTH
    out.print(_table(results, arguments.runs))
    if arguments.json:
        arguments.json.write_text(json.dumps(_report(results, arguments.runs), indent=2) + "\n")
    if failed or len(chosen) < len(set(wanted)):
        return 3
    return 1 if any(result.met is False for result in results) else 0


def _choose(names: Sequence[str], folder: Path, console: Console) -> list[Benchmark]:
    """The benchmarks that can run here."""
    of_drives = drives.Drives(folder)
    engine = (
        *of_drives.benchmarks(),
        *nbd.Nbd(folder, of_drives).benchmarks(),
        *sessions.Sessions(folder).benchmarks(),
        *sharing.Sharing(folder).benchmarks(),
    )
    benchmarks = {benchmark.name: benchmark for benchmark in (*speed.BENCHMARKS, *engine)}
    if not benchmarks.keys() >= set(names):
        try:
            image = booting.find_freedos(folder)
            of_freedos = [
                *booting.Booting(image).benchmarks(),
                *window.Window(image).benchmarks(),
                *terminal.Terminal(image).benchmarks(),
                *remote.Remote(image).benchmarks(),
            ]
            benchmarks |= {benchmark.name: benchmark for benchmark in of_freedos}
        except Unavailable as reason:
            console.print(f"not measured: {reason}")
    return [benchmarks[name] for name in NAMES if name in names and name in benchmarks]


def _measure(chosen: list[Benchmark], runs: int, console: Console) -> tuple[list[Result], bool]:
    """Sample all benchmarks in turn, ``runs`` times; the figures, and whether one had to be given up."""
    samples: dict[str, list[Sample]] = {benchmark.name: [] for benchmark in chosen}
    given_up: set[str] = set()
    with console.status("") as status:
        for run in range(runs):
            for benchmark in chosen:
                if benchmark.name in given_up:
                    continue
                status.update(f"run {run + 1} of {runs}: {benchmark.name}")
                try:
                    samples[benchmark.name].append(benchmark.sample())
                except Unavailable as reason:
                    console.print(f"{benchmark.name}: {reason}")
                    given_up.add(benchmark.name)
    results = [
        Result.of(figure, samples[benchmark.name])
        for benchmark in chosen
        if benchmark.name not in given_up
        for figure in benchmark.figures
    ]
    return results, bool(given_up)


def _table(results: list[Result], runs: int) -> Table:
    table = Table(title=f"pcemu on this machine, medians of {runs} runs")
    for heading in ("figure", "pcemu", "target", ""):
        table.add_column(heading, justify="right" if heading == "pcemu" else "left")
    table.add_column("beside it (pcemu's ratio to it)")
    verdicts = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}
    for result in results:
        peers = [
            f"{peer} {_number(median(values))} (× {_number(result.ratio(peer))})"
            for peer, values in result.peers.items()
        ]
        figure = result.figure
        table.add_row(
            figure.title,
            f"{_number(result.value)} {figure.unit}",
            figure.target,
            verdicts[result.met],
            "\n".join(peers),
        )
    return table


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _report(results: list[Result], runs: int) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "runs": runs,
        "figures": {result.figure.key: result.as_json() for result in results},
    }


if __name__ == "__main__":
    sys.exit(main())
