"""What a study contains: its cells, the pairs and proofs that compare them, and which cells do equal work. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from joulefleet.machine import BARE
from joulefleet.plan.trial import Cell, Protocol, ResolvedModel, ResolvedTask
from joulefleet.study.spec import Study
from joulefleet.study.validate import PROOF_SUFFIXES, tasks_of

ArmKind = Literal["distillation", "a_a", "twice"]

TRIAL_OVERHEAD_S = 0.6
"""Time of a trial outside its phases, seconds (benchmarks/measurement/trial_overhead.py); for forecasts only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparand:
    """Two models that are compared: a pair of the study, or a proof whose ratio is known."""

    name: str
    kind: ArmKind
    teacher: str
    student: str
    expected_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A study with its models and tasks pinned: nothing has to be looked up any more."""

    study: Study
    models: Mapping[str, ResolvedModel]
    tasks: Mapping[str, ResolvedTask]


PassesKey = tuple[str, str, int, int, str]
"""Key of the cells that do equal work: (first model of those compared, task, batch size, threads, dtype)."""


def proof_model(model: str, kind: Literal["a_a", "twice"]) -> str:
    """Return the name under which `model` runs in a proof."""
    return model + PROOF_SUFFIXES[kind]


def comparands(study: Study) -> list[Comparand]:
    """Return the study's pairs, then its proofs."""
    pairs = [
        Comparand(name=name, kind="distillation", teacher=pair.teacher, student=pair.student)
        for name, pair in study.pairs.items()
    ]
    proofs: dict[str, Comparand] = {}
    kinds: tuple[tuple[Literal["a_a", "twice"], float], ...] = (("a_a", 1.0), ("twice", 2.0))
    for kind, expected in kinds:
        for arm in getattr(study.proofs, kind):
            student = proof_model(arm.model, kind)
            proofs[student] = Comparand(
                name=student, kind=kind, teacher=arm.model, student=student, expected_ratio=expected
            )
    return [*pairs, *proofs.values()]


def cells(study: Study) -> list[Cell]:
    """Return every cell, in the order in which the study names them."""
    arms = [(name, task) for name, model in study.models.items() for task in tasks_of(study, model)]
    arms += [(proof_model(arm.model, "a_a"), arm.task) for arm in study.proofs.a_a]
    arms += [(proof_model(arm.model, "twice"), arm.task) for arm in study.proofs.twice]
    factors = study.factors
    return [
        Cell(model=model, task=task, batch_size=batch, threads=threads, dtype=dtype, environment=environment)
        for (model, task), batch, threads, dtype, environment in itertools.product(
            dict.fromkeys(arms), factors.batch_size, factors.threads, factors.dtype, study.environments or (BARE,)
        )
    ]


def original(study: Study, model: str) -> tuple[str, int]:
    """Return the model of the study that runs under the name `model`, and how often it works each item."""
    if model in study.models:
        return model, 1
    base, _, arm = model.rpartition("+")
    return base, 2 if arm == "twice" else 1


def passes_key(study: Study, cell: Cell) -> PassesKey:
    """Return the key that `cell` shares with all cells it is compared with, directly or by way of others."""
    compared = {original(study, cell.model)[0]}
    while True:
        more = {
            name
            for pair in study.pairs.values()
            if {pair.teacher, pair.student} & compared
            for name in (pair.teacher, pair.student)
        }
        if more <= compared:
            break
        compared |= more
    return (min(compared), cell.task, cell.batch_size, cell.threads, cell.dtype)


def brief(protocol: Protocol) -> Protocol:
    """Return the protocol of a pilot: no baseline, warm-up or rest, and no models that it is compared with."""
    times = replace(protocol.timing, baseline_s=0.0, warm_up_at_least_s=0.0, warm_up_at_most_s=0.0)
    times = replace(times, window_at_least_s=0.0, cool_down_fixed_s=0.0, cool_down_at_most_s=0.0)
    return replace(protocol, timing=times, regime="burst", companions="")


def expected_trial_s(protocol: Protocol, *, pass_s: float | None) -> float:
    """Return how long a trial by `protocol` takes, seconds: its phases and the overhead.

    `pass_s` is the duration of one pass, seconds; without it the window is the shortest allowed.
    """
    times = protocol.timing
    window = times.window_at_least_s if pass_s is None else pass_s * protocol.passes
    warm_up = max(times.warm_up_at_least_s, pass_s or 0.0)
    return TRIAL_OVERHEAD_S + times.baseline_s + warm_up + window + times.cool_down_fixed_s
