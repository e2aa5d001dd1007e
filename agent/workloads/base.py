"""What a kind of work is to the runner: what it is asked, and what it does in the work's own process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from joulefleet.plan.trial import Cell, ResolvedModel, ResolvedTask
from joulefleet.plan.trial import Protocol as TrialProtocol


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkSpec:
    """What a workload is made from: the trial's cell and protocol, and where its files lie here."""

    cell: Cell
    protocol: TrialProtocol
    weights_folder: str
    items_file: str | None
    tokenizer_folder: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassCounts:
    """One pass over the items: items of the list, real and computed tokens, batches, and whether labels are there."""

    items: int
    tokens: int
    padded_tokens: int
    batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """What was loaded."""

    parameters: int
    model_class: str
    attention: str
    threads: int
    blas: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRequest:
    """Which model for which task, and where its folders are to be."""

    model: ResolvedModel
    task: ResolvedTask
    weights_folder: str
    body_folder: str
    items_file: str | None


class Workload(Protocol):
    """One kind of work, in the order in which its methods are called."""

    def make_items(self) -> PassCounts:
        """Make or read the items, tokenise and batch them."""
        ...

    def load(self) -> LoadedModel:
        """Load the weights, ready to work."""
        ...

    def run_pass(self, latencies_ns: memoryview) -> None:
        """Work every batch once; write each one's duration into `latencies_ns`, in order."""
        ...

    def predictions(self) -> list[float]:
        """What the last pass answered, one number an item: the class, or the value of a regression."""
        ...

    def labels(self) -> list[float] | None:
        """The items' labels in the same form, or None where they have none."""
        ...
