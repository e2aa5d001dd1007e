"""Whatever happens to a fleet: nothing finished is lost, nothing finished is run again, and the study ends.

Random histories of crashes, losses, full disks, restarts and clocks that jump, each followed by a run
without faults. Coordinator and scheduler are the real ones; time, agents and disks are simulated.
`JOULEFLEET_HISTORIES` sets the number of histories.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import joulefleet
from coordinator.campaign import campaign
from tests.histories.laws import accepted, check
from tests.histories.stage import History, Stage
from tests.support.fleet_faults import KINDS, Fault
from tests.support.simulated_outcomes import fact_in, lost_in_memory, study_and_fact_in

HISTORIES = int(os.environ.get("JOULEFLEET_HISTORIES", "100"))
ON_DISK = max(3, HISTORIES // 100)
FEW = "JOULEFLEET_HISTORIES" not in os.environ
"""Whether to play the same few histories every time; with a number of their own, new ones are played."""


def faults_of(kinds: Sequence[str]) -> st.SearchStrategy[tuple[Fault, ...]]:
    """Return a strategy for faults of these kinds at any moments."""
    fault = st.builds(
        Fault,
        after=st.integers(0, 60),
        kind=st.sampled_from(kinds),
        machine=st.integers(0, 2),
        amount=st.integers(0, 4),
    )
    return st.lists(fault, max_size=14).map(tuple)


FEW_KINDS = st.lists(st.sampled_from(KINDS), min_size=1, max_size=4, unique=True)
"""A few kinds of faults: among many kinds, two that are dangerous only together would hardly ever meet."""

HISTORY = st.builds(
    History,
    machines=st.integers(1, 3),
    any_machine=st.booleans(),
    pilots=st.booleans(),
    deadly=st.sampled_from([None, None, None, None, 0, 3]),
    sick=st.sampled_from([None, None, None, 1, 2]),
    faults=st.one_of(st.just(KINDS), FEW_KINDS).flatmap(faults_of),
)

PLAYED: Counter[str] = Counter()


def played(history: History, folder: Path | None = None) -> Stage:
    """Play one history and check its laws."""
    stage = Stage(history, folder)
    stage.play()
    check(stage)
    PLAYED.update(stage.world.happened)
    PLAYED["histories"] += 1
    PLAYED["trials started"] += len(stage.world.starts)
    return stage


@settings(
    max_examples=HISTORIES, derandomize=FEW, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(HISTORY)
def play(history: History) -> None:
    """Play one history."""
    played(history)


@settings(
    max_examples=ON_DISK, derandomize=FEW, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(HISTORY)
def play_on_disk(history: History) -> None:
    """Play one history with the real store, outboxes and epochs, and check that the views accept what the rule says."""
    with tempfile.TemporaryDirectory() as folder:
        stage = played(history, Path(folder))
        chosen = accepted(stage.design, [fact_in(data) for data in stage.disk.files.values()])
        with joulefleet.open(Path(folder) / "store") as store:
            rows = store.arrow("select trial_id, attempt_id from trials").to_pylist()
    by_view = {row["trial_id"]: row["attempt_id"] for row in rows}
    assert {trial: by_view.get(trial) for trial in chosen} == {trial: fact.attempt_id for trial, fact in chosen.items()}


@pytest.mark.timeout(300 + 3 * HISTORIES)
def test_whatever_happens_to_a_fleet_its_study_ends_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The laws hold after every history; some of them are played on real disks."""
    with monkeypatch.context() as in_memory:
        in_memory.setattr(campaign, "fact_of", fact_in)
        in_memory.setattr(campaign, "study_and_fact", study_and_fact_in)
        in_memory.setattr(campaign, "row_of_lost", lost_in_memory)
        play()
    play_on_disk()
    with capsys.disabled():
        histories, trials = PLAYED.pop("histories"), PLAYED.pop("trials started")
        sys.stdout.write(f"\n{histories} histories, {trials} trials started, {PLAYED.total()} faults: ")
        sys.stdout.write(", ".join(f"{count} × {kind}" for kind, count in PLAYED.most_common()) + "\n")
