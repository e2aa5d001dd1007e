"""Run a fleet of real nodes and real trials under every kind of fault: `python -m tests.soak`."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.faults import deck
from tests.soak.fleet import Fleet
from tests.soak.focus import FOCUSES, focus
from tests.soak.sabotage import SABOTAGES, sabotaged
from tests.soak.soak import Result, SoakError, judge, soak, summary

STEPS = {"epoch": 16}
"""Repetitions where 8 are too few: a second coordinator may need some tries until it commands."""


def main() -> int:
    """Return 0 if every law holds, or if the sabotage was noticed; 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0, help="no new fault after that")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--step", type=int, default=15, help="repetitions by which a study grows")
    parser.add_argument("--keep", action="store_true", help="keep the folder in any case")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--sabotage", choices=sorted(SABOTAGES), help="without this safeguard: the checker must notice")
    only.add_argument("--focus", choices=sorted(FOCUSES), help="the same short run, with it")
    options = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    sys.stderr.write(f"seed {seed}\n")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    name = options.sabotage or options.focus
    result = Result(seed=seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-code-", dir="/tmp") as copy:
        # A copy in any case: what somebody edits meanwhile does not come in.
        code = sabotaged(options.sabotage or "", Path(copy))
        names = ("steady", "piloted") if name is None else ("steady",)
        nodes, step = (3, options.step) if name is None else (2, STEPS.get(name, 8))
        try:
            with Fleet(nodes=nodes, seed=seed, step=step, code=code, names=names) as fleet:
                fleet.keep = options.keep
                try:
                    if name is None:
                        soak(fleet, deck(options.faults, fleet.luck), result, minutes=options.minutes)
                    else:
                        focus(fleet, name.partition("-")[0], result)
                except SoakError as error:
                    result.problem = str(error)
                finally:
                    fleet.end()
                judge(fleet, result)
                failed = bool(result.broken or result.problem or result.cut_short)
                fleet.keep = fleet.keep or (failed and options.sabotage is None)
        except KeyboardInterrupt:
            sys.stderr.write("\nStopped.\n")
            return 130
    result.seconds = time.monotonic() - began
    sys.stdout.write(f"\n{summary(result)}\n")
    if options.sabotage is None:
        return int(failed)
    noticed = bool(result.broken)
    sys.stdout.write(f"Without {name}: {'noticed' if noticed else 'NOT NOTICED'}.\n")
    return int(not noticed)


if __name__ == "__main__":
    sys.exit(main())
