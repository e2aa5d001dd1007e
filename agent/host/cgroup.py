"""Control groups, versions 1 and 2: where a process's group lies, and the limits it sets."""

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
    """The tightest limits of the group and all groups around it; None where unlimited."""

    cpus: float | None
    """CPU seconds a second."""
    memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """One hierarchy of groups, and the group in it that a process belongs to."""

    controllers: tuple[str, ...]
    """Empty for version 2, whose one hierarchy has whatever controllers version 1 does not have."""
    path: str
    mounts: tuple[Path, ...]
    """Where the hierarchy is mounted: those of the usual places that are there."""

    def candidates(self) -> Iterator[tuple[Path, Path]]:
        """(mount, folder) of each place where the group may be seen, the likeliest first.

        In a container the path may be the host's. Then only its end is visible below the mount, or
        nothing of it: the mount is the group itself.
        """
        parts = PurePosixPath(self.path).parts[1:]
        # "/../x" lies beside or around what this namespace shows; a folder x in here is another group.
        if ".." in parts:
            return
        for mount in self.mounts:
            for start in range(len(parts) + 1):
                folder = mount.joinpath(*parts[start:])
                if is_folder(folder):
                    yield mount, folder


def memberships(process: int | str, sysfs_root: Path, proc_root: Path) -> list[Membership]:
    """The groups of `<proc_root>/<process>` (a process id, or "self"); empty where that cannot be read."""
    found = []
    for line in (text(proc_root / str(process) / "cgroup") or "").splitlines():
        # cgroups(7): hierarchy, controllers with commas between them, path. A path may hold colons itself.
        fields = line.split(":", 2)
        if len(fields) == 3 and fields[2].startswith("/"):
            controllers = tuple(fields[1].split(",")) if fields[1] else ()
            mounts = _mounts(sysfs_root / "fs/cgroup", controllers)
            found.append(Membership(controllers=controllers, path=fields[2], mounts=mounts))
    return found


def read_cgroup_limits(sysfs_root: Path, proc_root: Path) -> CgroupLimits:
    """The limits on this very process (`<proc_root>/self/cgroup`)."""
    cpus: list[float] = []
    memory: list[int] = []
    for membership in memberships("self", sysfs_root, proc_root):
        for folder in _levels(membership):
            cpus += _cpu_limits(folder)
            memory += _memory_limits(folder)
    return CgroupLimits(cpus=min(cpus, default=None), memory_bytes=min(memory, default=None))


def usable_cpus(sysfs_root: Path = Path("/sys"), proc_root: Path = Path("/proc")) -> int:
    """How many threads of this process can run at once: its CPUs, or the whole ones of its quota where that is less.

    A thread more than the quota would only have all of them stopped sooner.
    """
    cpus = len(os.sched_getaffinity(0))
    quota = read_cgroup_limits(sysfs_root, proc_root).cpus
    return cpus if quota is None else max(1, min(cpus, int(quota)))


def around(mount: Path, folder: Path) -> Iterator[Path]:
    """The folder of a group, and those of the groups around it, up to the mount."""
    yield folder
    yield from (outer for outer in folder.parents if outer.is_relative_to(mount))


def _mounts(mounted: Path, controllers: tuple[str, ...]) -> tuple[Path, ...]:
    if not controllers:
        # In a hybrid, version 2 lies beside the hierarchies of version 1.
        hybrid = is_folder(mounted / "unified") and not exists(mounted / "cgroup.controllers")
        places = [mounted / "unified"] if hybrid else [mounted]
    else:
        # The folder may name the controllers in another order than /proc does, or have a link for each.
        names = (",".join(controllers), ",".join(reversed(controllers)), *controllers)
        places = [mounted / name for name in dict.fromkeys(names)]
    return tuple(place for place in places if is_folder(place))


def _levels(membership: Membership) -> Iterator[Path]:
    """The folders of the group and of those around it, where the group is likeliest seen."""
    for mount, folder in membership.candidates():
        yield from around(mount, folder)
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
