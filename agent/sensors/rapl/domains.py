"""RAPL's domains: what each powercap zone counts, by its name, and which domains add up to a total.

A zone is a folder of the powercap tree, a domain is what its counter counts, and a channel is the
series of readings of a domain, which has the domain's name.

The total of a machine has one of two scopes. `package` is the sum of the packages. `package+dram`
adds the memory, which is not part of the package although its zone lies inside the package's. Core
and uncore are parts of the package, and psys contains it, so none of them is ever added.

The dies of a package (`package-0-die-1`) add up where each has a counter of its own. Where all show
the counter of their package, only the lowest die is added: see `agent.sensors.rapl.dies`.

Several control types may have zones of the same package. Where `intel-rapl` (the registers) has any
zone, the zones of the others (`intel-rapl-mmio`, `intel-rapl-tpmi`) repeat its counters, whatever
their names, and are in no total. Where it has none, the zones of the others are added.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from joulefleet.counters import PLAUSIBLE_PEAK_W
from joulefleet.measurement import Channel

DomainKind = Literal["package", "dram", "core", "uncore", "psys", "other"]

SCOPES = ("package+dram", "package")
"""Scopes that a machine's total may have, the fullest first."""

PACKAGE = re.compile(r"package-(?P<package>\d+)(-die-\d+)?")
"""Pattern of the name of a package, or of one of its dies."""

# The control type that reads the CPU's registers (intel_rapl_msr).
_REGISTERS = "intel-rapl"
# Linux names the platform domain of a second package psys-1; up to 4.5 it was called platform.
_PSYS = re.compile(r"psys(-\d+)?|platform")
_INSIDE: dict[str, DomainKind] = {"dram": "dram", "core": "core", "uncore": "uncore"}
_ALL = frozenset(SCOPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonePowerLimit:
    """A power limit that is in force: the CPU keeps its mean power over `window_s` at or below `watts`."""

    name: str
    """Name of the constraint: long_term, short_term or peak_power."""
    watts: float
    window_s: float | None
    """Seconds; None where the limit has no window (peak_power), or one that was never set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One folder of the powercap tree."""

    zone: str
    """Name of the folder, such as `intel-rapl:0:1`, which lies inside intel-rapl:0."""
    path: Path
    name: str | None
    """Content of its file `name`; None where that is unreadable, or no name that the kernel gives."""
    range_uj: int | None
    """Number of microjoules after which the counter starts again at 0; None where unreadable."""
    limits: tuple[ZonePowerLimit, ...]

    @property
    def parent(self) -> str | None:
        """Folder name of the zone around it; None for an outermost zone."""
        return self.zone.rpartition(":")[0] if self.zone.count(":") > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One energy counter of the machine, whether it can be read or not."""

    channel: str
    """Name of the domain and of its channel, such as `package-0`, `package-0/dram`, `psys`."""
    kind: DomainKind
    range_uj: int | None
    """Number of microjoules after which the counter starts again at 0; None where unreadable."""
    peak_w: float
    """Highest power that is believed, watts: the largest limit, and never less than `PLAUSIBLE_PEAK_W`."""
    counts_in: frozenset[str]
    """Scopes whose total includes this domain."""
    limits: tuple[ZonePowerLimit, ...] = ()
    reason: str | None = None
    """Why it cannot be read; None where it can."""


def domains_of(zones: Iterable[Zone], *, mirrored: Collection[str]) -> tuple[tuple[Domain, Zone], ...]:
    """Return each domain once, sorted by name, with the zone to read it from.

    `mirrored` holds the numbers of the packages whose dies show one counter. Of several zones with the
    same name (`intel-rapl-mmio` repeats a package) only the first is read, but the power limits of all
    are kept. A zone of another control type with a name of its own becomes a domain of its own.
    """
    ordered = sorted(zones, key=lambda z: (not _of_registers(z), _natural(z.zone)))
    names = {z.zone: z.name or z.zone for z in ordered}
    groups: dict[str, list[Zone]] = {}
    for zone in ordered:
        outer = names.get(zone.parent) if zone.parent else None
        channel = names[zone.zone] if outer is None else f"{outer}/{names[zone.zone]}"
        groups.setdefault(channel, []).append(zone)
    kinds = {channel: _kind(same[0]) for channel, same in groups.items()}
    # Zones of the registers are sorted before the others.
    no_registers = not (ordered and _of_registers(ordered[0]))
    addable = {channel for channel, same in groups.items() if no_registers or _of_registers(same[0])}
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
    """Return the fullest scope that any of `domains` counts in; None where there is none."""
    return next((scope for scope in SCOPES if any(scope in d.counts_in for d in domains)), None)


def longest_window_s(domains: Iterable[Domain]) -> float | None:
    """Return the longest time over which the CPU averages its power for a limit, seconds; None without a limit."""
    windows = (limit.window_s for domain in domains for limit in domain.limits)
    return max((window for window in windows if window is not None), default=None)


def counter_channels(domains: Iterable[Domain], source: str) -> Iterator[Channel]:
    """Yield the channel of each domain that can be read."""
    readable = (domain for domain in domains if domain.reason is None)
    return (Channel(name=domain.channel, unit="uJ", kind="counter", source=source) for domain in readable)


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
    """Return the packages and dies that are added: of a mirrored package only the lowest die."""
    counted: dict[str, str] = {}
    for channel in sorted(channels, key=_natural):
        match = PACKAGE.fullmatch(channel)
        package = match["package"] if match else channel
        counted.setdefault(package if package in mirrored else channel, channel)
    return frozenset(counted.values())


def _scopes(zone: Zone, channel: str, kind: DomainKind, counted: frozenset[str], *, dram: bool) -> frozenset[str]:
    """Return the scopes that a domain counts in; `dram` is whether every counted package has memory."""
    if zone.name is None and zone.parent is None:
        # It may be a package, so a total without it cannot be trusted.
        return _ALL if dram else frozenset({"package"})
    if kind == "package" and channel in counted:
        return _ALL if dram else frozenset({"package"})
    if kind == "dram" and dram and channel.rpartition("/")[0] in counted:
        return frozenset({"package+dram"})
    return frozenset()


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]
