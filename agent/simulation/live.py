"""A simulated machine in real time: its files follow the load of this machine's CPUs.

Every 1.5 ms the energy since the last step is added and every counter is rewritten. Every 100 ms power,
temperature and clock frequency are set by the use of the CPUs in /proc/stat.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from random import Random

from agent.simulation.machine import SimulatedMachine
from agent.simulation.tree import AMBIENT_C, HIGHEST_KHZ, LOWEST_KHZ, SimulatedTree
from agent.simulation.truth import TruthLog

STEP_NS = 1_500_000
"""Time between two updates of the counters, ns. RAPL needs 1 ms; in a virtual machine 1.5 ms save 2 % of a core."""

FOLLOW_NS = 100_000_000
"""Time between two updates of power, temperature, frequency and the log's file, ns."""

_PJ_PER_UJ = 1_000_000
_HOTTEST_K = 55.0
"""Final temperature of a busy package above the ambient, kelvin."""
_WARMING_S = 10.0
"""Time constant of the first-order heat sink, seconds: it then is (1 - 1/e) of the way to its final temperature."""
_STAT_BYTES = 65_536
"""Size read of /proc/stat, bytes: the lines of the CPUs come first and have some 100 bytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """Time of one logical CPU since boot, ticks."""

    busy: int
    idle: int


class Load:
    """The use of each logical CPU between two calls of `per_cpu`, from /proc/stat."""

    def __init__(self, stat: Path) -> None:
        self._descriptor = os.open(stat, os.O_RDONLY | os.O_CLOEXEC)
        self._before = self._times()
        self.cpus = tuple(sorted(self._before))
        """CPUs that were online at the start."""

    def per_cpu(self) -> dict[int, float]:
        """Return for each CPU the share of the time since the last call in which it was busy; 0 once it is offline."""
        before, now = self._before, self._times()
        self._before = now
        return {cpu: _share(before[cpu], now[cpu]) if cpu in before and cpu in now else 0.0 for cpu in self.cpus}

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _times(self) -> dict[int, CpuTimes]:
        return cpu_times(os.pread(self._descriptor, _STAT_BYTES, 0))


class LiveMachine:
    """Updates the files of a simulated machine.

    `run` calls `step` (counters) and `follow` (power, temperature, frequency) at their times. The caller
    owns the tree and the log, and closes them.
    """

    def __init__(
        self,
        machine: SimulatedMachine,
        tree: SimulatedTree,
        log: TruthLog,
        cpus: Mapping[int, int],
        *,
        seed: int,
        now_ns: int,
    ) -> None:
        self._machine = machine
        self._tree = tree
        self._log = log
        self._cpus = cpus
        self._random = Random(seed)
        self._counters = [
            (domain.random_pj(self._random), domain.unit_nj * 1000, (1 << domain.bits) - 1, domain.unit_nj)
            for domain in machine.domains
        ]
        self._energies_pj = [0] * len(self._counters)
        self._celsius = [AMBIENT_C] * machine.sockets
        self._last_ns = now_ns
        self._powers_mw: Sequence[int] = ()
        self.follow(dict.fromkeys(cpus, 0.0), passed_s=0.0)
        self.step(now_ns)

    def step(self, now_ns: int) -> None:
        """Add the energy since the last step, log it, and show it in the counters."""
        passed_ns = now_ns - self._last_ns
        self._last_ns = now_ns
        energies = self._energies_pj = [
            pj + passed_ns * mw for pj, mw in zip(self._energies_pj, self._powers_mw, strict=True)
        ]
        # The log comes first, so that no counter is ever ahead of it.
        self._log.add(now_ns, [pj // _PJ_PER_UJ for pj in energies])
        show = self._tree.show_energy
        # SimulatedDomain.shown_uj, inlined: this runs thousands of times a second.
        for index, (first_pj, unit_pj, mask, unit_nj) in enumerate(self._counters):
            show(index, ((first_pj + energies[index]) // unit_pj & mask) * unit_nj // 1000)

    def follow(self, used: Mapping[int, float], *, passed_s: float) -> None:
        """Set power, temperature and frequency by the use of each CPU, 0 to 1, in the last `passed_s` seconds."""
        utilisation = []
        for socket in range(self._machine.sockets):
            shares = [used[cpu] for cpu, its_socket in self._cpus.items() if its_socket == socket]
            utilisation.append(sum(shares) / len(shares))
        noise = [self._random.uniform(-1, 1) for _ in range(2 * self._machine.sockets)]
        self._powers_mw = self._machine.powers_mw(utilisation, noise)
        for socket, share in enumerate(utilisation):
            self._warm(socket, share, passed_s)
        for index, cpu in enumerate(sorted(self._cpus)):
            self._tree.show_frequency(index, round(LOWEST_KHZ + (HIGHEST_KHZ - LOWEST_KHZ) * used[cpu]))

    def run(self, load: Load, stop: Callable[[], bool], *, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Call `step` and `follow` at their times until `stop` returns True."""
        step_ns, follow_ns = self._last_ns + STEP_NS, self._last_ns + FOLLOW_NS
        while not stop():
            time.sleep(max(0, step_ns - clock_ns()) / 1e9)
            now_ns = clock_ns()
            self.step(now_ns)
            step_ns += STEP_NS
            if step_ns < now_ns:
                # After a late step the missed ones are not made up for.
                step_ns = now_ns + STEP_NS
            if now_ns >= follow_ns:
                self.follow(load.per_cpu(), passed_s=(now_ns - follow_ns + FOLLOW_NS) / 1e9)
                self._log.flush()
                follow_ns = now_ns + FOLLOW_NS
        self.step(clock_ns())
        self._log.flush()

    def _warm(self, socket: int, utilisation: float, passed_s: float) -> None:
        machine = self._machine
        watts = machine.idle_w + (machine.busy_w - machine.idle_w) * utilisation
        final = AMBIENT_C + _HOTTEST_K * watts / machine.busy_w
        self._celsius[socket] += (final - self._celsius[socket]) * (1 - exp(-passed_s / _WARMING_S))
        self._tree.show_temperature(socket, self._celsius[socket])


def cpu_times(stat: bytes) -> dict[int, CpuTimes]:
    """Return the times of each logical CPU in the text of /proc/stat."""
    times = {}
    for line in stat.splitlines():
        fields = line.split()
        if line.startswith(b"cpu") and fields[0] != b"cpu" and len(fields) >= 9:
            # user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user already.
            user, nice, system, idle, iowait, irq, softirq, steal = map(int, fields[1:9])
            busy = user + nice + system + irq + softirq + steal
            times[int(fields[0][3:])] = CpuTimes(busy=busy, idle=idle + iowait)
    return times


def sockets_of(cpus: Sequence[int], sockets: int) -> dict[int, int]:
    """Return the socket of each CPU. Neighbours share one, and the sizes of two sockets differ by one CPU at most."""
    return {cpu: index * sockets // len(cpus) for index, cpu in enumerate(sorted(cpus))}


def _share(before: CpuTimes, now: CpuTimes) -> float:
    busy, idle = now.busy - before.busy, now.idle - before.idle
    # idle and iowait of /proc/stat may step back (proc(5)).
    return min(1.0, max(0.0, busy / (busy + idle))) if busy + idle > 0 else 0.0
