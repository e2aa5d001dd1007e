"""A window of eight hours, as the agent by itself measures it: its memory, its row, and its energy.

By itself means without Ray: on a node the agent works in a process of Ray's, and the import of Ray adds
some 45 MB that are not in the figure of the memory.

A fresh process imports the agent and polls the real sensors through the real recorder, energy, machine
and process ten times a second and the gauges once; only the clock and the counters are simulated. Then
it makes the measurement, the row and the Parquet file as the agent does. The counters of the packages wrap
within a minute; the energies may be wrong by 2 ms of the true peak power and a count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

from agent.config import AgentSetup
from agent.host.environment import read_environment
from agent.host.machine import boot_id, read_machine
from agent.results.thinning import MOST_VALUES
from agent.sensors.gpu.nvml import open_nvml
from agent.sensors.rapl.powercap import open_powercap
from agent.sensors.system.cpu_memory import open_host, open_memory
from agent.sensors.system.frequency import open_frequency
from agent.sensors.system.pressure import open_pressure
from agent.sensors.system.thermal import open_thermal
from agent.sensors.system.throttling import open_throttling
from agent.simulation.machine import SimulatedMachine
from agent.simulation.tree import SimulatedTree, make_tree
from agent.state.outbox import Outbox, arrow_table
from agent.trial.attempt import Observations
from agent.trial.sampler import Recorder
from agent.trial.sensor_set import SLOW_PERIOD_S, SensorSet
from agent.trial.summary import measurement
from benchmarks.harness.reporting import Figure, finish
from joulefleet.measurement import Measurement, Phase
from joulefleet.plan.trial import Trial, read_trial
from tests.support.trace import ReplayedTrace, random_changes

WINDOW_S = 8 * 3600
PERIOD_S = 0.1
BOUND_MB = 150.0
LATENCY_S = 0.05
MACHINE = SimulatedMachine(bits=25, dram_bits=27)
"""All counters count to some 2,050 J: ten to fifty seconds of a package, two to eight minutes of its memory."""

SECOND = 1_000_000_000
PhaseName = Literal["baseline", "startup", "items", "load", "warm_up", "window", "teardown", "cool_down"]
FACTS = {
    "items": 64,
    "tokens": 1600,
    "padded_tokens": 1600,
    "work_ns": WINDOW_S * SECOND,
    "threads": 1,
    "nice": 0,
    "cpus": [0],
    "oom_score_adj": 0,
    "omp_num_threads": "1",
    "privileges": "none",
    "parameters": 1,
    "model_class": "Simulated",
    "attention": "eager",
    "blas": "none",
}


@dataclass(slots=True)
class Clock:
    """Simulated time; the files show the counters of the time that was last asked for."""

    trace: ReplayedTrace
    tree: SimulatedTree
    now_ns: int = 0
    shown_ns: int = -1

    def __call__(self) -> int:
        """The time, ns."""
        if self.now_ns != self.shown_ns:
            self.shown_ns = self.now_ns
            for place in range(len(self.trace.domains)):
                self.tree.show_energy(place, self.trace.counter_uj(place, self.now_ns))
        return self.now_ns


def open_all(setup: AgentSetup, clock: Clock) -> SensorSet:
    """The sensors of an attempt, on a clock of ours."""
    recorder = Recorder(clock)
    sensors = SensorSet(
        recorder=recorder,
        energy=open_powercap(setup.sysfs_root, setup.proc_root),
        thermal=open_thermal(setup.sysfs_root),
        gpu=open_nvml(setup.sysfs_root),
    )
    recorder.add(sensors.energy, period_s=PERIOD_S)
    recorder.add(open_host(setup.proc_root), period_s=PERIOD_S)
    recorder.add(sensors.thermal, period_s=SLOW_PERIOD_S)
    for gauge in (
        open_memory(setup.proc_root),
        open_frequency(setup.sysfs_root),
        open_throttling(setup.sysfs_root),
        open_pressure(setup.proc_root),
    ):
        recorder.add(gauge, period_s=SLOW_PERIOD_S)
    sensors.watch(os.getpid(), setup, period_s=PERIOD_S)
    return sensors


def measured(trial: Trial, setup: AgentSetup, clock: Clock, done: Path) -> Measurement:
    """Every phase of an attempt, of which the window takes eight hours. As in the agent, its readings end with it."""
    sensors = open_all(setup, clock)
    seen = Observations()
    edge_ns = sensors.recorder.mark()
    for name in get_args(PhaseName):
        ends_ns = clock.now_ns + (WINDOW_S if name == "window" else 5) * SECOND
        while clock.now_ns < ends_ns:
            # Polls come a little late, as they do.
            clock.now_ns = min(ends_ns, clock.now_ns + int(PERIOD_S * 1e9) + 137_000)
            sensors.recorder.poll()
        now = sensors.recorder.mark()
        seen.clocks.append((now, 0))
        seen.phases.append(Phase(name=name, start_ns=edge_ns, end_ns=now, cpu_s=1.0))
        edge_ns = now
    tell_peak("recorded")
    seen.facts = json.loads(done.read_bytes())
    try:
        return measurement(
            trial, seen, sensors, weights_digest="0" * 64, logical_cpus=1, started_at_ns=0, wall_s=float(WINDOW_S)
        )
    finally:
        sensors.recorder.close()


def work_as_the_agent_does(trial_file: Path, folder: Path) -> None:
    """In a process of its own: measure, store, and say what came of it as JSON."""
    tree = make_tree(folder / "sys", MACHINE, {0: 0, 1: 1})
    length_ns = (WINDOW_S + 60) * SECOND
    trace = ReplayedTrace(MACHINE, random_changes(MACHINE, Random(8), length_ns=length_ns, steps=2_000), seed=8)
    clock = Clock(trace, tree)
    clock()
    setup = AgentSetup(sysfs_root=folder / "sys", state=folder / "state")
    tell_peak("imported")
    trial = read_trial(trial_file)
    row = row_as_the_agent_makes_it(trial, setup, clock, folder / "done.json")
    tell_peak("made into a row")
    result = found(row, trace)
    table = arrow_table(row)
    del row
    Outbox(setup.state, "store").put(trial.attempt_id, table)
    print(json.dumps(result | {"peak_rss_mb": peak_rss_mb()}))


def row_as_the_agent_makes_it(trial: Trial, setup: AgentSetup, clock: Clock, done: Path) -> dict[str, Any]:
    """As `agent.service` does: Arrow comes with the row, and the measurement goes with it."""
    outcome = measured(trial, setup, clock, done)
    tell_peak("measured")
    from agent.results.row import attempt_row

    return attempt_row(
        trial,
        outcome,
        machine=read_machine(setup.sysfs_root, setup.proc_root),
        environment=read_environment(setup.sysfs_root, setup.proc_root),
        boot_id=boot_id(setup.proc_root),
        sysfs_root=setup.sysfs_root,
    )


def found(row: dict[str, Any], trace: ReplayedTrace) -> dict[str, float]:
    """The largest error of the window's energies, in multiples of what is allowed, and the row's longest series."""
    window = next(phase for phase in row["phases"] if phase["phase"] == "window")
    energies = {e["domain"]: e["joules"] for e in row["energies"] if e["phase"] == "window"}
    worst, wraps = 0.0, 0.0
    for place, (domain, peak_mw) in enumerate(zip(trace.domains, MACHINE.peaks_mw, strict=True)):
        truth_j = trace.joules(place, window["start_ns"], window["end_ns"])
        joules = energies[domain.channel]
        error_j = abs(joules - truth_j) if joules is not None else float("inf")
        worst = max(worst, error_j / (0.002 * peak_mw / 1000 + domain.unit_nj / 1e9))
        wraps += truth_j / (domain.max_energy_range_uj / 1e6)
        print(f"{domain.channel}: {joules} J, in truth {truth_j} J", file=sys.stderr)
    longest = max(len(series["value"]) for series in row["readings"])
    return {"worst": worst, "wraps": wraps, "longest": longest, "channels": len(row["readings"])}


def peak_rss_mb() -> float:
    """The most memory that this process ever held. Not ru_maxrss: that survives the exec from a larger parent."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e6


