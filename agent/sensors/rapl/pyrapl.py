"""Energy counters of the CPU (RAPL) as pyRAPL reads them: a second source of the same counters as powercap.

pyRAPL's own sensor opens and reads the counters. Its values become readings of channels with
powercap's names, so energies over a wrap are computed as for powercap. pyRAPL itself subtracts two
readings and gives a negative energy there.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from agent.host.mounts import is_in_sysfs
from agent.sensors.base import Missing, Raw
from agent.sensors.rapl.discovery import find_domains
from agent.sensors.rapl.domains import Domain, Zone, counter_channels, longest_window_s
from agent.sensors.rapl.pyrapl_library import USE_POWERCAP, PyraplLibrary, close_library, files_of, open_library


class PyraplSensor:
    """The counters that pyRAPL reads, microjoules. See `EnergySensor`."""

    name = "pyrapl"

    def __init__(
        self,
        *,
        library: PyraplLibrary | None,
        indices: tuple[int, ...],
        domains: tuple[Domain, ...],
        missing: tuple[Missing, ...],
        of_running_kernel: bool,
    ) -> None:
        self._library = library
        self._indices = indices
        """Index of each channel's value in the list that pyRAPL returns."""
        self.domains = domains
        self.missing = missing
        self.of_running_kernel = of_running_kernel
        self.longest_power_limit_window_s = longest_window_s(domains)
        self.channels = tuple(counter_channels(domains, self.name))

    def read(self) -> Raw:
        """Return all values of pyRAPL, eight bytes each; None where it raises."""
        if self._library is None:
            return (None,)
        try:
            return (array("d", self._library.energy()).tobytes(),)
        except Exception:  # noqa: BLE001 - where a counter vanishes, the kind of pyRAPL's error depends on its parsing
            return (None,)

    def decode(self, raw: Raw) -> tuple[int | None, ...]:
        """Return the microjoules of each counter; None where pyRAPL gave no such number."""
        values = array("d", raw[0] or b"")
        return tuple(_microjoules(values[index]) if index < len(values) else None for index in self._indices)

    def close(self) -> None:
        """Close the files that pyRAPL leaves open. Later reads are None."""
        if self._library is not None:
            close_library(self._library)
            self._library = None


def open_pyrapl(sysfs_root: Path, proc_root: Path) -> PyraplSensor:
    """Open the counters by pyRAPL. It reads /sys only, so all is missing where `sysfs_root` is another folder."""
    zones = find_domains(sysfs_root)
    library = open_library(sysfs_root, proc_root, [domain for domain, _ in zones])
    indices: dict[str, int] = {}
    if isinstance(library, Missing):
        domains = tuple(replace(domain, reason=library.message) for domain, _ in zones)
        missing: tuple[Missing, ...] = (library,)
    else:
        indices = _indices(library, zones)
        domains = tuple(_with_reason(domain, indices) for domain, _ in zones)
        missing = _not_found(domains)
    return PyraplSensor(
        library=None if isinstance(library, Missing) else library,
        indices=tuple(indices[d.channel] for d in domains if d.reason is None),
        domains=domains,
        missing=missing,
        of_running_kernel=all(is_in_sysfs(zone.path / "energy_uj", proc_root) for _, zone in zones),
    )


def _indices(library: PyraplLibrary, zones: Iterable[tuple[Domain, Zone]]) -> dict[str, int]:
    # By the files that are open: pyRAPL's own numbers only guess which socket a package belongs to.
    by_folder = {Path(file.name).parent.resolve(): index for index, file in files_of(library)}
    folders = ((domain.channel, zone.path.resolve()) for domain, zone in zones)
    return {channel: by_folder[folder] for channel, folder in folders if folder in by_folder}


def _with_reason(domain: Domain, indices: Mapping[str, int]) -> Domain:
    if domain.channel in indices:
        return domain
    if domain.kind not in {"package", "dram"}:
        return replace(domain, reason="pyRAPL reads only packages and their memory")
    return replace(domain, reason="pyRAPL did not find this counter")


def _not_found(domains: Iterable[Domain]) -> tuple[Missing, ...]:
    channels = [d.channel for d in domains if d.reason is not None and d.kind in {"package", "dram"}]
    if not channels:
        return ()
    message = "pyRAPL reads memory only where every package has it, and stops at the first gap in the zone numbers"
    what = f"energy of {', '.join(channels)} by pyRAPL"
    return (Missing(what=what, why="unreadable", message=message, cure=USE_POWERCAP),)


def _microjoules(value: float) -> int | None:
    return int(value) if math.isfinite(value) and value >= 0 else None
