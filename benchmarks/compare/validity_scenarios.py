"""The scenarios of validity.py: each simulates studies and hands them to the functions that `compare` calls.

These rules, fixed before anything was simulated, decide what is within the method's assumptions:

- Within a machine log ratios are independent between blocks and symmetric. Normal ones make Student's t
  exact; scale mixtures of normal ones make it conservative (Benjamini, Journal of the American
  Statistical Association 78:645, 1983), among them the difference of two equally skewed exponentials. An
  effect that a block's trials share cancels, whatever it is. An effect of the position in a block becomes
  symmetric by the planner's random orders.
- Over machines the true log ratios are symmetric about the mean, and so is the noise; machines may differ
  in precision, since t is conservative then as well (Bakirov and Székely, Journal of Mathematical
  Sciences 139:6497, 2006; Ibragimov and Müller, Journal of Business & Economic Statistics 28:453, 2010).
  The check by random effects takes variances for known and is held to bounds only where how machines
  differ outweighs them.
- Welch's t is an approximation: by quadrature its error rate with normal noise is at most 5.2 % from 10
  trials an arm on and 5.9 % at 5, so the bounds hold from 10 on.
- Stein's two stages and Holm's correction are exact, respectively conservative, in normal noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from benchmarks.compare.validity_data import (
    NOISE,
    Maker,
    autocorrelated_trials,
    carry_over,
    carry_over_of_two,
    drift,
    drift_of_two,
    normal,
    skewed_alike,
    skewed_student,
    unequal_arms,
    wandering_student,
    wild_blocks,
)
from benchmarks.compare.validity_fleets import Fleet, heavy_shape, pooled, skewed_shape
from benchmarks.compare.validity_tally import ALPHA, Row, Scenario, Tally, oracle_width
from joulefleet.stats import Estimate, on_every_machine, paired_ratio, unpaired_ratio
from joulefleet.stats.equivalence import equivalent, non_inferior
from joulefleet.stats.multiplicity import holm
from joulefleet.stats.paired import log_ratios
from joulefleet.stats.sample_size import PILOT_BLOCKS, stein_blocks
from joulefleet.stats.stein import two_stage_ratio
from joulefleet.stats.welch import welch

BLOCKS = (5, 10, 30)
MACHINES = (3, 8, 30)
MARGIN = 0.05
MOST_BLOCKS = 480
"""Number of blocks that a study in two stages simulates at first; the few that need more get them."""


def scenarios() -> Iterator[Scenario]:
    """Yield all scenarios, in the order of the table."""
    yield from _within_a_machine()
    yield from _several_questions()
    yield from _two_stages()
    yield from _without_blocks()
    yield from _over_machines()


WITHIN: Mapping[str, Maker] = {
    "normal noise": normal,
    "teacher five times as noisy": unequal_arms,
    "wild blocks, alike for both": wild_blocks,
    "exponential noise in both": skewed_alike,
    "AR(1) over trials": autocorrelated_trials,
    "drift over trials": drift,
    "carry-over in 12 cells": carry_over,
}
OUTSIDE: Mapping[str, tuple[Maker, str]] = {
    "exponential noise in one": (skewed_student, "log ratios are skewed"),
    "AR(1) of one arm over blocks": (wandering_student, "blocks depend on each other"),
    "carry-over in 2 cells": (carry_over_of_two, "each cell always follows the other"),
    "drift in 2 cells": (drift_of_two, "two cells have one order for ever"),
}
EXACT_IN_TWO_STAGES = (normal, unequal_arms, wild_blocks)


def _within_a_machine() -> Iterator[Scenario]:
    for name, maker in WITHIN.items():
        for blocks in BLOCKS:
            yield _scenario(Row(name=name, size=f"{blocks} blocks"), partial(paired, maker, blocks))
    for name, (maker, why) in OUTSIDE.items():
        for blocks in BLOCKS:
            yield _scenario(Row(name=name, size=f"{blocks} blocks", limit=why), partial(paired, maker, blocks))


def _several_questions() -> Iterator[Scenario]:
    for real in (0, 3):
        name = f"Holm, 6 questions, {real} of them real"
        yield _scenario(Row(name=name, size="10 blocks"), partial(family, 6, real, 10))
    for blocks in BLOCKS:
        size = f"{blocks} blocks"
        yield _scenario(Row(name="non-inferior, at the margin", size=size), partial(margin_of, "upper", blocks))
        yield _scenario(Row(name="equivalent, at the upper margin", size=size), partial(margin_of, "both", blocks))
        yield _scenario(Row(name="equivalent, at the lower margin", size=size), partial(margin_of, "lower", blocks))


def _two_stages() -> Iterator[Scenario]:
    inside = [(name, maker, None) for name, maker in WITHIN.items()]
    outside = [(name, maker, why) for name, (maker, why) in OUTSIDE.items()]
    for wanted in (1.02, 1.01):
        for name, maker, why in [*inside, *outside]:
            exact = maker in EXACT_IN_TWO_STAGES
            if exact or wanted == 1.01:
                limit = why or (None if exact else "exact for normal log ratios alone")
                row = Row(name=f"two stages: {name}", size=f"to {wanted - 1:.0%}", limit=limit)
                spent = Row(name="  by all blocks' own t", size=row.size, limit="their variance chose their number")
                yield Scenario(rows=(row, spent), run=partial(two_stages, maker, wanted))


def _without_blocks() -> Iterator[Scenario]:
    for teachers, students, ratio in ((10, 10, 1), (10, 10, 5), (30, 30, 5), (10, 30, 5), (30, 10, 5)):
        row = Row(name=f"Welch, student {_times(ratio)} as noisy", size=f"{teachers} and {students} trials")
        yield _scenario(row, partial(unpaired, teachers, students, ratio))
    for teachers, students, ratio in ((5, 5, 5), (10, 5, 3)):
        row = Row(
            name=f"Welch, student {_times(ratio)} as noisy",
            size=f"{teachers} and {students} trials",
            limit="an approximation of few degrees of freedom",
        )
        yield _scenario(row, partial(unpaired, teachers, students, ratio))


def _times(ratio: int) -> str:
    return "just" if ratio == 1 else f"{ratio} times"


def _over_machines() -> Iterator[Scenario]:
    known = "an approximation for many machines of known precision"
    for k in MACHINES:
        alone = (1,) * k
        yield _fleet("machines differ", Fleet(models=alone, between_machines=0.05))
        yield _fleet("machines alike", Fleet(models=alone), check=known)
        yield _fleet(
            "machines differ, and in precision",
            Fleet(models=alone, between_machines=0.03, noise=(0.01, 0.05), blocks=(30, 5)),
            check=known,
        )
        yield _fleet(
            "machines alike but for precision",
            Fleet(models=alone, noise=(0.01, 0.05), blocks=(30, 5)),
            check=known,
            wide="an unweighted mean pays for what it need not guess",
        )
        yield _fleet(
            "machines differ, heavy tails",
            Fleet(models=alone, between_machines=0.05, shape=heavy_shape),
            check="a check for normal differences",
        )
        yield _fleet(
            "machines differ, skewed",
            Fleet(models=alone, between_machines=0.05, shape=skewed_shape),
            limit="how machines differ is skewed",
        )
    for name, maker in WITHIN.items():
        fleet = Fleet(models=(1,) * 8, between_machines=0.01, maker=maker)
        yield _scenario(Row(name=f"machines: {name}", size="8 machines"), partial(mean_of, fleet))
    for name, (maker, why) in OUTSIDE.items():
        fleet = Fleet(models=(1,) * 8, between_machines=0.01, maker=maker)
        yield _scenario(Row(name=f"machines: {name}", size="8 machines", limit=why), partial(mean_of, fleet))
    for count, models in ((8, (2,) * 4), (8, (5, 1, 1, 1)), (30, (3,) * 10)):
        yield _fleet(
            f"{len(models)} CPU models{' of unequal numbers' if len(set(models)) > 1 else ''}",
            Fleet(models=models, between_models=0.05, between_machines=0.02),
            size=f"{count} machines",
            check=known,
        )
    yield _fleet(
        "2 CPU models",
        Fleet(models=(4, 4), between_models=0.05, between_machines=0.02),
        limit="two models say nothing of a third",
    )
    for k in MACHINES:
        row = Row(name="on every machine, but one is at 1", size=f"{k} machines")
        yield _scenario(row, partial(every_machine, k))


def _scenario(row: Row, one: partial[Tally]) -> Scenario:
    return Scenario(rows=(row,), run=partial(_alone, one))


def _alone(one: partial[Tally], rng: np.random.Generator, studies: int) -> tuple[Tally, ...]:
    return (one(rng, studies),)


def _fleet(
    name: str,
    fleet: Fleet,
    *,
    size: str | None = None,
    check: str | None = None,
    limit: str | None = None,
    wide: str | None = None,
) -> Scenario:
    size = size or f"{fleet.machines} machines"
    rows = (
        Row(name=name, size=size, limit=limit, wide=wide),
        Row(name="  by random effects", size=size, limit=limit or check, wide=wide),
        Row(name="  the next machine", size=size, limit=limit or "an approximation for many machines"),
    )
    return Scenario(rows=rows, run=partial(pooled, fleet))


def paired(maker: Maker, blocks: int, rng: np.random.Generator, studies: int) -> Tally:
    """Tally one comparison on one machine."""
    teacher, student = maker(rng, studies, blocks)
    tally = Tally()
    # The variance over all studies together is as good as the true one.
    oracle = oracle_width(float(np.std(np.log(student / teacher))) / math.sqrt(blocks), blocks - 1)
    for first, second in zip(teacher.tolist(), student.tolist(), strict=True):
        _count(tally, paired_ratio(first, second), oracle)
    return tally


def unpaired(teachers: int, students: int, ratio: float, rng: np.random.Generator, studies: int) -> Tally:
    """Tally trials without blocks, the student's noise `ratio` times the teacher's."""
    tally = Tally()
    first = 100 * np.exp(NOISE * rng.standard_normal((studies, teachers)))
    second = 100 * np.exp(ratio * NOISE * rng.standard_normal((studies, students)))
    # Values of exactly these variances give the degrees of freedom of an analyst who knows them.
    known = welch(_of_variance(NOISE**2, teachers), _of_variance((ratio * NOISE) ** 2, students))
    oracle = oracle_width(known.error, known.degrees)
    for teacher, student in zip(first.tolist(), second.tolist(), strict=True):
        _count(tally, unpaired_ratio(teacher, student), oracle)
    return tally


def _of_variance(variance: float, count: int) -> list[float]:
    values = np.arange(count, dtype=float)
    return list(values * math.sqrt(variance / float(np.var(values, ddof=1))))


def _count(tally: Tally, found: Estimate, oracle: float) -> None:
    assert found.low is not None
    assert found.high is not None
    assert found.p_value is not None
    tally.test(positive=found.p_value < ALPHA)
    tally.interval(found.low, found.high, oracle=oracle)


def family(questions: int, real: int, blocks: int, rng: np.random.Generator, studies: int) -> Tally:
    """Tally a family of comparisons with one teacher; a positive among those without an effect is wrong."""
    tally = Tally()
    teachers = 100 * np.exp(NOISE * rng.standard_normal((studies, 1, blocks)))
    levels = np.where(np.arange(questions) < real, math.log(0.9), 0.0)
    students = 100 * np.exp(levels[:, None] + NOISE * rng.standard_normal((studies, questions, blocks)))
    for (teacher,), several in zip(teachers.tolist(), students.tolist(), strict=True):
        p_values = [paired_ratio(teacher, student).p_value for student in several]
        adjusted = holm([p_value for p_value in p_values if p_value is not None])
        tally.test(positive=min(adjusted[real:]) < ALPHA)
    return tally


def margin_of(side: str, blocks: int, rng: np.random.Generator, studies: int) -> Tally:
    """Tally students that lie exactly at a margin of 5 %, so that the answer "within" is wrong."""
    tally = Tally()
    teachers, students = normal(rng, studies, blocks)
    students *= 1 / (1 + MARGIN) if side == "lower" else 1 + MARGIN
    judge = non_inferior if side == "upper" else equivalent
    for teacher, student in zip(teachers.tolist(), students.tolist(), strict=True):
        estimate = paired_ratio(teacher, student)
        assert estimate.ratio is not None
        assert estimate.error is not None
        assert estimate.degrees is not None
        holds = judge(math.log(estimate.ratio), estimate.error, estimate.degrees, margin=MARGIN, alpha=ALPHA).holds
        tally.test(positive=holds)
    return tally


def two_stages(maker: Maker, wanted: float, rng: np.random.Generator, studies: int) -> tuple[Tally, Tally]:
    """Tally studies that add blocks until the interval is as narrow as wanted.

    The oracle's interval is as wide as wanted, or as the pilot's own where that is narrower.
    """
    tally, ordinary = Tally(), Tally()
    teachers, students = maker(rng, studies, MOST_BLOCKS)
    of_pilot = float(np.std(np.log(students / teachers))) / math.sqrt(PILOT_BLOCKS)
    oracle = min(2 * math.log(wanted), oracle_width(of_pilot, PILOT_BLOCKS - 1))
    for first, second in zip(teachers.tolist(), students.tolist(), strict=True):
        teacher, student = first, second
        variance = float(np.var(log_ratios(teacher[:PILOT_BLOCKS], student[:PILOT_BLOCKS]), ddof=1))
        blocks = stein_blocks(variance, PILOT_BLOCKS, factor=wanted)
        if blocks > MOST_BLOCKS:
            more = maker(rng, 1, blocks - MOST_BLOCKS)
            teacher, student = teacher + more[0][0].tolist(), student + more[1][0].tolist()
        found = two_stage_ratio(teacher[:blocks], student[:blocks], pilot=PILOT_BLOCKS)
        _count(tally, found, oracle)
        assert found.low is not None
        assert found.high is not None
        if math.log(found.high / found.low) > 2 * math.log(wanted) * (1 + 1e-12):
            raise AssertionError(f"an interval from {found.low} to {found.high} is wider than wanted")
        _count(ordinary, paired_ratio(teacher[:blocks], student[:blocks]), oracle)
    return tally, ordinary


def mean_of(fleet: Fleet, rng: np.random.Generator, studies: int) -> Tally:
    """Tally the mean over machines alone."""
    return pooled(fleet, rng, studies)[0]


def every_machine(k: int, rng: np.random.Generator, studies: int) -> Tally:
    """Tally machines whose ratio is 0.6 except on one, where it is 1: the answer "on every machine" is wrong."""
    tally = Tally()
    teachers, students = normal(rng, studies * k, 10)
    students.reshape(studies, k, 10)[:, 1:] *= 0.6
    found = [
        paired_ratio(teacher, student) for teacher, student in zip(teachers.tolist(), students.tolist(), strict=True)
    ]
    for study in range(studies):
        machines = found[study * k : (study + 1) * k]
        tally.test(positive=bool(on_every_machine([(machine.low, machine.high) for machine in machines])))
    return tally
