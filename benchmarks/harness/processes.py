"""Processes that benchmarks start: what they cost, and functions that run in a process of their own."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

JOULEFLEET = str(Path(sys.executable).with_name("joulefleet"))
"""The command line of this environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A process that has ended: its output and what it used."""

    output: str
    wall_s: float
    cpu_s: float
    peak_memory_gb: float


def run_measured(command: Sequence[str]) -> Finished:
    """Run `command` to its end. Raises SystemExit where it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:3])} ended with {process.returncode}")
    return Finished(
        output=output,
        wall_s=wall_s,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_memory_gb=used.ru_maxrss * 1024 / 1e9,
    )


def run_apart(function: Callable[..., None], *arguments: object) -> None:
    """Run `function` in a process of its own. Raises SystemExit where it fails.

    For what needs much memory: the kernel counts the memory of a process that starts a program as the
    program's own peak.
    """
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def cpu_clock_s(pid: int) -> float:
    """Return the CPU seconds of another process. Raises OSError where it has ended.

    Read from its own clock (CPUCLOCK_SCHED of Linux's include/linux/posix-timers.h), in nanoseconds;
    /proc counts in ticks of 10 ms.
    """
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
