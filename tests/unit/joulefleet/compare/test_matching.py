"""The trials that are matched: one protocol of each arm in one setting."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from joulefleet.compare.contrasts import By, Contrast
from joulefleet.compare.matching import Match, by_level, matches, newest_by
from joulefleet.compare.metrics import TrialValues
from joulefleet.store.records import ImportRecord, StudyRecord
from tests.support.attempt_rows import STARTED
from tests.support.comparison_records import CONTRAST, record_of, trial
from tests.support.one_pair import one_pair

IN_CONTAINER = replace(
    CONTRAST,
    by="environment",
    kind="level",
    reference="bare",
    other="container",
    reference_name="bare",
    other_name="container",
)


@pytest.fixture
def record(tmp_path: Path) -> StudyRecord:
    """Return a study of one pair on two machines, of which `right` is named first."""
    return record_of(tmp_path, one_pair(), machines=(("m2", "right"), ("m1", "left")))


def block(number: int, **of_small: object) -> list[TrialValues]:
    """Return both trials of a block; `of_small` are values of the student's trial."""
    return [trial("big", number), trial("small", number, **of_small)]


def matched(
    record: StudyRecord,
    trials: list[TrialValues],
    contrast: Contrast = CONTRAST,
    by: By = "model",
    flags: tuple[str, ...] = (),
) -> list[Match]:
    """Return the matches of `trials`."""
    return list(matches(record, contrast, by_level(trials, by), exclude_flags=flags))


def test_the_two_trials_of_a_block_are_a_pair(record: StudyRecord) -> None:
    """A failed trial, or one of another round, leaves its block without a pair."""
    trials = [*block(1), *block(2, status="failed"), *block(3, round=2), *block(4)]
    (match,) = matched(record, trials)
    assert [(first.block, second.block) for first, second in match.blocks.pairs] == [(1, 1), (4, 4)]
    assert match.blocks.unpaired == 2
    assert (len(match.blocks.reference), len(match.blocks.other)) == (4, 3)


@pytest.mark.parametrize(
    "values",
    [{"task": "stsb"}, {"batch_size": 8}, {"regime": "burst"}, {"weights_source": "seeded"}, {"machine_id": "m2"}],
)
def test_trials_of_two_settings_never_meet(record: StudyRecord, values: dict[str, object]) -> None:
    """Each trial has a match of its own, whose other arm is empty."""
    found = matched(record, [trial("big", 1), trial("small", 1, **values)])
    assert [(len(match.reference), len(match.other)) for match in found if match.reference] in ([(1, 0)], [])
    assert all(match.blocks.pairs == () for match in found)


def test_unequal_work_and_flags_set_a_block_apart(record: StudyRecord) -> None:
    """The threads that took effect count, and only the flags that the study named."""
    trials = [*block(1, threads=1), *block(2, flags=["steal"]), *block(3, flags=["throttled"]), *block(4)]
    (match,) = matched(record, trials, flags=("steal",))
    assert match.blocks.unequal == 1
    assert [first.block for first, _ in match.blocks.excluded] == [2]
    assert [first.block for first, _ in match.blocks.pairs] == [3, 4]


def test_environments_with_other_libraries_are_no_pair(record: StudyRecord) -> None:
    """The ratio would be that of the libraries."""
    trials = [trial("big", 1), trial("big", 1, environment="container", libraries_digest="others")]
    (match,) = matched(record, trials, IN_CONTAINER, "environment")
    assert (match.blocks.pairs, match.blocks.other_libraries) == ((), 1)


def test_protocols_that_did_equal_work_nearest_in_time_are_matched(record: StudyRecord) -> None:
    """A protocol that did other work is matched with nothing, and not dropped."""
    late = STARTED + timedelta(days=9)
    trials = [
        trial("big", 1, protocol="b1"),
        trial("big", 2, protocol="b2", started_at=late),
        trial("small", 2, protocol="s2", started_at=late + timedelta(minutes=5)),
        trial("small", 1, protocol="s1"),
        trial("small", 3, protocol="s3", passes=2),
    ]
    found = matched(record, trials)
    protocols = {tuple(arm[0].protocol if arm else None for arm in (match.reference, match.other)) for match in found}
    assert protocols == {("b2", "s2"), ("b1", "s1"), (None, "s3")}


def test_settings_come_in_the_order_of_the_study(record: StudyRecord) -> None:
    """Machines come in the order of the study, not of their ids."""
    trials = [*block(1), *(one._replace(machine_id="m2", machine="right") for one in block(1))]
    assert [match.setting.machine_id for match in matched(record, trials)] == ["m2", "m1"]


def test_machines_and_imported_trials_have_no_blocks(record: StudyRecord) -> None:
    """All ok trials of both arms count, without pairs."""
    for of_study, contrast, by in (
        (replace(record, imported=ImportRecord(tool="a tool", planned={}, content="", mapping={})), CONTRAST, "model"),
        (record, replace(CONTRAST, by="machine", reference="m1", other="m2"), "machine"),
    ):
        trials = [*block(1), *block(2)] if by == "model" else [trial("big", 1), trial("big", 1, machine_id="m2")]
        (match,) = matched(of_study, trials, contrast, by)  # type: ignore[arg-type]  # a literal in a tuple is a str
        assert not match.paired
        assert match.blocks.pairs == ()
        assert len(match.blocks.reference) == len(match.blocks.other) == len(trials) / 2


def test_of_several_protocols_the_newest_is_taken(record: StudyRecord) -> None:
    """Matches with one arm only are left out."""
    late = STARTED + timedelta(days=9)
    trials = [
        *(one._replace(protocol=f"new {one.model}", started_at=late) for one in block(2)),
        *block(1),
        trial("big", 1, machine_id="m2"),
    ]
    by_setting = newest_by("machine_id", matched(record, trials))
    ((name, setting),) = by_setting
    assert (name, setting.machine_id) == ("p", None)
    ((machine_id, match),) = by_setting[name, setting].items()
    assert (machine_id, match.first.protocol) == ("m1", "new big")
