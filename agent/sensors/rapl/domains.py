"""RAPL's domains: what a powercap zone measures, told by its name, and which domains add up to a total.

The total of a machine is one of two scopes. `package` is the sum of the packages. `package+dram`
adds the memory, which is not part of the package although its zone lies inside the package's. Core
and uncore are parts of the package, and psys contains it, so none of them is ever added.

Several dies of a package (`package-0-die-1`) add up where each has a counter of its own. Where they
repeat the counter of their package, the lowest die stands for it: `agent.sensors.rapl.dies` tells which.

A package may be offered by several control types. Where `intel-rapl` (the registers) is among them,
the zones of the others (`intel-rapl-mmio`, `intel-rapl-tpmi`) repeat what it has, by whatever names,
so they are in no total. Where it is not, the others are all there is, and count.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from joulefleet.counters import PLAUSIBLE_PEAK_W

DomainKind = Literal["package", "dram", "core", "uncore", "psys", "other"]

SCOPES = ("package+dram", "package")
"""What a machine's total may be made of, the fullest first."""

PACKAGE = re.compile(r"package-(?P<package>\d+)(-die-\d+)?")
"""The name of a package, or of one of its dies."""

# The control type that reads the CPU's registers (intel_rapl_msr).
_REGISTERS = "intel-rapl"
# Linux names the platform domain of a second package psys-1; up to 4.5 it was called platform.
_PSYS = re.compile(r"psys(-\d+)?|platform")
_INSIDE: dict[str, DomainKind] = {"dram": "dram", "core": "core", "uncore": "uncore"}
_ALL = frozenset(SCOPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonePowerLimit:
    """A limit that is in force: the CPU holds its mean power over `window_s` at or below `watts`."""

    name: str
    """The constraint's: long_term, short_term, peak_power."""
    watts: float
    window_s: float | None
    """None where the limit has no window (peak_power), or none that was ever set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One folder of the powercap tree, as it was found."""

    zone: str
    """Its folder's name, such as `intel-rapl:0:1`: inside intel-rapl:0."""
    path: Path
    name: str | None
    """None where it is unreadable, or no name that the kernel gives."""
    range_uj: int | None
    limits: tuple[ZonePowerLimit, ...]

    @property
    def parent(self) -> str | None:
        """The folder name of the zone around it, None for an outermost zone."""
        return self.zone.rpartition(":")[0] if self.zone.count(":") > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One energy counter of the machine."""

    channel: str
    """Such as `package-0`, `package-0/dram`, `psys`."""
    kind: DomainKind
    range_uj: int | None
    """The counter starts again after so many microjoules; None where unreadable."""
    peak_w: float
    """No more than so many watts are taken for possible: the largest limit, and never under `PLAUSIBLE_PEAK_W`."""
    counts_in: frozenset[str]
    """The scopes to whose total it is added."""
    limits: tuple[ZonePowerLimit, ...] = ()
    reason: str | None = None
    """Why it cannot be read, where it cannot."""


def domains_of(zones: Iterable[Zone], *, mirrored: Collection[str]) -> tuple[tuple[Domain, Zone], ...]:
    """Each domain once, by name, with the zone to read it from.

    `mirrored` holds the numbers of the packages whose dies repeat one counter. A second zone of the
    same name (`intel-rapl-mmio` repeats the package) is dropped, but its power limits hold as well.
    One of another name keeps rows of its own, and is in no total beside zones of `intel-rapl`.
    """
    ordered = sorted(zones, key=lambda z: (not _of_registers(z), _natural(z.zone)))
    names = {z.zone: z.name or z.zone for z in ordered}
    groups: dict[str, list[Zone]] = {}
    for zone in ordered:
        around = names.get(zone.parent) if zone.parent else None
        channel = names[zone.zone] if around is None else f"{around}/{names[zone.zone]}"
        groups.setdefault(channel, []).append(zone)
    kinds = {channel: _kind(same[0]) for channel, same in groups.items()}
    # Sorted first: where there is any zone of the registers, it is the first.
    others_count = not (ordered and _of_registers(ordered[0]))
    addable = {channel for channel, same in groups.items() if others_count or _of_registers(same[0])}
    counted = _counted_packages([c for c in addable if kinds[c] == "package"], mirrored)
    drams = {c for c in addable if kinds[c] == "dram"}
    dram_everywhere = bool(counted) and all(f"{package}/dram" in drams for package in counted)
    scopes = {c: _scopes(groups[c][0], c, kinds[c], counted, dram=dram_everywhere) for c in addable}
    return tuple(
        (
            _domain(channel, groups[channel], kind=kinds[channel], counts_in=scopes.get(channel, frozenset())),
            groups[channel][0],
        )
        for channel in sorted(groups, key=_natural)
    )


def total_scope(domains: Sequence[Domain]) -> str | None:
    """The fullest scope of which this machine has domains, None where it has none."""
    return next((scope for scope in SCOPES if any(scope in d.counts_in for d in domains)), None)


def longest_window_s(domains: Iterable[Domain]) -> float | None:
    """The longest time over which the CPU averages its power for a limit; None where there is no limit."""
    windows = (limit.window_s for domain in domains for limit in domain.limits)
    return max((window for window in windows if window is not None), default=None)


def _of_registers(zone: Zone) -> bool:
    return zone.zone.partition(":")[0] == _REGISTERS


def _domain(channel: str, same: Sequence[Zone], *, kind: DomainKind, counts_in: frozenset[str]) -> Domain:
    limits = tuple(dict.fromkeys(limit for zone in same for limit in zone.limits))
    return Domain(
        channel=channel,
        kind=kind,
        range_uj=same[0].range_uj,
        peak_w=max([PLAUSIBLE_PEAK_W, *(limit.watts for limit in limits)]),
        counts_in=counts_in,
        limits=limits,
    )


def _kind(zone: Zone) -> DomainKind:
    name = zone.name or ""
    if zone.parent is not None:
        return _INSIDE.get(name, "other")
    if PACKAGE.fullmatch(name):
        return "package"
    return "psys" if _PSYS.fullmatch(name) else "other"


def _counted_packages(channels: Iterable[str], mirrored: Collection[str]) -> frozenset[str]:
    counted: dict[str, str] = {}
    for channel in sorted(channels, key=_natural):
        match = PACKAGE.fullmatch(channel)
        package = match["package"] if match else channel
        counted.setdefault(package if package in mirrored else channel, channel)
    return frozenset(counted.values())


def _scopes(zone: Zone, channel: str, kind: DomainKind, counted: frozenset[str], *, dram: bool) -> frozenset[str]:
    if zone.name is None and zone.parent is None:
        # It may well be a package: no total without it can be trusted.
        return _ALL if dram else frozenset({"package"})
    if kind == "package" and channel in counted:
        return _ALL if dram else frozenset({"package"})
    if kind == "dram" and dram and channel.rpartition("/")[0] in counted:
        return frozenset({"package+dram"})
    return frozenset()


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]
