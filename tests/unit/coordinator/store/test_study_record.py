"""The record that a run makes of its study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.store.study_record import check_not_imported, study_record
from coordinator.store.writer import StoreWriter, open_store
from joulefleet.errors import StoreError
from joulefleet.plan.expand import Pinned
from joulefleet.store.records import ImportRecord, StudyRecord
from joulefleet.study.load import study_from_json
from tests.support.scheduled_machines import pinned
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY


def record(store: StoreWriter, study: Pinned, **names: str) -> StudyRecord:
    """Return the record of `study` on machines with these ids and names, each of which is a place."""
    return study_record(study, machines=names, places=names, store=store)


def test_a_record_holds_the_study_and_what_it_was_resolved_to(tmp_path: Path) -> None:
    """So a later run can tell whether a model has changed."""
    study = pinned()
    with open_store(tmp_path / "store", study="tiny") as store:
        made = record(store, study, m2="two", m1="one")
    assert study_from_json(made.definition) == study.study
    assert made.model_digests == {name: model.digest for name, model in study.models.items()}
    assert made.task_digests == {name: task.digest for name, task in study.tasks.items()}
    assert made.machines == made.places == (("m1", "one"), ("m2", "two"))
    assert [comparand.name for comparand in made.comparands] == list(study.study.pairs)
    assert made.imported is None


def test_machines_of_earlier_runs_stay_and_take_their_newest_name(tmp_path: Path) -> None:
    """What they measured is part of the study."""
    with open_store(tmp_path / "store", study="tiny") as store:
        store.record_study(record(store, pinned(), a="old", b="bee"))
        assert record(store, pinned(), a="new", c="sea").machines == (("a", "new"), ("b", "bee"), ("c", "sea"))


def test_places_of_another_placement_do_not_stay(tmp_path: Path) -> None:
    """Trials belong to classes of machines then, and every trial is measured again."""
    spread = pinned(changed(TINY_STUDY, {"placement": "any-machine"}))
    with open_store(tmp_path / "store", study="tiny") as store:
        store.record_study(record(store, pinned(), a="ant"))
        made = record(store, spread, b="bee")
    assert made.machines == (("a", "ant"), ("b", "bee"))
    assert made.places == (("b", "bee"),)


def test_a_study_that_was_imported_is_not_run(tmp_path: Path) -> None:
    """Its trials have no blocks; a study that is new or was measured may run."""
    with open_store(tmp_path / "store", study="tiny") as store:
        measured = record(store, pinned(), a="ant")
    check_not_imported("tiny", None)
    check_not_imported("tiny", measured)
    origin = ImportRecord(tool="codecarbon", planned={}, content="", mapping={})
    with pytest.raises(StoreError, match=r"study tiny of this store was imported from codecarbon.*another name"):
        check_not_imported("tiny", replace(measured, imported=origin))
