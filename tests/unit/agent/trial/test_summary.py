"""From observations to a measurement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.results.series import LONGEST_SERIES
from agent.sensors import Missing
from joulefleet.measurement import PrimaryEnergy
from joulefleet.plan.trial import Trial
from joulefleet.study.spec import Modelled
from tests.support.attempts import PACKAGE, SECOND, ScriptedAttempt
from tests.support.tiny_trials import tiny_trial


@pytest.fixture
def trial() -> Trial:
    """Return a trial of three passes without modelled energy, whose window need not be long."""
    return tiny_trial(modelled=None)


def test_energy_is_power_times_the_time_between_two_marks(trial: Trial, tmp_path: Path) -> None:
    """40 W of the package and 5 W of its memory in a window of 10 s; every phase has its own."""
    measured = ScriptedAttempt(root=tmp_path).measurement(trial)
    assert measured.primary == PrimaryEnergy(
        scope="package+dram", source="powercap", provenance="measured", joules=450.0, reason=None
    )
    assert {e.joules for e in measured.energies if e.domain == "package-0"} == {400.0}
    assert len({e.phase for e in measured.energies}) == 8


def test_without_a_counter_every_phase_says_why(trial: Trial, tmp_path: Path) -> None:
    """The reason is the sensor's own message."""
    attempt = ScriptedAttempt(root=tmp_path, domains=())
    attempt.energy.missing = (Missing(what="energy", why="absent", message="no powercap tree", cure=""),)
    measured = attempt.measurement(trial)
    assert {(e.joules, e.reason) for e in measured.energies} == {(None, "no powercap tree")}
    assert (measured.primary.joules, measured.primary.reason) == (None, "no powercap tree")


def test_modelled_energy_is_computed_only_where_the_study_wants_it(trial: Trial, tmp_path: Path) -> None:
    """It never becomes the primary energy, not even where nothing was counted."""
    measured = ScriptedAttempt(root=tmp_path, domains=()).measurement(replace(trial, modelled=Modelled()))
    assert {e.provenance for e in measured.energies if e.joules is not None} == {"modelled"}
    assert measured.primary.joules is None
    assert measured.modelled_parameters["logical_cpus"] == 4
    plain = ScriptedAttempt(root=tmp_path).measurement(trial)
    assert (plain.modelled_formula, plain.modelled_parameters) == (None, {})


def test_counts_are_those_of_all_passes(trial: Trial, tmp_path: Path) -> None:
    """The work reports one pass."""
    work = ScriptedAttempt(root=tmp_path).measurement(trial).work
    passes = trial.protocol.passes
    assert (work.items, work.tokens, work.padded_tokens) == (4 * passes, 100 * passes, 120 * passes)


def test_foreign_cpu_is_what_neither_work_nor_observers_used(trial: Trial, tmp_path: Path) -> None:
    """1.5 CPUs for 10 s, less 10 s of the work and 0.1 s of the observers; never below 0."""
    assert ScriptedAttempt(root=tmp_path).measurement(trial).foreign_cpu_s == pytest.approx(4.9)
    assert ScriptedAttempt(root=tmp_path, machine_cpus=1.0).measurement(trial).foreign_cpu_s == 0.0


def test_foreign_cpu_is_unknown_where_a_part_of_it_is(trial: Trial, tmp_path: Path) -> None:
    """An observer that ended in the window took an unknown part."""
    attempt = ScriptedAttempt(root=tmp_path)
    observed = attempt.observed()
    observed.observer_cpu_s = None
    measured = attempt.measurement(trial, observed)
    assert (measured.foreign_cpu_s, measured.flags) == (None, ())


def test_a_quiet_trial_has_no_flags(trial: Trial, tmp_path: Path) -> None:
    """Its row is not doubted."""
    assert ScriptedAttempt(root=tmp_path, machine_cpus=1.0).measurement(trial).flags == ()


