"""The builder of changed studies."""

from __future__ import annotations

import pytest

from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY, tiny_study


def test_values_are_set_at_their_paths() -> None:
    """Of new keys as well, as long as their parent is there."""
    study = tiny_study(
        changed(TINY_STUDY, {"repetitions": 5, "measure.window": {"at_least_s": 2}, "tasks.three": {"preset": "stsb"}})
    )
    assert (study.repetitions, study.measure.window.at_least_s, list(study.tasks)) == (5, 2, ["one", "two", "three"])


def test_what_is_without_is_gone() -> None:
    """All else stays as it was."""
    assert list(tiny_study(changed(TINY_STUDY, {}, without=("tasks.two",))).tasks) == ["one"]


@pytest.mark.parametrize("path", ["mesure.window", "models.big.architecture.config.vocab_size.more"])
def test_a_change_that_meets_nothing_is_an_error(path: str) -> None:
    """It names the path."""
    with pytest.raises(KeyError, match=path):
        changed(TINY_STUDY, {path: 1})


def test_nothing_to_remove_is_an_error() -> None:
    """It names the path."""
    with pytest.raises(KeyError, match=r"tasks\.ten"):
        changed(TINY_STUDY, {}, without=("tasks.ten",))
