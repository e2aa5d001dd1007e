"""Simulated studies whose truth is known: a student that costs exactly what its teacher does.

Every function makes the values of teacher and student, one a trial, of many studies at once: arrays of
studies × blocks. Noise is of the logarithm, of a size that a machine in use has: 2 % a trial, and blocks
that differ by 10 % (day, temperature, boot) unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import islice

import numpy as np
from scipy.signal import lfilter

from joulefleet.plan.williams import balanced_orders

Values = tuple[np.ndarray, np.ndarray]
"""Of the teacher and of the student."""

Maker = Callable[[np.random.Generator, int, int], Values]
"""From a generator, the number of studies and that of blocks."""

NOISE, BLOCK = 0.02, 0.1
PLANS = 500
"""The planner's orders are drawn from so many: to plan each study anew would take most of the time."""

CELLS = 12
"""As many as `cain2024` has without its proofs: four models by three tasks. Teacher and student are two of them."""


def normal(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Normal noise, alike in both arms."""
    return _values(_blocks(rng, studies, blocks), _noise(rng, studies, blocks), _noise(rng, studies, blocks))


def unequal_arms(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """The teacher's noise five times the student's."""
    shared = _blocks(rng, studies, blocks)
    return _values(shared, _noise(rng, studies, blocks), 0.2 * _noise(rng, studies, blocks))


def wild_blocks(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Blocks that differ without a bound (Cauchy, so that their variance is infinite) but alike for both arms."""
    shared = BLOCK * np.clip(rng.standard_cauchy((studies, blocks)), -500, 500)
    return _values(shared, _noise(rng, studies, blocks), _noise(rng, studies, blocks))


def skewed_alike(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Exponential noise in both arms: now and then a trial costs far more, of either arm."""
    shared = _blocks(rng, studies, blocks)
    return _values(shared, *NOISE * rng.exponential(size=(2, studies, blocks)))


def skewed_student(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Exponential noise in the student alone, about a mean of its logarithm that is the teacher's."""
    spikes = 2 * NOISE * (rng.exponential(size=(studies, blocks)) - 1)
    return _values(_blocks(rng, studies, blocks), 0.1 * _noise(rng, studies, blocks), spikes)


def autocorrelated_trials(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """What disturbs a trial lasts into the next ones (0.9 of it from each to the next), in the order of a study."""
    wandering = _ar1(rng, studies, blocks * CELLS, 0.9).reshape(studies, blocks, CELLS)
    return _at_positions(rng, wandering)


def drift(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Everything costs 2 % more from block to block, trial by trial, in the order of a study."""
    trend = 0.02 * np.arange(blocks * CELLS).reshape(blocks, CELLS) / CELLS
    return _at_positions(rng, np.broadcast_to(trend, (studies, blocks, CELLS)))


def carry_over(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """A trial costs more or less by what ran before it: each of the cells leaves its own 1 %, the two alike."""
    orders = _orders(rng, studies, blocks)
    left = 0.01 * rng.standard_normal((studies, CELLS))
    left[:, 1] = left[:, 0]
    flat = orders.reshape(studies, -1).astype(np.intp)
    before = np.concatenate([np.zeros((studies, 1)), np.take_along_axis(left, flat, axis=1)[:, :-1]], axis=1)
    return _at_positions(rng, before.reshape(studies, blocks, CELLS), orders)


def carry_over_of_two(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """A study of these two cells alone: each always follows the other, and the teacher leaves 1 % behind."""
    shared = _blocks(rng, studies, blocks)
    return _values(shared, _noise(rng, studies, blocks), 0.01 + _noise(rng, studies, blocks))


def drift_of_two(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """A study of these two cells alone, always in the same order, and 2 % more from block to block."""
    trend = 0.02 * np.arange(blocks)
    return _values(trend, _noise(rng, studies, blocks), 0.01 + _noise(rng, studies, blocks))


def wandering_student(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """What disturbs the student alone lasts over blocks: half of it from each to the next."""
    shared = _blocks(rng, studies, blocks)
    return _values(shared, 0.1 * _noise(rng, studies, blocks), _ar1(rng, studies, blocks, 0.5))


def _values(shared: np.ndarray, teacher: np.ndarray, student: np.ndarray) -> Values:
    return 100 * np.exp(shared + teacher), 100 * np.exp(shared + student)


def _noise(rng: np.random.Generator, studies: int, blocks: int) -> np.ndarray:
    return NOISE * rng.standard_normal((studies, blocks))


def _blocks(rng: np.random.Generator, studies: int, blocks: int) -> np.ndarray:
    return BLOCK * rng.standard_normal((studies, blocks))


def _ar1(rng: np.random.Generator, studies: int, length: int, kept: float) -> np.ndarray:
    """First-order autoregression with the standard deviation NOISE, from its first value on."""
    steps = rng.standard_normal((studies, length))
    steps[:, 1:] *= np.sqrt(1 - kept**2)
    return NOISE * np.asarray(lfilter([1.0], [1.0, -kept], steps, axis=1))


@lru_cache(maxsize=8)
def _planned(blocks: int) -> np.ndarray:
    """Orders in which the planner would run the cells of as many studies: studies × blocks × cells."""
    return np.array(
        [list(islice(balanced_orders(CELLS, seed=f"study {number}"), blocks)) for number in range(PLANS)], dtype=np.int8
    )


def _orders(rng: np.random.Generator, studies: int, blocks: int) -> np.ndarray:
    return _planned(blocks)[rng.integers(PLANS, size=studies)]


def _at_positions(rng: np.random.Generator, effects: np.ndarray, orders: np.ndarray | None = None) -> Values:
    """Teacher and student (cells 0 and 1), each with the effect of its own position in each block."""
    studies, blocks, _ = effects.shape
    found = _orders(rng, studies, blocks) if orders is None else orders
    teacher, student = (
        np.take_along_axis(effects, np.argmax(found == cell, axis=2)[:, :, None], axis=2)[:, :, 0] for cell in (0, 1)
    )
    shared = _blocks(rng, studies, blocks)
    return _values(shared, teacher + _noise(rng, studies, blocks), student + _noise(rng, studies, blocks))
