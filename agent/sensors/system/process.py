"""CPU time and resident memory of the work's processes, from /proc.

Inside a window only the sensor's kept files are read. The functions below it cost more (finding the
processes about 2 ms, smaps_rollup up to 11 ms at 1 GB) and are called before and after the window.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from agent.host.files import kib, table
from agent.sensors.base import FileSensor, Missing, Raw
from agent.sensors.files import KeptFiles
from joulefleet.measurement import Channel

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STAT_BYTES = 1024
_STATM_BYTES = 256
# CPUCLOCK_SCHED of Linux's include/linux/posix-timers.h: the exact CPU time of all threads of a process.
_CPUCLOCK_SCHED = 2
_CURE = "Nothing to do: the process had ended before it could be watched."


class ProcessTreeSensor(FileSensor):
    """Sums over a fixed set of processes. Where one of them cannot be read, the sum is None, not too small."""

    name = "process"

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return CPU seconds, resident bytes, and of these the anonymous bytes and the file (or shared) bytes."""
        ticks = _sum([_cpu_ticks(stat) for stat in raw[0::2]])
        pages = [_pages(statm) for statm in raw[1::2]]
        resident = _sum([None if p is None else p[0] for p in pages])
        shared = _sum([None if p is None else p[1] for p in pages])
        cpu_s = None if ticks is None else ticks / _TICKS_PER_S
        if resident is None or shared is None:
            return cpu_s, None, None, None
        return cpu_s, resident * _PAGE_BYTES, (resident - shared) * _PAGE_BYTES, shared * _PAGE_BYTES


def open_process_tree(pids: Iterable[int], proc_root: Path) -> ProcessTreeSensor:
    """Open stat and statm of the processes `pids` under `proc_root` (`/proc`)."""
    files = KeptFiles()
    missing: list[Missing] = []
    for pid in pids:
        errors = (
            files.add(proc_root / str(pid) / "stat", size=_STAT_BYTES),
            files.add(proc_root / str(pid) / "statm", size=_STATM_BYTES),
        )
        if any(errors):
            message = f"there is no readable process {pid}"
            missing.append(Missing(what=f"CPU and memory of process {pid}", why="absent", message=message, cure=_CURE))
    source = ProcessTreeSensor.name
    memory = ("work_rss_bytes", "work_anon_bytes", "work_file_bytes")
    channels = (
        Channel(name="work_cpu_s", unit="s", kind="counter", source=source),
        *(Channel(name=name, unit="bytes", kind="gauge", source=source) for name in memory),
    )
    return ProcessTreeSensor(files, channels, missing)


def process_cpu_ns(pid: int) -> int | None:
    """Return the CPU time of the process, ns, by its own clock (finer than stat's ticks); None once it has ended."""
    try:
        return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        return None


def tree_of(pid: int) -> list[int]:
    """Return `pid` and its descendants; an empty list once it has ended."""
    import psutil  # absent in a base-only install

    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.Error:
        return []


def memory_now(pid: int, proc_root: Path = Path("/proc")) -> tuple[int | None, int | None]:
    """Return PSS and USS of the process, bytes. Not for use inside a window: the kernel visits all of its pages."""
    rows = table(proc_root / str(pid) / "smaps_rollup")
    private = [kib(rows.get(key)) for key in ("Private_Clean", "Private_Dirty")]
    huge = kib(rows.get("Private_Hugetlb")) or 0
    uss = _sum(private)
    return kib(rows.get("Pss")), None if uss is None else uss + huge


def status_memory(pid: int, proc_root: Path = Path("/proc")) -> tuple[int | None, int | None, int | None]:
    """Return resident, anonymous and file bytes of the process. Shared memory counts as file, as in statm."""
    rows = table(proc_root / str(pid) / "status")
    file = _sum([kib(rows.get("RssFile")), kib(rows.get("RssShmem"))])
    return kib(rows.get("VmRSS")), kib(rows.get("RssAnon")), file


def _cpu_ticks(stat: bytes | None) -> int | None:
    # The second field, the command in brackets, may hold blanks and brackets: count from its last bracket.
    fields = stat.rpartition(b")")[2].split() if stat else []
    if len(fields) < 13 or not (fields[11].isdigit() and fields[12].isdigit()):
        return None
    return int(fields[11]) + int(fields[12])


def _pages(statm: bytes | None) -> tuple[int, int] | None:
    fields = statm.split() if statm else []
    if len(fields) < 3 or not (fields[1].isdigit() and fields[2].isdigit()):
        return None
    return int(fields[1]), int(fields[2])


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
