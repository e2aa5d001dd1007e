"""Whether the dies of a package repeat one energy counter, or have counters of their own.

Linux offers a zone for each die of a package (`package-0-die-1`). On Intel's Cascade Lake-AP each die
has a counter of its own, and the dies add up. On AMD's first Zen servers the counter belongs to the
package, and each of its zones repeats it (Linux 6.11, "perf/x86/rapl: Fix the energy-pkg event for
AMD CPUs"): added up, the package would count four times.

The vendor says which it is, and the counters may contradict it in one direction only: that they
differ proves that they are several, that they agree may be chance.

- Intel's dies never repeat one another. Counters of 65 kJ that are less than a joule apart are rare
  (one opening in some twenty thousand), but half of the energy would be lost, and nothing would show it.
- AMD's and Hygon's do, unless their counters say otherwise. All dies of a package are read twice, one
  read right after the other. A die that repeats another one's counter reads a value between the
  other's two, give or take one count and what a refresh can hold back (2 ms at 500 W: 1 J). If this
  process is held up between two reads, the two values lie further apart, and the answer is the same.
- Of an unknown vendor they do only if all dies read the very same count, in one of ten reads: one
  counter is hardly ever refreshed in each of them, and two counters of 32 bits agree to the count by a
  chance of one in four hundred million.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.host.files import text
from agent.sensors.files import KeptFiles
from agent.sensors.rapl.domains import PACKAGE, Zone
from agent.sensors.rapl.zone import COUNTER_BYTES, microjoules
from joulefleet.counters import PLAUSIBLE_PEAK_W

# The numbers of the vendors in Linux' arch/x86/include/asm/processor.h: Intel 0, AMD 2, Hygon 9.
_REPEATS = {"0000": False, "0002": True, "0009": True}
_REFRESH_S = 0.002
# The counter is refreshed about every millisecond: its value may be so much older than its read.
_LEEWAY_UJ = PLAUSIBLE_PEAK_W * _REFRESH_S * 1e6
# The kernel's counters have 32 bits, and their ranges are so many counts.
_COUNTS = 2**32
# A read of all dies takes some tens of microseconds, and a refresh comes about every millisecond.
_TRIES = 10


def mirrored_packages(zones: Iterable[Zone], sysfs_root: Path) -> frozenset[str]:
    """The numbers of the packages under `sysfs_root` whose dies repeat one counter."""
    vendor_repeats = repeated_by_vendor(sysfs_root)
    if vendor_repeats is False:
        return frozenset()
    packages: dict[str, list[Zone]] = {}
    for zone in zones:
        match = PACKAGE.fullmatch(zone.name or "")
        # A second control type repeats its package whatever its dies do.
        if match and zone.parent is None and zone.zone.startswith("intel-rapl:"):
            packages.setdefault(match["package"], []).append(zone)
    repeat = _may_be_one if vendor_repeats else _are_surely_one
    return frozenset(package for package, dies in packages.items() if len(dies) > 1 and repeat(dies))


def repeated_by_vendor(sysfs_root: Path) -> bool | None:
    """Whether dies of this CPU's vendor repeat the counter of their package; None where the vendor is unknown."""
    modalias = text(sysfs_root / "devices/system/cpu/modalias") or ""
    vendor = re.search(r"ven([0-9A-F]{4})fam", modalias)
    return _REPEATS.get(vendor[1]) if vendor else None


def _may_be_one(dies: Sequence[Zone]) -> bool:
    """Whether the counters of `dies` do not disagree; those that cannot be read do not."""
    reads = _read(dies, times=2)
    return reads is None or repeat_one_counter(*reads, range_uj=dies[0].range_uj)


def _are_surely_one(dies: Sequence[Zone]) -> bool:
    """Whether the counters of `dies` all told the same, in one read of several."""
    reads = _read(dies, times=_TRIES)
    return reads is not None and any(len(set(values)) == 1 for values in reads)


def _read(dies: Sequence[Zone], *, times: int) -> list[list[int]] | None:
    """The counters of `dies`, read so many times in a row; None where one of them cannot be read."""
    files = KeptFiles()
    for die in dies:
        files.add(die.path / "energy_uj", size=COUNTER_BYTES)
    reads = [[value for field in files.read() if (value := microjoules(field)) is not None] for _ in range(times)]
    files.close()
    return reads if all(len(values) == len(dies) for values in reads) else None


def repeat_one_counter(once: Sequence[int], again: Sequence[int], *, range_uj: int | None) -> bool:
    """Whether two reads of several dies, `again` right after `once`, are those of one counter; microjoules."""
    return all(
        _passed(once[0], first, again[0], range_uj=range_uj) and _passed(first, again[0], second, range_uj=range_uj)
        for first, second in zip(once, again, strict=True)
    )


def _passed(low: int, value: int, high: int, *, range_uj: int | None) -> bool:
    """Whether a counter that went from `low` to `high` can have read `value` in between."""
    if range_uj is None:
        return low - _LEEWAY_UJ <= value <= high + _LEEWAY_UJ
    leeway = _LEEWAY_UJ + range_uj / _COUNTS
    return (value - low + leeway) % range_uj <= (high - low) % range_uj + 2 * leeway
