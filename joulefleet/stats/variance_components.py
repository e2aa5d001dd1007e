"""Where the spread of log ratios comes from: CPU models, machines within them, blocks within a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Variances of the log ratio. None where the data cannot tell that level from another."""

    cpu_model: float | None
    machine: float | None
    """Between machines of one CPU model."""
    block: float | None
    """Between blocks of one machine."""


def components(log_ratios: Mapping[str, Mapping[str, Sequence[float]]]) -> Components:
    """The components from log ratios by CPU model and machine, by their mean squares.

    Searle, Casella and McCulloch, Variance Components (1992), section 3.6 for unequal numbers. An
    estimate below zero is 0: that level adds nothing that the blocks' noise would not.
    """
    models = [[np.asarray(blocks, dtype=float) for blocks in of.values() if len(blocks)] for of in log_ratios.values()]
    models = [machines for machines in models if machines]
    machines = [blocks for of in models for blocks in of]
    everything = np.concatenate(machines) if machines else np.empty(0)
    n, b, a = len(everything), len(machines), len(models)
    if n == b:
        return Components(cpu_model=None, machine=None, block=None)
    block = sum(float(np.sum((blocks - blocks.mean()) ** 2)) for blocks in machines) / (n - b)
    n_of = [sum(len(blocks) for blocks in of) for of in models]
    squares = [sum(len(blocks) ** 2 for blocks in of) for of in models]
    mean_of = [float(np.concatenate(of).mean()) for of in models]
    machine = None
    if b > a:
        sum_of_squares = sum(
            len(blocks) * (float(blocks.mean()) - mean) ** 2
            for of, mean in zip(models, mean_of, strict=True)
            for blocks in of
        )
        each = (n - sum(square / count for square, count in zip(squares, n_of, strict=True))) / (b - a)
        machine = max(0.0, (sum_of_squares / (b - a) - block) / each)
    cpu_model = None
    if a > 1 and machine is not None:
        grand = float(everything.mean())
        sum_of_squares = sum(count * (mean - grand) ** 2 for count, mean in zip(n_of, mean_of, strict=True))
        of_machine = (sum(square / count for square, count in zip(squares, n_of, strict=True)) - sum(squares) / n) / (
            a - 1
        )
        of_model = (n - sum(count**2 for count in n_of) / n) / (a - 1)
        cpu_model = max(0.0, (sum_of_squares / (a - 1) - block - of_machine * machine) / of_model)
    return Components(cpu_model=cpu_model, machine=machine, block=block)
