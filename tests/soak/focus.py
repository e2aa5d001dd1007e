"""Short runs about one safeguard each: with it nothing is amiss, without it the checker must notice."""

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
    """Have a fleet work, hit that safeguard, and have it finish, as far as it still can. Raises SoakError."""
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
    """Two who know nothing of each other measure on one machine."""
    one(fleet, "intruder", result)
    wait_for(fleet.calm, WORK_S)


def _fsync(fleet: Fleet, result: Result) -> None:
    """Power is lost where rows are measured, and where they are kept."""
    one(fleet, "power of a node", result)
    before = fleet.eye.let_go
    wait_for(lambda: fleet.calm() and fleet.eye.let_go >= before + 4, WORK_S)
    one(fleet, "power of the head", result)
    before = fleet.eye.let_go
    # Without the safeguard the store is ruined: then nobody works any more.
    wait_for(lambda: fleet.eye.let_go > before or fleet.coordinators.codes.get("4", 0) > 0, WORK_S)


def _epoch(fleet: Fleet, result: Result) -> None:
    """Two coordinators of one store, each of which believes that it is the only one."""
    one(fleet, "two coordinators", result)
    wait_for(fleet.calm, WORK_S)


FOCUSES: dict[str, Callable[[Fleet, Result], None]] = {"lock": _lock, "fsync": _fsync, "epoch": _epoch}
