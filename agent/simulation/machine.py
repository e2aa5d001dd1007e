"""The model of a simulated machine: its energy counters, and the power of each. Pure.

Powers are whole milliwatts and times are whole nanoseconds, so energies are whole picojoules and their
sums are exact. A counter shows what Linux's powercap driver shows (drivers/powercap/intel_rapl_common.c):
the CPU counts whole units modulo 2^bits, and the driver multiplies the count by the size of a unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log2
from random import Random

from joulefleet.counters import PLAUSIBLE_PEAK_W

INTEL_UNIT_NJ = 61_035
"""Counter unit of most Intel packages, nanojoules: 2^-14 J, as the driver rounds it."""

FINE_UNIT_NJ = 15_258
"""Counter unit of newer Intel packages and of AMD's, nanojoules: 2^-16 J."""

DRAM_UNIT_NJ = 15_300
"""Counter unit of the memory on Intel servers, nanojoules."""

CORE_PERCENT = 60
UNCORE_PERCENT = 15
"""Shares of a package's power that its cores and its uncore draw, percent."""

PLATFORM_MW = 20_000
"""Power that psys counts in addition to packages and memory, milliwatts: fans, bridges, voltage regulators."""

REFRESH_NS = 1_000_000
"""Time between two refreshes of a counter, ns: about that of RAPL."""

REFRESH_JITTER_NS = 100_000
"""Largest delay of a refresh, ns."""

_MAX_SOCKETS = _MAX_DIES = 8

