"""An attempt's row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from typing import Any

import pytest

from agent.results.row import attempt_row, trial_columns
from joulefleet.machine import Environment, Machine
from joulefleet.measurement import Failure, Measurement, Outcome
from joulefleet.plan.trial import Trial
from joulefleet.schema import COLUMNS, attempt_table
from joulefleet.study.spec import Modelled
from tests.support.attempts import ScriptedAttempt
from tests.support.tiny_trials import tiny_trial

MACHINE = Machine(
    machine_id="m-1",
    name="bench",
    cpu_model="a CPU",
    sockets=1,
    physical_cores=2,
    logical_cpus=4,
    memory_bytes=8 << 30,
    virtualised=None,
)

ENVIRONMENT = Environment(
    runtime="none",
    engine="torch 2",
    image=None,
    kernel="6.1",
    kernel_command_line=None,
    os="an OS",
    microcode=None,
    governor="performance",
    turbo=True,
    smt=False,
    frequency_min_mhz=800.0,
    frequency_max_mhz=3000.0,
    numa_nodes=1,
    energy_filter=None,
    swap_bytes=0,
    cgroup_cpu_limit=None,
    cgroup_memory_limit_bytes=None,
    libraries={"torch": "2", "transformers": "5"},
)

FAILURE = Failure(
    reason="timeout",
    message="not done within 1 s",
    stderr_tail="the end",
    started_at_ns=1_772_366_400_000_000_000,
    wall_s=2,
)


def row_of(outcome: Outcome, trial: Trial, environment: Environment | None = ENVIRONMENT) -> dict[str, Any]:
    """Return the row of an attempt on the machine above."""
    return attempt_row(
        trial, outcome, machine=MACHINE, environment=environment, boot_id="boot", sysfs_root=Path("/simulated")
    )


@pytest.fixture
def trial() -> Trial:
    """Return a trial with a modelled energy."""
    return tiny_trial(modelled=Modelled())


@pytest.fixture
def measured(trial: Trial, tmp_path: Path) -> Measurement:
    """Return its measurement: 40 W of the package, 5 W of the memory, phases of ten seconds."""
    return ScriptedAttempt(root=tmp_path).measurement(trial)


def test_a_row_has_every_column_and_can_be_written(trial: Trial, measured: Measurement) -> None:
    """The table is what the outbox keeps."""
    for row in (row_of(measured, trial), row_of(FAILURE, trial)):
        assert list(row) == [column.name for column in COLUMNS]
        assert attempt_table(row).num_rows == 1


def test_a_row_names_trial_machine_and_environment(trial: Trial, measured: Measurement) -> None:
    """The machine's id is that of the machine that ran the trial, whatever the trial says."""
    row = row_of(measured, replace(trial, machine_id="another"))
    assert (row["machine"], row["machine_id"], row["boot_id"]) == ("bench", "m-1", "boot")
    assert (row["environment_id"], row["sysfs_root"]) == (ENVIRONMENT.environment_id, "/simulated")
    assert (row["libraries"], row["labels"]) == ([("torch", "2"), ("transformers", "5")], [])
    assert row["started_at"] == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_energies_of_the_window_stand_in_columns_of_their_own(trial: Trial, measured: Measurement) -> None:
    """Measured and modelled joules never share a column."""
    row = row_of(measured, trial)
    assert (row["energy_j"], row["energy_scope"], row["energy_provenance"]) == (450.0, "package+dram", "measured")
    assert (row["energy_package_j"], row["baseline_j"], row["load_energy_j"]) == (400.0, 450.0, 450.0)
    assert (row["window_s"], row["baseline_s"], row["load_s"]) == (10.0, 10.0, 10.0)
    assert row["energy_modelled_j"] not in (None, 450.0)
    assert dict(row["modelled_parameters"])["logical_cpus"] == 4.0
    assert row["energy_reason"] is None


def test_numbers_that_follow_from_others(trial: Trial, measured: Measurement) -> None:
    """100 % is one core: the work used 10 s of CPU time in 10 s."""
    row = row_of(measured, trial)
    assert (row["cpu_seconds"], row["cpu_percent"]) == (10.0, 100.0)
    assert row["work_peak_bytes"] == row["peak_rss_bytes"] - row["base_rss_bytes"]
    assert row["work_s"] == 0.001
    unknown = replace(measured, memory=replace(measured.memory, base_rss_bytes=None))
    assert row_of(unknown, trial)["work_peak_bytes"] is None


def test_the_threads_requested_and_those_in_use_are_two_columns(trial: Trial, measured: Measurement) -> None:
    """Work that failed used an unknown number of threads."""
    requested = replace(trial, cell=replace(trial.cell, threads=0))
    assert (row_of(measured, requested)["threads_requested"], row_of(measured, requested)["threads"]) == (0, 1)
    assert row_of(FAILURE, requested)["threads"] is None


def test_a_failed_read_is_null_in_the_readings(trial: Trial, measured: Measurement) -> None:
    """NaN is the agent's own sign for it; a reader of the store must not meet it."""
    first = replace(measured.readings[0], value=[1.0, nan, 3.0], t_ns=[1, 2, 3])
    row = row_of(replace(measured, readings=(first,)), trial)
    assert [(series["channel"], series["value"], series["t_ns"]) for series in row["readings"]] == [
        ("package-0", [1.0, None, 3.0], [1, 2, 3])
    ]


def test_a_failure_has_its_reason_and_no_numbers(trial: Trial) -> None:
    """Every null has a reason in the row."""
    row = row_of(FAILURE, trial)
    assert (row["status"], row["reason"], row["message"], row["stderr_tail"]) == (
        "failed",
        "timeout",
        "not done within 1 s",
        "the end",
    )
    assert row["energy_reason"] == row["quality_reason"] == "the trial failed"
    assert {row[name] for name in ("energy_j", "window_s", "readings", "phases", "peak_rss_bytes")} == {None}


def test_an_environment_that_nobody_could_read_is_null(trial: Trial) -> None:
    """The label of the environment is the study's, and stays."""
    row = row_of(FAILURE, trial, environment=None)
    assert (row["environment"], row["environment_id"], row["kernel"]) == ("bare", None, None)


def test_a_trial_decides_its_columns_before_it_runs(trial: Trial, measured: Measurement) -> None:
    """Fakes of agents make rows of them as well."""
    columns = trial_columns(trial)
    row = row_of(measured, trial)
    assert {name: row[name] for name in columns if name != "labels"} == {
        name: value for name, value in columns.items() if name != "labels"
    }
    assert columns["attempt_id"] == trial.attempt_id
