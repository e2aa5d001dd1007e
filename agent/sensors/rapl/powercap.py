"""Energy counters of the CPU (RAPL), from Linux's powercap tree.

Every zone is read, and each keeps rows of its own; `agent.sensors.rapl.domains` says which of them add up.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agent.host.mounts import is_kernels_own
from agent.sensors.base import Missing, Raw, Why
from agent.sensors.files import KeptFiles
from agent.sensors.rapl.discovery import find_domains, why_none
from agent.sensors.rapl.domains import Domain, Zone, longest_window_s, total_scope
from agent.sensors.rapl.zone import COUNTER_BYTES, microjoules
from joulefleet.measurement import Channel

__all__ = ["Domain", "PowercapSensor", "open_powercap", "total_scope"]

_COUNTER = "energy_uj"

_PERMISSION_CURE = (
    "Only root may read it since CVE-2020-8694. Run the agent as root, or give a group read access at every boot "
    "(udev or tmpfiles rule: chgrp and chmod 0440 on the energy_uj files) and put the agent's user into it. "
    'In a container: Docker, Podman: --user 0:0, or --group-add with that group\'s number; Compose: user: "0:0", or '
    "group_add; no capability is needed. The user must be root of the host: root of a user namespace (rootless) is not."
)
_NO_COUNTER_CURE = "Nothing to do here: another kernel may offer it. Without this counter the total is null."
_UNREADABLE_CURE = "See the kernel's log (dmesg) for the RAPL driver; a total of which it is a part is null."
_TROUBLES: Mapping[Why, tuple[str, str]] = {
    "not_permitted": ("the counters are there, but this user may not read them", _PERMISSION_CURE),
    "absent": ("the zones are there, but have no counter (energy_uj)", _NO_COUNTER_CURE),
    "unreadable": ("the zones are there, but a name or a number in them cannot be read", _UNREADABLE_CURE),
}
_RANGE_CURE = "Nothing to do: a step back of the counter is taken as unknown instead of as a wrap."


class PowercapSensor:
    """Kept descriptors of every domain's counter, in microjoules.

    A read that fails is None for good or for once: a zone that goes away, a driver that is loaded
    anew, letters where a number was. Nothing is opened again behind the caller's back.
    """

    name = "powercap"

    def __init__(
        self, *, files: KeptFiles, domains: tuple[Domain, ...], missing: tuple[Missing, ...], own: bool
    ) -> None:
        self._files = files
        self.domains = domains
        """All that the tree holds; those that cannot be read have a `reason` and no channel."""
        self.missing = missing
        self.own = own
        """Whether every counter is the running kernel's; true where there is none."""
        self.longest_power_limit_window_s = longest_window_s(domains)
        """The longest time over which the CPU averages its power for a limit; None where no limit is in force."""
        self.channels = tuple(
            Channel(name=d.channel, unit="uJ", kind="counter", source=self.name) for d in domains if d.reason is None
        )

    def read(self) -> Raw:
        """The bytes of each counter; None where a read fails."""
        return self._files.read()

    def decode(self, raw: Raw) -> tuple[int | None, ...]:
        """Microjoules of each counter in `raw`; None where it is not a number."""
        return tuple(microjoules(field) for field in raw)

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def open_powercap(sysfs_root: Path, proc_root: Path = Path("/proc"), powercap: Path | None = None) -> PowercapSensor:
    """The energy counters in `powercap` where it holds any, else under `sysfs_root` (`/sys` or where it is mounted).

    `powercap` is the host's /sys/devices/virtual/powercap as mounted for a container. What is missing is said,
    never raised.
    """
    found = find_domains(sysfs_root, powercap)
    files = KeptFiles()
    domains: list[Domain] = []
    refused: dict[Why, list[str]] = {}
    for domain, zone in found:
        trouble = _open(zone, files)
        if trouble is None:
            domains.append(domain)
        else:
            why, reason = trouble
            refused.setdefault(why, []).append(domain.channel)
            domains.append(replace(domain, reason=reason))
    return PowercapSensor(
        files=files,
        domains=tuple(domains),
        missing=_missing(refused, domains) if found else (why_none(sysfs_root, proc_root, powercap),),
        # The file, not its folder: a file alone can be covered by a mount as well.
        own=all(is_kernels_own(zone.path / _COUNTER, proc_root) for _, zone in found),
    )


def _open(zone: Zone, files: KeptFiles) -> tuple[Why, str] | None:
    """Add the zone's counter to `files`, or say why not."""
    trial = KeptFiles()
    error = trial.add(zone.path / _COUNTER, size=COUNTER_BYTES)
    first = trial.read()[0]
    trial.close()
    if error is not None and error.errno in {errno.EACCES, errno.EPERM}:
        return "not_permitted", "the counter is there, but this user may not read it"
    if error is not None and error.errno == errno.ENOENT:
        return "absent", "the zone has no counter (energy_uj)"
    if zone.name is None:
        return "unreadable", f"the name of {zone.zone} cannot be read, so what it counts is unknown"
    if error is not None or first is None:
        return "unreadable", "the counter is there, but could not be read"
    if microjoules(first) is None:
        return "unreadable", "the counter is there, but holds no number"
    files.add(zone.path / _COUNTER, size=COUNTER_BYTES)
    return None


def _missing(refused: Mapping[Why, Sequence[str]], domains: Sequence[Domain]) -> tuple[Missing, ...]:
    found = []
    for why, channels in refused.items():
        message, cure = _TROUBLES[why]
        found.append(Missing(what=f"energy of {', '.join(channels)}", why=why, message=message, cure=cure))
    unbounded = [d.channel for d in domains if d.reason is None and d.range_uj is None]
    if unbounded:
        found.append(
            Missing(
                what=f"range of {', '.join(unbounded)}",
                why="unreadable",
                message="max_energy_range_uj is missing, no number or 0, so a wrap cannot be told from a reset",
                cure=_RANGE_CURE,
            )
        )
    return tuple(found)
