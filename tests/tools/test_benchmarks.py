"""tools/bench: how samples become figures, and that its guests run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import require
from tools.benchmarks import bare, drive_memory, drives, guests, qemu_img, sessions, terminal, window
from tools.benchmarks.booting import find_freedos
from tools.benchmarks.figures import Figure, Result, Unavailable
from tools.benchmarks.marks import Marks

FASTER = Figure("speed", "Speed", "MB/s", 5, at_least=True, against=("a", "b"))
SAMPLES = [
    {"speed": 60.0, "speed/a": 10.0, "speed/b": 12.0, "speeds": 1.0},
    {"speed": 50.0, "speed/a": 5.0, "speed/b": 10.0},
    {"speed": 10.0, "speed/a": 4.0, "speed/b": 2.0},
]


def test_ratios_are_medians_of_pairs() -> None:
    result = Result.of(FASTER, SAMPLES)
    assert result.value == 50
    assert result.ratio("a") == 6
    assert result.ratio("b") == 5
    assert set(result.peers) == {"a", "b"}


@pytest.mark.parametrize(("limit", "met"), [(5, True), (5.5, False)])
def test_a_target_has_to_be_met_against_every_peer(limit: float, met: bool) -> None:
    figure = Figure("speed", "Speed", "MB/s", limit, at_least=True, against=("a", "b"))
    assert Result.of(figure, SAMPLES).met is met


def test_targets_without_a_peer_are_for_the_value() -> None:
    samples = [{"time": value} for value in (3.0, 1.0, 2.0)]
    assert Result.of(Figure("time", "Time", "ms", 2), samples).met is True
    assert Result.of(Figure("time", "Time", "ms", 1.9), samples).met is False
    assert Result.of(Figure("time", "Time", "ms"), samples).met is None


def test_nothing_is_said_of_a_target_whose_peer_did_not_run() -> None:
    samples = [{"speed": 1.0, "speed/a": 1.0}]
    assert Result.of(FASTER, samples).met is None


def test_a_part_lasts_until_the_next_mark() -> None:
    times = iter([1.0, 3.0, 7.0, 8.0])
    marks = Marks(lambda: next(times))
    for byte in b"AB.":
        assert not marks.ended
        marks.set(byte)
    assert marks.ended
    assert (marks.seconds("A"), marks.seconds("B"), marks.seconds("C")) == (2.0, 4.0, None)


def test_a_part_that_failed_took_no_time_to_speak_of() -> None:
    marks = Marks(lambda: 0.0)
    for byte in b"A!":
        marks.set(byte)
    assert marks.ended
    assert marks.seconds("A") is None


def test_a_guest_runs_on_pcemu_and_on_bare_unicorn() -> None:
    require(shutil.which("nasm") is not None, "nasm")
    for marks in (guests.run_program("port"), bare.run_guest(guests.assemble("port"), count=False)):
        assert all(marks.seconds(part) for part in "ION")


def test_a_missing_guest_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("PCEMU_GUESTS", str(tmp_path))
    with pytest.raises(Unavailable, match=r"freedos-1\.2-hd\.img\.xz: no such file; set PCEMU_GUESTS"):
        find_freedos(guests.SOURCES)
    monkeypatch.delenv("PCEMU_GUESTS")
    with pytest.raises(Unavailable, match="set PCEMU_GUESTS"):
        find_freedos(guests.SOURCES)


@pytest.mark.slow
def test_drives_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mebibyte = drives.MIB
    sizes = {"DRIVE": 8 * mebibyte, "SEQUENTIAL": 16 * mebibyte, "COMMITTED": 2 * mebibyte}
    counts = {"READS": 2000, "TURNS": 2, "READS_OF_QEMU": 1000, "WRITES": 8, "OPENINGS": 2}
    for name, value in {**sizes, **counts, "COMMIT_DRIVE": 8 * mebibyte}.items():
        monkeypatch.setattr(drives, name, value)
    monkeypatch.setattr(drives.Drives, "memory", lambda self: {"memory": 1.0, "memory-own": 1.0})
    for benchmark in drives.Drives(tmp_path).benchmarks():
        sample = benchmark.sample()
        for figure in benchmark.figures:
            assert sample[figure.key] > 0
            assert Result.of(figure, [sample]).value > 0
            if qemu_img.available() and not figure.key.startswith(("memory", "random-64")):
                assert f"{figure.key}/{drives.PEER}" in sample


@pytest.mark.slow
def test_sessions_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(shutil.which("nasm") is not None, "nasm")
    sizes = {"MANY": 2 << 20, "WRITTEN": 1 << 20, "COMMITTED": 4 << 20, "VOLUME": 64 << 20}
    counts = {"STARTS": 1, "REQUESTS": 24, "FOLDERS": 20, "FILES": 2}
    for name, value in {**sizes, **counts}.items():
        monkeypatch.setattr(sessions, name, value)
    for benchmark in sessions.Sessions(tmp_path).benchmarks():
        sample = benchmark.sample()
        for figure in benchmark.figures:
            assert Result.of(figure, [sample]).value > 0
            assert all(f"{figure.key}/{peer}" in sample for peer in figure.against)


def test_the_memory_of_a_large_drive_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive_memory, "WRITTEN", 1 << 20)
    monkeypatch.setattr(drive_memory, "READS", 10)
    drive_memory.main(str(tmp_path / "huge.vhd"))
    before, after = map(float, capsys.readouterr().out.split())
    assert 0 < before <= after


@pytest.mark.slow
def test_the_window_gives_all_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(shutil.which("Xvfb") is not None, "Xvfb")
    try:
        image = find_freedos(tmp_path)
    except Unavailable as reason:
        require(False, str(reason))
    monkeypatch.setattr(window, "IDLE_SECONDS", 0.2)
    sample = window.Window(image).sample()
    assert sample.keys() == {figure.key for figure in window.FIGURES}
    assert all(value > 0 for value in sample.values())


@pytest.mark.slow
def test_the_terminal_gives_all_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        image = find_freedos(tmp_path)
    except Unavailable as reason:
        require(False, str(reason))
    monkeypatch.setattr(terminal, "IDLE_SECONDS", 0.2)
    sample = terminal.Terminal(image).sample()
    assert sample.keys() == {figure.key for figure in terminal.FIGURES}
    assert all(value > 0 for value in sample.values())
