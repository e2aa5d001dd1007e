"""Whether the dies of a package repeat one energy counter, or have counters of their own.

Linux offers a zone for each die of a package (`package-0-die-1`). On Intel's Cascade Lake-AP each die
has a counter of its own, and the dies add up. On AMD's first Zen servers the counter belongs to the
package, and each of its zones repeats it (Linux 6.11, "perf/x86/rapl: Fix the energy-pkg event for
AMD CPUs"): added up, the package would count four times.

The counters themselves say which it is. All dies of a package are read twice, one read right after
the other. A die that repeats another one's counter reads a value between the other's two, give or
take one count and what a refresh can hold back (2 ms at 500 W: 1 J). Counters of their own have
drifted further apart than that within seconds of the boot. If this process is held up between two
reads, the two values lie further apart, and the answer is the same. Where a counter cannot be read,
the vendor decides: AMD's and Hygon's repeat.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.kernel_files import text
from agent.sensors.domains import PACKAGE, Zone
from agent.sensors.kept_files import KeptFiles
from agent.sensors.powercap_zone import COUNTER_BYTES, microjoules
from joulefleet.counters import PLAUSIBLE_PEAK_W

_REFRESH_S = 0.002
# The counter is refreshed about every millisecond: its value may be so much older than its read.
_LEEWAY_UJ = PLAUSIBLE_PEAK_W * _REFRESH_S * 1e6
# The kernel's counters have 32 bits, and their ranges are so many counts.
_COUNTS = 2**32


def mirrored_packages(zones: Iterable[Zone], sysfs_root: Path) -> frozenset[str]:
    """The numbers of the packages under `sysfs_root` whose dies repeat one counter."""
    packages: dict[str, list[Zone]] = {}
    for zone in zones:
        match = PACKAGE.fullmatch(zone.name or "")
        # A second control type repeats its package whatever its dies do.
        if match and zone.parent is None and zone.zone.startswith("intel-rapl:"):
            packages.setdefault(match["package"], []).append(zone)
    found = set()
    for package, dies in packages.items():
        seen = _repeat(dies)
        if seen if seen is not None else repeated_by_vendor(sysfs_root):
            found.add(package)
    return frozenset(found)


def repeated_by_vendor(sysfs_root: Path) -> bool:
    """Whether the CPU is AMD's (or Hygon's), whose dies repeat the counter of their package."""
    modalias = text(sysfs_root / "devices/system/cpu/modalias") or ""
    return re.search(r"ven000[29]fam", modalias) is not None


def _repeat(dies: Sequence[Zone]) -> bool | None:
    """Whether the counters of `dies` are one; None where one of them cannot be read."""
    files = KeptFiles()
    for die in dies:
        files.add(die.path / "energy_uj", size=COUNTER_BYTES)
    once, again = ([value for field in files.read() if (value := microjoules(field)) is not None] for _ in range(2))
    files.close()
    if len(once) < len(dies) or len(again) < len(dies):
        return None
    return repeat_one_counter(once, again, range_uj=dies[0].range_uj)


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
