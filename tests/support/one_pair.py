"""Stores of one pair on one task, whose true ratios are known."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from joulefleet.compare.compare import compare
from joulefleet.compare.results import Comparison
from joulefleet.query import Store
from joulefleet.study.spec import Study
from tests.support.attempt_rows import study_from, twelve_cell_rows, write_measured

ONE_PAIR = """
name: one
regime: sustained
repetitions: {repetitions}
models:
  big: {{architecture: {{model_type: bert}}}}
  small: {{architecture: {{model_type: bert}}}}
tasks: {{sst2: {{preset: sst2}}}}
pairs: {{p: {{teacher: big, student: small}}}}
{more}
"""
PROOFS = "proofs: {a_a: [{model: big, task: sst2}], twice: [{model: big, task: sst2}]}"
SECONDS = {"big": 2.0, "small": 1.0, "big+again": 2.0, "big+twice": 4.0}

Change = Callable[[dict[str, Any]], dict[str, Any]]


def one_pair(repetitions: int = 5, more: str = "") -> Study:
    """Return a study of one pair on one task."""
    return study_from(ONE_PAIR.format(repetitions=repetitions, more=more))


def unchanged(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row as it is."""
    return row


def compared(path: Path, study: Study, change: Change = unchanged, more: tuple[dict[str, Any], ...] = ()) -> Comparison:
    """Return the comparison of a store with the rows of `study`, each changed by `change`, and `more` rows."""
    rows = [change(timed(row)) for row in twelve_cell_rows(study)]
    with Store.open(write_measured(path / "store", [*rows, *more], study)) as store:
        return compare(store)


def timed(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with seconds and joules of its model, and noise within 1 %."""
    noise = random.Random(f"{row['model']} {row['block']}").uniform(0.99, 1.01)
    seconds = SECONDS[row["model"]] * (1 + 0.01 * row["block"]) * noise
    measured = {"energy_j": 40 * seconds, "energy_scope": "package", "energy_source": "powercap"} | {
        "energy_provenance": "measured"
    }
    return row | {"window_s": seconds, "cpu_seconds": seconds, "energy_reason": None} | measured
