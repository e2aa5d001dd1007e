"""What was read of another tool's output, before it becomes rows: runs, machines, and what was noticed."""

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
    """The machine that another tool measured on. Its id is made of what is known of it."""

    name: str
    record: MachineRecord

    @property
    def machine_id(self) -> str:
        """As the mapping says, else a digest of its name, its CPU model and the number of its CPUs."""
        known = self.record
        return known.machine_id or digest(["imported machine", self.name, known.cpu_model, known.logical_cpus])


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What was run, and where."""

    model: str
    task: str
    machine: ImportedMachine
    batch_size: int | None = None
    threads: int | None = None
    dtype: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    items: int | None = None
    """Of each run, where the mapping says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedEnergy:
    """What the other tool reported, in joules, and what had to be done about it."""

    joules: float | None
    by: str | None
    repair: str | None = None
    """How the joules were repaired, or why there are none."""
    repaired: bool = False


NOT_REPORTED = ReportedEnergy(joules=None, by=None)
"""Where the mapping names no column of energy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What the mapping found of our metrics in one run."""

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
    """One run of the other tool that was done."""

    folder: str
    """Relative to the folder that was imported."""
    run: str
    content: str
    """Digest of everything that was read of it."""
    identity: Identity
    values: Values
    energy: ReportedEnergy
    readings: tuple[Readings, ...] = ()
    os: str | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """All that is to be imported."""

    tool: str
    runs: Sequence[ImportedRun]
    """In the order of their folders, and of the rows in each."""
    planned: Sequence[Identity]
    """One a run that the tool had planned, done or not."""
    folders: int
    notes: Sequence[str]
    """What the user should know, one line each: repaired and invalid energies, folders that were not read."""
