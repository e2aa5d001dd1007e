"""What a simulated machine is: its energy counters, and the power of each. Pure.

Powers are whole milliwatts and times whole nanoseconds, so energies are whole picojoules and their
sums are exact. A counter behaves as Linux's powercap driver shows it (drivers/powercap/intel_rapl_common.c):
the CPU counts whole units modulo 2^bits, and the driver multiplies the count by ENERGY_UNIT.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log2
from random import Random

from joulefleet.counters import PLAUSIBLE_PEAK_W

INTEL_UNIT_NJ = 61_035
"""2^-14 J, as the driver rounds it: most Intel packages."""

FINE_UNIT_NJ = 15_258
"""2^-16 J: newer packages, and AMD's."""

DRAM_UNIT_NJ = 15_300
"""The memory's unit on Intel servers, which differs from the package's."""

CORE_PERCENT = 60
UNCORE_PERCENT = 15
"""The shares of a package's power that its cores, and the rest that has a counter, draw."""

PLATFORM_MW = 20_000
"""What psys counts beside packages and memory: fans, bridges, the voltage regulators' loss."""

REFRESH_NS = 1_000_000
"""RAPL's counters are refreshed about every millisecond."""

REFRESH_JITTER_NS = 100_000
"""A refresh may come so much late."""

_MOST_SOCKETS = _MOST_DIES = 8

