"""The columns of an imported run's row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan

from coordinator.importing.mapping.spec import MachineRecord
from coordinator.importing.model import (
    FLAG_REPAIRED,
    NOT_REPORTED,
    Identity,
    ImportedMachine,
    ImportedRun,
    Package,
    ReportedEnergy,
    Values,
)
from coordinator.importing.rows import import_rows
from joulefleet.measurement import Channel, Readings
from joulefleet.schema import COLUMNS, attempt_table

MACHINE = ImportedMachine(name="server", record=MachineRecord(cpu_model="a CPU", environment="bare", os="an OS"))

RUN = ImportedRun(
    folder="bert",
    run="run_0",
    content="digest",
    identity=Identity(model="bert", task="sst2", machine=MACHINE, threads=4),
    values=Values(window_s=2.0, cpu_seconds=3.0, items=10),
    energy=NOT_REPORTED,
)


def package(runs: Sequence[ImportedRun]) -> Package:
    """Return a package of these runs."""
    return Package(tool="a-tool", runs=runs, planned=[run.identity for run in runs], folders=1, notes=[])


def test_a_row_has_what_the_tool_reported_and_null_elsewhere() -> None:
    """Joules of another tool are never in a column of measured ones, and the reason says so."""
    energy = ReportedEnergy(joules=5.0, by="total_energy", repair="one wrap", repaired=True)
    (row,) = import_rows("published", package([replace(RUN, energy=energy, libraries={"torch": "2"})]))
    assert list(row) == [column.name for column in COLUMNS]
    assert attempt_table(row).num_rows == 1
    assert (row["energy_j"], row["energy_reported_j"], row["flags"]) == (None, 5.0, [FLAG_REPAIRED])
    assert row["energy_reason"].startswith("imported from a-tool")
    assert (row["window_s"], row["cpu_seconds"], row["items"], row["tokens"]) == (2.0, 3.0, 10, None)
    assert (row["libraries"], row["labels"]) == ([("torch", "2")], [("folder", "bert"), ("run", "run_0")])


def test_a_row_names_the_imported_machine() -> None:
    """Its id is made of what is known of it; the run's own operating system counts before the machine's."""
    (row,) = import_rows("published", package([replace(RUN, os="another OS")]))
    assert (row["machine"], row["machine_id"], row["place"]) == ("server", MACHINE.machine_id, MACHINE.machine_id)
    assert (row["cpu_model"], row["environment"], row["os"]) == ("a CPU", "bare", "another OS")


def test_a_gap_in_a_trace_is_null() -> None:
    """NaN never reaches a store."""
    channel = Channel(name="power_w", unit="W", kind="gauge", source="trace")
    run = replace(RUN, readings=(Readings(channel=channel, t_ns=[0, 1], value=[nan, 2.0]),))
    (row,) = import_rows("published", package([run]))
    assert [(series["channel"], series["value"]) for series in row["readings"]] == [("power_w", [None, 2.0])]
