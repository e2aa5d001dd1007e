"""The true energies of a window, to judge the agent's answers by.

The truth is derived without the agent's reader. The description of the simulated machine says which counters
it has and which of them make up a total; that and the instants at which the counters were really read
decide which energies can be known.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import nan

from agent.results.energy import CounterSeries, phase_energies
from agent.sensors import Raw
from agent.sensors.rapl.sensor import EnergySensor
from agent.simulation.machine import SimulatedDomain, SimulatedMachine
from joulefleet.measurement import Energy, Phase

LEAST_PEAK_W = 500.0
"""Power that the reader takes for possible of any counter, watts, or its highest power limit (docs/method.md)."""

REFRESH_S = 0.005
"""Largest age of a counter at its reading, seconds: five refreshes as RAPL's documents name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One counter, or one total, over one window."""

    window: int
    """Number of the window; all its counters have the same."""
    kind: str
    amiss: bool = False
    """Whether the machine has it but no answer does, or the machine lacks it, or it has two answers."""
    domain: str
    truth_j: float
    allowed_j: float
    """Allowed error: 2 ms of the machine's true peak power, and one count."""
    knowable: bool | None
    """Whether it can be known; None within the margin that `_knowable` states, where both answers are right."""
    ours_j: float | None
    range_uj: int = 0
    edges_uj: tuple[float, float] | None = None
    """Values read at the two marks, NaN where the read failed; None for a total."""
    seldom: tuple[tuple[float, int | None], ...] = ()
    """Readings every 15 s, each with a new descriptor: seconds, and microjoules or None."""


@dataclass(frozen=True, slots=True)
class Read:
    """One reading of all counters as it really happened, independent of the recorder."""

    t_ns: int
    failed: frozenset[str] = frozenset()
    """Channels of the counters that could not be read."""
    held_up: bool = False
    """Whether a delay just before it moved the reading away from the intended instant."""


class Witness:
    """An energy sensor that passes everything on unchanged, and notes its opening and each of its readings."""

    def __init__(self, sensor: EnergySensor, look: Callable[[], Read]) -> None:
        self._sensor = sensor
        self._look = look
        self.reads = [look()]
        self.name, self.channels, self.missing = sensor.name, sensor.channels, sensor.missing
        self.domains, self.own = sensor.domains, sensor.own
        self.longest_power_limit_window_s = sensor.longest_power_limit_window_s
        self.decode, self.close = sensor.decode, sensor.close

    def read(self) -> Raw:
        """Note the reading, then read."""
        self.reads.append(self._look())
        return self._sensor.read()

    def between(self, start_ns: int, end_ns: int) -> list[Read]:
        """Return the reads from one mark to the other; where there are none, the last one."""
        times = [read.t_ns for read in self.reads]
        first, last = (bisect_left(times, t) for t in (start_ns, end_ns))
        # A mark that was held up has read twice, and in simulated time at one instant.
        end = bisect_right(times, times[last]) if last < len(times) else last
        return self.reads[first:end] or self.reads[-1:]


def answers_of(machine: SimulatedMachine) -> dict[str, tuple[str, ...]]:
    """Return every answer that such a machine has, with the counters whose sum it is."""
    answers: dict[str, tuple[str, ...]] = {domain.channel: (domain.channel,) for domain in machine.domains}
    answers["package"] = tuple(domain.channel for domain in machine.domains if domain.kind == "package")
    if machine.dram:
        memory = tuple(domain.channel for domain in machine.domains if domain.kind == "dram")
        answers["package+dram"] = answers["package"] + memory
    return answers


