"""A window of eight hours, as the agent measures it: its memory against a short window's, its row, and its energy.

A fresh process imports the agent and polls the real sensors through the real recorder, energy, machine
and process ten times a second and the gauges once; only the clock and the counters are simulated. Then
it makes the measurement, the row and the Parquet file as the agent does. A second process does the same with
a window of five minutes. Neither imports Ray, which adds some 45 MB to an agent on a node.

The counters of the packages wrap within a minute; the energies may differ from the truth by 2 ms of the true
peak power and one count.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

from agent.config import AgentSetup
from agent.host.machine import boot_id, read_environment, read_machine
from agent.results.thinning import MOST_VALUES
from agent.sensors.gpu.nvml import open_nvml
from agent.sensors.rapl.powercap import open_powercap
from agent.sensors.system.cpu_memory import open_host, open_memory
from agent.sensors.system.frequency import open_frequency
from agent.sensors.system.pressure import open_pressure
from agent.sensors.system.thermal import open_thermal
from agent.sensors.system.throttling import open_throttling
from agent.simulation.machine import SimulatedMachine
from agent.simulation.trace import ReplayedTrace, random_changes
from agent.simulation.tree import SimulatedTree, make_tree
from agent.state.outbox import Outbox, arrow_table
from agent.trial.attempt import Observations
from agent.trial.sampler import Recorder
from agent.trial.sensor_set import SLOW_PERIOD_S, SensorSet
from agent.trial.summary import measurement
from benchmarks.harness.figures import Figure, ratio
from benchmarks.harness.processes import run_measured
from benchmarks.harness.program import BenchmarkRun, run_program
from joulefleet.measurement import Measurement, Phase
from joulefleet.plan.trial import Trial, read_trial

LONG_S = 8 * 3600
SHORT_S = 300
PERIOD_S = 0.1
MEMORY_TIMES = 1.1
"""Peak memory of the long window, in multiples of the short one's."""
LATENCY_S = 0.05
MACHINE = SimulatedMachine(bits=25, dram_bits=27)
"""A machine whose counters wrap at some 2,050 J: after 10 to 50 s of a package, 2 to 8 minutes of its memory."""

