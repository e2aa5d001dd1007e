"""A soak from beginning to end: faults at random moments, then a quiet time, then the checker's result."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.checker import Broken, check, finished
from tests.soak.faults import KINDS
from tests.soak.fleet import Fleet
from tests.soak.processes import wait_for

BEGINS_S = 240.0
"""The fleet has come up and finished its first trials by then."""
APPLICABLE_S = 90.0
WORK_S = 15.0
"""Between two faults a trial is finished, unless that takes longer."""
MOST_GAP_S = 4.0
CALM_S = 240.0
COMPLETE_S = 600.0
MOST_RUNS = 6
SAYS_EVERY_S = 10.0


class SoakError(Exception):
    """The soak itself could not go on."""


@dataclass(slots=True, kw_only=True)
class Result:
    """The result of a soak."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    codes: dict[str, int] = field(default_factory=dict)
    trials: int = 0
    seconds: float = 0.0
    cut_short: int = 0
    """Faults for which no time was left."""
    broken: list[Broken] = field(default_factory=list)
    problem: str = ""


def soak(fleet: Fleet, faults: Sequence[str], result: Result, *, minutes: float) -> None:
    """Run `faults` on a fleet that is at work, repair it, and let it finish. Raise SoakError if that is impossible."""
    began = time.monotonic()
    ends = began + minutes * 60
    say = _Progress(fleet, len(faults), result)
    if not wait_for(lambda: fleet.eye.let_go >= len(fleet.nodes), BEGINS_S):
        raise SoakError("the fleet did not begin")
    for number, name in enumerate(faults):
        if time.monotonic() > ends:
            result.cut_short = len(faults) - number
            break
        one(fleet, name, result)
        let_go, gap = fleet.eye.let_go, min(fleet.luck.expovariate(1.0), MOST_GAP_S)
        fleet.pause(gap)
        wait_for(lambda before=let_go: say() and fleet.eye.let_go > before, WORK_S)  # type: ignore[misc]
        fleet.calm()
    say.now("calm")
    if not wait_for(lambda: say() and fleet.calm() and all(machine.is_up() for machine in fleet.machines()), CALM_S):
        raise SoakError(f"not everything came back: {[m.name for m in fleet.machines() if not m.is_up()]}")
    _complete(fleet, say)
    result.codes = dict(fleet.coordinators.codes)


def one(fleet: Fleet, name: str, result: Result) -> None:
    """Run one fault, as soon as there is something to hit."""
    fault, _ = KINDS[name]
    ends = time.monotonic() + APPLICABLE_S
    while (whom := fault(fleet)) is None:
        if time.monotonic() > ends:
            result.skipped[name] += 1
            fleet.record("skipped", why=name)
            return
        fleet.pause(0.2)
    result.faults[name] += 1
    fleet.record("fault", kind=name, whom=whom)


def _complete(fleet: Fleet, say: _Progress) -> None:
    """Run every study until nothing of it is missing."""
    coordinators = fleet.coordinators
    coordinators.wanted = False
    wait_for(lambda: say() and coordinators.settled(), COMPLETE_S)
    say.now("complete")
    for study in fleet.studies.files():
        # First as a user would; then what had failed by so many faults once more.
        code = None
        for attempt in range(MOST_RUNS):
            code = coordinators.run_once(study, COMPLETE_S, retry=attempt > 0)
            say()
            if code == 0 and _is_complete(fleet, study):
                break
        else:
            fleet.record("not_complete", study=study.stem, code=code)
    done = fleet.head.fake.command("compact", "--store", str(fleet.store))
    fleet.record("compact", code=done.returncode, said=done.stderr[-300:])


def _is_complete(fleet: Fleet, study: Path) -> bool:
    missing = [broken for broken in check(fleet.folder, only=("missing",)) if broken.rows]
    return not any(row["study"] == study.stem for broken in missing for row in broken.rows)


def judge(fleet: Fleet, result: Result) -> None:
    """Run the checker, when nothing of the fleet runs any more."""
    result.broken = check(fleet.folder)
    result.trials = finished(fleet.folder)


def summary(result: Result) -> str:
    """Return the result as text."""
    counts: Mapping[str, int] = {broken.law: broken.count for broken in result.broken}
    laws = ("lost", "altered", "missing", "duplicated", "repeated", "unstarted", "overlapping", "epochs_back", "torn")
    lines = ["faults:", *(f"  {name:<22}{count}" for name, count in sorted(result.faults.items()))]
    lines += [f"  left out: {name:<12}{count}" for name, count in sorted(result.skipped.items())]
    ends = ", ".join(f"{code}: {count}" for code, count in sorted(result.codes.items()))
    lines += [f"coordinators by exit code: {ends}", f"trials finished: {result.trials}"]
    lines += [", ".join(f"{law.replace('_', ' ')} {counts.get(law, 0)}" for law in (*laws, "unruly"))]
    lines += [f"{sum(result.faults.values())} faults, {result.seconds:.0f} s, seed {result.seed}"]
    if result.cut_short:
        lines += [f"CUT SHORT: no time was left for {result.cut_short} faults"]
    for broken in result.broken:
        lines += [f"BROKEN {broken.law}, {broken.count} rows:"]
        lines += [f"  {json.dumps(row, default=str)}" for row in broken.rows]
    if result.problem:
        lines += [f"PROBLEM {result.problem}"]
    return "\n".join(lines)


class _Progress:
    """Prints a line from time to time."""

    def __init__(self, fleet: Fleet, faults: int, result: Result) -> None:
        self._fleet, self._faults, self._result = fleet, faults, result
        self._began = time.monotonic()
        self._next = self._began

    def __call__(self) -> bool:
        """Print a line if it is time for one; return True."""
        if time.monotonic() >= self._next:
            self.now("faults")
        return True

    def now(self, phase: str) -> None:
        """Print a line now."""
        self._next = time.monotonic() + SAYS_EVERY_S
        fleet = self._fleet
        up = " ".join(f"{machine.name}{'+' if machine.is_up() else '-'}" for machine in fleet.machines())
        current = fleet.coordinators.current
        done = sum(self._result.faults.values()) + sum(self._result.skipped.values())
        line = (
            f"{time.monotonic() - self._began:6.0f} s  {phase}: {done} of {self._faults} faults, "
            f"{fleet.eye.let_go} rows stored, {up}, coordinator {current.number if current else '-'}"
        )
        alone = sys.stderr.isatty()
        sys.stderr.write(f"\r\x1b[K{line}" if alone else f"{line}\n")
        sys.stderr.flush()
