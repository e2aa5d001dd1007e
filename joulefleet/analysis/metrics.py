"""What is compared: each metric's unit, and its value in one trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from joulefleet.analysis.store import Store
from joulefleet.analysis.views import query_text

MetricName = Literal["energy", "time", "cpu_time", "cpu_use", "memory"]
Provenance = Literal["measured", "simulated", "reported", "modelled"]

PROVENANCES: tuple[Provenance, ...] = ("measured", "simulated", "reported", "modelled")
"""The better first: where joules of several are there, the first of them is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialValues:
    """What a comparison reads of one trial; the fields are columns of the view `trials`."""

    imported_from: str | None
    """None of Joulefleet's own; the trials of other tools have no blocks and are compared unpaired."""
    machine_id: str
    machine: str | None
    cpu_model: str | None
    model: str
    task: str
    batch_size: int | None
    threads: int | None
    threads_asked: int | None
    dtype: str | None
    environment: str | None
    regime: str | None
    isolation: str | None
    weights_source: str | None
    protocol: str | None
    block: int | None
    round: int | None
    passes: int | None
    items: int | None
    status: str
    reason: str | None
    marks: tuple[str, ...]
    started_at: datetime
    boot_id: str | None
    window_s: float | None
    cpu_seconds: float | None
    cpu_percent: float | None
    work_peak_bytes: int | None
    energy_j: float | None
    energy_scope: str | None
    energy_package_j: float | None
    energy_source: str | None
    energy_provenance: Literal["measured", "simulated"] | None
    energy_reason: str | None
    sysfs_root: str | None
    energy_modelled_j: float | None
    modelled_formula: str | None
    energy_reported_j: float | None
    reported_by: str | None
    quality: float | None
    quality_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """Where the joules of a line come from. Values of two bases are never mixed."""

    provenance: Provenance
    """measured: by the machine's own counters; simulated: by counters in other files; reported: by another tool,
    which does not say how; modelled: by a formula."""
    scope: str | None
    """Domains that are added up, such as package+dram; None of modelled energy."""
    source: str | None
    """Sensor, formula of modelled energy, or who reported it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One thing that is compared."""

    name: MetricName
    title: str
    unit: str
    per_item: bool
    """Whether twice the work is twice the value."""
    value: Callable[[TrialValues, Basis | None], float | None]


def load_trials(store: Store, study: str) -> list[TrialValues]:
    """Every trial of `study` in `store`, failed ones too."""
    rows = store.arrow(query_text("compared"), {"study": study}).to_pylist()
    return [TrialValues(**(row | {"marks": tuple(row["marks"] or ())})) for row in rows]


def choose_basis(pairs: Iterable[tuple[TrialValues, TrialValues]]) -> Basis | None:
    """The basis on which both arms of most `pairs` have joules: counted, if there is any such pair, before modelled.

    Of counted joules the measured come before the simulated, and at equal numbers the fuller scope.
    None where no pair has joules on one basis.
    """
    common: Counter[Basis] = Counter()
    for teacher, student in pairs:
        common.update(_bases(teacher).keys() & _bases(student).keys())
    for provenance in PROVENANCES:
        candidates = {basis: n for basis, n in common.items() if basis.provenance == provenance}
        if candidates:
            return max(candidates, key=lambda basis: (candidates[basis], str(basis)))
    return None


def _bases(trial: TrialValues) -> dict[Basis, float]:
    """The joules of the trial on each basis on which it has some."""
    found = {}
    counted = {"package": trial.energy_package_j, trial.energy_scope: trial.energy_j}
    for scope, joules in counted.items():
        if joules is not None and trial.energy_provenance is not None:
            found[Basis(provenance=trial.energy_provenance, scope=scope, source=trial.energy_source)] = joules
    if trial.energy_reported_j is not None:
        found[Basis(provenance="reported", scope=None, source=trial.reported_by)] = trial.energy_reported_j
    if trial.energy_modelled_j is not None:
        found[Basis(provenance="modelled", scope=None, source=trial.modelled_formula)] = trial.energy_modelled_j
    return found


def bases_of(trial: TrialValues) -> set[Basis]:
    """Every basis on which `trial` has joules."""
    return set(_bases(trial))


def _energy(trial: TrialValues, basis: Basis | None) -> float | None:
    return None if basis is None else _per_item(_bases(trial).get(basis), trial)


def _per_item(value: float | None, trial: TrialValues) -> float | None:
    return None if value is None or not trial.items else value / trial.items


METRICS: tuple[Metric, ...] = (
    Metric(name="energy", title="energy an item", unit="J", per_item=True, value=_energy),
    Metric(
        name="time",
        title="time an item",
        unit="s",
        per_item=True,
        value=lambda trial, _: _per_item(trial.window_s, trial),
    ),
    Metric(
        name="cpu_time",
        title="CPU time an item",
        unit="s",
        per_item=True,
        value=lambda trial, _: _per_item(trial.cpu_seconds, trial),
    ),
    Metric(
        name="cpu_use",
        title="CPU use (100 % = one core)",
        unit="%",
        per_item=False,
        value=lambda trial, _: trial.cpu_percent,
    ),
    Metric(
        name="memory",
        title="peak memory added",
        unit="B",
        per_item=False,
        value=lambda trial, _: trial.work_peak_bytes,
    ),
)
