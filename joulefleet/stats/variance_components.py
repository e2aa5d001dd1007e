"""Variance components: the variance of log ratios between CPU models, between machines and between blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Variances of the log ratio. None where the data do not tell that level from the one within it."""

    cpu_model: float | None
    """Variance between CPU models."""
    machine: float | None
    """Variance between machines of one CPU model."""
    block: float | None
    """Variance between blocks of one machine."""


def components(log_ratios: Mapping[str, Mapping[str, Sequence[float]]]) -> Components:
    """Return the components of log ratios, given by CPU model and machine, from their mean squares.

    Searle, Casella and McCulloch, Variance Components (1992), section 3.6 for unequal numbers. An
    estimate below zero is set to 0: that level adds nothing to the variance of the blocks. Raises nothing; without
    any two blocks of one machine all components are None.
    """
    models, machines = by_level(log_ratios)
    everything = np.concatenate(machines) if machines else np.empty(0)
    n, b, a = len(everything), len(machines), len(models)
    if n == b:
        return Components(cpu_model=None, machine=None, block=None)
    block = sum(float(np.sum((blocks - blocks.mean()) ** 2)) for blocks in machines) / (n - b)
    counts = [sum(len(blocks) for blocks in model) for model in models]
    squares = [sum(len(blocks) ** 2 for blocks in model) for model in models]
    means = [float(np.concatenate(model).mean()) for model in models]
    machine = None
    if b > a:
        sum_of_squares = sum(
            len(blocks) * (float(blocks.mean()) - mean) ** 2
            for model, mean in zip(models, means, strict=True)
            for blocks in model
        )
        each = (n - sum(square / count for square, count in zip(squares, counts, strict=True))) / (b - a)
        machine = max(0.0, (sum_of_squares / (b - a) - block) / each)
    cpu_model = None
    if a > 1 and machine is not None:
        grand = float(everything.mean())
        sum_of_squares = sum(count * (mean - grand) ** 2 for count, mean in zip(counts, means, strict=True))
        within = sum(square / count for square, count in zip(squares, counts, strict=True))
        of_machine = (within - sum(squares) / n) / (a - 1)
        of_model = (n - sum(count**2 for count in counts) / n) / (a - 1)
        cpu_model = max(0.0, (sum_of_squares / (a - 1) - block - of_machine * machine) / of_model)
    return Components(cpu_model=cpu_model, machine=machine, block=block)


def by_level(
    log_ratios: Mapping[str, Mapping[str, Sequence[float]]],
) -> tuple[list[list[np.ndarray]], list[np.ndarray]]:
    """Return the blocks of each machine that has some, as arrays: by CPU model, and of all machines."""
    by_model = [
        [np.asarray(blocks, dtype=float) for blocks in model.values() if len(blocks)] for model in log_ratios.values()
    ]
    models = [machines for machines in by_model if machines]
    return models, [blocks for machines in models for blocks in machines]
