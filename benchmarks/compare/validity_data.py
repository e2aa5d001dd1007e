"""Simulated studies whose truth is known: a student that costs exactly what its teacher does.

Every function returns the values of teacher and student for many studies at once, one a trial: arrays of shape
(studies, blocks). The noise acts on the logarithm and has the size that a real machine shows: 2 % a trial, and
blocks that differ by 10 % (day, temperature, boot), unless the function says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import islice

import numpy as np
from scipy.signal import lfilter

from joulefleet.plan.williams import balanced_orders

Values = tuple[np.ndarray, np.ndarray]
"""Values of the teacher and of the student."""

Maker = Callable[[np.random.Generator, int, int], Values]
"""Takes a generator, the number of studies and the number of blocks."""

NOISE, BLOCK = 0.02, 0.1
PLANS = 500
"""Number of the planner's orders to draw from; planning each study anew would take most of the time."""

CELLS = 12
"""Cells of `cain2024` without its proofs: four models by three tasks. Teacher and student are two of them."""


def normal(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Simulate normal noise, equal in both arms."""
    return _values(_blocks(rng, studies, blocks), _noise(rng, studies, blocks), _noise(rng, studies, blocks))


def unequal_arms(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Simulate a teacher with five times the student's noise."""
    shared = _blocks(rng, studies, blocks)
    return _values(shared, _noise(rng, studies, blocks), 0.2 * _noise(rng, studies, blocks))


def wild_blocks(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Simulate blocks of infinite variance (Cauchy), equal for both arms."""
    shared = BLOCK * np.clip(rng.standard_cauchy((studies, blocks)), -500, 500)
    return _values(shared, _noise(rng, studies, blocks), _noise(rng, studies, blocks))


def skewed_alike(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Simulate exponential noise in both arms: some trials cost far more."""
    shared = _blocks(rng, studies, blocks)
    return _values(shared, *NOISE * rng.exponential(size=(2, studies, blocks)))


def skewed_student(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Simulate exponential noise in the student alone; the mean of its logarithm is the teacher's."""
    spikes = 2 * NOISE * (rng.exponential(size=(studies, blocks)) - 1)
    return _values(_blocks(rng, studies, blocks), 0.1 * _noise(rng, studies, blocks), spikes)


def autocorrelated_trials(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Simulate disturbances that last over trials in the order of a study, with an autocorrelation of 0.9."""
    wandering = _ar1(rng, studies, blocks * CELLS, 0.9).reshape(studies, blocks, CELLS)
    return _at_positions(rng, wandering)


def drift(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Simulate costs that grow by 2 % a block, trial by trial in the order of a study."""
    trend = 0.02 * np.arange(blocks * CELLS).reshape(blocks, CELLS) / CELLS
    return _at_positions(rng, np.broadcast_to(trend, (studies, blocks, CELLS)))


def carry_over(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Simulate a cost that depends on the preceding cell: each leaves its own 1 %, teacher and student the same."""
    orders = _orders(rng, studies, blocks)
    left = 0.01 * rng.standard_normal((studies, CELLS))
    left[:, 1] = left[:, 0]
    flat = orders.reshape(studies, -1).astype(np.intp)
    before = np.concatenate([np.zeros((studies, 1)), np.take_along_axis(left, flat, axis=1)[:, :-1]], axis=1)
    return _at_positions(rng, before.reshape(studies, blocks, CELLS), orders)


def carry_over_of_two(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Simulate a study of two cells: each always follows the other, and the teacher leaves 1 % to the student."""
    shared = _blocks(rng, studies, blocks)
    return _values(shared, _noise(rng, studies, blocks), 0.01 + _noise(rng, studies, blocks))


def drift_of_two(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Simulate a study of two cells, always in the same order, with costs that grow by 2 % a block."""
    trend = 0.02 * np.arange(blocks)
    return _values(trend, _noise(rng, studies, blocks), 0.01 + _noise(rng, studies, blocks))


def wandering_student(rng: np.random.Generator, studies: int, blocks: int) -> Values:
    """Simulate disturbances of the student alone that last over blocks, with an autocorrelation of 0.5."""
    shared = _blocks(rng, studies, blocks)
    return _values(shared, 0.1 * _noise(rng, studies, blocks), _ar1(rng, studies, blocks, 0.5))


def _values(shared: np.ndarray, teacher: np.ndarray, student: np.ndarray) -> Values:
    return 100 * np.exp(shared + teacher), 100 * np.exp(shared + student)


def _noise(rng: np.random.Generator, studies: int, blocks: int) -> np.ndarray:
    return NOISE * rng.standard_normal((studies, blocks))


def _blocks(rng: np.random.Generator, studies: int, blocks: int) -> np.ndarray:
    return BLOCK * rng.standard_normal((studies, blocks))


def _ar1(rng: np.random.Generator, studies: int, length: int, kept: float) -> np.ndarray:
    """Return a first-order autoregression, stationary with the standard deviation NOISE."""
    steps = rng.standard_normal((studies, length))
    steps[:, 1:] *= np.sqrt(1 - kept**2)
    return NOISE * np.asarray(lfilter([1.0], [1.0, -kept], steps, axis=1))


@lru_cache(maxsize=8)
def _planned(blocks: int) -> np.ndarray:
    """Return the planner's orders of the cells of PLANS studies, of shape (studies, blocks, cells)."""
    return np.array(
        [list(islice(balanced_orders(CELLS, seed=f"study {number}"), blocks)) for number in range(PLANS)], dtype=np.int8
    )


def _orders(rng: np.random.Generator, studies: int, blocks: int) -> np.ndarray:
    return _planned(blocks)[rng.integers(PLANS, size=studies)]


def _at_positions(rng: np.random.Generator, effects: np.ndarray, orders: np.ndarray | None = None) -> Values:
    """Return teacher and student (cells 0 and 1), each with the effect of its position in each block."""
    studies, blocks, _ = effects.shape
    drawn = _orders(rng, studies, blocks) if orders is None else orders
    teacher, student = (
        np.take_along_axis(effects, np.argmax(drawn == cell, axis=2)[:, :, None], axis=2)[:, :, 0] for cell in (0, 1)
    )
    shared = _blocks(rng, studies, blocks)
    return _values(shared, teacher + _noise(rng, studies, blocks), student + _noise(rng, studies, blocks))
