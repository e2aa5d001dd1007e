"""Control groups, versions 1 and 2: the folders of a process's group, and the limits on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agent.host.files import count, exists, is_folder, number, text

# Version 1 writes "unlimited" as the largest multiple of a page in 63 bits; no machine has 2^60 bytes.
_UNLIMITED_BYTES = 2**60


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupLimits:
    """The tightest limits of a group and of all groups around it; None where unlimited."""

    cpus: float | None
    """Quota, CPU seconds a second."""
    memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMembership:
    """The group that a process belongs to in one hierarchy of groups."""

    controllers: tuple[str, ...]
    """Controllers of the hierarchy; empty for version 2, which has one hierarchy with all that version 1 has not."""
    path: str
    """Path of the group, as /proc shows it."""
    mounts: tuple[Path, ...]
    """Folders at which the hierarchy is usually mounted, and which exist here."""

    def candidates(self) -> Iterator[tuple[Path, Path]]:
        """Yield mount and folder of each place where the group's files may be, the likeliest first.

        In a container the path may be the host's. Then only the end of the path exists below the mount,
        or none of it, and the mount is the group itself.
        """
        parts = PurePosixPath(self.path).parts[1:]
        # "/../x" lies outside of what this namespace shows; a folder x inside it is another group.
        if ".." in parts:
            return
        for mount in self.mounts:
            for start in range(len(parts) + 1):
                folder = mount.joinpath(*parts[start:])
                if is_folder(folder):
                    yield mount, folder


def memberships(process: int | str, sysfs_root: Path, proc_root: Path) -> list[GroupMembership]:
    """Return the groups of `<proc_root>/<process>` (a process id, or "self"); empty where that cannot be read."""
    groups = []
    for line in (text(proc_root / str(process) / "cgroup") or "").splitlines():
        # cgroups(7): hierarchy, controllers separated by commas, path. A path may contain colons.
        fields = line.split(":", 2)
        if len(fields) == 3 and fields[2].startswith("/"):
            controllers = tuple(fields[1].split(",")) if fields[1] else ()
            mounts = _mounts(sysfs_root / "fs/cgroup", controllers)
            groups.append(GroupMembership(controllers=controllers, path=fields[2], mounts=mounts))
    return groups


def read_cgroup_limits(sysfs_root: Path, proc_root: Path) -> CgroupLimits:
    """Return the limits on this process (`<proc_root>/self/cgroup`)."""
    cpus: list[float] = []
    memory: list[int] = []
    for membership in memberships("self", sysfs_root, proc_root):
        for folder in _levels(membership):
            cpus += _cpu_limits(folder)
            memory += _memory_limits(folder)
    return CgroupLimits(cpus=min(cpus, default=None), memory_bytes=min(memory, default=None))


def usable_cpus(sysfs_root: Path = Path("/sys"), proc_root: Path = Path("/proc")) -> int:
    """Return how many threads of this process can run at once: its CPUs, or its quota rounded down if that is less.

    One thread more than the quota would use the quota up sooner, and then all threads stop.
    """
    cpus = len(os.sched_getaffinity(0))
    quota = read_cgroup_limits(sysfs_root, proc_root).cpus
    return cpus if quota is None else max(1, min(cpus, int(quota)))


def group_and_parents(mount: Path, folder: Path) -> Iterator[Path]:
    """Yield the folder of a group, then those of the groups around it, up to the mount."""
    yield folder
    yield from (outer for outer in folder.parents if outer.is_relative_to(mount))


def _mounts(mounted: Path, controllers: tuple[str, ...]) -> tuple[Path, ...]:
    if not controllers:
        # In a hybrid the folder of version 2 lies among the hierarchies of version 1.
        hybrid = is_folder(mounted / "unified") and not exists(mounted / "cgroup.controllers")
        folders = [mounted / "unified"] if hybrid else [mounted]
    else:
        # The folder's name may have the controllers in another order than /proc, or each may have a link.
        names = (",".join(controllers), ",".join(reversed(controllers)), *controllers)
        folders = [mounted / name for name in dict.fromkeys(names)]
    return tuple(folder for folder in folders if is_folder(folder))


def _levels(membership: GroupMembership) -> Iterator[Path]:
    """Yield the folders of the group and of those around it, at the likeliest place."""
    for mount, folder in membership.candidates():
        yield from group_and_parents(mount, folder)
        return


def _cpu_limits(folder: Path) -> list[float]:
    limits = []
    quota, _, period = (text(folder / "cpu.max") or "max").partition(" ")
    version_1 = number(folder / "cpu.cfs_quota_us"), number(folder / "cpu.cfs_period_us")
    for quota_us, period_us in ((count(quota), count(period)), version_1):
        if quota_us is not None and period_us is not None and quota_us > 0 and period_us > 0:
            limits.append(quota_us / period_us)
    return limits


def _memory_limits(folder: Path) -> list[int]:
    values = (number(folder / "memory.max"), number(folder / "memory.limit_in_bytes"))
    return [value for value in values if value is not None and 0 <= value < _UNLIMITED_BYTES]
