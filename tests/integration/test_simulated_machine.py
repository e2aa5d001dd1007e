"""A whole study on a simulated machine, whose true energy is known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import joulefleet
from agent.simulation.machine import SimulatedDomain, SimulatedMachine
from agent.simulation.options import read_options
from agent.simulation.truth import Truth, read_truth
from tests.support.simulated_machine import simulated_machine
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY

pytestmark = pytest.mark.measures

WATTS = ("--idle-w", "240", "--busy-w", "300", "--dram-idle-w", "150", "--dram-busy-w", "200")
OPTIONS = (*WATTS, "--core", "--range-j", "500")
"""Counters of 512 J: they wrap every two to four seconds, and a second between two readings hides no wrap."""

MACHINE = read_options(["--root", ".", *OPTIONS], cpus=2).machine
STUDY = changed(TINY_STUDY, {"measure.window": {"at_least_s": 12}, "repetitions": 1}, without=("tasks.two",))
ALLOWED_S = 0.002


def run(folder: Path) -> list[dict[str, Any]]:
    """Run the study to its end, and return its rows."""
    (folder / "study.yaml").write_text(STUDY)
    command = [sys.executable, "-m", "coordinator", "run", str(folder / "study.yaml"), "--local"]
    done = subprocess.run([*command, "--store", str(folder / "store")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with joulefleet.open(folder / "store") as store:
        rows: list[dict[str, Any]] = store.arrow("select * from attempts where kind = 'trial'").to_pylist()
    return rows


def allowed_j(domain: SimulatedDomain, machine: SimulatedMachine, truth: Truth, window: dict[str, Any]) -> float:
    """Return 2 ms of the domain's peak power and a count; more where the simulation paused at a mark."""
    stood_still_s = max(truth.age_ns(window[mark]) for mark in ("start_ns", "end_ns")) / 1e9
    peaks = dict(zip(machine.domains, machine.peaks_mw, strict=True))
    return max(ALLOWED_S, stood_still_s) * peaks[domain] / 1000 + domain.unit_nj / 1e9


@pytest.mark.usefixtures("environment")
def test_every_window_holds_the_true_energy_of_every_counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All counters wrap several times in each window; their joules are the true ones, of provenance `simulated`."""
    with simulated_machine(tmp_path / "sys", *OPTIONS) as machine:
        monkeypatch.setenv("JOULEFLEET_SYSFS_ROOT", str(machine.root))
        rows = run(tmp_path)
    truth = read_truth(machine.truth)
    assert len(rows) == 2
    for row in rows:
        assert (row["status"], row["energy_provenance"], row["energy_scope"]) == ("ok", "simulated", "package+dram")
        (window,) = [phase for phase in row["phases"] if phase["phase"] == "window"]
        joules = {e["domain"]: e["joules"] for e in row["energies"] if e["phase"] == "window"}
        total = 0.0
        for domain in MACHINE.domains:
            true_j = truth.joules(domain.channel, window["start_ns"], window["end_ns"])
            # Where the pilot ran on a busier machine, a window may be half as long as was asked.
            assert true_j > domain.max_energy_range_uj / 1e6
            assert joules[domain.channel] == pytest.approx(true_j, abs=allowed_j(domain, MACHINE, truth, window))
            total += joules[domain.channel] if domain.name != "core" else 0.0
        assert row["energy_j"] == pytest.approx(total)
