"""`python -m agent.simulation`: keep the files of a simulated machine live until interrupted."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from agent.simulation.live import LiveMachine, Load, dealt
from agent.simulation.machine import SimulatedMachine
from agent.simulation.options import Options, read_options
from agent.simulation.tree import TRUTH, make_tree
from agent.simulation.truth import TruthLog
from joulefleet.errors import JoulefleetError

_STAT = Path("/proc/stat")

_WELCOME = """A simulated machine is in {root}: {counters} energy counters, {peak:.0f} W a package at most.
  JOULEFLEET_SYSFS_ROOT={root} joulefleet doctor
  JOULEFLEET_SYSFS_ROOT={root} joulefleet run quick --store simulated
What it truly drew is in {root}/{truth}. Ctrl-C ends it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code."""
    load = Load(_STAT)
    try:
        return _run(read_options(argv, cpus=len(load.cpus)), load)
    except JoulefleetError as error:
        sys.stderr.write(f"simulation: {error}\n")
        return error.exit_code
    finally:
        load.close()


def welcome(root: Path, machine: SimulatedMachine) -> str:
    """What is said of `machine` once its files are in `root`."""
    return _WELCOME.format(root=root, counters=len(machine.domains), peak=machine.package_peak_w, truth=TRUTH)


class _Ends:
    """A handler of signals that remembers that there was one."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def asked(self) -> bool:
        return self._asked


def _run(options: Options, load: Load) -> int:
    root, machine = options.root.resolve(), options.machine
    cpus = dealt(load.cpus, machine.sockets)
    tree = make_tree(root, machine, cpus)
    ends = _Ends()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ends)
    log = TruthLog(root / TRUTH, [domain.channel for domain in machine.domains])
    try:
        live = LiveMachine(machine, tree, log, cpus, seed=options.seed, now_ns=time.monotonic_ns())
        sys.stdout.write(welcome(root, machine))
        if not _hurry():
            sys.stdout.write(
                "No real-time priority (not permitted): when all CPUs are busy, counters may lag a few ms.\n"
            )
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        live.run(load, ends.asked)
    finally:
        log.close()
        tree.close()
    return 0


def _hurry() -> bool:
    """Ask for real-time priority, so that the counters are refreshed in time when every CPU is busy."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
