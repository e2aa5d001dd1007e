"""Energy counters of the CPU (RAPL), from Linux's powercap tree.

Every zone is read and has a channel of its own; `agent.sensors.rapl.domains` decides which of them add up.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agent.host.mounts import is_in_sysfs
from agent.sensors.base import FileSensor, Missing, Raw, Why
from agent.sensors.files import KeptFiles
from agent.sensors.rapl.discovery import find_domains, why_none
from agent.sensors.rapl.domains import Domain, Zone, counter_channels, longest_window_s
from agent.sensors.rapl.zone import microjoules

_COUNTER = "energy_uj"

_PERMISSION_CURE = (
    "Only root may read it since CVE-2020-8694. Run the agent as root, or give a group read access at every boot "
    "(udev or tmpfiles rule: chgrp and chmod 0440 on the energy_uj files) and put the agent's user into it. "
    'In a container: Docker, Podman: --user 0:0, or --group-add with that group\'s number; Compose: user: "0:0", or '
    "group_add; no capability is needed. The user must be root of the host: root of a user namespace (rootless) is not."
)
_NO_COUNTER_CURE = "Nothing to do here: another kernel may have it. Without this counter the total is null."
_UNREADABLE_CURE = "Read the kernel's log (dmesg) for the RAPL driver. A total that includes this counter is null."
_REFUSALS: Mapping[Why, tuple[str, str]] = {
    "not_permitted": ("the counters are there, but this user may not read them", _PERMISSION_CURE),
    "absent": ("the zones are there, but have no counter (energy_uj)", _NO_COUNTER_CURE),
    "unreadable": ("the zones are there, but a name or a number in them cannot be read", _UNREADABLE_CURE),
}
"""Message and cure of each reason why zones without a usable counter are refused."""
_RANGE_CURE = "Nothing to do: a step back of the counter is taken as unknown instead of as a wrap."


class PowercapSensor(FileSensor):
    """The counter of every domain, microjoules. See `EnergySensor`.

    A read that fails (the zone is gone, the driver was loaded again) is None. No file is opened again.
    """

    name = "powercap"

    def __init__(
        self, files: KeptFiles, *, domains: tuple[Domain, ...], missing: tuple[Missing, ...], of_running_kernel: bool
    ) -> None:
        super().__init__(files, counter_channels(domains, self.name), missing)
        self.domains = domains
        self.of_running_kernel = of_running_kernel
        self.longest_power_limit_window_s = longest_window_s(domains)

    def decode(self, raw: Raw) -> tuple[int | None, ...]:
        """Return the microjoules of each counter; None where it is not a number."""
        return tuple(microjoules(field) for field in raw)


def open_powercap(sysfs_root: Path, proc_root: Path = Path("/proc"), powercap: Path | None = None) -> PowercapSensor:
    """Open the energy counters in `powercap` where it holds any, else under `sysfs_root` (`/sys`).

    `powercap` is the host's /sys/devices/virtual/powercap as it is mounted for a container. What cannot
    be read is listed as missing, never raised.
    """
    zones = find_domains(sysfs_root, powercap)
    files = KeptFiles()
    domains: list[Domain] = []
    refused: dict[Why, list[str]] = {}
    for domain, zone in zones:
        refusal = _open(zone, files)
        if refusal is None:
            domains.append(domain)
        else:
            why, reason = refusal
            refused.setdefault(why, []).append(domain.channel)
            domains.append(replace(domain, reason=reason))
    return PowercapSensor(
        files,
        domains=tuple(domains),
        missing=_missing(refused, domains) if zones else (why_none(sysfs_root, proc_root, powercap),),
        # Each file, not its folder: a mount can cover a single file as well.
        of_running_kernel=all(is_in_sysfs(zone.path / _COUNTER, proc_root) for _, zone in zones),
    )


def _open(zone: Zone, files: KeptFiles) -> tuple[Why, str] | None:
    """Add the zone's counter to `files` and return None, or return the reason why it cannot be used."""
    trial = KeptFiles()
    error = trial.add(zone.path / _COUNTER)
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
    files.add(zone.path / _COUNTER)
    return None


def _missing(refused: Mapping[Why, Sequence[str]], domains: Sequence[Domain]) -> tuple[Missing, ...]:
    missing = []
    for why, channels in refused.items():
        message, cure = _REFUSALS[why]
        missing.append(Missing(what=f"energy of {', '.join(channels)}", why=why, message=message, cure=cure))
    unbounded = [d.channel for d in domains if d.reason is None and d.range_uj is None]
    if unbounded:
        missing.append(
            Missing(
                what=f"range of {', '.join(unbounded)}",
                why="unreadable",
                message="max_energy_range_uj is missing, 0 or not a number, so a wrap cannot be told from a reset",
                cure=_RANGE_CURE,
            )
        )
    return tuple(missing)
