"""`python -m agent.simulation`: update the files of a simulated machine until interrupted."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from agent.simulation.live import LiveMachine, Load, sockets_of
from agent.simulation.machine import SimulatedMachine
from agent.simulation.options import Options, read_options
from agent.simulation.tree import TRUTH, make_tree
from agent.simulation.truth import TruthLog
from joulefleet.errors import JoulefleetError

_STAT = Path("/proc/stat")

_WELCOME = """A simulated machine is in {root}: {counters} energy counters, {peak:.0f} W a package at most.
  JOULEFLEET_SYSFS_ROOT={root} joulefleet doctor
  JOULEFLEET_SYSFS_ROOT={root} joulefleet run quick --store simulated
Its true energy is logged in {root}/{truth}. Ctrl-C ends it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM, and return the exit code."""
    load = Load(_STAT)
    try:
        return _run(read_options(argv, cpus=len(load.cpus)), load)
    except JoulefleetError as error:
        sys.stderr.write(f"simulation: {error}\n")
        return error.exit_code
    finally:
        load.close()


def welcome(root: Path, machine: SimulatedMachine) -> str:
    """Return the text that is printed once the files of `machine` are in `root`."""
    return _WELCOME.format(root=root, counters=len(machine.domains), peak=machine.package_peak_w, truth=TRUTH)


def _run(options: Options, load: Load) -> int:
    root, machine = options.root.resolve(), options.machine
    cpus = sockets_of(load.cpus, machine.sockets)
    tree = make_tree(root, machine, cpus)
    interrupted = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    log = TruthLog(root / TRUTH, [domain.channel for domain in machine.domains])
    try:
        live = LiveMachine(machine, tree, log, cpus, seed=options.seed, now_ns=time.monotonic_ns())
        sys.stdout.write(welcome(root, machine))
        if not _take_real_time_priority():
            sys.stdout.write(
                "No real-time priority (not permitted): counters may be a few ms late while all CPUs are busy.\n"
            )
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        live.run(load, interrupted.is_set)
    finally:
        log.close()
        tree.close()
    return 0


def _take_real_time_priority() -> bool:
    """Take real-time priority, so that the counters are updated in time while every CPU is busy; False if refused."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