def tell_peak(moment: str) -> None:
    """Which step it is that needs the memory."""
    print(f"{peak_rss_mb():.0f} MB once {moment}", file=sys.stderr)


def main() -> int:
    """Write a trial and what its work would say, and let a fresh process measure it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = [sys.executable, "-m", "coordinator", "plan", "quick", "--trials", str(folder / "trials")]
        subprocess.run(plan, check=True, stdout=subprocess.DEVNULL)
        latencies = [int(LATENCY_S * 1e9)] * int(WINDOW_S / LATENCY_S)
        (folder / "done.json").write_text(json.dumps(FACTS | {"latencies_ns": latencies}), encoding="ascii")
        trial = min((folder / "trials").iterdir())
        command = [sys.executable, "-m", "benchmarks.measurement.long_window", str(trial), str(folder)]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result = json.loads(said)
    print(f"{result['wraps']:.0f} wraps, {result['channels']} channels", file=sys.stderr)
    return finish(
        [
            Figure(
                benchmark="long_window_peak_rss_without_ray",
                value=result["peak_rss_mb"],
                unit="MB of the agent by itself, without Ray",
                bound=BOUND_MB,
            ),
            Figure(benchmark="long_window_values", value=result["longest"], unit="values a channel", bound=MOST_VALUES),
            Figure(
                benchmark="long_window_energy",
                value=result["worst"],
                unit="times (2 ms of the true peak power + a count)",
                bound=1.0,
            ),
        ]
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        work_as_the_agent_does(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        sys.exit(main())
