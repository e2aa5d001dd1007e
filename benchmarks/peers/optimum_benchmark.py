"""The peer optimum-benchmark 0.6.0: the cost of one of its benchmarks beyond the measuring itself.

The peer lives in a virtual environment of its own (``optimum-benchmark.txt``), as it needs
transformers 4. It is driven through ``optimum_benchmark_driver.py``.
"""

import json
import math
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from benchmarks.peers.environments import FOLDER, HERE, ensure_environment

NAME = "optimum-benchmark 0.6.0"
DRIVER = HERE / "optimum_benchmark_driver.py"

SEQUENCE_LENGTH = 32
"""Tokens per input."""
SAMPLE_EVERY_S = 0.05
"""Seconds between two readings of the parent's CPU time."""
TIMEOUT_S = 900.0
"""Time after which a run that has not ended is killed, seconds; its exit code is then -9."""


@dataclass(frozen=True)
class PeerRun:
    """One benchmark of the peer: times in seconds, CPU use in percent of one core."""

    wall_s: float
    """Duration of ``Benchmark.launch``, in a process that had already imported the peer."""
    wall_with_import_s: float
    """Duration of the whole driver process: start, imports, launch, exit."""
    requested_s: float
    """Time in the phases asked for: the warm-up (with a first forward pass that the peer adds to
    it), timed by the peer's log, and the measured forward passes, as the peer reports them."""
    overhead_s: float
    """``wall_s - requested_s``: child process start, its imports, model loading, reporting."""
    parent_cpu_percent: float
    """CPU use of the parent process while the child measures; it has only to wait, so near 0 would
    be right and 100 is a core kept busy. NaN if the measured phase is under 2 readings long."""


def prepared() -> tuple[Path, Path]:
    """Return the peer's Python and the folder of a BERT-base classifier with seeded random weights.

    Makes both unless they are there: about 1.5 GB and 440 MB of disk, some minutes.
    """
    python, model = ensure_environment("optimum-benchmark"), FOLDER / "bert-base"
    if not (model / "model.safetensors").is_file():
        model.mkdir(parents=True, exist_ok=True)
        arguments = {"action": "make_bert_base", "folder": str(model), "seed": 0}
        subprocess.run([python, "-I", DRIVER, json.dumps(arguments)], check=True, stdout=subprocess.DEVNULL)
    return python, model


def warm_up_s(log: str) -> float:
    """Return the seconds of the warm-up by the times in the peer's log; 0 if there was none.

    The peer reports only the first of its warm-up passes.
    """
    at = {}
    for phase in ("Warming up backend", "Running Inference latency tracking"):
        found = re.search(rf"(\d+-\d+-\d+ \d+:\d+:\d+,\d+).*{phase}", log)
        if found:
            at[phase] = datetime.fromisoformat(found[1])
    return (max(at.values()) - min(at.values())).total_seconds()


def run_once(
    venv_python: Path,
    model: Path,
    workdir: Path,
    *,
    duration_s: float,
    iterations: int,
    warmup: int,
) -> PeerRun:
    """Run one benchmark of ``model`` on the CPU through the peer's process launcher.

    The peer measures for at least ``duration_s`` seconds and at least ``iterations`` forward
    passes, after ``warmup`` forward passes. It runs in ``workdir``; its log goes to ``peer.log``
    there.
    """
    arguments = {
        "action": "launch",
        "model": str(model.resolve()),
        "duration_s": duration_s,
        "iterations": iterations,
        "warmup": warmup,
        "sequence_length": SEQUENCE_LENGTH,
    }
    workdir.mkdir(parents=True, exist_ok=True)
    log = workdir / "peer.log"
    readings: list[tuple[float, float]] = []  # (monotonic clock, CPU time of the parent), seconds
    start_s = time.monotonic()
    with log.open("w", encoding="utf-8") as stderr:
        driver = subprocess.Popen(
            [venv_python.absolute(), "-I", DRIVER, json.dumps(arguments)],
            cwd=workdir,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "LOG_TO_FILE": "0"},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,  # so that the peer's child process can be ended with it
        )
    try:
        parent = psutil.Process(driver.pid)
        while driver.poll() is None and time.monotonic() - start_s < TIMEOUT_S:
            cpu = parent.cpu_times()
            readings.append((time.monotonic(), cpu.user + cpu.system))
            time.sleep(SAMPLE_EVERY_S)
    finally:
        if driver.poll() is None:  # too late, or interrupted
            os.killpg(driver.pid, signal.SIGKILL)
    wall_with_import_s = time.monotonic() - start_s
    answer, _ = driver.communicate()
    if driver.returncode != 0:
        tail = log.read_text(encoding="utf-8")[-2000:]
        raise RuntimeError(f"optimum-benchmark failed (exit code {driver.returncode}):\n{tail}")
    seen: dict[str, float] = json.loads(answer)
    wall_s = seen["end_s"] - seen["start_s"]
    requested_s = warm_up_s(log.read_text(encoding="utf-8")) + seen["forward_total_s"]
    # The measured forward passes are the last thing the child does before launch returns.
    from_s = seen["end_s"] - seen["forward_total_s"]
    inside = [reading for reading in readings if from_s <= reading[0] <= seen["end_s"]]
    parent_cpu_percent = math.nan
    if len(inside) >= 2:
        (first_s, first_cpu_s), (last_s, last_cpu_s) = inside[0], inside[-1]
        parent_cpu_percent = 100 * (last_cpu_s - first_cpu_s) / (last_s - first_s)
    return PeerRun(
        wall_s=wall_s,
        wall_with_import_s=wall_with_import_s,
        requested_s=requested_s,
        overhead_s=wall_s - requested_s,
        parent_cpu_percent=parent_cpu_percent,
    )
