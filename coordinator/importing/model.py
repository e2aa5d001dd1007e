"""The output of another tool after it was read, and before it becomes rows: runs, their machines, and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coordinator.importing.mapping.spec import MachineRecord
from joulefleet.digest import digest
from joulefleet.measurement import Readings

FLAG_REPAIRED = "energy_repaired"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedMachine:
    """A machine that another tool measured on."""

    name: str
    record: MachineRecord

    @property
    def machine_id(self) -> str:
        """The id that the mapping gives, else a digest of name, CPU model and number of logical CPUs."""
        known = self.record
        return known.machine_id or digest(["imported machine", self.name, known.cpu_model, known.logical_cpus])


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The model, task, machine and factors of a run."""

    model: str
    task: str
    machine: ImportedMachine
    batch_size: int | None = None
    threads: int | None = None
    dtype: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    items: int | None = None
    """Number of items of the run, if the mapping states it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedEnergy:
    """The energy of a run, joules, as the other tool reported it or after a repair."""

    joules: float | None
    by: str | None
    repair: str | None = None
    """How the joules were repaired, or why there are none; None if they are as reported."""
    repaired: bool = False


NOT_REPORTED = ReportedEnergy(joules=None, by=None)
"""The energy of every run of a mapping that names no column of energy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The metrics of a run in the units of the schema; None for each that the tool did not report."""

    window_s: float | None = None
    cpu_percent: float | None = None
    cpu_seconds: float | None = None
    mean_rss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    items: int | None = None
    tokens: int | None = None
    quality: float | None = None
    quality_metric: str | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRun:
    """One finished run of the other tool."""

    folder: str
    """Folder of the run's table, relative to the imported folder."""
    run: str
    content: str
    """Digest of everything that was read of the run: its row and its traces."""
    identity: Identity
    values: Values
    energy: ReportedEnergy
    readings: tuple[Readings, ...] = ()
    os: str | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Everything that one import adds to a store."""

    tool: str
    runs: Sequence[ImportedRun]
    """Finished runs, ordered by folder, then by row."""
    planned: Sequence[Identity]
    """The identity of each run that the tool had planned, finished or not."""
    folders: int
    """Number of folders with a table that was read."""
    notes: Sequence[str]
    """Lines for the user: repaired and invalid energies, and folders that were not read."""