def test_a_threshold_that_is_exceeded_gives_its_flag(trial: Trial, tmp_path: Path) -> None:
    """Flags of the attempt itself come first."""
    attempt = ScriptedAttempt(root=tmp_path, machine_cpus=2.0, steal_cpus=0.5)
    observed = attempt.observed()
    observed.flags.append("not_steady")
    observed.log_bytes = trial.thresholds.log_bytes + 1
    observed.observer_cpu_s = 5.0
    timing = replace(trial.protocol.timing, window_at_least_s=10.1)
    short = replace(trial, protocol=replace(trial.protocol, timing=timing))
    expected = ("not_steady", "foreign_cpu", "steal", "observer_cpu", "log_flood", "short_window")
    assert attempt.measurement(short, observed).flags == expected
    assert "short_window" not in attempt.measurement(replace(short, kind="pilot"), observed).flags


def test_a_machine_that_slept_has_no_energy_of_that_phase(trial: Trial, tmp_path: Path) -> None:
    """The two clocks differ by the time of the suspend; other phases keep their energy."""
    attempt = ScriptedAttempt(root=tmp_path)
    observed = attempt.observed()
    observed.clocks = [(t, 3 * SECOND if t >= observed.phases[5].end_ns else 0) for t, _ in observed.clocks]
    measured = attempt.measurement(trial, observed)
    assert measured.primary.joules is None
    assert "suspended during the phase window" in str(measured.primary.reason)
    assert "suspended" in measured.flags
    assert next(e.joules for e in measured.energies if (e.phase, e.domain) == ("load", "package")) == 400.0


def test_memory_has_its_base_its_peak_and_its_mean_in_the_window(trial: Trial, tmp_path: Path) -> None:
    """Resident memory grows by 1 MB a second; the window is from 50 s to 60 s."""
    memory = ScriptedAttempt(root=tmp_path).measurement(trial).memory
    assert (memory.base_rss_bytes, memory.base_anon_bytes, memory.base_file_bytes) == (1_000, 600, 400)
    assert (memory.peak_rss_bytes, memory.mean_rss_bytes) == (60_000_000, 55_000_000)
    assert (memory.peak_anon_bytes, memory.pss_bytes, memory.uss_bytes) == (None, 900, 800)


def test_percentiles_are_of_all_latencies_and_readings_are_thinned(trial: Trial, tmp_path: Path) -> None:
    """The row must stay small, and its numbers exact."""
    attempt = ScriptedAttempt(root=tmp_path)
    count = 2 * LONGEST_SERIES + 1
    measured = attempt.measurement(trial, attempt.observed(latencies_ns=list(range(count))))
    assert len(measured.latencies_ns) == LONGEST_SERIES
    assert measured.latency_p50_s == LONGEST_SERIES / 1e9
    energy = [series for series in measured.readings if series.channel.name.startswith("package")]
    assert energy[0].t_ns is energy[1].t_ns
    assert len(energy[0].t_ns) == 81


@pytest.mark.parametrize("facts", [{"threads": "all"}, {"cpus": [[0]]}, {"blas": None}, {"latencies_ns": None}])
def test_facts_of_another_form_are_refused(facts: dict[str, object], trial: Trial, tmp_path: Path) -> None:
    """They are data from another process."""
    attempt = ScriptedAttempt(root=tmp_path)
    with pytest.raises((KeyError, ValueError)):
        attempt.measurement(trial, attempt.observed(**facts))


def test_a_simulated_counter_is_not_a_measurement(trial: Trial, tmp_path: Path) -> None:
    """The provenance says so in every energy."""
    package = replace(PACKAGE, counts_in=frozenset({"package"}))
    attempt = ScriptedAttempt(root=tmp_path, domains=(package,))
    attempt.energy.of_running_kernel = False
    measured = attempt.measurement(trial)
    assert (measured.primary.scope, measured.primary.provenance) == ("package", "simulated")