SECOND = 1_000_000_000
PhaseName = Literal["baseline", "startup", "items", "load", "warm_up", "window", "teardown", "cool_down"]
FACTS: dict[str, Any] = {
    "items": 64,
    "tokens": 1600,
    "padded_tokens": 1600,
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
"""Answers of the work about itself, as the runner's protocol has them."""

MEASURE = "import sys; from benchmarks.measurement.long_window import print_window; print_window(*sys.argv[1:])"


@dataclass(slots=True)
class Clock:
    """Simulated time. The files show the counters as they were when the time was last read."""

    trace: ReplayedTrace
    tree: SimulatedTree
    now_ns: int = 0
    shown_ns: int = -1

    def __call__(self) -> int:
        """Return the time, ns."""
        if self.now_ns != self.shown_ns:
            self.shown_ns = self.now_ns
            for place in range(len(self.trace.domains)):
                self.tree.show_energy(place, self.trace.counter_uj(place, self.now_ns))
        return self.now_ns


def open_all(setup: AgentSetup, clock: Clock) -> SensorSet:
    """Open the sensors of an attempt, on a simulated clock."""
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


def measured(trial: Trial, setup: AgentSetup, clock: Clock, done: Path, window_s: int) -> Measurement:
    """Run through every phase of an attempt; the readings end with it, as in the agent.

    done: the answers of the work about itself, as the JSON that the runner sends.
    """
    sensors = open_all(setup, clock)
    seen = Observations()
    edge_ns = sensors.recorder.mark()
    for name in get_args(PhaseName):
        ends_ns = clock.now_ns + (window_s if name == "window" else 5) * SECOND
        while clock.now_ns < ends_ns:
            # Real polls come a little late.
            clock.now_ns = min(ends_ns, clock.now_ns + int(PERIOD_S * 1e9) + 137_000)
            sensors.recorder.poll()
        now = sensors.recorder.mark()
        seen.clocks.append((now, 0))
        seen.phases.append(Phase(name=name, start_ns=edge_ns, end_ns=now, cpu_s=1.0))
        edge_ns = now
    print_peak("recorded")
    seen.facts = json.loads(done.read_bytes())
    try:
        return measurement(
            trial, seen, sensors, weights_digest="0" * 64, logical_cpus=1, started_at_ns=0, wall_s=float(window_s)
        )
    finally:
        sensors.recorder.close()


def print_window(trial_file: str, folder: str, seconds: str) -> None:
    """Measure and store a window in this process, and print as JSON what came of it."""
    root, window_s = Path(folder), int(seconds)
    tree = make_tree(root / "sys", MACHINE, {0: 0, 1: 1})
    length_ns = (window_s + 60) * SECOND
    trace = ReplayedTrace(MACHINE, random_changes(MACHINE, Random(8), length_ns=length_ns, steps=2_000), seed=8)
    clock = Clock(trace, tree)
    clock()
    setup = AgentSetup(sysfs_root=root / "sys", state=root / "state")
    print_peak("imported")
    trial = read_trial(Path(trial_file))
    row = row_as_the_agent_makes_it(trial, setup, clock, root / "done.json", window_s)
    print_peak("made into a row")
    result = judged(row, trace)
    table = arrow_table(row)
    del row
    Outbox(setup.state, "store").put(trial.attempt_id, table)
    print(json.dumps(result | {"peak_rss_mb": peak_rss_mb()}))


def row_as_the_agent_makes_it(
    trial: Trial, setup: AgentSetup, clock: Clock, done: Path, window_s: int
) -> dict[str, Any]:
    """Measure and return the row, as `agent.service` does: Arrow is imported with the row, the measurement freed."""
    outcome = measured(trial, setup, clock, done, window_s)
    print_peak("measured")
    from agent.results.row import attempt_row

    return attempt_row(
        trial,
        outcome,
        machine=read_machine(setup.sysfs_root, setup.proc_root),
        environment=read_environment(setup.sysfs_root, setup.proc_root),
        boot_id=boot_id(setup.proc_root),
        sysfs_root=setup.sysfs_root,
    )


def judged(row: dict[str, Any], trace: ReplayedTrace) -> dict[str, float]:
    """Return the largest error of the window's energies, in multiples of the allowed one, and the longest series."""
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
    """Return the peak memory of this process, MB. ru_maxrss would include that of a larger parent before the exec."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e6


def print_peak(moment: str) -> None:
    """Print the peak memory so far, which shows the step that needs it."""
    print(f"{peak_rss_mb():.0f} MB once {moment}", file=sys.stderr)


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Plan a trial, and let fresh processes measure a short and a long window of it."""
    short_s, long_s = run.size((SHORT_S, LONG_S), (5, 30))
    results = {}
    with tempfile.TemporaryDirectory() as name:
        trials = Path(name) / "trials"
        run_measured([sys.executable, "-m", "coordinator", "plan", "quick", "--trials", str(trials)])
        trial = min(trials.iterdir())
        for window_s in (short_s, long_s):
            print(f"a window of {window_s} s", file=sys.stderr)
            folder = Path(name) / str(window_s)
            folder.mkdir()
            latencies = [int(LATENCY_S * 1e9)] * int(window_s / LATENCY_S)
            done = FACTS | {"work_ns": window_s * SECOND, "latencies_ns": latencies}
            (folder / "done.json").write_text(json.dumps(done), encoding="ascii")
            finished = run_measured([sys.executable, "-c", MEASURE, str(trial), str(folder), str(window_s)])
            results[window_s] = json.loads(finished.output)
    short, long = results[short_s], results[long_s]
    print(f"{long['wraps']:.0f} wraps, {long['channels']} channels", file=sys.stderr)
    return [
        ratio(
            "long_window_peak_rss_without_ray",
            long["peak_rss_mb"],
            short["peak_rss_mb"],
            peer=f"a window of {short_s} s",
            unit="MB",
            bound=MEMORY_TIMES,
        ),
        Figure(benchmark="long_window_values", value=long["longest"], unit="values a channel", bound=MOST_VALUES),
        Figure(
            benchmark="long_window_energy",
            value=long["worst"],
            unit="times (2 ms of the true peak power + a count)",
            bound=1.0,
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark))
