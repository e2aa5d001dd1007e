"""The metrics that are compared: the unit of each, and its value in one trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from joulefleet.query.store import Store

ComparedMetric = Literal["energy", "time", "cpu_time", "cpu_use", "memory", "mean_memory"]
BasisProvenance = Literal["measured", "simulated", "reported", "modelled"]

PROVENANCES: tuple[BasisProvenance, ...] = ("measured", "simulated", "reported", "modelled")
"""Provenances in order of preference: of several, the first one is compared."""


class TrialValues(NamedTuple):
    """The values of one trial that a comparison reads: columns of the view `trials`, and the last two fields.

    A tuple, because a fleet has a hundred thousand of them: a frozen dataclass takes three times as long to make.
    """

    imported_from: str | None
    """Tool that the trial was imported from, or None. Imported trials have no blocks and are compared unpaired."""
    machine_id: str
    machine: str | None
    cpu_model: str | None
    model: str
    task: str
    batch_size: int | None
    threads: int | None
    threads_requested: int | None
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
    flags: list[str]
    started_at: datetime | None
    boot_id: str | None
    libraries_digest: str | None
    window_s: float | None
    cpu_seconds: float | None
    cpu_percent: float | None
    work_peak_bytes: int | None
    mean_rss_bytes: int | None
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
    imported_labels: list[dict[str, str]] | None
    """Key and value of each label of an imported trial."""
    imported_levels: str | None
    """Labels that are factors, such as `quantised no, size 3`; set by `joulefleet.compare.imported_factors`."""
    joules: Mapping[Basis, float]
    """Energy of the trial on each basis on which it has some, joules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """Where compared joules come from. Values of two bases are never mixed."""

    provenance: BasisProvenance
    """measured: by the machine's own counters; simulated: from counters in other files; reported: by another tool,
    which does not say how; modelled: by a formula."""
    scope: str | None
    """The domains that are added up, such as package+dram; None of reported and modelled energy."""
    source: str | None
    """The sensor, the tool that reported the energy, or the formula."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One quantity that is compared."""

    name: ComparedMetric
    title: str
    unit: str
    column: str | None
    """The field of `TrialValues` that holds the value of a trial; None for energy, which is in `joules`."""
    per_item: bool = False
    """Whether the value is divided by the number of items, so that it does not grow with the work."""
    imported_only: bool = False
    """Whether only imported trials are compared by it: Joulefleet's own have a better metric."""

    def value(self, trial: TrialValues, basis: Basis | None) -> float | None:
        """Return the value of `trial` in the metric's unit, energy on `basis`; None where it is not known."""
        if self.column is None:
            value = None if basis is None else trial.joules.get(basis)
        else:
            value = getattr(trial, self.column)
        if value is None or not self.per_item or _is_a_run(trial):
            return value
        return value / trial.items if trial.items else None

    def title_of(self, trial: TrialValues) -> str:
        """Return the title for comparing `trial` and its like; an imported run may have no known number of items."""
        return self.title.replace(" per item", " per run") if _is_a_run(trial) else self.title


_EXPRESSIONS = {
    "flags": "coalesce(flags, [])",
    # Own trials may have labels too, but only those of imported trials are factors.
    "imported_labels": "CASE WHEN imported_from IS NOT NULL THEN map_entries(labels) END",
}
"""SQL expressions of the fields that are no plain columns of `trials`."""

_COLUMNS = tuple(name for name in TrialValues._fields if name not in {"imported_levels", "joules"})

_SELECTED = ", ".join(_EXPRESSIONS.get(name, f'"{name}"') + f' AS "{name}"' for name in _COLUMNS)

_QUERY = f"SELECT {_SELECTED} FROM trials WHERE study = $study ORDER BY machine_id, block, position"  # noqa: S608 - ours


def load_trials(store: Store, study: str) -> list[TrialValues]:
    """Return every trial of `study` in `store`, failed ones too, by machine, block and position."""
    table = store.arrow(_QUERY, {"study": study})
    # By columns: a dictionary for each of a hundred thousand rows would take twice as long as all else.
    columns = {name: table.column(name).to_pylist() for name in _COLUMNS}
    bases: dict[_BasisKey, Basis] = {}
    joules = [_joules(values, bases) for values in zip(*(columns[name] for name in _JOULES), strict=True)]
    nothing = [None] * table.num_rows
    return [TrialValues._make(values) for values in zip(*columns.values(), nothing, joules, strict=True)]


def choose_basis(common: Counter[Basis]) -> Basis | None:
    """Return the best basis in `common`, which holds for each the number of blocks in which both arms have joules.

    The order of PROVENANCES decides, then the number of blocks, then the fuller scope. None where `common` is empty.
    """
    for provenance in PROVENANCES:
        candidates = {basis: n for basis, n in common.items() if basis.provenance == provenance}
        if candidates:
            return max(candidates, key=lambda basis: (candidates[basis], str(basis)))
    return None


_BasisKey = tuple[BasisProvenance, str | None, str | None]

_JOULES = (
    *("energy_provenance", "energy_source", "energy_scope", "energy_j", "energy_package_j"),
    *("energy_reported_j", "reported_by", "energy_modelled_j", "modelled_formula"),
)
"""The columns from which `_joules` computes."""


def _joules(values: tuple[Any, ...], bases: dict[_BasisKey, Basis]) -> dict[Basis, float]:
    """Return the joules of a trial on each basis, from its values of `_JOULES`; `bases` keeps one object a basis."""
    provenance, source, scope, full, package, reported, reporter, modelled, formula = values
    joules: dict[Basis, float] = {}

    def put(key: _BasisKey, value: float) -> None:
        basis = bases.get(key)
        if basis is None:
            basis = bases[key] = Basis(provenance=key[0], scope=key[1], source=key[2])
        joules[basis] = value

    if provenance is not None:
        if package is not None and scope != "package":
            put((provenance, "package", source), package)
        if full is not None:
            put((provenance, scope, source), full)
    if reported is not None:
        put(("reported", None, reporter), reported)
    if modelled is not None:
        put(("modelled", None, formula), modelled)
    return joules


def _is_a_run(trial: TrialValues) -> bool:
    return trial.imported_from is not None and trial.items is None


METRICS: tuple[Metric, ...] = (
    Metric(name="energy", title="energy per item", unit="J", column=None, per_item=True),
    Metric(name="time", title="time per item", unit="s", column="window_s", per_item=True),
    Metric(name="cpu_time", title="CPU time per item", unit="s", column="cpu_seconds", per_item=True),
    Metric(name="cpu_use", title="CPU use (100 % = one core)", unit="%", column="cpu_percent"),
    Metric(name="memory", title="peak memory added", unit="B", column="work_peak_bytes"),
    Metric(name="mean_memory", title="mean memory", unit="B", column="mean_rss_bytes", imported_only=True),
)
"""All metrics, in the order in which they are shown."""