def judged(
    series: CounterSeries,
    sensor: Witness,
    machine: SimulatedMachine,
    phase: Phase,
    *,
    window: int,
    kind: str,
    asleep: bool,
    resets_ns: Sequence[int],
    truth_j: Callable[[str], float],
    seldom: Callable[[str], tuple[tuple[float, int | None], ...]],
) -> list[Counted]:
    """Return the agent's energies of `phase`, each with its truth, its allowed error and whether it can be known."""
    energies = phase_energies(
        series,
        sensor.domains,
        [phase],
        source="powercap",
        provenance="simulated",
        asleep=[phase.name] if asleep else (),
    )
    given: dict[str, list[Energy]] = {}
    for energy in energies:
        given.setdefault(energy.domain, []).append(energy)
    reads = sensor.between(phase.start_ns, phase.end_ns)
    was_reset = any(reads[0].t_ns < reset <= reads[-1].t_ns for reset in resets_ns)
    peaks = dict(zip((domain.channel for domain in machine.domains), machine.peaks_mw, strict=True))
    domains = {domain.channel: domain for domain in machine.domains}
    knowable = {c: not was_reset and _knowable(machine, domains[c], peaks[c] / 1000, reads) for c in domains}
    edges = _edges(series.between(phase.start_ns, phase.end_ns))
    counted = []
    for answer, parts in answers_of(machine).items():
        ours = given.pop(answer, [])
        single = domains.get(answer)
        of_parts = {knowable[part] for part in parts}
        counted.append(
            Counted(
                window=window,
                kind=kind,
                domain=answer,
                amiss=len(ours) != 1,
                truth_j=sum(truth_j(part) for part in parts),
                allowed_j=sum(allowed_j(peaks[part], domains[part].unit_nj) for part in parts),
                knowable=False if False in of_parts else None if None in of_parts else True,
                ours_j=ours[0].joules if ours else None,
                range_uj=single.max_energy_range_uj if single else 0,
                edges_uj=edges.get(answer),
                seldom=seldom(answer) if single else (),
            )
        )
    # Any number is wrong for a counter that the machine does not have.
    counted += [
        Counted(
            window=window,
            kind=kind,
            domain=answer,
            amiss=True,
            truth_j=0.0,
            allowed_j=0.0,
            knowable=False,
            ours_j=ours[0].joules,
        )
        for answer, ours in given.items()
    ]
    return counted


def believed_w(machine: SimulatedMachine, domain: SimulatedDomain) -> float:
    """Return the power that must be taken for possible by the machine's own description, watts."""
    return max([LEAST_PEAK_W, *(limit_uw / 1e6 for _, limit_uw, _ in machine.limits_uw(domain))])


def allowed_j(peak_mw: int, unit_nj: int) -> float:
    """Return the allowed error, joules: 2 ms of the true peak power and one count."""
    return 0.002 * peak_mw / 1000 + unit_nj / 1e9


def _edges(inside: CounterSeries) -> Mapping[str, tuple[float, float]]:
    return {channel: (values[0], values[-1]) if values else (nan, nan) for channel, values in inside.values.items()}


def _knowable(machine: SimulatedMachine, domain: SimulatedDomain, peak_w: float, reads: Sequence[Read]) -> bool | None:
    """Return whether both marks were read, and the counter cannot have wrapped unseen between two readings.

    It can have wrapped unseen where the longest gap fills the range, at the highest power that the machine
    describes or truly draws. It cannot where the gap and a refresh do not fill the range at twice the true
    power, which a reader may take for possible. In between, a margin of at most a factor of two, both answers
    are right (None). The same holds where only a delayed reading makes the gap short enough, as a reader
    may discard that reading.
    """
    if {domain.channel} & (reads[0].failed | reads[-1].failed):
        return False
    good = [read for read in reads if domain.channel not in read.failed]
    range_j = domain.max_energy_range_uj / 1e6
    possible_w = max(believed_w(machine, domain), peak_w)
    if _longest_s(good) * possible_w >= range_j:
        return False
    in_time_s = _longest_s([read for read in good if not read.held_up])
    return True if (in_time_s + REFRESH_S) * max(possible_w, 2 * peak_w) < range_j else None


def _longest_s(reads: Sequence[Read]) -> float:
    """Return the longest gap between two reads, seconds."""
    return max(((after.t_ns - before.t_ns) / 1e9 for before, after in pairwise(reads)), default=0.0)
