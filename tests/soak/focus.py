"""Short runs about one safeguard each: with it every law holds, without it the checker must notice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.soak.fleet import Fleet
from tests.soak.processes import wait_for
from tests.soak.sabotage import imported
from tests.soak.soak import BEGINS_S, Result, SoakError, one

COMPLETE_S = 300.0
WORK_S = 90.0


def focus(fleet: Fleet, name: str, result: Result) -> None:
    """Start a fleet, hit that safeguard, and let the fleet finish as far as it can. Raise SoakError without a fleet."""
    if not wait_for(lambda: fleet.eye.let_go >= 2 * len(fleet.nodes), BEGINS_S):
        raise SoakError("the fleet did not begin")
    # What Ray's workers import is what is tested.
    agents = {agent for node in fleet.nodes if (agent := node.agent()) is not None}
    if not agents or not agents <= imported(Path.cwd()):
        raise SoakError("the agents do not run the copy")
    coordinators = fleet.coordinators
    coordinators.grows = False
    FOCUSES[name](fleet, result)
    coordinators.wanted = False
    if not wait_for(lambda: coordinators.settled() and fleet.calm(), COMPLETE_S):
        raise SoakError("a coordinator does not end")
    for study in fleet.studies.files():
        for attempt in range(3):
            code = coordinators.run_once(study, COMPLETE_S, retry=attempt > 0)
            # 4: the store itself cannot be used any more.
            if code in {0, 4, None}:
                break
    result.codes = dict(fleet.coordinators.codes)


def _lock(fleet: Fleet, result: Result) -> None:
    """Let two agents that do not know each other measure on one machine."""
    one(fleet, "intruder", result)
    wait_for(fleet.calm, WORK_S)


def _fsync(fleet: Fleet, result: Result) -> None:
    """Lose the power of a machine that measures, and of the machine with the store."""
    one(fleet, "power of a node", result)
    before = fleet.eye.let_go
    wait_for(lambda: fleet.calm() and fleet.eye.let_go >= before + 4, WORK_S)
    one(fleet, "power of the head", result)
    before = fleet.eye.let_go
    # Without the safeguard the store is ruined: then nobody works any more.
    wait_for(lambda: fleet.eye.let_go > before or fleet.coordinators.codes.get("4", 0) > 0, WORK_S)


def _epoch(fleet: Fleet, result: Result) -> None:
    """Run two coordinators of one store, each of which believes that it is the only one."""
    one(fleet, "two coordinators", result)
    wait_for(fleet.calm, WORK_S)


FOCUSES: dict[str, Callable[[Fleet, Result], None]] = {"lock": _lock, "fsync": _fsync, "epoch": _epoch}
