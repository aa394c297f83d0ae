"""Every operation of the engine survives a crash at any instant.

Each scenario runs the real engine under a recorder; then every state that a crash may leave is read by the
independent reader, which must find all that was promised. What a wrong order leaves must be found, too:
each scenario names some, made from the same recording.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

from pcemu.drives.discard import discard
from pcemu.drives.hostfile import Host
from pcemu.drives.open import open_drive
from pcemu.errors import ImageAccessError, ImageError, ImageFormatError
from pcemu.testing.crash import CrashState, Exploration, crash_states, explore
from pcemu.testing.recording import DataCall, Recording, RecordingCalls
from tests.drives.independent_vhd import SECTOR, ImageChain, VhdImage, files_in, footer_in
from tests.drives.operations import (
    OPERATIONS,
    SECTORS,
    Committing,
    Fitting,
    Freezing,
    Growing,
    Operation,
    check_reads_as_one,
)
from tests.drives.operations import content_of as content_of_all
from tests.drives.proof import FULL, scaled
from tests.drives.scenarios import (
    SCENARIOS,
    Guest,
    Scenario,
    Writing,
    check_content,
    content_of,
    read_back,
)

FULL_STATES, FULL_OTHER_STATES = 6_000, 2_000  # of each scenario in CI: those in which a guest writes, others
STATES = scaled(600, FULL_STATES)
OTHER_STATES = scaled(400, FULL_OTHER_STATES)
RECORDINGS = scaled(4, 30)  # when they do not make so many states
LIMIT = scaled(100, 500)  # of each point of a recording
SECOND_CRASHES = scaled(4, 12)
SWITCHED_STATES = scaled(500, 5_000)
EVERYTHING: list[Scenario] = [*SCENARIOS, *OPERATIONS]
COMMITTING = [operation for operation in OPERATIONS if isinstance(operation, Committing)]
RESUMABLE = [operation for operation in OPERATIONS if not isinstance(operation, Freezing)]
WRITING = [scenario for scenario in SCENARIOS if isinstance(scenario, Writing)]
FEW = {"create fixed", "discard: 3 layers on raw", "grow: 0 layers on raw"}  # have not so many states


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


@pytest.mark.parametrize("scenario", EVERYTHING, ids=str)
def test_what_was_promised_survives_a_crash(scenario: Scenario, tmp_path: Path) -> None:
    total = Exploration()
    for seed in range(RECORDINGS):
        recording = record(scenario, tmp_path / str(seed), seed)
        assert files_changed(recording) <= set(scenario.changed)
        total += explored(scenario, recording, LIMIT, seed)
        if total.states >= (STATES if isinstance(scenario, Writing) else OTHER_STATES):
            break
    print(f"{scenario}: {total.states} states, {seed + 1} recordings")
    assert not total.violations, "\n".join(total.examples)
    if FULL and str(scenario) not in FEW:  # test_there_are_enough_states counts on it
        assert total.states >= (STATES if isinstance(scenario, Writing) else OTHER_STATES)


@pytest.mark.parametrize(
    ("scenario", "order"),
    [
        pytest.param(scenario, order, id=f"{scenario}: {order}")
        for scenario in EVERYTHING
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
        if some_state_is_wrong(scenario, wrong, seed):
            return
    pytest.fail("nothing was found wrong")


def some_state_is_wrong(scenario: Scenario, recording: Recording, seed: int) -> bool:
    """Whether a check fails; none is made after the first that does."""
    for state in crash_states(recording, limit=LIMIT, seed=seed):
        try:
            scenario.check(state.files, state.promise)
        except Exception:
            return True
    return False


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
    guest = Guest(lambda: drive, calls, content)
    guest.read()
    if not lost:
        guest.work(random.Random(seed), 6)
    drive.close()
    return explored(scenario, calls.recording, LIMIT // 10, seed)


def tail_is_lost(path: Path) -> bool:
    """True for a VHD with but one footer, at its start."""
    data = path.read_bytes()
    return data.startswith(b"conectix") and footer_in(data[len(data) // SECTOR * SECTOR - SECTOR :]) is None


@pytest.mark.parametrize("operation", [Growing("dynamic", 0), Growing("dynamic", 1)], ids=str)
def test_a_guest_goes_on_after_a_crash_while_structures_were_switched(
    operation: Growing, tmp_path: Path
) -> None:
    """The footers differ then: if the one at the end is lost next, its copy must not lead back."""
    first = record(operation, tmp_path / "first", 4)
    total = Exploration()
    for number, state in enumerate(crash_states(first, limit=50, seed=4)):
        image = VhdImage(state.files[operation.head])
        if image.tail_lost or not image.footers_differ or total.states > SWITCHED_STATES:
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        state.write_to(folder)
        known = dict(list(content_of_all(files_in(folder), operation.head, operation.raw).items())[:SECTORS])
        calls = RecordingCalls(folder)
        guest = Guest(partial(open_drive, folder / operation.head, host=Host(calls)), calls, known)
        guest.work(random.Random(number), 20)
        guest.drive.close()

        def check(state: CrashState) -> None:
            check_content(ImageChain(state.files, operation.head, operation.raw), state.promise)

        total += explore(calls.recording, check, limit=LIMIT, seed=number)
    assert total.states and not total.violations, "\n".join(total.examples)


@pytest.mark.parametrize("operation", RESUMABLE, ids=str)
def test_an_operation_that_was_cut_off_is_finished_by_doing_it_again(
    operation: Operation, tmp_path: Path
) -> None:
    first = record(operation, tmp_path / "first", 4)
    states = list(crash_states(first, limit=20, seed=4))
    states = random.Random(4).sample(states, min(SECOND_CRASHES, len(states)))
    fitting = states[0].promise[1]
    total = Exploration()
    for number, state in enumerate(states):
        folder = tmp_path / str(number)
        folder.mkdir()
        state.write_to(folder)
        look_with_the_engine(operation, folder, fitting)
        calls = RecordingCalls(folder)
        operation.resume(folder, calls, fitting)
        operation.check(files_in(folder), (True, fitting))
        total += explored(operation, calls.recording, LIMIT // 10, number)
    print(f"{operation}: {total.states} states")
    assert not total.violations, "\n".join(total.examples)


def look_with_the_engine(operation: Operation, folder: Path, fitting: Fitting) -> None:
    """Every image reads as it may, or is refused as holding half of a commit; looking changes nothing."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name, contents in fitting.items():
        if name not in before:
            continue
        try:
            drive = open_drive(folder / name, read_only=True, format=operation.format_of(name))
        except ImageAccessError as error:
            assert "holds half of a commit" in str(error)
            assert isinstance(operation, Committing) and name == operation.target
            continue
        read = read_back(drive)
        drive.close()
        assert any(content.items() <= read.items() for content in contents), f"{name} reads wrong"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("commit", COMMITTING, ids=str)
def test_discard_is_refused_half_way_through_a_commit(commit: Committing, tmp_path: Path) -> None:
    first = record(commit, tmp_path / "first", 5)
    refused = 0
    for number, state in enumerate(crash_states(first, limit=3, seed=5)):
        folder = tmp_path / str(number)
        folder.mkdir()
        state.write_to(folder)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        try:
            discard(folder / commit.head)
        except ImageError:
            refused += 1
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        else:
            for name, contents in state.promise[1].items():
                if name != commit.head:
                    check_reads_as_one(files_in(folder), name, contents, commit.raw)
    assert refused


def test_there_are_enough_states() -> None:
    assert set(map(str, EVERYTHING)) >= FEW
    others = len(EVERYTHING) - len(WRITING) - len(FEW)
    assert len(WRITING) * FULL_STATES + others * FULL_OTHER_STATES >= 100_000
