"""The Plan: a study expanded for one machine. Pure: study, pinned weights and items, passes, machine id."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from joulefleet.digest import digest
from joulefleet.machine import BARE
from joulefleet.plan.trial import AttemptKind, Cell, Protocol, ResolvedModel, ResolvedTask, Trial, trial_id
from joulefleet.plan.williams import balanced_orders
from joulefleet.study.spec import Study
from joulefleet.study.timing import timing
from joulefleet.study.validate import PROOF_SUFFIXES, tasks_of

ArmKind = Literal["distillation", "a_a", "twice"]

PASSES_MARGIN = 1.1
"""A pilot's pass may be slower than those that follow: so much more than the shortest window is planned."""

TRIAL_OVERHEAD_S = 0.6
"""What a trial costs beside its phases, for the expected duration only (benchmarks/measurement/trial_overhead.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparand:
    """A pair as the plan runs it: a user's pair, or a proof whose ratio is known."""

    name: str
    kind: ArmKind
    teacher: str
    student: str
    expected_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A study with its models and tasks pinned: nothing is left to look up."""

    study: Study
    models: Mapping[str, ResolvedModel]
    tasks: Mapping[str, ResolvedTask]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBlock:
    """One repetition of every cell, in the order in which they run."""

    number: int
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonGroup:
    """Cells that are compared with each other: a round of a block holds all of a group, or its comparison is void."""

    name: str
    size: int


PassesKey = tuple[str, str, int, int, str]
"""(group of models that are compared, task, batch size, threads, dtype): these do equal work."""


def proof_model(model: str, kind: Literal["a_a", "twice"]) -> str:
    """The name of the proof arm of `model`."""
    return model + PROOF_SUFFIXES[kind]


def comparands(study: Study) -> list[Comparand]:
    """The study's pairs, then its proofs."""
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
    """Every cell, in the order in which the study names them."""
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
    """The model of the study behind a cell's model name, and how often it works each item."""
    if model in study.models:
        return model, 1
    base, _, arm = model.rpartition("+")
    return base, 2 if arm == "twice" else 1


def passes_key(study: Study, cell: Cell) -> PassesKey:
    """Which cells share a number of passes: all that are compared, directly or by way of others."""
    group = {original(study, cell.model)[0]}
    while True:
        more = {
            name
            for pair in study.pairs.values()
            if {pair.teacher, pair.student} & group
            for name in (pair.teacher, pair.student)
        }
        if more <= group:
            break
        group |= more
    return (min(group), cell.task, cell.batch_size, cell.threads, cell.dtype)


def passes_from_pilot(pinned: Pinned, pass_s: Mapping[Cell, float]) -> dict[PassesKey, int]:
    """Passes in a window, so that the fastest of each group works at least as long as the study asks.

    `pass_s` is the duration of one pass of each cell's pilot, seconds; a cell without one (its
    pilot failed) does not count, a group without any gets one pass.
    """
    study = pinned.study
    every = cells(study)
    return group_passes(study, [passes_key(study, cell) for cell in every], [pass_s.get(cell) for cell in every])


def group_passes(study: Study, keys: Sequence[PassesKey], pass_s: Sequence[float | None]) -> dict[PassesKey, int]:
    """The same, of cells that are given as their keys and the duration of one pass of each, if it is known."""
    fixed, least = study.measure.window.passes, timing(study).window_at_least_s
    fastest: dict[PassesKey, float] = {}
    for key, seconds in zip(keys, pass_s, strict=True):
        fastest[key] = min(fastest.get(key, math.inf), math.inf if seconds is None else seconds)
    if fixed is not None:
        return dict.fromkeys(fastest, fixed)
    return {
        key: max(1, math.ceil(PASSES_MARGIN * least / seconds)) if seconds < math.inf else 1
        for key, seconds in fastest.items()
    }


def companions(study: Study, cell: Cell) -> list[Cell]:
    """The cells that are compared with `cell`, itself among them, directly or by way of others."""
    key = passes_key(study, cell)
    return [other for other in cells(study) if passes_key(study, other) == key]


