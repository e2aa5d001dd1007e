"""A simulated machine over simulated time: what its counters show at any instant, and what they should. Pure.

Time is CLOCK_MONOTONIC in ns from 0. Between two changes the power is constant, so the energy of any
span is an exact sum of whole picojoules.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Literal

from agent.simulation.machine import REFRESH_JITTER_NS, REFRESH_NS, SimulatedMachine

_MASK = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """All counters start again at 0.

    `suspend`: the machine sleeps for `asleep_ns`, which CLOCK_BOOTTIME counts and CLOCK_MONOTONIC
    does not, and wakes with new counters. `reload`: the driver is loaded anew; descriptors opened
    before fail to read from then on. `bare`: there is no other sign.
    """

    t_ns: int
    kind: Literal["suspend", "reload", "bare"]
    asleep_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadError:
    """Reads of a domain (its place in the machine's domains) fail in this span; of all of them where None."""

    start_ns: int
    end_ns: int
    domain: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceChange:
    """The power of every domain from this time on, milliwatts."""

    t_ns: int
    powers_mw: tuple[int, ...]


class ReplayedTrace:
    """Energy and counters of a machine. `changes` begin at 0 and are in order; before 0 nothing was counted."""

    def __init__(
        self,
        machine: SimulatedMachine,
        changes: Sequence[TraceChange],
        *,
        seed: int = 0,
        resets: Iterable[Reset] = (),
        errors: Iterable[ReadError] = (),
    ) -> None:
        self.machine = machine
        self.domains = machine.domains
        self.resets = tuple(sorted(resets, key=lambda reset: reset.t_ns))
        self._errors = tuple(errors)
        self._seed = seed
        self._changes = tuple(changes)
        self._times = [change.t_ns for change in changes]
        self._reset_times = [reset.t_ns for reset in self.resets]
        self._sums = _running_sums(self._changes)
        random = Random(seed)
        self._first_pj = [domain.random_pj(random) for domain in self.domains]

    def energy_pj(self, domain: int, t_ns: int) -> int:
        """Picojoules that the domain (its place in the machine's domains) has drawn since 0: the truth."""
        place = bisect_right(self._times, t_ns) - 1
        if place < 0:
            return 0
        change = self._changes[place]
        return self._sums[place][domain] + (t_ns - change.t_ns) * change.powers_mw[domain]

    def joules(self, domain: int, start_ns: int, end_ns: int) -> float:
        """Joules that the domain truly drew between two instants."""
        return (self.energy_pj(domain, end_ns) - self.energy_pj(domain, start_ns)) / 1e12

    def counter_uj(self, domain: int, t_ns: int) -> int:
        """What the counter shows at `t_ns`: its value at the last refresh."""
        refreshed = self._refreshed_ns(domain, t_ns)
        place = bisect_right(self._reset_times, t_ns) - 1
        if place < 0:
            counted = self._first_pj[domain] + self.energy_pj(domain, refreshed)
        else:
            since = self._reset_times[place]
            counted = self.energy_pj(domain, max(refreshed, since)) - self.energy_pj(domain, since)
        return self.domains[domain].shown_uj(counted)

    def can_be_read(self, domain: int, t_ns: int, *, opened_ns: int = 0) -> bool:
        """Whether a descriptor opened at `opened_ns` reads the domain's counter at `t_ns`."""
        reloaded = any(opened_ns < r.t_ns <= t_ns for r in self.resets if r.kind == "reload")
        failing = any(e.start_ns <= t_ns < e.end_ns and e.domain in (None, domain) for e in self._errors)
        return not reloaded and not failing

    def boottime_ns(self, t_ns: int) -> int:
        """CLOCK_BOOTTIME when CLOCK_MONOTONIC is `t_ns`."""
        return t_ns + sum(reset.asleep_ns for reset in self.resets if reset.t_ns <= t_ns)

    def _refreshed_ns(self, domain: int, t_ns: int) -> int:
        tick = t_ns // REFRESH_NS
        refreshed = tick * REFRESH_NS + self._jitter_ns(domain, tick)
        if refreshed > t_ns:
            refreshed = (tick - 1) * REFRESH_NS + self._jitter_ns(domain, tick - 1)
        return refreshed

    def _jitter_ns(self, domain: int, tick: int) -> int:
        # The mixing of SplitMix64: a value for each tick that needs no memory of those before.
        mixed = ((self._seed << 8) + domain + (tick + 1) * 0x9E3779B97F4A7C15) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) % REFRESH_JITTER_NS


def random_changes(machine: SimulatedMachine, random: Random, *, length_ns: int, steps: int) -> tuple[TraceChange, ...]:
    """A load that comes and goes: `steps` stretches of random lengths, over `length_ns` in all."""
    times = sorted(random.randrange(1, length_ns) for _ in range(steps - 1))
    return tuple(
        TraceChange(
            t_ns=t_ns,
            powers_mw=machine.powers_mw(
                [random.random() for _ in range(machine.sockets)],
                [random.uniform(-1, 1) for _ in range(2 * machine.sockets)],
            ),
        )
        for t_ns in (0, *times)
    )


def _running_sums(changes: Sequence[TraceChange]) -> list[tuple[int, ...]]:
    """Picojoules of every domain from the first change to each."""
    sums = [(0,) * len(changes[0].powers_mw)]
    for before, after in pairwise(changes):
        gap_ns = after.t_ns - before.t_ns
        sums.append(tuple(total + gap_ns * mw for total, mw in zip(sums[-1], before.powers_mw, strict=True)))
    return sums
