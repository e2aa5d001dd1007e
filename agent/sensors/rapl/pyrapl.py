"""Energy counters of the CPU (RAPL) as pyRAPL reads them: a second source beside powercap.

pyRAPL's own sensor opens and reads the counters. Its values are handed on as counters under
powercap's domain names, so that the same arithmetic joins them over a wrap, where pyRAPL itself
subtracts two readings and gives a negative energy.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from agent.host.mounts import is_kernels_own
from agent.sensors.base import Missing, Raw
from agent.sensors.rapl.discovery import find_domains
from agent.sensors.rapl.domains import Domain, Zone, longest_window_s
from agent.sensors.rapl.pyrapl_library import USE_POWERCAP, PyraplLibrary, close_library, files_of, open_library
from joulefleet.measurement import Channel


class PyraplSensor:
    """The sensor of pyRAPL, whose values are counters of microjoules."""

    name = "pyrapl"

    def __init__(
        self,
        *,
        library: PyraplLibrary | None,
        places: tuple[int, ...],
        domains: tuple[Domain, ...],
        missing: tuple[Missing, ...],
        own: bool,
    ) -> None:
        self._library = library
        self._places = places
        """Where the value of each channel stands in what pyRAPL returns."""
        self.domains = domains
        """All that the powercap tree holds; those that pyRAPL does not read have a `reason` and no channel."""
        self.missing = missing
        self.own = own
        """Whether every counter is the running kernel's; true where there is none."""
        self.longest_power_limit_window_s = longest_window_s(domains)
        self.channels = tuple(
            Channel(name=d.channel, unit="uJ", kind="counter", source=self.name) for d in domains if d.reason is None
        )

    def read(self) -> Raw:
        """All that pyRAPL returns, eight bytes a value; None where it raises."""
        if self._library is None:
            return (None,)
        try:
            return (array("d", self._library.energy()).tobytes(),)
        except Exception:  # noqa: BLE001 - a counter that vanishes makes pyRAPL raise whatever its parsing meets
            return (None,)

    def decode(self, raw: Raw) -> tuple[int | None, ...]:
        """Microjoules of each counter in `raw`; None where pyRAPL gave no such number."""
        values = array("d", raw[0] or b"")
        return tuple(_microjoules(values[place]) if place < len(values) else None for place in self._places)

    def close(self) -> None:
        """Close the files that pyRAPL leaves open; from then on reads are None."""
        if self._library is not None:
            close_library(self._library)
            self._library = None


def open_pyrapl(sysfs_root: Path, proc_root: Path) -> PyraplSensor:
    """The counters by pyRAPL, for `sysfs_root` /sys alone; what is missing is said, never raised."""
    found = find_domains(sysfs_root)
    library = open_library(sysfs_root, proc_root, [domain for domain, _ in found])
    places: dict[str, int] = {}
    if isinstance(library, Missing):
        domains = tuple(replace(domain, reason=library.message) for domain, _ in found)
        missing: tuple[Missing, ...] = (library,)
    else:
        places = _places(library, found)
        domains = tuple(_with_reason(domain, places) for domain, _ in found)
        missing = _not_found(domains)
    return PyraplSensor(
        library=None if isinstance(library, Missing) else library,
        places=tuple(places[d.channel] for d in domains if d.reason is None),
        domains=domains,
        missing=missing,
        own=all(is_kernels_own(zone.path / "energy_uj", proc_root) for _, zone in found),
    )


def _places(library: PyraplLibrary, found: Iterable[tuple[Domain, Zone]]) -> dict[str, int]:
    # By the files that are really open: pyRAPL itself only supposes which socket a package belongs to.
    held = {Path(file.name).parent.resolve(): place for place, file in files_of(library)}
    where = ((domain.channel, zone.path.resolve()) for domain, zone in found)
    return {channel: held[path] for channel, path in where if path in held}


def _with_reason(domain: Domain, places: Mapping[str, int]) -> Domain:
    if domain.channel in places:
        return domain
    if domain.kind not in {"package", "dram"}:
        return replace(domain, reason="pyRAPL reads packages and their memory alone")
    return replace(domain, reason="pyRAPL did not find this counter")


def _not_found(domains: Iterable[Domain]) -> tuple[Missing, ...]:
    channels = [d.channel for d in domains if d.reason is not None and d.kind in {"package", "dram"}]
    if not channels:
        return ()
    message = "pyRAPL finds memory only where every package has it, and stops at the first number left out"
    what = f"energy of {', '.join(channels)} by pyRAPL"
    return (Missing(what=what, why="unreadable", message=message, cure=USE_POWERCAP),)


def _microjoules(value: float) -> int | None:
    return int(value) if math.isfinite(value) and value >= 0 else None
