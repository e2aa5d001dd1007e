"""What is right of the energies of a window, beside what the agent makes of it.

It is decided without the reader: which counters a machine has and which of them make up a total by the
description of the simulated machine, and what can be known by that and by the instants at which the
counters were really read.
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
"""docs/method.md: of any counter so much is taken for possible, or its highest power limit."""

REFRESH_S = 0.005
"""A counter may be so much older than its reading: five of the refreshes that RAPL's documents name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One counter, or one total, over one window."""

    window: int
    """Counters of one window have one number."""
    kind: str
    amiss: bool = False
    """The machine has it and no answer does, or the machine has it not, or there are two answers for it."""
    domain: str
    truth_j: float
    allowed_j: float
    """2 ms of the machine's true peak power, and a count."""
    knowable: bool | None
    """None within the margin that `_knowable` states, where either answer is right."""
    ours_j: float | None
    range_uj: int = 0
    edges_uj: tuple[float, float] | None = None
    """What was read at the two marks, NaN where the read failed; None for a total."""
    seldom: tuple[tuple[float, int | None], ...] = ()
    """Seconds and microjoules of readings every 15 s, each with a new descriptor."""


@dataclass(frozen=True, slots=True)
class Read:
    """One reading of all counters as it really was, whatever the recorder made of it."""

    t_ns: int
    failed: frozenset[str] = frozenset()
    """The counters that could not be read."""
    held_up: bool = False
    """Whether the reader lost so much time just before it that the instant is not the one it meant."""


class Witness:
    """An energy sensor that is not touched, with a note of its opening and of each of its readings."""

    def __init__(self, sensor: EnergySensor, look: Callable[[], Read]) -> None:
        self._sensor = sensor
        self._look = look
        self.reads = [look()]
        self.name, self.channels, self.missing = sensor.name, sensor.channels, sensor.missing
        self.domains, self.of_running_kernel = sensor.domains, sensor.of_running_kernel
        self.longest_power_limit_window_s = sensor.longest_power_limit_window_s
        self.decode, self.close = sensor.decode, sensor.close

    def read(self) -> Raw:
        """Note the reading, and read."""
        self.reads.append(self._look())
        return self._sensor.read()

    def between(self, start_ns: int, end_ns: int) -> list[Read]:
        """The reads from that of the one mark to that of the other, or the last, where there is none."""
        times = [read.t_ns for read in self.reads]
        first, last = (bisect_left(times, t) for t in (start_ns, end_ns))
        # A mark that was held up has read twice, and in simulated time at one instant.
        end = bisect_right(times, times[last]) if last < len(times) else last
        return self.reads[first:end] or self.reads[-1:]


def answers_of(machine: SimulatedMachine) -> dict[str, tuple[str, ...]]:
    """Every answer that there is of such a machine, and the counters whose sum it is."""
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
    """What the agent makes of the readings in `phase`, beside what the machine drew and what can be known of it."""
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
    found = []
    for answer, parts in answers_of(machine).items():
        ours = given.pop(answer, [])
        single = domains.get(answer)
        said = {knowable[part] for part in parts}
        found.append(
            Counted(
                window=window,
                kind=kind,
                domain=answer,
                amiss=len(ours) != 1,
                truth_j=sum(truth_j(part) for part in parts),
                allowed_j=sum(allowed_j(peaks[part], domains[part].unit_nj) for part in parts),
                knowable=False if False in said else None if None in said else True,
                ours_j=ours[0].joules if ours else None,
                range_uj=single.max_energy_range_uj if single else 0,
                edges_uj=edges.get(answer),
                seldom=seldom(answer) if single else (),
            )
        )
    # Nothing is known of what the machine does not have.
    found += [
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
    return found


def believed_w(machine: SimulatedMachine, domain: SimulatedDomain) -> float:
    """What must be taken for possible of a counter by what the machine says of itself."""
    return max([LEAST_PEAK_W, *(limit_uw / 1e6 for _, limit_uw, _ in machine.limits_uw(domain))])


def allowed_j(peak_mw: int, unit_nj: int) -> float:
    """2 ms of the true peak power and one count, joules."""
    return 0.002 * peak_mw / 1000 + unit_nj / 1e9


def _edges(inside: CounterSeries) -> Mapping[str, tuple[float, float]]:
    return {channel: (values[0], values[-1]) if values else (nan, nan) for channel, values in inside.values.items()}


def _knowable(machine: SimulatedMachine, domain: SimulatedDomain, peak_w: float, reads: Sequence[Read]) -> bool | None:
    """Whether both marks were read, and the counter cannot have gone round between two readings.

    It can have where the longest gap, at the highest power that the machine says of itself or truly draws,
    fills the range. It cannot where the gap and a refresh do not, at twice what it truly draws: so much a
    reader may take for possible. In between, which is a margin of a factor of two at most, both is right.
    So it is where only a reading that was held up makes the gap short enough: a reader may throw it away.
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
    """The longest gap between two reads."""
    return max(((after.t_ns - before.t_ns) / 1e9 for before, after in pairwise(reads)), default=0.0)
