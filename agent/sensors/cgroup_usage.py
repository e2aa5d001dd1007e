"""What the control group of a process uses: CPU seconds, seconds throttled by its quota, memory.

Of the group itself: a quota of a group around it throttles too, but is counted there. A process that
is in no group of its own is in the root group, which is the whole machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.cgroup import Membership, memberships
from agent.kernel_files import text
from agent.sensors.interface import Missing, Raw
from agent.sensors.kept_files import KeptFiles
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
    _cpu("cgroup_throttled_s", "cpu", "cpu.stat", b"throttled_time", 10**9),
    _memory("memory.usage_in_bytes"),
)
# Linux: Documentation/admin-guide/cgroup-v2.rst.
_VERSION_2 = (
    _cpu("cgroup_cpu_s", "cpu", "cpu.stat", b"usage_usec", 10**6),
    _cpu("cgroup_throttled_s", "cpu", "cpu.stat", b"throttled_usec", 10**6),
    _memory("memory.current"),
)


class CgroupUsageSensor:
    """Kept descriptors of the group's files."""

    name = "cgroup"

    def __init__(self, found: Sequence[tuple[_Source, Path]]) -> None:
        self._files = KeptFiles()
        # Two channels may come from one file, which is read once.
        paths = list(dict.fromkeys(path for _, path in found))
        for path in paths:
            self._files.add(path, size=_FILE_BYTES)
        self._sources = [(source, paths.index(path)) for source, path in found]
        self.missing: tuple[Missing, ...] = ()
        self.channels = tuple(
            Channel(name=source.channel, unit=source.unit, kind=source.kind, source=self.name) for source, _ in found
        )

    def read(self) -> Raw:
        """The bytes of each file; None where the group has vanished."""
        return self._files.read()

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Seconds and bytes; None where a file does not say."""
        return tuple(_value(source, raw[index]) for source, index in self._sources)

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def open_cgroup_usage(pid: int, sysfs_root: Path, proc_root: Path) -> CgroupUsageSensor:
    """The group of process `pid`; a channel for whatever that group counts."""
    found: dict[str, tuple[_Source, Path]] = {}
    # In a hybrid the hierarchies of version 1 have the controllers, so what they say comes first.
    for membership in sorted(memberships(pid, sysfs_root, proc_root), key=lambda m: not m.controllers):
        folder = _own_folder(membership, pid)
        if folder is not None:
            for source in _counted(membership, folder):
                found.setdefault(source.channel, (source, folder / source.file))
    return CgroupUsageSensor([found[source.channel] for source in _VERSION_2 if source.channel in found])


def _own_folder(membership: Membership, pid: int) -> Path | None:
    """The folder of the group, which says itself that the process is in it."""
    # A folder that only has the right name may be another container's, or the mount the whole host's.
    for _, folder in membership.candidates():
        if str(pid) in (text(folder / "cgroup.procs") or "").split():
            return folder
    return None


def _counted(membership: Membership, folder: Path) -> Iterator[_Source]:
    for source in _VERSION_1 if membership.controllers else _VERSION_2:
        if membership.controllers and source.controller not in membership.controllers:
            continue
        content = text(folder / source.file)
        if content is not None and _value(source, content.encode()) is not None:
            yield source


def _value(source: _Source, field: bytes | None) -> float | None:
    number = integer(field) if source.key is None else _beside(source.key, field or b"")
    if number is None or number < 0:
        return None
    return number / source.per_unit if source.unit == "s" else number


def _beside(key: bytes, field: bytes) -> int | None:
    for line in field.splitlines():
        name, _, value = line.partition(b" ")
        if name == key:
            return integer(value)
    return None