_MILDER = {
    "package": "raise a power limit, or lower the busy power or the noise.",
    "psys": "raise the packages' power limits, lower the busy power or the noise, or leave psys out.",
    "dram": "memory has no power limit, so lower its busy power or the noise.",
    "core": "cores have no power limit, so lower the busy power or the noise, or leave core out.",
    "uncore": "uncore has no power limit, so lower the busy power or the noise, or leave uncore out.",
}
"""What to do where a counter of this kind draws more than readers believe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDomain:
    """One energy counter, and the zone of the powercap tree that shows it."""

    channel: str
    """As the reader of powercap names it, such as `package-0/dram`."""
    zone: str
    """The folder's name, such as `intel-rapl:0:1`."""
    name: str
    unit_nj: int
    bits: int
    has_limits: bool = False

    @property
    def kind(self) -> str:
        """Its name without the numbers of package and die: package, core, uncore, dram or psys."""
        return self.name.partition("-")[0]

    @property
    def max_energy_range_uj(self) -> int:
        """What the driver shows as the counter's range."""
        return ((1 << self.bits) - 1) * self.unit_nj // 1000

    def shown_uj(self, energy_pj: int) -> int:
        """What the counter shows once it has counted `energy_pj`."""
        return energy_pj // (self.unit_nj * 1000) % (1 << self.bits) * self.unit_nj // 1000

    def random_pj(self, random: Random) -> int:
        """An energy at which the counter may stand: a machine has been up for a while."""
        return random.randrange(1 << self.bits) * self.unit_nj * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMachine:
    """A machine to simulate. Watts are of one package, or of the memory beside one package."""

    sockets: int = 2
    dies: int = 1
    """Of a package; each die has counters of its own."""
    dram: bool = True
    core: bool = False
    uncore: bool = False
    psys: bool = False
    mmio: bool = False
    """Whether each package is shown a second time, as `intel-rapl-mmio`."""
    unit_nj: int = INTEL_UNIT_NJ
    dram_unit_nj: int = DRAM_UNIT_NJ
    bits: int = 32
    """Of the counters. 32 are real; fewer wrap sooner."""
    dram_bits: int = 32
    idle_w: float = 40.0
    busy_w: float = 200.0
    dram_idle_w: float = 4.0
    dram_busy_w: float = 16.0
    noise: float = 0.03
    """The power strays by so much of the busy power at most, upwards or downwards."""
    long_term_w: float | None = None
    """The package's power limits; None: the busy power, and a fifth more for a short time."""
    short_term_w: float | None = None
    long_term_window_us: int = 999_424
    short_term_window_us: int = 1_952

    def limits_uw(self, domain: SimulatedDomain) -> tuple[tuple[str, int, int], ...]:
        """Name, microwatts and time window in us of each power limit of the domain; only packages and psys have any."""
        if not domain.has_limits:
            return ()
        share, rest_w = 1, 0.0
        if domain.name == "psys":
            share, rest_w = self.sockets, self.sockets * self.dram_busy_w + PLATFORM_MW / 1000
        return (
            ("long_term", round((share * self._long_term_w + rest_w) * 1e6), self.long_term_window_us),
            ("short_term", round((share * self._short_term_w + rest_w) * 1e6), self.short_term_window_us),
        )

    @property
    def domains(self) -> tuple[SimulatedDomain, ...]:
        """Its counters, in the order of `powers_mw`."""
        found: list[SimulatedDomain] = []
        for number in range(self.sockets * self.dies):
            socket, die = divmod(number, self.dies)
            package = f"package-{socket}" if self.dies == 1 else f"package-{socket}-die-{die}"
            found.append(self._domain(package, f"intel-rapl:{number}", package, has_limits=True))
            inside = [name for name in ("core", "uncore", "dram") if getattr(self, name)]
            found += [
                self._domain(f"{package}/{name}", f"intel-rapl:{number}:{place}", name)
                for place, name in enumerate(inside)
            ]
        if self.psys:
            found.append(self._domain("psys", f"intel-rapl:{self.sockets * self.dies}", "psys", has_limits=True))
        return tuple(found)

    def powers_mw(self, utilisation: Sequence[float], noise: Sequence[float]) -> tuple[int, ...]:
        """Milliwatts of every domain.

        `utilisation` of each socket's CPUs is from 0 to 1; `noise` is from -1 to 1 and has two
        values a socket, for the package and for the memory beside it.
        """
        powers: list[int] = []
        total = 0
        for socket, busy in enumerate(utilisation):
            package, memory = noise[2 * socket : 2 * socket + 2]
            package_mw = self._mw(self.idle_w, self.busy_w, busy, package) // self.dies
            memory_mw = self._mw(self.dram_idle_w, self.dram_busy_w, busy, memory) // self.dies
            total += (package_mw + memory_mw) * self.dies
            inside = {
                "core": package_mw * CORE_PERCENT // 100,
                "uncore": package_mw * UNCORE_PERCENT // 100,
                "dram": memory_mw,
            }
            powers += [package_mw, *(mw for name, mw in inside.items() if getattr(self, name))] * self.dies
        return (*powers, total + PLATFORM_MW) if self.psys else tuple(powers)

    @property
    def peaks_mw(self) -> tuple[int, ...]:
        """What each domain never draws more than."""
        return self.powers_mw([1.0] * self.sockets, [1.0] * (2 * self.sockets))

    @property
    def package_peak_w(self) -> float:
        """What one package, with all its dies, never draws more than."""
        peaks = zip(self.domains, self.peaks_mw, strict=True)
        return sum(peak for domain, peak in peaks if domain.kind == "package") / self.sockets / 1000

    def mistakes(self) -> list[str]:
        """What no machine can be, one sentence each, with what to do."""
        found = [
            f"{name} is {value}: give {least} to {most}."
            for name, value, least, most in (
                ("sockets", self.sockets, 1, _MOST_SOCKETS),
                ("dies", self.dies, 1, _MOST_DIES),
                ("bits", self.bits, 10, 32),
                ("dram_bits", self.dram_bits, 10, 32),
                ("unit_nj", self.unit_nj, 1_000, 1_000_000),
                ("dram_unit_nj", self.dram_unit_nj, 1_000, 1_000_000),
            )
            if not least <= value <= most
        ]
        if not 0 < self.idle_w <= self.busy_w:
            found.append(f"idle {self.idle_w:g} W, busy {self.busy_w:g} W: give 0 < idle <= busy.")
        if not 0 < self.dram_idle_w <= self.dram_busy_w:
            found.append(f"memory idle {self.dram_idle_w:g} W, busy {self.dram_busy_w:g} W: give 0 < idle <= busy.")
        if any(watts is not None and watts <= 0 for watts in (self.long_term_w, self.short_term_w)):
            found.append("a power limit is not above 0 W: give watts, or leave it out.")
        if not 0 <= self.noise <= 0.5:
            found.append(f"noise is {self.noise:g}: give a share of the busy power, from 0 to 0.5.")
        else:
            found += self._beyond_belief()
        return found

    def _beyond_belief(self) -> Iterator[str]:
        """A sentence for each kind of counter whose power readers would take for a reset of the counter."""
        # Its other mistakes are told as well; a million sockets need not be counted for that.
        possible = replace(
            self,
            sockets=min(max(self.sockets, 1), _MOST_SOCKETS),
            dies=min(max(self.dies, 1), _MOST_DIES),
        )
        told = set()
        for domain, peak_mw in zip(possible.domains, possible.peaks_mw, strict=True):
            # What the readers' guards take for possible (agent.sensors.rapl.domains).
            believed_w = max([PLAUSIBLE_PEAK_W, *(uw / 1e6 for _, uw, _ in possible.limits_uw(domain))])
            if peak_mw / 1000 > believed_w and domain.kind not in told:
                told.add(domain.kind)
                yield (
                    f"{domain.channel} draws up to {peak_mw / 1000:g} W, and readers believe {believed_w:g} W of it: "
                    f"{_MILDER[domain.kind]}"
                )

    @property
    def _long_term_w(self) -> float:
        return self.busy_w if self.long_term_w is None else self.long_term_w

    @property
    def _short_term_w(self) -> float:
        return 1.2 * self.busy_w if self.short_term_w is None else self.short_term_w

    def _domain(self, channel: str, zone: str, name: str, *, has_limits: bool = False) -> SimulatedDomain:
        unit_nj, bits = (self.dram_unit_nj, self.dram_bits) if name == "dram" else (self.unit_nj, self.bits)
        return SimulatedDomain(channel=channel, zone=zone, name=name, unit_nj=unit_nj, bits=bits, has_limits=has_limits)

    def _mw(self, idle_w: float, busy_w: float, utilisation: float, noise: float) -> int:
        watts = idle_w + (busy_w - idle_w) * utilisation + self.noise * busy_w * noise
        # However little it does, a machine that is on draws something.
        return round(1000 * max(idle_w / 2, watts))


def bits_for_range(range_j: float, unit_nj: int = INTEL_UNIT_NJ) -> int:
    """The bits of a counter whose range is nearest to `range_j` joules, by ratio."""
    return round(log2(range_j * 1e9 / unit_nj))
