"""The identity of the run in a row."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.importing.mapping.spec import (
    CommonMapping,
    FactorSources,
    FolderFacts,
    MachineRecord,
    NameSource,
    NumberFactor,
    TextFactor,
)
from coordinator.importing.model import Identity, ImportedMachine
from coordinator.importing.problems import ImportProblems
from coordinator.importing.tables.identity import columns_of, identity_of, machine_of
from tests.support.import_rows import table_row

BENCH = ImportedMachine(name="bench", record=MachineRecord())
OTHER = ImportedMachine(name="other", record=MachineRecord())


def mapping(**sources: Any) -> CommonMapping:
    """Return a mapping with model `m` and task `t`, unless `sources` say otherwise."""
    names: dict[str, Any] = {"model": NameSource(value="m"), "task": NameSource(value="t")}
    return CommonMapping(**(names | sources))


def identify(
    cells: dict[str, str], by: CommonMapping, facts: FolderFacts | None = None
) -> tuple[Identity | None, list[str]]:
    """Return the identity of a row with these `cells` on the bench, and the problems."""
    problems = ImportProblems()
    identity = identity_of(table_row(cells, problems), facts or FolderFacts(), by, BENCH)
    return identity, list(problems.messages)


def test_a_rule_for_the_folder_takes_precedence_over_a_column() -> None:
    """The more specific statement wins."""
    by = mapping(model=NameSource(column="model"), factors=FactorSources(batch_size=NumberFactor(column="b")))
    facts = FolderFacts(model="rule", batch_size=4, labels={"l": "rule"}, items=5)
    identity, problems = identify({"model": "column", "b": "8", "l": "column"}, by, facts)
    assert not problems
    assert identity is not None
    assert (identity.model, identity.batch_size, identity.labels, identity.items) == ("rule", 4, {"l": "rule"}, 5)


def test_columns_and_fixed_values_are_read() -> None:
    """An empty factor is unknown and not a mistake; an empty label is left out."""
    factors = FactorSources(
        batch_size=NumberFactor(column="b"),
        threads=NumberFactor(value=2),
        dtype=TextFactor(column="d", values={"fp32": "float32"}),
    )
    by = mapping(model=NameSource(column="m", values={"BERT": "bert"}), factors=factors, labels={"a": "x", "e": "y"})
    identity, problems = identify({"m": "BERT", "b": "", "d": "fp32", "x": "1", "y": ""}, by)
    assert not problems
    assert identity is not None
    assert (identity.model, identity.task, identity.batch_size, identity.threads) == ("bert", "t", None, 2)
    assert (identity.dtype, identity.labels) == ("float32", {"a": "1"})


@pytest.mark.parametrize(
    ("cells", "sources", "problem"),
    [
        ({"x": ""}, {"model": None}, "the model is unknown; give it under `folders` or `model` of the mapping."),
        ({"c": ""}, {"task": NameSource(column="c")}, "c is empty, and should name the task."),
        (
            {"c": "a b"},
            {"model": NameSource(column="c")},
            "c is 'a b', no valid name; give a name under `model: values`.",
        ),
        (
            {"c": "x"},
            {"model": NameSource(column="c", values={"y": "z"})},
            "c is 'x', which `model: values` of the mapping does not have.",
        ),
        (
            {"c": "1.5"},
            {"factors": FactorSources(threads=NumberFactor(column="c"))},
            "c is 1.5, but threads must be a whole number from 1 on.",
        ),
        (
            {"c": "0"},
            {"factors": FactorSources(batch_size=NumberFactor(column="c"))},
            "c is 0, but batch_size must be a whole number from 1 on.",
        ),
        (
            {"c": "half"},
            {"factors": FactorSources(dtype=TextFactor(column="c", values={"fp16": "float16"}))},
            "c is 'half', which `factors: dtype: values` does not have.",
        ),
        ({"c": "x" * 1001}, {"labels": {"l": "c"}}, "c is too long for the label 'l' (over 1000 characters)."),
    ],
)
def test_a_part_that_is_unknown_is_a_problem(cells: dict[str, str], sources: dict[str, Any], problem: str) -> None:
    """The message names the column and the key of the mapping."""
    _, problems = identify(cells, mapping(**sources))
    assert problems == [f"t.csv:2: {problem}"]


def test_a_single_machine_needs_no_name() -> None:
    """With several, a rule or the mapping must name one that exists."""
    problems = ImportProblems()
    row = table_row({"host": "elsewhere"}, problems)
    both = {"bench": BENCH, "other": OTHER}
    assert machine_of(row, FolderFacts(), mapping(), {"bench": BENCH}) is BENCH
    assert machine_of(row, FolderFacts(machine="other"), mapping(), both) is OTHER
    assert not problems.messages
    assert machine_of(row, FolderFacts(), mapping(machine=NameSource(column="host")), both) is None
    assert problems.messages == ["t.csv:2: no machine is named 'elsewhere' in the mapping; add it under `machines`."]


def test_the_columns_that_a_mapping_needs_are_named_with_their_keys() -> None:
    """A missing column is then reported with the key that needs it."""
    by = mapping(model=NameSource(column="m"), factors=FactorSources(dtype=TextFactor(column="d")), labels={"run": "r"})
    assert columns_of(by) == {"model": "m", "factors.dtype": "d", "labels.run": "r"}
