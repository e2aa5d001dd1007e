"""What the control group of a process uses: CPU seconds, seconds throttled by its quota, memory.

CPU time and memory are those of the group itself, which contain its children's. Throttled time is not
handed on: each group counts what its own quota stopped, and a quota of a group around it (a pod's, a
slice's) stops the work as well. So it is the sum over the group and all visible groups around it. Two
quotas that stop the work at once count twice, and an outer one counts its stops for all that is in it.

A process that is in no group of its own is in the root group, which is the whole machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.host.cgroup import Membership, around, memberships
from agent.host.files import text
from agent.sensors.base import Missing, Raw
from agent.sensors.files import KeptFiles
from agent.sensors.sysfs import integer
from joulefleet.measurement import Channel

_FILE_BYTES = 1024
"""cpu.stat has some twenty lines of a name and a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a version of control groups keeps the value of a channel."""

    channel: str
    controller: str
    file: str
    key: bytes | None
    """Of the line in the file; None where the file is the number alone."""
    per_unit: int
    unit: str
    kind: Literal["counter", "gauge"]

    @property
    def per_level(self) -> bool:
        """Whether each group counts for itself, so that those around it are to be added."""
        return self.channel == _THROTTLED


_THROTTLED = "cgroup_throttled_s"


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


class CgroupUsageSensor:
    """Kept descriptors of the files of the group, and of those around it."""

    name = "cgroup"

    def __init__(self, found: Sequence[tuple[_Source, Sequence[Path]]]) -> None:
        self._files = KeptFiles()
        # Two channels may come from one file, which is read once.
        paths = list(dict.fromkeys(path for _, files in found for path in files))
        for path in paths:
            self._files.add(path, size=_FILE_BYTES)
        self._sources = [(source, [paths.index(path) for path in files]) for source, files in found]
        self.missing: tuple[Missing, ...] = ()
        self.channels = tuple(
            Channel(name=source.channel, unit=source.unit, kind=source.kind, source=self.name) for source, _ in found
        )

    def read(self) -> Raw:
        """The bytes of each file; None where the group has vanished."""
        return self._files.read()

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Seconds and bytes; None where a file does not say."""
        return tuple(_value(source, [raw[index] for index in files]) for source, files in self._sources)

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def open_cgroup_usage(pid: int, sysfs_root: Path, proc_root: Path) -> CgroupUsageSensor:
    """The group of process `pid`; a channel for whatever that group, or for throttling one around it, counts."""
    found: dict[str, tuple[_Source, Sequence[Path]]] = {}
    # In a hybrid the hierarchies of version 1 have the controllers, so what they say comes first.
    for membership in sorted(memberships(pid, sysfs_root, proc_root), key=lambda m: not m.controllers):
        for source, files in _counted(membership, _levels(membership, pid)):
            found.setdefault(source.channel, (source, files))
    return CgroupUsageSensor([found[source.channel] for source in _VERSION_2 if source.channel in found])


def _levels(membership: Membership, pid: int) -> list[Path]:
    """The folder of the group, which says itself that the process is in it, and those around it; else none."""
    # A folder that only has the right name may be another container's, or the mount the whole host's.
    for mount, folder in membership.candidates():
        if str(pid) in (text(folder / "cgroup.procs") or "").split():
            return list(around(mount, folder))
    return []


def _counted(membership: Membership, levels: Sequence[Path]) -> Iterator[tuple[_Source, Sequence[Path]]]:
    for source in _VERSION_1 if membership.controllers else _VERSION_2:
        if membership.controllers and source.controller not in membership.controllers:
            continue
        contents: dict[Path, bytes] = {}
        for folder in levels if source.per_level else levels[:1]:
            content = (text(folder / source.file) or "").encode()
            # A group without a quota's controller, as the root, does not count it.
            if source.key is None or source.key in content:
                contents[folder / source.file] = content
        if contents and _value(source, list(contents.values())) is not None:
            yield source, list(contents)


def _value(source: _Source, fields: Sequence[bytes | None]) -> float | None:
    """The sum of what the files say; None where one of them does not."""
    numbers = [integer(field) if source.key is None else _beside(source.key, field or b"") for field in fields]
    known = [number for number in numbers if number is not None and number >= 0]
    if len(known) < len(numbers):
        return None
    return sum(known) / source.per_unit if source.unit == "s" else sum(known)


def _beside(key: bytes, field: bytes) -> int | None:
    for line in field.splitlines():
        name, _, value = line.partition(b" ")
        if name == key:
            return integer(value)
    return None
