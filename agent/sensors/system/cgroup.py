"""What the control group of a process uses: CPU seconds, seconds stopped by a quota (throttled), memory.

A group's CPU time and memory include those of the groups inside it. Its throttled time does not: each
group counts only what its own quota stopped, and the quota of a group around it (a pod's, a slice's)
stops the work as well. So the throttled time is summed over the group and all visible groups around it.
While two quotas stop the work at once the time counts twice, and an outer group counts the stops of
everything inside it.

A process without a group of its own is in the root group, which counts the whole machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.host.cgroup import GroupMembership, group_and_parents, memberships
from agent.host.files import text
from agent.sensors.base import FileSensor, Raw
from agent.sensors.files import KeptFiles, integer
from joulefleet.measurement import Channel

_FILE_BYTES = 1024
"""Size read of each file, bytes: cpu.stat has some twenty lines of a name and a number."""

_THROTTLED = "cgroup_throttled_s"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The file in which a version of control groups keeps the value of a channel."""

    channel: str
    controller: str
    file: str
    key: bytes | None
    """Name of the line in the file; None where the file holds only the number."""
    per_unit: int
    """Counts of the file in one unit of the channel."""
    unit: str
    kind: Literal["counter", "gauge"]


def _cpu(channel: str, controller: str, file: str, key: bytes | None, per_s: int) -> _Source:
    return _Source(channel=channel, controller=controller, file=file, key=key, per_unit=per_s, unit="s", kind="counter")


def _memory(file: str) -> _Source:
    return _Source(
        channel="cgroup_memory_bytes",
        controller="memory",
        file=file,
        key=None,
        per_unit=1,
        unit="bytes",
        kind="gauge",
    )


# Linux: Documentation/admin-guide/cgroup-v1/cpuacct.rst, scheduler/sched-bwc.rst, cgroup-v1/memory.rst.
_VERSION_1 = (
    _cpu("cgroup_cpu_s", "cpuacct", "cpuacct.usage", None, 10**9),
    _cpu(_THROTTLED, "cpu", "cpu.stat", b"throttled_time", 10**9),
    _memory("memory.usage_in_bytes"),
)
# Linux: Documentation/admin-guide/cgroup-v2.rst.
_VERSION_2 = (
    _cpu("cgroup_cpu_s", "cpu", "cpu.stat", b"usage_usec", 10**6),
    _cpu(_THROTTLED, "cpu", "cpu.stat", b"throttled_usec", 10**6),
    _memory("memory.current"),
)


class CgroupUsageSensor(FileSensor):
    """Usage of one control group, with the throttled time of the groups around it."""

    name = "cgroup"

    def __init__(self, sources: Sequence[tuple[_Source, Sequence[Path]]]) -> None:
        # Two channels may come from one file, which is read once.
        paths = list(dict.fromkeys(path for _, source_paths in sources for path in source_paths))
        self._sources = [(source, [paths.index(path) for path in source_paths]) for source, source_paths in sources]
        channels = (Channel(name=s.channel, unit=s.unit, kind=s.kind, source=self.name) for s, _ in sources)
        super().__init__(KeptFiles(paths, size=_FILE_BYTES), channels)

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return seconds and bytes; None where a file has vanished, or has no such number."""
        return tuple(_value(source, [raw[index] for index in indices]) for source, indices in self._sources)


def open_cgroup_usage(pid: int, sysfs_root: Path, proc_root: Path) -> CgroupUsageSensor:
    """Open the group of process `pid`, with a channel for each quantity that its files hold."""
    by_channel: dict[str, tuple[_Source, Sequence[Path]]] = {}
    # In a hybrid the hierarchies of version 1 have the controllers, so they come first.
    for membership in sorted(memberships(pid, sysfs_root, proc_root), key=lambda m: not m.controllers):
        for source, paths in _readable(membership, _levels(membership, pid)):
            by_channel.setdefault(source.channel, (source, paths))
    return CgroupUsageSensor([by_channel[source.channel] for source in _VERSION_2 if source.channel in by_channel])


def _levels(membership: GroupMembership, pid: int) -> list[Path]:
    """Return the folder of the group and of those around it; an empty list where no folder lists the process."""
    # A folder of the right name may belong to another container, and the mount may be the host's.
    for mount, folder in membership.candidates():
        if str(pid) in (text(folder / "cgroup.procs") or "").split():
            return list(group_and_parents(mount, folder))
    return []


def _readable(membership: GroupMembership, levels: Sequence[Path]) -> Iterator[tuple[_Source, Sequence[Path]]]:
    """Yield each source that has a value now, with its files: one, or one for each level that counts throttled time."""
    for source in _VERSION_1 if membership.controllers else _VERSION_2:
        if membership.controllers and source.controller not in membership.controllers:
            continue
        contents: dict[Path, bytes] = {}
        for folder in levels if source.channel == _THROTTLED else levels[:1]:
            content = (text(folder / source.file) or "").encode()
            # A group without the controller of quotas, such as the root group, has no such line.
            if source.key is None or source.key in content:
                contents[folder / source.file] = content
        if contents and _value(source, list(contents.values())) is not None:
            yield source, list(contents)


def _value(source: _Source, fields: Sequence[bytes | None]) -> float | None:
    """Return the sum over the files, in the channel's unit; None where one of them has no such number."""
    numbers = [integer(field) if source.key is None else _number_of(source.key, field or b"") for field in fields]
    known = [number for number in numbers if number is not None and number >= 0]
    if len(known) < len(numbers):
        return None
    return sum(known) / source.per_unit if source.unit == "s" else sum(known)


def _number_of(key: bytes, field: bytes) -> int | None:
    for line in field.splitlines():
        name, _, value = line.partition(b" ")
        if name == key:
            return integer(value)
    return None
