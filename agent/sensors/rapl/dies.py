"""Deciding whether the dies of a package show one energy counter, or have a counter each.

Linux has a zone for each die of a package (`package-0-die-1`). On Intel's Cascade Lake-AP each die
has a counter of its own, and the dies add up. On AMD's first Zen servers the counter belongs to the
package, and the zones of all its dies show it (Linux 6.11, "perf/x86/rapl: Fix the energy-pkg event
for AMD CPUs"): the sum of four dies would be four times the package's energy.

The vendor decides, and reading the counters can overrule it in one direction only: counters that
differ are proved to be several, but counters that agree may do so by chance.

- Intel: the dies have a counter each. The counters are not compared: two counters of 65 kJ lie less
  than a joule apart in one opening of some twenty thousand, and half of the energy would be lost
  without a sign.
- AMD and Hygon: the dies show one counter unless their values contradict it. All dies of a package are
  read twice, one read right after the other. A second die that shows the same counter reads a value
  between the first die's two values, within one count and the energy of one refresh (2 ms at 500 W:
  1 J). A pause of this process between the two reads moves the two values apart, and so cannot make
  one counter look like two.
- Unknown vendor: the dies show one counter only if all read exactly the same count in one of ten
  reads. One counter is hardly ever refreshed during each of ten reads, and two counters of 32 bits
  have the same count by a chance of one in four hundred million.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.host.files import text
from agent.sensors.files import KeptFiles
from agent.sensors.rapl.domains import PACKAGE, Zone
from agent.sensors.rapl.zone import microjoules
from joulefleet.counters import PLAUSIBLE_PEAK_W

# Vendor numbers of Linux's arch/x86/include/asm/processor.h: Intel 0, AMD 2, Hygon 9.
_SHOW_ONE_COUNTER = {"0000": False, "0002": True, "0009": True}
_REFRESH_S = 0.002
# The counter is refreshed about every millisecond, so a value that is read may lack this much energy.
_LEEWAY_UJ = PLAUSIBLE_PEAK_W * _REFRESH_S * 1e6
# The CPU's counters have 32 bits, so a range is this many counts.
_COUNTS = 2**32
# A read of all dies takes some tens of microseconds, and a refresh comes about every millisecond.
_TRIES = 10


def mirrored_packages(zones: Iterable[Zone], sysfs_root: Path) -> frozenset[str]:
    """Return the numbers of the packages under `sysfs_root` whose dies show one counter."""
    by_vendor = one_counter_by_vendor(sysfs_root)
    if by_vendor is False:
        return frozenset()
    packages: dict[str, list[Zone]] = {}
    for zone in zones:
        match = PACKAGE.fullmatch(zone.name or "")
        # Zones of a second control type repeat a package, and prove nothing about its dies.
        if match and zone.parent is None and zone.zone.startswith("intel-rapl:"):
            packages.setdefault(match["package"], []).append(zone)
    is_one_counter = _may_be_one if by_vendor else _are_surely_one
    return frozenset(package for package, dies in packages.items() if len(dies) > 1 and is_one_counter(dies))


def one_counter_by_vendor(sysfs_root: Path) -> bool | None:
    """Return whether dies of this CPU's vendor show the counter of their package; None for an unknown vendor."""
    modalias = text(sysfs_root / "devices/system/cpu/modalias") or ""
    vendor = re.search(r"ven([0-9A-F]{4})fam", modalias)
    return _SHOW_ONE_COUNTER.get(vendor[1]) if vendor else None


def _may_be_one(dies: Sequence[Zone]) -> bool:
    """Return whether the values of `dies` may be of one counter; True where they cannot be read."""
    reads = _read(dies, times=2)
    return reads is None or show_one_counter(*reads, range_uj=dies[0].range_uj)


def _are_surely_one(dies: Sequence[Zone]) -> bool:
    """Return whether all `dies` had the same value in one of several reads."""
    reads = _read(dies, times=_TRIES)
    return reads is not None and any(len(set(values)) == 1 for values in reads)


def _read(dies: Sequence[Zone], *, times: int) -> list[list[int]] | None:
    """Read the counters of `dies` several times in a row, microjoules; None where one of them cannot be read."""
    files = KeptFiles(die.path / "energy_uj" for die in dies)
    reads = [[value for field in files.read() if (value := microjoules(field)) is not None] for _ in range(times)]
    files.close()
    return reads if all(len(values) == len(dies) for values in reads) else None


def show_one_counter(once: Sequence[int], again: Sequence[int], *, range_uj: int | None) -> bool:
    """Return whether two reads of several dies, `again` right after `once`, may be of one counter; microjoules."""
    first, first_again = once[0], again[0]
    return all(
        _is_between(first, value, first_again, range_uj=range_uj)
        and _is_between(value, first_again, value_again, range_uj=range_uj)
        for value, value_again in zip(once, again, strict=True)
    )


def _is_between(low: int, value: int, high: int, *, range_uj: int | None) -> bool:
    """Return whether a counter that went from `low` to `high`, over a wrap or not, can have shown `value` between."""
    if range_uj is None:
        return low - _LEEWAY_UJ <= value <= high + _LEEWAY_UJ
    leeway = _LEEWAY_UJ + range_uj / _COUNTS
    return (value - low + leeway) % range_uj <= (high - low) % range_uj + 2 * leeway
