"""The host fails in the middle of any operation: that is reported, nothing is lost, and a retry works.

Each scenario runs with one fault at each of its system calls in turn (at some of them, unless all is to be
proven). A step that fails is checked at once, as if the process ended there, and done again. At the end all
must be there, and a crash at any instant of the whole, fault included, must leave what was promised: that is
looked at for some of the calls. Signals and short transfers, which change nothing, meet all calls of one run.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives.hostfile import LOST
from pcemu.drives.open import open_drive
from pcemu.errors import ImageError
from pcemu.testing.crash import explore
from pcemu.testing.faults import SHORT, FaultyCalls, can_fail
from pcemu.testing.recording import Promise
from tests.drives.independent_vhd import files_in
from tests.drives.operations import OPERATIONS, Growing, Operation
from tests.drives.proof import scaled
from tests.drives.scenarios import SCENARIOS, Scenario, Writing

ALL = 1 << 30
EXPLORED = scaled(3, 8)  # calls of each scenario and fault behind which all crashes are looked at
LIMIT = scaled(10, 30)  # states of each point of a recording
TRIES = 5
EVERYTHING: list[Scenario] = [*SCENARIOS, *OPERATIONS]
FAULTS = {
    "a broken disk": [errno.EIO],
    "a full disk, three times": [errno.ENOSPC] * 3,
    "a disk that fills up": [SHORT, errno.ENOSPC],
    "a disk that breaks": [SHORT, errno.EIO],
}
UNNOTICED = {"a short transfer": [SHORT], "signals": [errno.EINTR] * 2}
# Whose failure may change nothing that was asked for: the file is closed all the same, a leftover stays, the
# parent is found at the next place that names it, what may be a hole is copied, space is found later.
FORGIVEN = frozenset({"close", "unlink", "stat", "lstat", "lseek", "reserve"})


class Retrying:
    """Does steps again when they fail, after a look at what is there then."""

    def __init__(self, scenario: Scenario, folder: Path, calls: FaultyCalls) -> None:
        self.scenario = scenario
        self.folder = folder
        self.calls = calls
        self.failures: list[Exception] = []

    def __call__(self, step: Callable[[], Any]) -> Any:
        for _ in range(TRIES):
            try:
                return step()
            except (OSError, ImageError) as error:
                self.failures.append(error)
                self.check()
        raise AssertionError(f"{TRIES} tries failed") from self.failures[-1]

    def check(self) -> None:
        """What was promised must be in the files as they are now."""
        promises = [call for call in self.calls.recording.log if isinstance(call, Promise)]
        self.scenario.check(files_in(self.folder), promises[-1].value)


def run(
    scenario: Scenario, prepared: Path, folder: Path, number: int, codes: list[int], limit: int = LIMIT
) -> FaultyCalls:
    """One run with a fault at call ``number``."""
    shutil.copytree(prepared, folder)
    calls = FaultyCalls(folder)
    calls.fail(number, codes)
    attempt = Retrying(scenario, folder, calls)
    scenario.run(folder, calls, random.Random(7), attempt)
    attempt.check()
    if not calls.failed:
        assert not attempt.failures
    elif not FORGIVEN.issuperset(calls.failed):
        assert attempt.failures, f"nobody heard that {calls.failed} failed"
    said = [os.strerror(code) for code in codes if code != SHORT]
    for failure in attempt.failures:  # nothing else goes wrong because of it, and it is told what it was
        assert any(text in str(failure) for text in [*said, LOST]), failure
    if isinstance(scenario, Writing):
        open_drive(folder / scenario.head).close()  # no lock was left
    if attempt.failures and limit:
        result = explore(
            calls.recording, lambda state: scenario.check(state.files, state.promise), limit=limit
        )
        assert not result.violations, result.examples[0]
    return calls


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scenario", EVERYTHING, ids=str)
def test_a_fault_is_reported_and_can_be_made_good(scenario: Scenario, fault: str, tmp_path: Path) -> None:
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    scenario.prepare(prepared, random.Random(7))
    made = run(scenario, prepared, tmp_path / "clean", 0, []).made
    codes = FAULTS[fault]
    positions = [number for number, call in enumerate(made) if can_fail(call, codes[0])]
    if not positions:
        pytest.skip("no call of this operation can fail so")
    rng = random.Random(3)
    count = EXPLORED if SHORT in codes else scaled(EXPLORED, ALL)  # a cut write fails as a whole one does
    chosen = rng.sample(positions, min(count, len(positions)))
    run_with_each(scenario, prepared, tmp_path, fault, made, chosen[:EXPLORED])
    run_with_each(scenario, prepared, tmp_path, fault, made, chosen[EXPLORED:], limit=0)


@pytest.mark.parametrize("fault", UNNOTICED)
@pytest.mark.parametrize("scenario", EVERYTHING, ids=str)
def test_what_happens_to_every_call_and_is_no_failure_goes_unnoticed(
    scenario: Scenario, fault: str, tmp_path: Path
) -> None:
    folder = tmp_path / "drives"
    folder.mkdir()
    scenario.prepare(folder, random.Random(7))
    calls = FaultyCalls(folder)
    calls.fail(0, UNNOTICED[fault], always=True)
    attempt = Retrying(scenario, folder, calls)
    scenario.run(folder, calls, random.Random(7), attempt)
    assert not attempt.failures
    attempt.check()
    if not calls.failed and not calls.cut:
        pytest.skip("no call of this operation can fail so")


@pytest.mark.parametrize(
    "scenario", [each for each in OPERATIONS if "larger" in str(each) or isinstance(each, Growing)], ids=str
)
def test_what_grew_is_safe_before_it_is_used_when_a_sync_of_it_failed(
    scenario: Operation, tmp_path: Path
) -> None:
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    scenario.prepare(prepared, random.Random(7))
    made = run(scenario, prepared, tmp_path / "clean", 0, []).made
    syncs = [number for number, call in enumerate(made) if call in ("fsync", "fdatasync", "fsync_dir")]
    run_with_each(scenario, prepared, tmp_path, "a broken disk", made, syncs, limit=60)


def run_with_each(
    scenario: Scenario,
    prepared: Path,
    tmp_path: Path,
    fault: str,
    made: list[str],
    positions: list[int],
    limit: int = LIMIT,
) -> None:
    """A run for each of the calls at which to fail."""
    for number in positions:
        folder = tmp_path / str(number)
        try:
            run(scenario, prepared, folder, number, FAULTS[fault], limit)
        except BaseException as error:
            error.add_note(f"{fault} at call {number}, {made[number]}")
            raise
        shutil.rmtree(folder)
