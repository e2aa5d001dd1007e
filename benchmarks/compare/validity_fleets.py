"""Simulated fleets: machines that differ, of CPU models that differ, pooled as `compare` pools them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.compare.validity_data import BLOCK, Maker, Values
from benchmarks.compare.validity_tally import Tally, oracle_width
from joulefleet.stats import MachineEffect, paired_ratio, pool

Shape = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
"""Values of mean 0 and variance 1, in an array of that shape."""


def normal_shape(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """The normal distribution."""
    return rng.standard_normal(shape)


def heavy_shape(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Student's t with 3 degrees of freedom, whose variance is 3."""
    return rng.standard_t(3, shape) / math.sqrt(3)


def skewed_shape(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """The exponential distribution: most machines a little below the mean, a few far above."""
    return rng.exponential(size=shape) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Machines, in the order of their CPU models."""

    models: tuple[int, ...]
    """How many machines there are of each CPU model."""
    between_models: float = 0.0
    between_machines: float = 0.0
    """Standard deviations of the true log ratio."""
    shape: Shape = normal_shape
    """Of either."""
    noise: tuple[float, float] = (0.02, 0.02)
    """Of a trial, from the first machine to the last."""
    blocks: tuple[int, int] = (10, 10)
    """Of a machine, from the first to the last."""
    maker: Maker | None = None
    """Of the values of each machine, instead of normal `noise`."""

    @property
    def machines(self) -> int:
        """How many there are of all models."""
        return sum(self.models)

    def noises(self) -> np.ndarray:
        """Of a trial of each machine."""
        return np.geomspace(*self.noise, self.machines)

    def numbers(self) -> np.ndarray:
        """Of blocks of each machine."""
        return np.linspace(*self.blocks, self.machines).round().astype(int)

    def error(self, of_block: np.ndarray) -> float:
        """The standard error of the best weighting of all machines, for who knows all variances.

        of_block: the variance of each machine's log ratios between blocks.
        """
        of_machine = self.between_machines**2 + of_block / self.numbers()
        first, weight = 0, 0.0
        for count in self.models:
            inside = 1 / float(np.sum(1 / of_machine[first : first + count]))
            weight += 1 / (self.between_models**2 + inside)
            first += count
        return 1 / math.sqrt(weight)

    def values(self, rng: np.random.Generator, studies: int) -> list[Values]:
        """Of each machine in each study, as if the student cost what the teacher does."""
        if self.maker is not None:
            return [self.maker(rng, studies, int(blocks)) for blocks in self.numbers()]
        found = []
        for noise, blocks in zip(self.noises(), self.numbers(), strict=True):
            shared = BLOCK * rng.standard_normal((studies, blocks))
            teacher, student = 100 * np.exp(shared + noise * rng.standard_normal((2, studies, blocks)))
            found.append((teacher, student))
        return found

    def levels(self, rng: np.random.Generator, studies: int) -> np.ndarray:
        """The true log ratio of each machine in each study, of mean 0."""
        of_models = self.between_models * self.shape(rng, (studies, len(self.models)))
        own = self.between_machines * self.shape(rng, (studies, self.machines))
        return np.repeat(of_models, self.models, axis=1) + own


def pooled(fleet: Fleet, rng: np.random.Generator, studies: int) -> tuple[Tally, Tally, Tally]:
    """The mean over machines, its check by random effects, and the prediction of the next machine's ratio."""
    mean, check, prediction = Tally(), Tally(), Tally()
    names = [f"cpu {model}" for model, count in enumerate(fleet.models) for _ in range(count)]
    levels, following = fleet.levels(rng, studies), np.exp(fleet.levels(rng, studies)[:, 0])
    values = fleet.values(rng, studies)
    # The oracle answers by the same t; what it gains is that it need not guess how to weigh.
    error = fleet.error(np.array([np.var(np.log(student / teacher)) for teacher, student in values]))
    students = [student * np.exp(levels[:, [machine]]) for machine, (_, student) in enumerate(values)]
    for study in range(studies):
        found = pool(
            [
                _effect(f"m{machine}", names[machine], teacher[study].tolist(), students[machine][study].tolist())
                for machine, (teacher, _) in enumerate(values)
            ]
        )
        assert found.low is not None
        assert found.high is not None
        assert found.check is not None
        oracle = oracle_width(error, found.units - 1)
        mean.test(positive=not found.low <= 1 <= found.high)
        mean.interval(found.low, found.high, oracle=oracle)
        check.test(positive=not found.check.low <= 1 <= found.check.high)
        check.interval(found.check.low, found.check.high, oracle=oracle)
        if found.check.prediction_low is not None and found.check.prediction_high is not None:
            prediction.interval(found.check.prediction_low, found.check.prediction_high, truth=float(following[study]))
    return mean, check, prediction


def _effect(machine: str, cpu_model: str, teacher: list[float], student: list[float]) -> MachineEffect:
    """A machine's own study, as `compare` hands it to `pool`."""
    own = paired_ratio(teacher, student)
    assert own.ratio is not None
    assert own.error is not None
    return MachineEffect(machine=machine, cpu_model=cpu_model, log_ratio=math.log(own.ratio), variance=own.error**2)
