"""Windows over simulated counters, read as the agent reads real ones, with their true energies.

The reader is the real one: `open_powercap` on files, `Recorder`, `phase_energies`. Time is simulated, so
that hours are cheap: before each reading the files get the values of that instant.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Literal

from agent.results.energy import counter_series
from agent.sensors.rapl.powercap import open_powercap
from agent.simulation.machine import FINE_UNIT_NJ, INTEL_UNIT_NJ, SimulatedMachine
from agent.simulation.trace import ReadError, ReplayedTrace, Reset, random_changes
from agent.simulation.tree import SimulatedTree, make_tree
from agent.trial.sampler import Recorder
from benchmarks.measurement.energy_truth import Counted, Read, Witness, believed_w, judged
from benchmarks.peers.codecarbon import EVERY_S
from joulefleet.counters import slept
from joulefleet.measurement import Phase

Kind = Literal["plain", "late", "held_up", "errors", "suspend", "reload", "bare", "bare_small"]
"""Event in a window.

`late`: some polls come late. `held_up`: some come in time, but are delayed between the clock and the
counters. `bare`: a counter is reset without another sign. `bare_small`: the same with counters that wrap
often, where nothing distinguishes a reset from a wrap.
"""

KINDS: tuple[Kind, ...] = (
    *("plain", "plain", "plain", "late", "late", "held_up", "held_up"),
    *("errors", "errors", "suspend", "reload", "bare"),
)

READING_TAKES_NS = 500_000
"""Longest time between the timestamp of a reading and the read of a counter, ns."""

HELD_UP_MS = 50, 400
"""Shortest and longest delay of a read, ms."""
_HELD_UP_SHARE = 0.1
_HELD_UP_RUNNING = 2
"""Largest number of consecutive delayed reads."""

_MOST_READINGS = 500
_START_NS = 1_000_000_000


def simulated_window(folder: Path, random: Random, kind: Kind, *, window: int) -> list[Counted]:
    """Simulate a window with the event `kind`, of a random machine, load, length and sampling."""
    machine = _machine(random, kind)
    peak_w = max(machine.peaks_mw) / 1000
    # The reader's guard takes for possible at most twice the true power, or a limit.
    most_w = max(2.4 * peak_w, *(believed_w(machine, domain) for domain in machine.domains))
    guard_s = min(d.max_energy_range_uj for d in machine.domains) / 1e6 / most_w
    longest_s = 5 * max(d.max_energy_range_uj for d in machine.domains) / 1e6 / peak_w
    length_s = _log_uniform(random, 1.0, max(2.0, longest_s))
    period_s = min(guard_s / 3, max(0.1, length_s / random.uniform(40, _MOST_READINGS)))
    if kind == "bare":
        # Only the counters can show it, which they do where a step is small against their range.
        period_s = min(period_s, 1.0)
    length_s = min(length_s, period_s * _MOST_READINGS)
    end_ns = _START_NS + int(length_s * 1e9)
    trace = ReplayedTrace(
        machine,
        random_changes(machine, random, length_ns=end_ns, steps=random.randrange(2, 40)),
        seed=random.randrange(2**31),
        resets=_resets(random, kind, end_ns),
        errors=_errors(random, kind, end_ns, period_s, len(machine.domains)),
    )
    late_s = guard_s * random.uniform(0.1, 1.5) if kind == "late" else period_s / 2
    return _read(folder, random, kind, trace, window=window, end_ns=end_ns, period_s=period_s, late_s=late_s)


class _Clock:
    """Simulated time. After each call the files show the counters as they are a moment later."""

    def __init__(self, trace: ReplayedTrace, tree: SimulatedTree, random: Random, *, holds_up: bool) -> None:
        self.now_ns = _START_NS
        self._trace = trace
        self._tree = tree
        self._random = random
        self._holds_up = holds_up
        self._held_up = 0
        self._reloads = [reset.t_ns for reset in trace.resets if reset.kind == "reload"]
        self._read_ns = self._shown_ns = -1

    def __call__(self) -> int:
        """Return the time, ns."""
        if self.now_ns != self._read_ns:
            self._read_ns = self.now_ns
            self._shown_ns = self.now_ns + self._random.randrange(READING_TAKES_NS)
            self._show(self._shown_ns)
        return self.now_ns

    def look(self) -> Read:
        """Describe the read that follows; delay it first where one is due."""
        held_up = self._holds_up and self._held_up < _HELD_UP_RUNNING and self._random.random() < _HELD_UP_SHARE
        self._held_up = self._held_up + 1 if held_up else 0
        if held_up:
            self.now_ns += int(self._random.uniform(*HELD_UP_MS) * 1e6)
        self()
        domains = enumerate(self._trace.domains)
        failed = frozenset(domain.channel for place, domain in domains if not self._can_be_read(place))
        return Read(self._shown_ns, failed, held_up)

    def _show(self, t_ns: int) -> None:
        while self._reloads and self._reloads[0] <= t_ns:
            self._reloads.pop(0)
            self._tree.reload_driver()
        for place in range(len(self._trace.domains)):
            if self._can_be_read(place):
                self._tree.show_energy(place, self._trace.counter_uj(place, t_ns))
            else:
                self._tree.hide_energy(place)

    def _can_be_read(self, place: int) -> bool:
        return self._trace.can_be_read(place, self._shown_ns, opened_ns=self._shown_ns)


def _read(
    folder: Path,
    random: Random,
    kind: Kind,
    trace: ReplayedTrace,
    *,
    window: int,
    end_ns: int,
    period_s: float,
    late_s: float,
) -> list[Counted]:
    tree = make_tree(folder, trace.machine, dict(enumerate(range(trace.machine.sockets))))
    clock = _Clock(trace, tree, random, holds_up=kind == "held_up")
    # The files get their first values before they are opened.
    clock()
    sensor, recorder = Witness(open_powercap(folder), clock.look), Recorder(clock)
    recorder.add(sensor, period_s=period_s)
    start_ns = recorder.mark()
    polls = 0
    while True:
        late = late_s if random.random() < 0.02 else random.expovariate(1000)
        following_ns = clock.now_ns + int((period_s + late) * 1e9)
        # A delayed read may have moved the clock beyond the end.
        clock.now_ns = max(clock.now_ns, min(end_ns, following_ns))
        if following_ns >= end_ns:
            break
        recorder.poll()
        polls += 1
    end_ns = recorder.mark()
    if sensor.channels and len(sensor.reads) < polls:
        raise SystemExit(f"{polls} polls made only {len(sensor.reads)} readings")
    series = counter_series(recorder.readings_of(sensor))
    recorder.close()
    tree.close()
    places = {domain.channel: place for place, domain in enumerate(trace.domains)}
    return judged(
        series,
        sensor,
        trace.machine,
        Phase(name="window", start_ns=start_ns, end_ns=end_ns),
        window=window,
        kind=kind,
        asleep=slept([trace.boottime_ns(t) - t for t in (start_ns, end_ns)]),
        resets_ns=[reset.t_ns for reset in trace.resets],
        truth_j=lambda channel: trace.joules(places[channel], start_ns, end_ns),
        seldom=lambda channel: _seldom(trace, places[channel], start_ns, end_ns),
    )


def _seldom(trace: ReplayedTrace, place: int, start_ns: int, end_ns: int) -> tuple[tuple[float, int | None], ...]:
    times = [*range(start_ns, end_ns, int(EVERY_S * 1e9)), end_ns]
    return tuple(
        (t / 1e9, trace.counter_uj(place, t) if trace.can_be_read(place, t, opened_ns=t) else None) for t in times
    )


def _machine(random: Random, kind: Kind) -> SimulatedMachine:
    idle_w = random.uniform(5, 120)
    bits = 32 if kind == "bare" else random.randrange(23, 33)
    machine = SimulatedMachine(
        sockets=random.randrange(1, 3),
        dies=random.choice([1, 1, 1, 2, 3]),
        dram=random.random() < 0.7,
        core=random.random() < 0.2,
        uncore=random.random() < 0.2,
        psys=random.random() < 0.2,
        mmio=random.random() < 0.3,
        unit_nj=random.choice([INTEL_UNIT_NJ, FINE_UNIT_NJ]),
        bits=bits,
        dram_bits=bits,
        idle_w=idle_w,
        busy_w=random.uniform(idle_w, 400),
        noise=random.uniform(0, 0.1),
        # Some limits are above the true power. With such a limit a bare reset passes for power.
        short_term_w=random.uniform(500, 1500) if kind != "bare" and random.random() < 0.25 else None,
    )
    if mistakes := machine.mistakes():
        raise SystemExit(" ".join(mistakes))
    return machine


def _resets(random: Random, kind: Kind, end_ns: int) -> list[Reset]:
    if kind not in {"suspend", "reload", "bare", "bare_small"}:
        return []
    t_ns = random.randrange(_START_NS + 1, end_ns)
    if kind == "suspend":
        return [Reset(t_ns=t_ns, kind=kind, asleep_ns=int(_log_uniform(random, 0.1, 1e5) * 1e9))]
    return [Reset(t_ns=t_ns, kind="reload" if kind == "reload" else "bare")]


def _errors(random: Random, kind: Kind, end_ns: int, period_s: float, domains: int) -> list[ReadError]:
    if kind != "errors":
        return []
    errors = []
    for _ in range(random.randrange(1, 6)):
        start_ns = random.randrange(0, end_ns + 1)
        lasts_ns = int(period_s * random.uniform(0.1, 4) * 1e9)
        which = random.choice([None, random.randrange(domains)])
        errors.append(ReadError(start_ns=start_ns, end_ns=start_ns + lasts_ns, domain=which))
    return errors


def _log_uniform(random: Random, least: float, most: float) -> float:
    return float(least * (most / least) ** random.random())
