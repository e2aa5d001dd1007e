from dataclasses import replace
from typing import Any

from coordinator.planning.diff import changes
from joulefleet.store.records import StudyRecord
from tests.support.attempt_rows import STARTED


def record(**study: Any) -> StudyRecord:
    """Return a study's record."""
    definition: dict[str, Any] = {
        "name": "s",
        "repetitions": 3,
        "models": {"big": {}, "small": {}},
        "tasks": {"one": {}},
        "pairs": {"p": {"teacher": "big", "student": "small"}},
        "regime": "burst",
    }
    return StudyRecord(
        definition=definition | study,
        machines=(),
        places=(),
        comparands=(),
        requested_at=STARTED,
        model_digests={name: f"digest of {name}" for name in (definition | study)["models"]},
        task_digests={"one": "digest"},
    )


def test_a_study_that_never_ran_has_no_changes() -> None:
    """An equal study has none either."""
    assert changes(None, record()) == []
    assert changes(record(), record()) == []


def test_more_repetitions_reuse_what_is_there() -> None:
    """With fewer repetitions the other trials stay in the store."""
    assert changes(record(), record(repetitions=5)) == [
        "repetitions 3 → 5: every machine runs 2 blocks more, the others are reused"
    ]
    assert "stay in the store" in changes(record(), record(repetitions=1))[0]


def test_a_new_model_says_what_is_measured_again_and_why() -> None:
    """Every pair with the model is measured again, as a difference could otherwise be one between days."""
    (line,) = changes(record(), record(models={"big": {}, "small": {}, "new": {}}))
    assert line.startswith("new model new: every pair with it is measured again")
    assert changes(record(), record(models={"big": {}}))[0] == "model small is gone: its trials stay in the store"


def test_a_model_with_other_weights_has_changed() -> None:
    """The digest of its weights decides, not the text of the study."""
    before = record()
    now = replace(before, model_digests={**before.model_digests, "big": "other"})
    assert changes(before, now)[0].startswith("model big has changed")


def test_a_change_that_concerns_no_trial_is_named_as_such() -> None:
    """Labels and thresholds change nothing that is measured; a regime does."""
    assert "nothing is measured again" in changes(record(), record(labels={"a": "b"}))[0]
    assert "again" in changes(record(), record(regime="sustained"))[0]


def test_only_keys_of_measure_that_are_part_of_a_protocol_measure_again() -> None:
    """A longer time-out alone does not try again the trials that ran into the old one."""
    before = record(measure={"timeout_s": 10, "sampling_hz": 10, "window": {"passes": 3}})
    now = record(measure={"timeout_s": 20, "sampling_hz": 5, "window": {"passes": 4}})
    hertz, timeout, window = changes(before, now)
    assert "nothing is measured again" in hertz
    assert "--retry-quarantined" in timeout
    assert window == "measure.window has changed: every trial is measured in another way, so again"


def test_a_new_level_of_a_factor_reuses_the_others() -> None:
    """Only the cells of the new level are measured."""
    before, now = record(factors={"batch_size": [1, 8]}), record(factors={"batch_size": [1, 16]})
    assert changes(before, now) == [
        "factors.batch_size: 16 new: its cells are measured in every block, others are reused",
        "factors.batch_size: 8 gone: their trials stay in the store",
    ]
