"""Windows in real time, taken from one run of the live simulated machine, with their true energies."""

from __future__ import annotations

import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from agent.results.energy import CounterSeries, counter_series
from agent.sensors.rapl.powercap import open_powercap
from agent.simulation.machine import SimulatedMachine
from agent.simulation.options import read_options
from agent.simulation.truth import Truth, read_truth
from agent.trial.sampler import Recorder
from benchmarks.measurement.energy_truth import Counted, Read, Witness, judged
from benchmarks.peers.codecarbon import EVERY_S
from joulefleet.measurement import Phase

OPTIONS = ("--range-j", "500", "--idle-w", "100", "--busy-w", "300", "--long-term-w", "250", "--short-term-w", "250")
"""Counters of 512 J: those of the packages wrap every two to five seconds."""

RUN_S = 60.0
PERIOD_S = 0.1
SHORTEST_S, LONGEST_S = 1.0, 20.0

STANDSTILL_NS = 1_700_000
"""Largest age of the simulation's counters at a mark, ns: it stood still for longer, so no window begins there."""

_BUSY = """
import time
ends = time.monotonic() + {seconds}
while time.monotonic() < ends:
    pass
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """Windows of one run, and how well their marks could be taken."""

    counted: list[Counted]
    standstills: int
    """Number of marks that were not used, as the simulation stood still there."""
    slowest_mark_ms: float
    marks: int


def live_windows(folder: Path, random: Random, *, count: int, first: int, seconds: float = RUN_S) -> LiveRun:
    """Take `count` windows from one run of so many seconds, numbered from `first`."""
    root = folder / "live"
    command = [sys.executable, "-m", "agent.simulation", "--root", str(root), *OPTIONS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulation:
        try:
            if not any(line == "ready\n" for line in iter(simulation.stdout or ())):
                raise SystemExit("the simulated machine did not start")
            sensor, recorder = Witness(open_powercap(root), lambda: Read(time.monotonic_ns())), Recorder()
            took_ns = _record(recorder, sensor, random, seconds)
            series = counter_series(recorder.readings_of(sensor))
            recorder.close()
        finally:
            simulation.terminate()
    truth = read_truth(root / "truth")
    machine = read_options(["--root", ".", *OPTIONS], cpus=2).machine
    still = {mark for mark in took_ns if truth.age_ns(mark) > STANDSTILL_NS}
    marks = [mark for mark in took_ns if mark not in still]
    spans = (_span(random, marks) for _ in range(count))
    phases = (Phase(name="window", start_ns=start_ns, end_ns=end_ns) for start_ns, end_ns in spans)
    counted = [
        one
        for window, phase in enumerate(phases, start=first)
        for one in _judged(series, sensor, machine, truth, phase, window=window)
    ]
    return LiveRun(
        counted=counted,
        standstills=len(still),
        slowest_mark_ms=max(took_ns.values()) / 1e6,
        marks=len(took_ns),
    )


def _record(recorder: Recorder, sensor: Witness, random: Random, seconds: float) -> dict[int, int]:
    """Poll with marks at random times, half of the time beside a busy process; return how long each mark took, ns."""
    recorder.add(sensor, period_s=PERIOD_S)
    took_ns: dict[int, int] = {}
    mark_at = time.monotonic()
    ends = mark_at + seconds
    with subprocess.Popen([sys.executable, "-c", _BUSY.format(seconds=seconds / 2)]):
        while (now := time.monotonic()) < ends:
            if now >= mark_at:
                mark = recorder.mark()
                took_ns[mark] = time.monotonic_ns() - mark
                mark_at = now + random.uniform(0.02, 0.4)
            time.sleep(max(0.0, min(recorder.poll(), mark_at - time.monotonic())))
    return took_ns


def _span(random: Random, marks: Sequence[int]) -> tuple[int, int]:
    while True:
        start_ns, end_ns = sorted(random.sample(marks, 2))
        if SHORTEST_S <= (end_ns - start_ns) / 1e9 <= LONGEST_S:
            return start_ns, end_ns


def _judged(
    series: CounterSeries, sensor: Witness, machine: SimulatedMachine, truth: Truth, phase: Phase, *, window: int
) -> list[Counted]:
    def seldom(channel: str) -> tuple[tuple[float, int | None], ...]:
        if channel not in series.values:
            return ()
        times = (*range(phase.start_ns, phase.end_ns, int(EVERY_S * 1e9)), phase.end_ns)
        places = [bisect_left(series.t_ns, t) for t in times]
        return tuple((series.t_ns[place] / 1e9, int(series.values[channel][place])) for place in places)

    return judged(
        series,
        sensor,
        machine,
        phase,
        window=window,
        kind="live",
        asleep=False,
        resets_ns=(),
        truth_j=lambda channel: truth.joules(channel, phase.start_ns, phase.end_ns),
        seldom=seldom,
    )
