"""Finding the zones of the powercap tree, and the reason why there are none."""

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

# The two folders that show the tree: all zones side by side as links, and each zone inside its parent.
_FLAT, _NESTED = _FOLDERS = ("class/powercap", "devices/virtual/powercap")
# No other control type is read: the numbers of dtpm are modelled, and idle_inject has none.
_NAME = re.compile(r"intel-rapl(-[a-z]+)?(:\d+)*")
_MAX_DEPTH = 5

MOUNT_CURE = (
    "Container runtimes hide this folder at its own path: mount the host's at another one. Docker, "
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
    """Return every RAPL zone in `powercap`, or under `sysfs_root` where there is none. Each folder name comes once."""
    paths: dict[str, Path] = {}
    for tree in (*([powercap] if powercap is not None else []), *(sysfs_root / folder for folder in _FOLDERS)):
        for path in _folders(tree):
            if ":" in path.name:
                paths.setdefault(path.name, path)
        if paths and tree == powercap:
            break
    return tuple(read_zone(name, path) for name, path in paths.items())


def find_domains(sysfs_root: Path, powercap: Path | None = None) -> tuple[tuple[Domain, Zone], ...]:
    """Return every domain, whether it can be read or not, with the zone to read it from. See `find_zones`."""
    zones = find_zones(sysfs_root, powercap)
    return domains_of(zones, mirrored=mirrored_packages(zones, sysfs_root))


def why_none(sysfs_root: Path, proc_root: Path = Path("/proc"), powercap: Path | None = None) -> Missing:
    """Return why there is no zone, and the cure. Each reason but the last is proved by what the files show."""
    if powercap is not None and _is_closed(powercap):
        return _missing("not_permitted", f"{powercap} is there, but this user may not look into it", _CLOSED_CURE)
    if not is_folder(sysfs_root):
        return _missing("absent", f"there is no folder {sysfs_root}", "Give the folder where sysfs is mounted.")
    closed = next((folder for folder in _path_to_zones(sysfs_root) if _is_closed(folder)), None)
    if closed is not None:
        return _missing("not_permitted", f"{closed} is there, but this user may not look into it", _CLOSED_CURE)
    mask = _mask(sysfs_root, proc_root)
    if mask is not None:
        return _missing("masked", mask, MOUNT_CURE)
    if exists(sysfs_root / "bus/event_source/devices/power/events/energy-pkg"):
        message = "perf has the counters of the packages, but the driver of the powercap tree is not loaded"
        return _missing("absent", message, f"Load it: {_DRIVER_CURE}")
    no_tree = f"there is no powercap tree under {sysfs_root}"
    if "hypervisor" in table(proc_root / "cpuinfo").get("flags", "").split():
        return _missing(
            "absent",
            f"{no_tree}: this is a virtual machine, and its hypervisor hides the counters",
            "Measure on the host or on bare metal, or use modelled energy in the study.",
        )
    return _missing(
        "absent",
        no_tree,
        f"On a CPU of Intel, or of AMD since Zen, load the driver: {_DRIVER_CURE}. Other CPUs have no such counters: "
        "use modelled energy in the study.",
    )


def _missing(why: Why, message: str, cure: str) -> Missing:
    return Missing(what="energy (RAPL)", why=why, message=message, cure=cure)


def _mask(sysfs_root: Path, proc_root: Path) -> str | None:
    """Return what proves that a container runtime hides the tree; None where nothing does.

    A mask is an empty folder mounted over devices/virtual/powercap. The kernel's links in class/powercap
    then lead nowhere. Where those links can be seen and none is a zone's, the mask hides no zone.
    """
    flat, nested = sysfs_root / _FLAT, sysfs_root / _NESTED
    links = [entry for entry in _entries(flat) if entry.is_symlink()]
    if any(_NAME.fullmatch(link.name) and not exists(link) for link in links):
        return f"{nested} is covered: {flat} names counters that this container may not see"
    if links:
        return None
    if is_folder(nested) and not _entries(nested):
        return f"{nested} is covered: it is empty, and the kernel removes it when it has no device"
    covered = next((folder for folder in (nested, flat) if _is_covered(folder, sysfs_root, proc_root)), None)
    return None if covered is None else f"{covered} is covered by a mount: this container may not see what it holds"


def _is_covered(folder: Path, sysfs_root: Path, proc_root: Path) -> bool:
    """Return whether something else than sysfs is mounted over `folder`, below the root."""
    mount, root = mount_of(folder, proc_root), sysfs_root.resolve()
    return mount is not None and mount.kind != "sysfs" and mount.point != root and mount.point.is_relative_to(root)


def _path_to_zones(sysfs_root: Path) -> Iterator[Path]:
    """Yield every folder that must be entered to find the zones."""
    yield sysfs_root
    for folder in _FOLDERS:
        parts = Path(folder).parts
        for depth in range(1, len(parts) + 1):
            yield sysfs_root.joinpath(*parts[:depth])
        yield from _folders(sysfs_root / folder)


def _is_closed(folder: Path) -> bool:
    return is_folder(folder) and not os.access(folder, os.R_OK | os.X_OK, effective_ids=True)


def _folders(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Yield the folders of RAPL's control types and zones in `folder`, and the folders inside those."""
    if depth > _MAX_DEPTH:
        return
    for entry in _entries(folder):
        if _NAME.fullmatch(entry.name) and is_folder(entry):
            yield entry
            yield from _folders(entry, depth + 1)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
