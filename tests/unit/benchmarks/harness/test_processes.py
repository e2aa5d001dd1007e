from __future__ import annotations

import os
import sys
import time

import pytest

from benchmarks.harness.processes import cpu_clock_s, run_measured


def test_measures_a_process_and_keeps_its_output() -> None:
    """Wall time, CPU time and peak memory."""
    finished = run_measured([sys.executable, "-c", "print(sum(range(3_000_000)))"])
    assert finished.output == "4499998500000\n"
    assert finished.cpu_s > 0
    assert finished.wall_s > 0
    assert 0.001 < finished.peak_memory_gb < 10


def test_process_that_fails_ends_the_benchmark() -> None:
    """A figure of a failed process would mislead."""
    with pytest.raises(SystemExit, match="ended with 3"):
        run_measured([sys.executable, "-c", "raise SystemExit(3)"])


def test_cpu_clock_of_a_process_is_its_own() -> None:
    """Read through the kernel's clock of another process."""
    before = time.process_time()
    seen = cpu_clock_s(os.getpid())
    assert before <= seen <= time.process_time()
