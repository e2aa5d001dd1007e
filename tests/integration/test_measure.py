"""One trial, measured for real: processes, torch, sensors."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.config import AgentSetup
from agent.host.lock import host_lock
from agent.runner.pool import RunnerPool
from agent.trial.measure import measure
from joulefleet.errors import MachineError
from joulefleet.measurement import Failure, Measurement
from joulefleet.plan.expand import cells
from joulefleet.plan.trial import Trial
from tests.integration.conftest import prepared
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY, tiny_pinned, tiny_trial, trial_of

pytestmark = pytest.mark.measures


def measured(trial: Trial, setup: AgentSetup, pool: RunnerPool) -> Measurement:
    """Return the measurement of a trial that must not fail."""
    outcome = measure(prepared(trial, setup, pool), setup, pool)
    assert isinstance(outcome, Measurement), outcome
    return outcome


def test_phases_follow_each_other_without_a_gap(setup: AgentSetup, pool: RunnerPool) -> None:
    """A phase ends at the reading at which the next begins, so no time and no energy is lost between them."""
    phases = measured(tiny_trial(), setup, pool).phases
    names = [phase.name for phase in phases]
    assert names == ["baseline", "startup", "items", "load", "warm_up", "window", "teardown", "cool_down"]
    assert all(before.end_ns == after.start_ns for before, after in itertools.pairwise(phases))


def test_the_window_is_whole_passes_and_little_else(setup: AgentSetup, pool: RunnerPool) -> None:
    """Items, latencies and the work's own clock agree with the window."""
    trial = tiny_trial()
    outcome = measured(trial, setup, pool)
    window = outcome.phase("window")
    assert outcome.work.items == 4 * trial.protocol.passes
    assert len(outcome.latencies_ns) == 4 * trial.protocol.passes
    assert sum(outcome.latencies_ns) <= outcome.work.work_ns <= window.end_ns - window.start_ns


def test_work_outside_the_passes_is_under_a_thousandth_of_a_window_of_a_second(
    setup: AgentSetup, pool: RunnerPool
) -> None:
    """Energy and duration use the same two marks, and there is almost only work between them."""
    trial = tiny_trial()
    long_enough = replace(trial, protocol=replace(trial.protocol, passes=400))
    outcome = measured(long_enough, setup, pool)
    outside_s = outcome.phase("window").seconds - outcome.work.work_ns / 1e9
    # 1 ms on an idle machine's second; allow a scheduler's delay on a busy one.
    assert 0 <= outside_s < 0.01


def test_both_models_of_a_pair_get_the_same_tokens(setup: AgentSetup, pool: RunnerPool) -> None:
    """Real and padded tokens of teacher and student are equal."""
    pinned = tiny_pinned()
    by_model = {
        cell.model: measured(trial_of(pinned, cell), setup, pool).work
        for cell in cells(pinned.study)
        if cell.task == "two"
    }
    assert by_model["big"].tokens == by_model["small"].tokens
    assert by_model["big"].padded_tokens == by_model["small"].padded_tokens
    assert by_model["big"].parameters > by_model["small"].parameters


def test_batches_are_padded_and_both_counts_are_kept(setup: AgentSetup, pool: RunnerPool) -> None:
    """In batches of four the padding is computed too, and counted separately."""
    pinned = tiny_pinned(changed(TINY_STUDY, {"factors.batch_size": [4]}))
    outcome = measured(trial_of(pinned, cells(pinned.study)[0]), setup, pool)
    assert outcome.work.padded_tokens > outcome.work.tokens
    assert len(outcome.latencies_ns) == 3


def test_the_work_runs_at_ordinary_priority_without_privileges(setup: AgentSetup, pool: RunnerPool) -> None:
    """Settings inherited from a Ray worker are undone, and those in force are recorded."""
    work = measured(tiny_trial(), setup, pool).work
    assert work.nice == os.getpriority(os.PRIO_PROCESS, 0)
    assert work.privileges == "none"
    assert work.oom_score_adj == 0
    assert (work.omp_num_threads, work.threads) == ("1", 1)
    assert work.cpus == tuple(sorted(os.sched_getaffinity(0)))


def test_without_a_number_of_threads_there_is_one_a_cpu(setup: AgentSetup) -> None:
    """0 threads means one for every CPU that the work may use, set explicitly."""
    trial = tiny_trial()
    own = RunnerPool()
    work = measured(replace(trial, cell=replace(trial.cell, threads=0)), setup, own).work
    own.discard()
    cpus = len(os.sched_getaffinity(0))
    assert (work.omp_num_threads, work.threads) == (str(cpus), cpus)


