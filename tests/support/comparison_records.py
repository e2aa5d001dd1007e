"""Records of comparisons without a store: trials, estimates, comparisons and findings with the values that matter."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

from joulefleet.compare.caveats.evidence import Evidence
from joulefleet.compare.contrasts import Contrast
from joulefleet.compare.metrics import METRICS, Basis, Metric, TrialValues
from joulefleet.compare.results import (
    ArmSummary,
    Checks,
    Comparison,
    MachineResult,
    MatchFacts,
    MetricComparison,
    PooledFinding,
    Setting,
)
from joulefleet.query import Store
from joulefleet.stats import Estimate
from joulefleet.store.records import StudyRecord
from joulefleet.study.spec import Study
from tests.support.attempt_rows import STARTED, write_store

PACKAGE = Basis(provenance="measured", scope="package", source="powercap")
MODELLED = Basis(provenance="modelled", scope=None, source="idle + busy")
CONTRAST = Contrast(
    by="model",
    name="p",
    kind="distillation",
    reference="big",
    other="small",
    reference_name="big",
    other_name="small",
    expected_ratio=None,
)


def metric_of(name: str) -> Metric:
    """Return the metric of that name."""
    (metric,) = [metric for metric in METRICS if metric.name == name]
    return metric


def record_of(path: Path, study: Study, machines: tuple[tuple[str, str], ...] = (("m1", "left"),)) -> StudyRecord:
    """Return the record of `study` that a store at `path` has."""
    with Store.open(write_store(path / "store", [], study, machines=machines)) as store:
        (record,) = store.studies
    return record


def trial(model: str = "big", block: int | None = 1, **values: Any) -> TrialValues:
    """Return an ok trial of `model` on machine m1 that took 2 s for 64 items; `values` replace fields."""
    known: dict[str, Any] = dict.fromkeys(TrialValues._fields) | {
        "machine_id": "m1",
        "machine": "left",
        "cpu_model": "CPU 1",
        "model": model,
        "task": "sst2",
        "batch_size": 1,
        "threads": 4,
        "threads_requested": 0,
        "dtype": "float32",
        "environment": "bare",
        "regime": "sustained",
        "isolation": "warm",
        "weights_source": "pretrained",
        "protocol": f"protocol of {model}",
        "block": block,
        "round": 1,
        "passes": 1,
        "items": 64,
        "status": "ok",
        "flags": [],
        "started_at": STARTED + timedelta(hours=block or 0, minutes=5 * (model != "big")),
        "boot_id": "boot",
        "libraries_digest": "libraries",
        "window_s": 2.0,
        "joules": {},
    }
    return TrialValues(**(known | values))


def estimate(ratio: float | None, low: float | None = None, high: float | None = None, **values: Any) -> Estimate:
    """Return an estimate of five blocks at 95 %; `values` replace fields."""
    known: dict[str, Any] = {
        "interval_reason": None if low is not None else "1 block: an interval needs 2",
        "error": None if low is None else 0.01,
        "degrees": None if low is None else 4,
        "p_value": None,
        "p_reason": None,
        "n_blocks": 5,
        "exclusions": {},
        "confidence": 0.95,
        "null_ratio": 1.0,
        "method": "paired t on the blocks' log ratios",
    }
    return Estimate(ratio=ratio, low=low, high=high, **(known | values))


def comparison_of_metric(ratio: Estimate, **values: Any) -> MetricComparison:
    """Return the comparison of the times of small and big on machine m1; `values` replace fields."""
    arm = ArmSummary(level="big", protocol="b", ok=5, failed=0, flags={}, median=0.03, mean=0.03)
    known: dict[str, Any] = {
        "by": "model",
        "pair": "p",
        "kind": "distillation",
        "setting": Setting(study="one", machine_id="m1", task="sst2", batch_size=1),
        "machine": "left",
        "metric": "time",
        "title": "time per item",
        "unit": "s",
        "basis": None,
        "expected_ratio": None,
        "reference": arm,
        "other": ArmSummary(level="small", protocol="s", ok=5, failed=0, flags={}, median=0.015, mean=0.015),
        "without_flagged": ratio,
        "flagged_blocks": 0,
        "checks": Checks(),
    }
    return MetricComparison(ratio=ratio, **(known | values))


def machine_result(ratio: Estimate, number: int = 1) -> MachineResult:
    """Return the result of machine `number`."""
    return MachineResult(machine_id=f"m{number}", machine=f"node{number}", cpu_model=f"CPU {number}", ratio=ratio)


def finding_of(*ratios: Estimate, **values: Any) -> PooledFinding:
    """Return the finding about the times of small and big over machines of `ratios`; `values` replace fields."""
    known: dict[str, Any] = {
        "by": "model",
        "pair": "p",
        "kind": "distillation",
        "setting": Setting(study="one", task="sst2", batch_size=1),
        "metric": "time",
        "title": "time per item",
        "basis": None,
        "reference": "big",
        "other": "small",
        "paired": True,
        "machines": tuple(machine_result(ratio, number) for number, ratio in enumerate(ratios, start=1)),
        "left_out": {},
        "pooled": None,
        "on_every_machine": None,
        "components": None,
        "mixed": None,
        "role": "exploratory",
        "p_value": None,
        "p_adjusted": None,
        "family_size": 0,
        "within": (),
        "sentence": "",
    }
    return PooledFinding(**(known | values))


def facts(**values: Any) -> MatchFacts:
    """Return the facts of a match of five blocks with which nothing is wrong; `values` replace fields."""
    known: dict[str, Any] = {
        "by": "model",
        "pair": "p",
        "kind": "distillation",
        "setting": Setting(study="one", machine_id="m1", task="sst2", batch_size=1),
        "machine": "left",
        "reference": "big",
        "other": "small",
        "reference_protocol": "b",
        "other_protocol": "s",
        "flags": {"big": {}, "small": {}},
        "ok": {"big": 5, "small": 5},
        "paired": True,
        "interleaved": True,
        "unpaired_blocks": 0,
        "unequal_blocks": 0,
        "other_libraries": 0,
        "excluded": 0,
        "always_first": None,
        "boots_differ": 0,
    }
    return MatchFacts(**(known | values))


def comparison(**values: Any) -> Comparison:
    """Return a comparison that holds only `values`."""
    known: dict[str, Any] = {
        **dict.fromkeys(("proofs", "per_machine", "interactions", "findings", "facts", "families", "caveats"), ()),
        "machines_hidden": 0,
        "progress": (),
    }
    return Comparison(**(known | values))


def noisy(model: str, block: int, ratio: float = 0.5) -> float:
    """Return the seconds of a trial, which vary by block; those of small are `ratio` times those of big, within 1 %."""
    day = 2.0 + 0.1 * math.sin(block)
    return day if model == "big" else day * ratio * (1 + 0.01 * math.cos(3 * block))


def evidence(**values: Any) -> Evidence:
    """Return evidence that holds only `values`."""
    known: dict[str, Any] = {
        **dict.fromkeys(("proofs", "others", "findings", "facts", "families", "progress"), ()),
        "trials": {},
        "pooled_labels": {},
    }
    return Evidence(**(known | values))
