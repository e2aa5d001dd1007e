"""What is compared: each metric's unit, and its value in one trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from joulefleet.query.store import Store
from joulefleet.query.views import query_text

ComparedMetric = Literal["energy", "time", "cpu_time", "cpu_use", "memory", "mean_memory"]
BasisProvenance = Literal["measured", "simulated", "reported", "modelled"]

PROVENANCES: tuple[BasisProvenance, ...] = ("measured", "simulated", "reported", "modelled")
"""The better first: where joules of several are there, the first of them is compared."""


class TrialValues(NamedTuple):
    """What a comparison reads of one trial; the fields are columns of the view `trials`, but for the last.

    A tuple, as a fleet has a hundred thousand of them: a frozen dataclass takes three times as long to make.
    """

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
    """Those of the labels that are factors: `quantised no, size 3`. See `joulefleet.compare.imported_factors`."""
    joules: Mapping[Basis, float]
    """Its energy on each basis on which it has some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """Where the joules of a line come from. Values of two bases are never mixed."""

    provenance: BasisProvenance
    """measured: by the machine's own counters; simulated: by counters in other files; reported: by another tool,
    which does not say how; modelled: by a formula."""
    scope: str | None
    """Domains that are added up, such as package+dram; None of modelled energy."""
    source: str | None
    """Sensor, formula of modelled energy, or who reported it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One thing that is compared."""

    name: ComparedMetric
    title: str
    unit: str
    per_item: bool
    """Whether twice the work is twice the value."""
    value: Callable[[TrialValues, Basis | None], float | None]
    imported_only: bool = False
    """Whether only other tools' trials have it: of our own there is something better."""

    def title_of(self, trial: TrialValues) -> str:
        """The title, where `trial` is one of those compared: of other tools' runs the items may be unknown."""
        return self.title.replace(" an item", " a run") if _is_a_run(trial) else self.title


def load_trials(store: Store, study: str) -> list[TrialValues]:
    """Every trial of `study` in `store`, failed ones too."""
    table = store.arrow(query_text("compared"), {"study": study})
    # By columns: a dictionary for each of a hundred thousand rows would take twice as long as all else.
    columns = {
        name: table.column(name).to_pylist()
        for name in TrialValues._fields
        if name not in {"joules", "imported_levels"}
    }
    known: dict[_BasisKey, Basis] = {}
    joules = [_joules(values, known) for values in zip(*(columns[name] for name in _JOULES), strict=True)]
    nothing = [None] * table.num_rows
    return [TrialValues._make(values) for values in zip(*columns.values(), nothing, joules, strict=True)]


def choose_basis(common: Counter[Basis]) -> Basis | None:
    """The basis for a line, of those on which both arms have joules in so many blocks: counted before modelled.

    Of counted joules the measured come before the simulated, and at equal numbers the fuller scope.
    None where there is none.
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
"""What the joules of a trial are made of."""


def _joules(values: tuple[Any, ...], known: dict[_BasisKey, Basis]) -> dict[Basis, float]:
    """The joules of a trial on each basis, from its values of `_JOULES`; `known` keeps one object a basis."""
    provenance, source, scope, full, package, reported, reporter, modelled, formula = values
    found: dict[Basis, float] = {}

    def put(key: _BasisKey, joules: float) -> None:
        basis = known.get(key)
        if basis is None:
            basis = known[key] = Basis(provenance=key[0], scope=key[1], source=key[2])
        found[basis] = joules

    if provenance is not None:
        if package is not None and scope != "package":
            put((provenance, "package", source), package)
        if full is not None:
            put((provenance, scope, source), full)
    if reported is not None:
        put(("reported", None, reporter), reported)
    if modelled is not None:
        put(("modelled", None, formula), modelled)
    return found


def _energy(trial: TrialValues, basis: Basis | None) -> float | None:
    return None if basis is None else _per_item(trial.joules.get(basis), trial)


def _per_item(value: float | None, trial: TrialValues) -> float | None:
    if value is None:
        return None
    if trial.items:
        return value / trial.items
    return value if _is_a_run(trial) else None


def _is_a_run(trial: TrialValues) -> bool:
    return trial.imported_from is not None and trial.items is None


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
    Metric(
        name="mean_memory",
        title="mean memory",
        unit="B",
        per_item=False,
        value=lambda trial, _: trial.mean_rss_bytes,
        imported_only=True,
    ),
)