def test_every_attempt_is_a_process_of_its_own(setup: AgentSetup, pool: RunnerPool) -> None:
    """Two trials, two process ids in the journal, and neither is left afterwards."""
    trial = prepared(tiny_trial(), setup, pool)
    for attempt in (1, 2):
        measure(replace(trial, attempt=attempt), setup, pool)
    pids = [json.loads(line)["pid"] for line in (setup.state / "starts.jsonl").read_text().splitlines()]
    assert len(set(pids)) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_cold_isolation_measures_the_start_of_an_interpreter(setup: AgentSetup, pool: RunnerPool) -> None:
    """A new interpreter imports torch in its start-up phase; a fork has torch already."""
    warm = measured(tiny_trial(), setup, pool)
    trial = tiny_trial()
    cold = measured(replace(trial, protocol=replace(trial.protocol, isolation="cold")), setup, RunnerPool())
    assert cold.phase("startup").seconds > 5 * warm.phase("startup").seconds


def test_missing_energy_is_null_with_its_reason(setup: AgentSetup, pool: RunnerPool, tmp_path: Path) -> None:
    """Without a counter the measured energy is None with a reason; the modelled energy is separate."""
    outcome = measured(tiny_trial(), replace(setup, sysfs_root=tmp_path / "nothing"), pool)
    window = [energy for energy in outcome.energies if energy.phase == "window"]
    assert {(e.provenance, e.joules is None) for e in window} == {("measured", True), ("modelled", False)}
    assert outcome.primary.reason


def test_a_counter_that_stands_still_is_null_and_never_0(setup: AgentSetup, pool: RunnerPool, tmp_path: Path) -> None:
    """A powercap tree of plain files under another root is simulated, and its counter is not refreshed."""
    zone = tmp_path / "sys/devices/virtual/powercap/intel-rapl/intel-rapl:0"
    zone.mkdir(parents=True)
    for name, value in {"name": "package-0", "energy_uj": "5000000", "max_energy_range_uj": "262143328850"}.items():
        (zone / name).write_text(value + "\n")
    trial = tiny_trial()
    outcome = measured(
        replace(trial, protocol=replace(trial.protocol, passes=200)), replace(setup, sysfs_root=tmp_path / "sys"), pool
    )
    package = [e for e in outcome.energies if (e.phase, e.domain) == ("window", "package")]
    assert [(energy.provenance, energy.joules) for energy in package] == [("simulated", None)]
    assert "did not move" in str(outcome.primary.reason)


def test_invariant_3_a_machine_measures_one_trial_at_a_time(setup: AgentSetup, pool: RunnerPool) -> None:
    """While another agent of this host measures, a trial is refused before any process is started."""
    with host_lock(setup.lock_folders(), holder="another study"), pytest.raises(MachineError, match="another study"):
        measure(tiny_trial(), setup, pool)
    assert not (setup.state / "starts.jsonl").exists()


def failed(trial: Trial, setup: AgentSetup, pool: RunnerPool) -> Failure:
    """Return the failure of a trial that must fail."""
    outcome = measure(trial, setup, pool)
    assert isinstance(outcome, Failure)
    return outcome


def test_an_exception_in_the_work_is_a_failure_with_its_traceback(setup: AgentSetup, pool: RunnerPool) -> None:
    """Items longer than the model's positions raise an exception in the work; the agent returns a failure."""
    pinned = tiny_pinned(changed(TINY_STUDY, {"models.big.architecture.config.max_position_embeddings": 8}))
    failure = failed(prepared(trial_of(pinned, cells(pinned.study)[0]), setup, pool), setup, pool)
    assert failure.reason == "exception"
    assert "Traceback" in failure.stderr_tail


def test_work_beyond_its_time_is_killed(setup: AgentSetup, pool: RunnerPool) -> None:
    """A time-out is a failure, and the process that ran too long has ended."""
    trial = prepared(tiny_trial(), setup, pool)
    endless = replace(trial, timeout_s=1.0, protocol=replace(trial.protocol, passes=1_000_000))
    assert failed(endless, setup, pool).reason == "timeout"
    pid = json.loads((setup.state / "starts.jsonl").read_text())["pid"]
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
    assert not psutil.pid_exists(pid)


def test_work_that_is_killed_is_a_failure_and_the_next_trial_runs(setup: AgentSetup, pool: RunnerPool) -> None:
    """A killed process ends one trial, not the study."""
    trial = prepared(tiny_trial(), setup, pool)

    def kill() -> None:
        pid = json.loads((setup.state / "starts.jsonl").read_text())["pid"]
        os.kill(pid, 9)

    outcome = measure(trial, setup, pool, on_start=kill)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "killed"
    assert "signal 9" in outcome.message
    measured(replace(trial, attempt=2), setup, pool)


def test_weights_that_changed_after_the_plan_are_refused(setup: AgentSetup, pool: RunnerPool, tmp_path: Path) -> None:
    """A folder with other bytes than those of the plan is not measured under the planned name."""
    trial = prepared(tiny_trial(), setup, pool)
    model = trial.protocol.model
    weights = next((setup.cache / "weights" / model.digest).glob("labels-*"))
    moved = replace(model, architecture=None, path=str(weights), digest="0" * 64)
    failure = failed(replace(trial, protocol=replace(trial.protocol, model=moved)), setup, pool)
    assert failure.reason == "weights_mismatch"
