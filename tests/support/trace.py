"""A simulated machine over simulated time: its true energy and what its counters show at any instant. Pure.

Times are those of CLOCK_MONOTONIC, ns, from 0. Between two changes the power is constant, so the energy
of any span is an exact sum of whole picojoules.
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
    """An instant at which all counters start again at 0.

    `suspend`: the machine sleeps for `asleep_ns`, which CLOCK_BOOTTIME counts and CLOCK_MONOTONIC
    does not. `reload`: the driver is loaded again, and files opened before cannot be read afterwards.
    `bare`: nothing else shows the reset.
    """

    t_ns: int
    kind: Literal["suspend", "reload", "bare"]
    asleep_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadError:
    """A span in which reads of a domain (its index in the machine's domains; None for all) fail."""

    start_ns: int
    end_ns: int
    domain: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceChange:
    """The power of every domain from `t_ns` on, milliwatts."""

    t_ns: int
    powers_mw: tuple[int, ...]


class ReplayedTrace:
    """The energy and the counters of a machine. `changes` are sorted and begin at 0; its energy is 0 until then."""

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
        """Return the true energy of the domain (its index in the machine's domains) since 0, picojoules."""
        index = bisect_right(self._times, t_ns) - 1
        if index < 0:
            return 0
        change = self._changes[index]
        return self._sums[index][domain] + (t_ns - change.t_ns) * change.powers_mw[domain]

    def joules(self, domain: int, start_ns: int, end_ns: int) -> float:
        """Return the true energy of the domain between two instants, joules."""
        return (self.energy_pj(domain, end_ns) - self.energy_pj(domain, start_ns)) / 1e12

    def counter_uj(self, domain: int, t_ns: int) -> int:
        """Return what the counter shows at `t_ns`, microjoules: its value at the last refresh."""
        refreshed = self._refreshed_ns(domain, t_ns)
        index = bisect_right(self._reset_times, t_ns) - 1
        if index < 0:
            counted = self._first_pj[domain] + self.energy_pj(domain, refreshed)
        else:
            since = self._reset_times[index]
            counted = self.energy_pj(domain, max(refreshed, since)) - self.energy_pj(domain, since)
        return self.domains[domain].shown_uj(counted)

    def can_be_read(self, domain: int, t_ns: int, *, opened_ns: int = 0) -> bool:
        """Return whether a file opened at `opened_ns` can be read at `t_ns`."""
        reloaded = any(opened_ns < r.t_ns <= t_ns for r in self.resets if r.kind == "reload")
        failing = any(e.start_ns <= t_ns < e.end_ns and e.domain in (None, domain) for e in self._errors)
        return not reloaded and not failing

    def boottime_ns(self, t_ns: int) -> int:
        """Return CLOCK_BOOTTIME at the instant `t_ns`, ns."""
        return t_ns + sum(reset.asleep_ns for reset in self.resets if reset.t_ns <= t_ns)

    def _refreshed_ns(self, domain: int, t_ns: int) -> int:
        tick = t_ns // REFRESH_NS
        refreshed = tick * REFRESH_NS + self._jitter_ns(domain, tick)
        if refreshed > t_ns:
            refreshed = (tick - 1) * REFRESH_NS + self._jitter_ns(domain, tick - 1)
        return refreshed

    def _jitter_ns(self, domain: int, tick: int) -> int:
        # SplitMix64: a random value for each tick that does not depend on the ticks before.
        mixed = ((self._seed << 8) + domain + (tick + 1) * 0x9E3779B97F4A7C15) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) % REFRESH_JITTER_NS


def random_changes(machine: SimulatedMachine, random: Random, *, length_ns: int, steps: int) -> tuple[TraceChange, ...]:
    """Return `steps` stretches of random load and random lengths, `length_ns` long together."""
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
    """Return the energy of every domain from the first change to each change, picojoules."""
    sums = [(0,) * len(changes[0].powers_mw)]
    for before, after in pairwise(changes):
        gap_ns = after.t_ns - before.t_ns
        sums.append(tuple(total + gap_ns * mw for total, mw in zip(sums[-1], before.powers_mw, strict=True)))
    return sums