def protocol_of(pinned: Pinned, cell: Cell, *, passes: int) -> Protocol:
    """How `cell` is measured."""
    study = pinned.study
    beside = {
        (pinned.models[name].digest, pinned.models[name].head, times, other.environment)
        for other in companions(study, cell)
        for name, times in [original(study, other.model)]
    }
    model, repeats = original(study, cell.model)
    return Protocol(
        regime=study.regime,
        timing=timing(study),
        isolation=study.measure.isolation,
        energy_source=study.measure.energy_source,
        passes=passes,
        item_repeats=repeats,
        companions=digest(sorted(beside)),
        model=pinned.models[model],
        task=pinned.tasks[cell.task],
    )


def blocks(
    pinned: Pinned, *, passes: Mapping[PassesKey, int], machine_id: str, store_id: str
) -> Iterator[PlannedBlock]:
    """The study on one machine, block by block.

    More repetitions append blocks and change none before; another machine changes nothing here.
    """
    study = pinned.study
    todo = cells(study)
    orders = balanced_orders(len(todo), seed=f"{study.seed}/{study.name}/{machine_id}")
    protocols = {cell: protocol_of(pinned, cell, passes=passes[passes_key(study, cell)]) for cell in todo}
    groups = {cell: comparison_group(study, cell, protocols[cell]) for cell in todo}
    last: Cell | None = None
    for number, order in enumerate(itertools.islice(orders, study.repetitions), start=1):
        trials = []
        for position, index in enumerate(order, start=1):
            cell = todo[index]
            trial = trial_for(
                pinned, cell, protocols[cell], group=groups[cell], block=number, place=machine_id, store_id=store_id
            )
            trials.append(replace(trial, position=position, predecessor=str(last) if last else None))
            last = cell
        yield PlannedBlock(number=number, trials=tuple(trials))


def pilots(pinned: Pinned, *, machine_id: str, store_id: str) -> list[Trial]:
    """One short trial a cell, which says how long a pass takes; none where the study fixes the passes."""
    if pinned.study.measure.window.passes is not None:
        return []
    result = []
    for cell in cells(pinned.study):
        protocol = brief(protocol_of(pinned, cell, passes=1))
        group = comparison_group(pinned.study, cell, protocol)
        result.append(
            trial_for(pinned, cell, protocol, group=group, kind="pilot", block=0, place=machine_id, store_id=store_id)
        )
    return result


def comparison_group(study: Study, cell: Cell, protocol: Protocol) -> ComparisonGroup:
    """The group of `cell`, which is measured by `protocol`."""
    parts = [str(part) for part in passes_key(study, cell)]
    return ComparisonGroup(name=digest([*parts, protocol.companions]), size=len(companions(study, cell)))


def brief(protocol: Protocol) -> Protocol:
    """The protocol of a pilot: one that only says how long a pass takes. What else it is compared with is no matter."""
    times = replace(protocol.timing, baseline_s=0.0, warm_up_at_least_s=0.0, warm_up_at_most_s=0.0)
    times = replace(times, window_at_least_s=0.0, cool_down_fixed_s=0.0, cool_down_at_most_s=0.0)
    return replace(protocol, timing=times, regime="burst", companions="")


def trial_for(
    pinned: Pinned,
    cell: Cell,
    protocol: Protocol,
    *,
    group: ComparisonGroup,
    block: int,
    place: str,
    store_id: str,
    kind: AttemptKind = "trial",
) -> Trial:
    """The trial of `cell` in `block`; its position and what else depends on the moment are filled in later."""
    study = pinned.study
    return Trial(
        study=study.name,
        store_id=store_id,
        kind=kind,
        trial_id=trial_id(study=study.name, cell=cell, repetition=block, place=place, protocol=protocol, kind=kind),
        place=place,
        block=block,
        position=0,
        comparison_group=group.name,
        comparison_group_size=group.size,
        cell=cell,
        protocol=protocol,
        timeout_s=study.measure.timeout_s,
        sampling_hz=study.measure.sampling_hz,
        modelled=study.measure.modelled,
        thresholds=study.thresholds,
        labels=study.labels,
    )


def expected_trial_s(protocol: Protocol, *, pass_s: float | None) -> float:
    """Seconds that a trial by `protocol` takes: its phases and the overhead.

    Without `pass_s`, the duration of one pass, the window is the shortest asked for.
    """
    times = protocol.timing
    window = times.window_at_least_s if pass_s is None else pass_s * protocol.passes
    warm_up = max(times.warm_up_at_least_s, pass_s or 0.0)
    return TRIAL_OVERHEAD_S + times.baseline_s + warm_up + window + times.cool_down_fixed_s
