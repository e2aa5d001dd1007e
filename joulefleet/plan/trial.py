"""The trial: all that an agent needs to know to measure one cell once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from joulefleet.digest import digest
from joulefleet.errors import StudyError
from joulefleet.machine import BARE
from joulefleet.study.spec import (
    Architecture,
    EnergySource,
    HeadOrigin,
    Hub,
    Isolation,
    Items,
    Modelled,
    Regime,
    Thresholds,
)
from joulefleet.study.timing import Timing
from joulefleet.versions import PROTOCOL_VERSION
from joulefleet.yamlfile.closed_record import ClosedRecord

AttemptKind = Literal["trial", "pilot"]
WeightsSource = Literal["seeded", "pretrained"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(ClosedRecord):
    """One combination of model, task, levels of the factors, and environment."""

    model: str
    task: str
    batch_size: int = 1
    threads: Annotated[int, Field(ge=0, description="0: one for every CPU the work may use.")] = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    environment: str = BARE

    def __str__(self) -> str:
        threads = "" if self.threads == 0 else f" ×{self.threads} threads"
        batch = "" if self.batch_size == 1 else f" batch {self.batch_size}"
        dtype = "" if self.dtype == "float32" else f" {self.dtype}"
        return f"{self.model}/{self.task}{batch}{threads}{dtype}"


CELL_COLUMNS = ("model", "task", "batch_size", "threads_requested", "dtype", "environment")
"""Columns of a row that hold its cell, in the order of the fields of `Cell`."""


def cell_columns(cell: Cell) -> dict[str, Any]:
    """Return the columns of a row that hold `cell`."""
    return dict(zip(CELL_COLUMNS, astuple(cell), strict=True))


def cell_in(row: Mapping[str, Any]) -> Cell:
    """Return the cell in the columns of `row`."""
    return Cell(**{field.name: row[column] for field, column in zip(fields(Cell), CELL_COLUMNS, strict=True)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel(ClosedRecord):
    """A model with its weights pinned.

    `digest` identifies the weights. It is made of the configuration and the seed where they are drawn from a
    seed, of id and commit for a model of the hub, and of the files' bytes for a folder.
    """

    architecture: Architecture | None = None
    hub: Hub | None = None
    path: str | None = None
    tokenizer: str | None = None
    tokenizer_digest: str | None = None
    """Digest of the tokenizer's files, None where there are none; with texts they decide which tokens are worked."""
    head: HeadOrigin = "own"
    digest: str
    layers: int | None = None
    """Number of hidden layers, None where unknown; used for the expected duration only."""

    @property
    def weights_source(self) -> WeightsSource:
        """Origin of the body's weights: `seeded` where they are drawn from a seed."""
        return "seeded" if self.architecture is not None else "pretrained"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTask(ClosedRecord):
    """A task with its preset filled in and its items pinned by `digest`."""

    inputs: Literal["single", "pair"]
    labels: int
    metric: Literal["accuracy", "pearson"] | None
    max_length: int
    items: Items
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol(ClosedRecord):
    """How a trial is measured: everything that changes the result, and nothing else."""

    version: int = PROTOCOL_VERSION
    regime: Regime
    timing: Timing
    isolation: Isolation
    energy_source: EnergySource = "powercap"
    passes: Annotated[int, Field(ge=1)]
    item_repeats: Annotated[int, Field(ge=1, description="2 in the 2x arm: each item is worked twice.")] = 1
    companions: str = ""
    """Digest of the models that are compared with this cell. A new one opens new trials of all of them, since a
    model measured on another day could not be told apart from that day."""
    model: ResolvedModel
    task: ResolvedTask

    @property
    def digest(self) -> str:
        """Identity of the protocol, 20 hexadecimal digits. Folders count by their bytes, never by their paths."""
        data = _PROTOCOL.dump_python(self, mode="json")
        items = data["task"].pop("items")
        data["task"]["items_kind"] = [key for key, value in items.items() if value is not None]
        for key in ("path", "tokenizer", "layers"):
            data["model"].pop(key)
        if items["synthetic"] is not None:
            data["model"].pop("tokenizer_digest")
        if data["model"]["architecture"] is not None:
            data["model"]["architecture"].pop("published_as")
        return digest(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial(ClosedRecord):
    """One attempt at one trial, as it is sent to an agent; `joulefleet.plan.design.Design` makes it.

    It is a record without behaviour: the coordinator sends it, the agent measures by it and copies its names into
    the row, and neither changes it. A trial file holds it as JSON (`trial_to_json`, `read_trial`).
    """

    study: str
    store_id: str
    kind: AttemptKind = "trial"
    trial_id: str
    place: str
    """Id of the machine to which the repetition belongs; under placement any-machine the id of its class."""
    machine_id: str = ""
    """Id of the machine that runs it, where its place is a class of machines; otherwise empty."""
    attempt: Annotated[int, Field(ge=1)] = 1
    round: Annotated[int, Field(ge=1)] = 1
    block: Annotated[int, Field(ge=0)]
    position: Annotated[int, Field(ge=0)]
    predecessor: str | None = None
    """Cell that ran before it on the machine, as text; None where none did since the machine started."""
    assignment: str = ""
    """Reason why it runs now, for people."""
    comparison_group: str = ""
    """Digest that it shares with the cells with which it is compared, within one block of one place."""
    comparison_group_size: Annotated[int, Field(ge=0)] = 0
    cell: Cell
    protocol: Protocol
    timeout_s: float
    sampling_hz: float
    modelled: Modelled | None = None
    thresholds: Thresholds
    labels: dict[str, str]

    @property
    def attempt_id(self) -> str:
        """Identity of the attempt, and the name of its file in the outbox and in the store."""
        # Two machines of a class may be at the same attempt, where one of them was taken for lost.
        machine = f"-{self.machine_id}" if self.machine_id else ""
        return f"{self.trial_id}-r{self.round}-a{self.attempt}{machine}"


def trial_id(
    *, study: str, cell: Cell, repetition: int, place: str, protocol: Protocol | str, kind: AttemptKind = "trial"
) -> str:
    """Return the identity of a trial, 20 hexadecimal digits; `protocol` may be a protocol or its digest.

    It does not depend on order, retries, thresholds or the number of repetitions.
    """
    protocol_digest = protocol if isinstance(protocol, str) else protocol.digest
    return digest([kind, study, _CELL.dump_python(cell, mode="json"), repetition, place, protocol_digest])


def trial_to_json(trial: Trial) -> dict[str, Any]:
    """Return `trial` as plain JSON data."""
    data: dict[str, Any] = _TRIAL.dump_python(trial, mode="json")
    return data


def trial_from_json(data: Any, *, name: str = "trial") -> Trial:
    """Return the trial of which `trial_to_json` made `data`. Raises StudyError that names every mistake."""
    try:
        return _TRIAL.validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise StudyError(
            [f"{name}: {'.'.join(map(str, e['loc']))}: {e['msg']}." for e in error.errors(include_url=False)],
            cure="`joulefleet plan STUDY --trials FOLDER` writes trial files to begin from.",
        ) from error


def read_trial(path: Path) -> Trial:
    """Read the trial in the JSON file `path`. Raises StudyError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror}).", cure="Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise StudyError(
            f"{path}: not JSON ({error}).",
            cure="`joulefleet plan STUDY --trials FOLDER` writes trial files to begin from.",
        ) from error
    return trial_from_json(data, name=str(path))


_PROTOCOL: TypeAdapter[Protocol] = TypeAdapter(Protocol)
_CELL: TypeAdapter[Cell] = TypeAdapter(Cell)
_TRIAL: TypeAdapter[Trial] = TypeAdapter(Trial)
