"""The order and the ids of imported runs, and the record of their study."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from coordinator.importing.mapping.spec import CommonMapping, MachineRecord
from coordinator.importing.model import NOT_REPORTED, Identity, ImportedMachine, ImportedRun, Package, Values
from coordinator.importing.rows import attempt_id, check_pairs, import_record, import_rows, in_run_order, run_id
from joulefleet.errors import StudyError
from joulefleet.study.spec import Pair

IDENTITY = Identity(model="bert", task="sst2", machine=ImportedMachine(name="bench", record=MachineRecord()))


def run(name: str, *, folder: str = "e", hour: int | None = None, model: str = "bert") -> ImportedRun:
    """Return a run that started at this `hour`."""
    started_at = None if hour is None else datetime(2024, 5, 17, hour, tzinfo=UTC)
    return ImportedRun(
        folder=folder,
        run=name,
        content=name,
        identity=replace(IDENTITY, model=model),
        values=Values(started_at=started_at),
        energy=NOT_REPORTED,
    )


def package(*runs: ImportedRun) -> Package:
    """Return a package of these `runs`, and one more that was planned."""
    planned = [*(one.identity for one in runs), IDENTITY]
    return Package(tool="tool", runs=runs, planned=planned, folders=1, notes=())


def test_runs_are_ordered_by_start_if_all_are_known() -> None:
    """Whatever the order of their folders."""
    late, early = run("a", folder="e1", hour=9), run("b", folder="e2", hour=8)
    assert in_run_order([late, early]) == [early, late]


def test_runs_are_ordered_by_folder_if_a_start_is_unknown() -> None:
    """A known start says nothing about the others."""
    first, second = run("a", folder="e2", hour=9), run("b", folder="e10", hour=None)
    assert in_run_order([second, first]) == [first, second]


def test_repetitions_number_the_runs_of_each_cell() -> None:
    """Labels do not make a cell of their own."""
    runs = (run("a"), run("b", model="distilbert"), run("c"))
    rows = list(import_rows("study", package(*runs)))
    assert [(row["model"], row["repetition"]) for row in rows] == [("bert", 1), ("distilbert", 1), ("bert", 2)]


def test_an_id_depends_on_study_tool_place_and_content() -> None:
    """The same data of the same study is never imported twice."""
    one = run("a")
    others = [
        run_id("other", "tool", one),
        run_id("study", "other", one),
        run_id("study", "tool", replace(one, folder="f")),
        run_id("study", "tool", replace(one, content="changed")),
    ]
    assert len({run_id("study", "tool", one), *others}) == 5
    assert attempt_id("study", "tool", one) == f"{run_id('study', 'tool', one)}-r1-a1"


def test_the_record_counts_what_was_planned() -> None:
    """So that `status` shows what was never done."""
    mapping = CommonMapping(pairs={"p": Pair(teacher="bert", student="distilbert")})
    record = import_record("study", package(run("a"), run("b", model="distilbert")), mapping, {"given": 1})
    assert record.imported is not None
    assert list(record.imported.planned.values()) == [3]
    assert list(record.definition["models"]) == ["bert", "distilbert"]
    assert record.comparands[0].teacher == "bert"
    assert record.imported.mapping == {"given": 1}


def test_a_pair_without_runs_is_a_mistake() -> None:
    """There would be nothing to compare."""
    mapping = CommonMapping(pairs={"p": Pair(teacher="bert", student="gpt2")})
    with pytest.raises(StudyError, match=r"m\.yaml: pairs\.p\.student: no run has the model 'gpt2'; there are bert\."):
        check_pairs(mapping, package(run("a")), "m.yaml")
