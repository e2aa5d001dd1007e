"""The interface of a kind of work, and the records that it takes and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from joulefleet.plan.trial import Cell, ResolvedModel, ResolvedTask
from joulefleet.plan.trial import Protocol as TrialProtocol


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkSpec:
    """What a workload is made from: the trial's cell and protocol, and the paths of its files on this machine."""

    cell: Cell
    protocol: TrialProtocol
    weights_folder: str
    items_file: str | None
    tokenizer_folder: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassCounts:
    """Counts of one pass over the items: items of the list, real tokens, tokens with padding, batches."""

    items: int
    tokens: int
    padded_tokens: int
    batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """What was loaded, with the settings in force; the names are those of a row's columns."""

    parameters: int
    model_class: str
    attention: str
    threads: int
    blas: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRequest:
    """A model and a task to prepare, and the paths of their folders and files on this machine."""

    model: ResolvedModel
    task: ResolvedTask
    weights_folder: str
    body_folder: str
    items_file: str | None


class Workload(Protocol):
    """One kind of work, in one process.

    The runner's worker makes one for a trial from a `WorkSpec`, and calls from one thread, in this order:
    `make_items` and `load` once, `run_pass` many times, `labels` and `predictions` once. `run_pass` is what is
    measured: it does nothing but the work, and every pass does the same work. All methods may raise any
    exception; the trial then fails with its message.
    """

    def make_items(self) -> PassCounts:
        """Make or read the items, tokenise and batch them."""
        ...

    def load(self) -> LoadedModel:
        """Load the weights, ready to work."""
        ...

    def run_pass(self, latencies_ns: memoryview) -> None:
        """Process every batch once, and write the duration of each into `latencies_ns`, in order."""
        ...

    def predictions(self) -> list[float]:
        """Return the answers of the last pass, one number for each item: the class, or the value of a regression."""
        ...

    def labels(self) -> list[float] | None:
        """Return the items' labels in the same form; None without labels. Raises ValueError for an unknown label."""
        ...
