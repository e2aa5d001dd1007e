"""Simulated fleets of different machines and CPU models, pooled as `compare` pools them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.compare.validity_data import BLOCK, Maker, Values
from benchmarks.compare.validity_tally import Tally, oracle_width
from joulefleet.stats import MachineEffect, paired_ratio, pool

Shape = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
"""Takes a generator and a shape; returns values of mean 0 and variance 1."""


def normal_shape(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from the normal distribution."""
    return rng.standard_normal(shape)


def heavy_shape(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from Student's t with 3 degrees of freedom, whose variance is 3."""
    return rng.standard_t(3, shape) / math.sqrt(3)


def skewed_shape(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from the exponential distribution: most machines a little below the mean, a few far above."""
    return rng.exponential(size=shape) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet; its machines stand in the order of their CPU models."""

    models: tuple[int, ...]
    """Number of machines of each CPU model."""
    between_models: float = 0.0
    """Standard deviation of the true log ratio between CPU models."""
    between_machines: float = 0.0
    """The same between machines of one model."""
    shape: Shape = normal_shape
    """Distribution of both."""
    noise: tuple[float, float] = (0.02, 0.02)
    """Noise of a trial, of the first machine and of the last."""
    blocks: tuple[int, int] = (10, 10)
    """Number of blocks of the first machine and of the last."""
    maker: Maker | None = None
    """Function that makes the values of each machine, instead of normal `noise`."""

    @property
    def machines(self) -> int:
        """Number of machines of all models."""
        return sum(self.models)

    def noises(self) -> np.ndarray:
        """Return the noise of a trial of each machine."""
        return np.geomspace(*self.noise, self.machines)

    def numbers(self) -> np.ndarray:
        """Return the number of blocks of each machine."""
        return np.linspace(*self.blocks, self.machines).round().astype(int)

    def error(self, of_block: np.ndarray) -> float:
        """Return the standard error of the best weighting of all machines, with all variances known.

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
        """Return the values of each machine in all studies, as if the student cost what the teacher does."""
        if self.maker is not None:
            return [self.maker(rng, studies, int(blocks)) for blocks in self.numbers()]
        by_machine = []
        for noise, blocks in zip(self.noises(), self.numbers(), strict=True):
            shared = BLOCK * rng.standard_normal((studies, blocks))
            teacher, student = 100 * np.exp(shared + noise * rng.standard_normal((2, studies, blocks)))
            by_machine.append((teacher, student))
        return by_machine

    def levels(self, rng: np.random.Generator, studies: int) -> np.ndarray:
        """Return the true log ratio of each machine in each study; their mean is 0."""
        of_models = self.between_models * self.shape(rng, (studies, len(self.models)))
        own = self.between_machines * self.shape(rng, (studies, self.machines))
        return np.repeat(of_models, self.models, axis=1) + own


def pooled(fleet: Fleet, rng: np.random.Generator, studies: int) -> tuple[Tally, Tally, Tally]:
    """Tally the mean over machines, its check by random effects, and the prediction of the next machine's ratio."""
    mean, check, prediction = Tally(), Tally(), Tally()
    names = [f"cpu {model}" for model, count in enumerate(fleet.models) for _ in range(count)]
    levels, following = fleet.levels(rng, studies), np.exp(fleet.levels(rng, studies)[:, 0])
    values = fleet.values(rng, studies)
    # The oracle answers by the same t; its gain is that it knows the best weights.
    error = fleet.error(np.array([np.var(np.log(student / teacher)) for teacher, student in values]))
    students = [student * np.exp(levels[:, [machine]]) for machine, (_, student) in enumerate(values)]
    for study in range(studies):
        estimate = pool(
            [
                _effect(f"m{machine}", names[machine], teacher[study].tolist(), students[machine][study].tolist())
                for machine, (teacher, _) in enumerate(values)
            ]
        )
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.check is not None
        oracle = oracle_width(error, estimate.units - 1)
        mean.test(positive=not estimate.low <= 1 <= estimate.high)
        mean.interval(estimate.low, estimate.high, oracle=oracle)
        check.test(positive=not estimate.check.low <= 1 <= estimate.check.high)
        check.interval(estimate.check.low, estimate.check.high, oracle=oracle)
        if estimate.check.prediction_low is not None and estimate.check.prediction_high is not None:
            prediction.interval(
                estimate.check.prediction_low, estimate.check.prediction_high, truth=float(following[study])
            )
    return mean, check, prediction


def _effect(machine: str, cpu_model: str, teacher: list[float], student: list[float]) -> MachineEffect:
    """Return the effect of one machine, as `compare` hands it to `pool`."""
    own = paired_ratio(teacher, student)
    assert own.ratio is not None
    assert own.error is not None
    return MachineEffect(machine=machine, cpu_model=cpu_model, log_ratio=math.log(own.ratio), variance=own.error**2)
