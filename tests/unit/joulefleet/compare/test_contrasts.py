"""The contrasts of a study: which levels are compared."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from joulefleet.compare.contrasts import (
    COLUMN,
    By,
    level_contrasts,
    model_contrasts,
    parse_factor,
    require_known,
)
from joulefleet.compare.metrics import TrialValues
from joulefleet.compare.results import Setting
from joulefleet.errors import QueryError
from tests.support.comparison_records import record_of, trial
from tests.support.one_pair import PROOFS, one_pair


def test_models_are_compared_by_pair_and_proof(tmp_path: Path) -> None:
    """Only proofs have an expected ratio."""
    contrasts = model_contrasts(record_of(tmp_path, one_pair(more=PROOFS)))
    assert [(one.name, one.kind, one.expected_ratio) for one in contrasts] == [
        ("p", "distillation", None),
        ("big+again", "a_a", 1.0),
        ("big+twice", "twice", 2.0),
    ]
    assert all(one.paired for one in contrasts)


def test_every_level_is_compared_with_the_first_of_the_study(tmp_path: Path) -> None:
    """The order is that of the study, not that of the trials, and levels without a trial are left out."""
    record = record_of(tmp_path, one_pair(more="factors: {batch_size: [8, 1, 64, 4]}"))
    trials = [trial(batch_size=size) for size in (1, 64, 8)]
    contrasts = level_contrasts(record, trials, "batch_size")
    assert [(one.reference, one.other, one.name) for one in contrasts] == [(8, 1, "1 / 8"), (8, 64, "64 / 8")]


def test_the_reference_may_be_a_machine_by_name_or_id(tmp_path: Path) -> None:
    """A name that two machines share is refused."""
    record = record_of(tmp_path, one_pair(), machines=(("m1", "left"), ("m2", "right")))
    trials = [trial(), trial(machine_id="m2", machine="right")]
    for reference in ("right", "m2"):
        (contrast,) = level_contrasts(record, trials, "machine", reference)
        assert (contrast.reference, contrast.other_name, contrast.paired) == ("m2", "left", False)
    twins = [trial(), trial(machine_id="m2")]
    with pytest.raises(QueryError, match=r"2 machines are called left\. Name one of left \(m1\), left \(m2\)"):
        level_contrasts(record, twins, "machine", "left")
    with pytest.raises(QueryError, match="No trial has the machine 'middle'"):
        level_contrasts(record, trials, "machine", "middle")


def test_one_level_is_compared_with_nothing(tmp_path: Path) -> None:
    """There is no contrast, and no error."""
    record = record_of(tmp_path, one_pair())
    assert level_contrasts(record, [trial()], "dtype") == []
    assert level_contrasts(record, [], "task") == []


def test_names_are_checked_with_a_cure() -> None:
    """The cure is the nearest name, or all names that exist."""
    require_known("pair", None, [])
    require_known("pair", ["bert"], ["bert"])
    with pytest.raises(QueryError, match=r"There is no pair called 'brt'\. Did you mean bert\?"):
        require_known("pair", ["brt"], ["bert", "gpt2"])
    with pytest.raises(QueryError, match=r"There are bert, gpt2\."):
        require_known("pair", ["x"], ["bert", "gpt2", "bert"])
    with pytest.raises(QueryError, match=r"There is none\."):
        require_known("pair", ["x"], [])
    assert parse_factor("dtype") == "dtype"
    with pytest.raises(QueryError, match="Name one of model, environment"):
        parse_factor("colour")


def test_every_factor_is_a_field_of_trials_and_settings() -> None:
    """Trials are matched by the fields of a setting, so every factor has to be among them."""
    names = {field.name for field in fields(Setting)} - {"study"}
    assert set(COLUMN) == set(get_args(By))
    assert set(COLUMN.values()) <= names <= set(TrialValues._fields)
