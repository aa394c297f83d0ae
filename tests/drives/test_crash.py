"""Every operation of the engine survives a crash at any instant.

Each scenario runs the real engine under a recorder; then every state that a crash may leave is read by the
independent reader, which must find all that was promised. What a wrong order leaves must be found, too:
each scenario names some, made from the same recording.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pcemu.drives.hostfile import Host
from pcemu.drives.open import open_drive
from pcemu.errors import ImageFormatError
from pcemu.testing.crash import Exploration, crash_states, explore
from pcemu.testing.recording import DataCall, Recording, RecordingCalls
from tests.drives.independent_vhd import SECTOR, footer_in
from tests.drives.proof import scaled
from tests.drives.scenarios import SCENARIOS, Guest, Scenario, Writing, content_of

FULL_STATES = 10_000  # of each scenario, in CI
STATES = scaled(600, FULL_STATES)
RECORDINGS = scaled(4, 60)  # when they do not make so many states
LIMIT = scaled(100, 500)  # of each point of a recording
SECOND_CRASHES = scaled(4, 30)
WRITING = [scenario for scenario in SCENARIOS if isinstance(scenario, Writing)]


def record(scenario: Scenario, folder: Path, seed: int) -> Recording:
    """One run of a scenario in a new folder."""
    rng = random.Random(f"{scenario} {seed}")
    folder.mkdir()
    scenario.prepare(folder, rng)
    calls = RecordingCalls(folder)
    scenario.run(folder, calls, rng)
    return calls.recording


def explored(scenario: Scenario, recording: Recording, limit: int, seed: int) -> Exploration:
    """All states of a recording, checked."""
    return explore(
        recording, lambda state: scenario.check(state.files, state.promise), limit=limit, seed=seed
    )


def files_changed(recording: Recording) -> set[str]:
    """The files of before that a call went to."""
    numbers = {call.file for call in recording.log if isinstance(call, DataCall)}
    return {name for name, number in recording.names.items() if number in numbers}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_what_was_promised_survives_a_crash(scenario: Scenario, tmp_path: Path) -> None:
    total = Exploration()
    for seed in range(RECORDINGS):
        recording = record(scenario, tmp_path / str(seed), seed)
        assert files_changed(recording) <= set(scenario.changed)
        total += explored(scenario, recording, LIMIT, seed)
        if total.states >= STATES:
            break
    print(f"{scenario}: {total.states} states, {seed + 1} recordings")
    assert not total.violations, "\n".join(total.examples)


@pytest.mark.parametrize(
    ("scenario", "order"),
    [
        pytest.param(scenario, order, id=f"{scenario}: {order}")
        for scenario in SCENARIOS
        for order in scenario.wrong_orders()
    ],
)
def test_a_wrong_order_is_found(scenario: Scenario, order: str, tmp_path: Path) -> None:
    change = scenario.wrong_orders()[order]
    for seed in range(6):
        recording = record(scenario, tmp_path / str(seed), seed)
        wrong = recording.with_log(change(recording.log))
        if wrong.log == recording.log:
            continue  # this time there was nothing that had to wait
        found = explored(scenario, wrong, LIMIT, seed)
        if found.violations:
            print(f"{scenario}: {order}: {found.violations} of {found.states} states are wrong")
            return
    pytest.fail("nothing was found wrong")


@pytest.mark.parametrize("scenario", WRITING, ids=str)
def test_a_second_crash_while_going_on_after_the_first(scenario: Writing, tmp_path: Path) -> None:
    first = record(scenario, tmp_path / "first", 4)
    states = list(crash_states(first, limit=20, seed=4))
    total = Exploration()
    for number, state in enumerate(random.Random(4).sample(states, SECOND_CRASHES)):
        folder = tmp_path / str(number)
        folder.mkdir()
        state.write_to(folder)
        total += go_on(scenario, folder, number)
    print(f"{scenario}: {total.states} states")
    assert total.states and not total.violations, "\n".join(total.examples)


def go_on(scenario: Writing, folder: Path, seed: int) -> Exploration:
    """Open what a crash left, read it, write to it, and let that crash too."""
    content = content_of(folder, scenario.head, scenario.raw, scenario.places)
    calls = RecordingCalls(folder)
    lost = tail_is_lost(folder / scenario.head)
    if lost:
        with pytest.raises(ImageFormatError):
            open_drive(folder / scenario.head, host=Host(calls))
    drive = open_drive(folder / scenario.head, read_only=lost, host=Host(calls))
    guest = Guest(drive, calls, content)
    guest.read()
    if not lost:
        guest.work(random.Random(seed), 6)
    drive.close()
    return explored(scenario, calls.recording, LIMIT // 10, seed)


def tail_is_lost(path: Path) -> bool:
    """True for a VHD with but one footer, at its start."""
    data = path.read_bytes()
    return data.startswith(b"conectix") and footer_in(data[len(data) // SECTOR * SECTOR - SECTOR :]) is None


def test_there_are_enough_states() -> None:
    assert len(WRITING) * FULL_STATES >= 100_000