_POWER_CURES = {
    "package": "raise a power limit, or lower the busy power or the noise.",
    "psys": "raise the packages' power limits, lower the busy power or the noise, or leave psys out.",
    "dram": "memory has no power limit, so lower its busy power or the noise.",
    "core": "cores have no power limit, so lower the busy power or the noise, or leave core out.",
    "uncore": "uncore has no power limit, so lower the busy power or the noise, or leave uncore out.",
}
"""Cures where a domain of this kind draws more than readers of its counter believe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDomain:
    """One energy counter, and the zone of the powercap tree that shows it."""

    channel: str
    """Name that the powercap reader gives it, such as `package-0/dram`."""
    zone: str
    """Name of the zone's folder, such as `intel-rapl:0:1`."""
    name: str
    """Content of the zone's file `name`."""
    unit_nj: int
    bits: int
    has_limits: bool = False

    @property
    def kind(self) -> str:
        """Name without the numbers of package and die: package, core, uncore, dram or psys."""
        return self.name.partition("-")[0]

    @property
    def max_energy_range_uj(self) -> int:
        """Range of the counter, as the driver shows it, microjoules."""
        return ((1 << self.bits) - 1) * self.unit_nj // 1000

    def shown_uj(self, energy_pj: int) -> int:
        """Return what the counter shows once it has counted `energy_pj`, microjoules."""
        return energy_pj // (self.unit_nj * 1000) % (1 << self.bits) * self.unit_nj // 1000

    def random_pj(self, random: Random) -> int:
        """Return a random energy that the counter has already counted, as on a machine that has been up for a while."""
        return random.randrange(1 << self.bits) * self.unit_nj * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMachine:
    """A machine to simulate. Watts are those of one package, or of the memory of one package."""

    sockets: int = 2
    dies: int = 1
    """Number of dies in a package; each die has counters of its own."""
    dram: bool = True
    core: bool = False
    uncore: bool = False
    psys: bool = False
    mmio: bool = False
    """Whether each package is shown a second time, as `intel-rapl-mmio`."""
    unit_nj: int = INTEL_UNIT_NJ
    dram_unit_nj: int = DRAM_UNIT_NJ
    bits: int = 32
    """Size of the counters, bits: 32 on real CPUs; with fewer they wrap sooner."""
    dram_bits: int = 32
    idle_w: float = 40.0
    busy_w: float = 200.0
    dram_idle_w: float = 4.0
    dram_busy_w: float = 16.0
    noise: float = 0.03
    """Largest deviation of the power, upwards or downwards, as a share of the busy power."""
    long_term_w: float | None = None
    """Power limits of a package; None for the busy power, and for a fifth more than it."""
    short_term_w: float | None = None
    long_term_window_us: int = 999_424
    short_term_window_us: int = 1_952

    def limits_uw(self, domain: SimulatedDomain) -> tuple[tuple[str, int, int], ...]:
        """Return name, microwatts and time window (us) of each power limit; only packages and psys have limits."""
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
        """All counters, in the order of `powers_mw`."""
        domains: list[SimulatedDomain] = []
        for number in range(self.sockets * self.dies):
            socket, die = divmod(number, self.dies)
            package = f"package-{socket}" if self.dies == 1 else f"package-{socket}-die-{die}"
            domains.append(self._domain(package, f"intel-rapl:{number}", package, has_limits=True))
            inside = [name for name in ("core", "uncore", "dram") if getattr(self, name)]
            domains += [
                self._domain(f"{package}/{name}", f"intel-rapl:{number}:{index}", name)
                for index, name in enumerate(inside)
            ]
        if self.psys:
            domains.append(self._domain("psys", f"intel-rapl:{self.sockets * self.dies}", "psys", has_limits=True))
        return tuple(domains)

    def powers_mw(self, utilisation: Sequence[float], noise: Sequence[float]) -> tuple[int, ...]:
        """Return the power of every domain, milliwatts.

        `utilisation` has one value a socket, 0 to 1. `noise` has two values a socket, -1 to 1: for the
        package and for its memory.
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
        """Highest possible power of each domain, milliwatts."""
        return self.powers_mw([1.0] * self.sockets, [1.0] * (2 * self.sockets))

    @property
    def package_peak_w(self) -> float:
        """Highest possible power of one package with all its dies, watts."""
        peaks = zip(self.domains, self.peaks_mw, strict=True)
        return sum(peak for domain, peak in peaks if domain.kind == "package") / self.sockets / 1000

    def mistakes(self) -> list[str]:
        """Return what no machine can be, a sentence with a cure for each mistake."""
        mistakes = [
            f"{name} is {value}: give {least} to {most}."
            for name, value, least, most in (
                ("sockets", self.sockets, 1, _MAX_SOCKETS),
                ("dies", self.dies, 1, _MAX_DIES),
                ("bits", self.bits, 10, 32),
                ("dram_bits", self.dram_bits, 10, 32),
                ("unit_nj", self.unit_nj, 1_000, 1_000_000),
                ("dram_unit_nj", self.dram_unit_nj, 1_000, 1_000_000),
            )
            if not least <= value <= most
        ]
        if not 0 < self.idle_w <= self.busy_w:
            mistakes.append(f"idle {self.idle_w:g} W, busy {self.busy_w:g} W: give 0 < idle <= busy.")
        if not 0 < self.dram_idle_w <= self.dram_busy_w:
            mistakes.append(f"memory idle {self.dram_idle_w:g} W, busy {self.dram_busy_w:g} W: give 0 < idle <= busy.")
        if any(watts is not None and watts <= 0 for watts in (self.long_term_w, self.short_term_w)):
            mistakes.append("a power limit is not above 0 W: give watts, or leave it out.")
        if not 0 <= self.noise <= 0.5:
            mistakes.append(f"noise is {self.noise:g}: give a share of the busy power, from 0 to 0.5.")
        else:
            mistakes += self._unbelievable_powers()
        return mistakes

    def _unbelievable_powers(self) -> Iterator[str]:
        """Yield a sentence for each kind of domain whose power readers would take for a reset of its counter."""
        # Impossible numbers of sockets or dies are mistakes of their own.
        possible = replace(
            self,
            sockets=min(max(self.sockets, 1), _MAX_SOCKETS),
            dies=min(max(self.dies, 1), _MAX_DIES),
        )
        reported = set()
        for domain, peak_mw in zip(possible.domains, possible.peaks_mw, strict=True):
            # `Domain.peak_w` of agent.sensors.rapl.domains.
            believed_w = max([PLAUSIBLE_PEAK_W, *(uw / 1e6 for _, uw, _ in possible.limits_uw(domain))])
            if peak_mw / 1000 > believed_w and domain.kind not in reported:
                reported.add(domain.kind)
                yield (
                    f"{domain.channel} draws up to {peak_mw / 1000:g} W, and readers believe {believed_w:g} W of it: "
                    f"{_POWER_CURES[domain.kind]}"
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
        # A machine that is on always draws some power.
        return round(1000 * max(idle_w / 2, watts))


def bits_for_range(range_j: float, unit_nj: int = INTEL_UNIT_NJ) -> int:
    """Return the bits of a counter whose range is nearest to `range_j` joules, by ratio."""
    return round(log2(range_j * 1e9 / unit_nj))
