"""Finding the powercap tree under a root, and saying why there is none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from agent.host.files import exists, is_folder, table
from agent.host.mounts import mount_of
from agent.sensors.base import Missing, Why
from agent.sensors.rapl.dies import mirrored_packages
from agent.sensors.rapl.domains import Domain, Zone, domains_of
from agent.sensors.rapl.zone import read_zone

_FLAT, _NESTED = _PLACES = ("class/powercap", "devices/virtual/powercap")
# Other control types are left alone: dtpm's numbers are modelled, and idle_inject has none.
_FOLDER = re.compile(r"intel-rapl(-[a-z]+)?(:\d+)*")
_DEEPEST = 5

MOUNT_CURE = (
    "Container runtimes cover this folder, and only there: show the container the host's at another place. Docker, "
    "Podman: -v /sys/devices/virtual/powercap:/host/powercap:ro -e JOULEFLEET_POWERCAP=/host/powercap (the images set "
    'that already). Compose: `volumes: ["/sys/devices/virtual/powercap:/host/powercap:ro"]`. Kubernetes: a volume '
    "hostPath: {path: /sys/devices/virtual/powercap} with mountPath: /host/powercap and readOnly: true."
)
_CLOSED_CURE = (
    "Run the agent as root, in a container as root of the host, not of a user namespace (Docker, Podman: "
    '--user 0:0; Compose: user: "0:0"; neither needs a capability).'
)
_DRIVER_CURE = "sudo modprobe intel_rapl_msr"


def find_zones(sysfs_root: Path, powercap: Path | None = None) -> tuple[Zone, ...]:
    """Every RAPL zone in `powercap`; where there is none, under `sysfs_root`. Nested or flat, each folder name once."""
    found: dict[str, Path] = {}
    for place in (*([powercap] if powercap is not None else []), *(sysfs_root / place for place in _PLACES)):
        for folder in _folders(place):
            if ":" in folder.name:
                found.setdefault(folder.name, folder)
        if found and place == powercap:
            break
    return tuple(read_zone(name, path) for name, path in found.items())


def find_domains(sysfs_root: Path, powercap: Path | None = None) -> tuple[tuple[Domain, Zone], ...]:
    """Every energy counter, whether it can be read or not, with the zone to read it from. See `find_zones`."""
    zones = find_zones(sysfs_root, powercap)
    return domains_of(zones, mirrored=mirrored_packages(zones, sysfs_root))


def why_none(sysfs_root: Path, proc_root: Path = Path("/proc"), powercap: Path | None = None) -> Missing:
    """Why there is no zone in either place, and the cure. Each reason but the last has its proof."""
    if powercap is not None and _is_closed(powercap):
        return _missing("not_permitted", f"{powercap} is there, but this user may not look into it", _CLOSED_CURE)
    if not is_folder(sysfs_root):
        return _missing("absent", f"there is no folder {sysfs_root}", "Give the folder where sysfs is mounted.")
    closed = next((folder for folder in _on_the_way(sysfs_root) if _is_closed(folder)), None)
    if closed is not None:
        return _missing("not_permitted", f"{closed} is there, but this user may not look into it", _CLOSED_CURE)
    covered = _mask(sysfs_root, proc_root)
    if covered is not None:
        return _missing("masked", covered, MOUNT_CURE)
    if exists(sysfs_root / "bus/event_source/devices/power/events/energy-pkg"):
        message = "perf knows the counters of the packages, but the driver of the powercap tree is not loaded"
        return _missing("absent", message, f"Load it: {_DRIVER_CURE}")
    nothing = f"there is no powercap tree under {sysfs_root}"
    if "hypervisor" in table(proc_root / "cpuinfo").get("flags", "").split():
        return _missing(
            "absent",
            f"{nothing}: this is a virtual machine, and its hypervisor does not hand the counters on",
            "Measure on the host or on bare metal, or let the study ask for modelled energy.",
        )
    return _missing(
        "absent",
        nothing,
        f"On Intel's CPUs and AMD's from Zen on, load the driver: {_DRIVER_CURE}. Others have no such counters: "
        "let the study ask for modelled energy.",
    )


def _missing(why: Why, message: str, cure: str) -> Missing:
    return Missing(what="energy (RAPL)", why=why, message=message, cure=cure)


def _mask(sysfs_root: Path, proc_root: Path) -> str | None:
    """What proves that a container runtime hides the tree; None where nothing does.

    A mask is an empty folder mounted over devices/virtual/powercap. The kernel's links to the zones in
    class/powercap then lead nowhere; where they can be seen, and none is a zone's, nothing is hidden.
    """
    flat, nested = sysfs_root / _FLAT, sysfs_root / _NESTED
    links = [entry for entry in _entries(flat) if entry.is_symlink()]
    if any(_FOLDER.fullmatch(link.name) and not exists(link) for link in links):
        return f"{nested} is covered: {flat} names counters that this container may not see"
    if links:
        return None
    if is_folder(nested) and not _entries(nested):
        return f"{nested} is covered: it is empty, and the kernel never keeps it without a device"
    covered = next((place for place in (nested, flat) if _is_covered(place, sysfs_root, proc_root)), None)
    return None if covered is None else f"{covered} is covered by a mount: this container may not see what it holds"


def _is_covered(folder: Path, sysfs_root: Path, proc_root: Path) -> bool:
    """Whether a mount below the root, of anything but sysfs, lies over `folder`."""
    mount, root = mount_of(folder, proc_root), sysfs_root.resolve()
    return mount is not None and mount.kind != "sysfs" and mount.point != root and mount.point.is_relative_to(root)


def _on_the_way(sysfs_root: Path) -> Iterator[Path]:
    """Every folder that must be entered to find the zones."""
    yield sysfs_root
    for place in _PLACES:
        parts = Path(place).parts
        for depth in range(1, len(parts) + 1):
            yield sysfs_root.joinpath(*parts[:depth])
        yield from _folders(sysfs_root / place)


def _is_closed(folder: Path) -> bool:
    return is_folder(folder) and not os.access(folder, os.R_OK | os.X_OK, effective_ids=True)


def _folders(folder: Path, depth: int = 0) -> Iterator[Path]:
    """The folders of RAPL's control types and zones in `folder`, and those in them."""
    if depth > _DEEPEST:
        return
    for entry in _entries(folder):
        if _FOLDER.fullmatch(entry.name) and is_folder(entry):
            yield entry
            yield from _folders(entry, depth + 1)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
