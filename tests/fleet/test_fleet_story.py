"""A fleet on a network of its own, by the command line alone: machines come, die and come back while a study runs."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fleet.conftest import MakeMachine
from tests.fleet.fleet_run import CELLS, FleetRun, running
from tests.support.ray_nodes import FAST_HEALTH, FakeMachine

pytestmark = pytest.mark.timeout(900)

REPETITIONS = 6
PLANNED = CELLS * REPETITIONS

EVERY_TRIAL = """
select machine, count(*) trials, count(distinct (model, task, block)) planned, count(distinct trial_id) ids,
       count(*) filter (status = 'ok') ok, count(distinct machine_id) machines
from trials group by all order by all
"""


def test_machines_come_and_go_and_every_trial_is_there_once(plugged: MakeMachine, tmp_path: Path) -> None:
    """Two at first; one loses its power in the middle and comes back, a third joins late."""
    head, a, b, c = plugged("head", **FAST_HEALTH), plugged("a"), plugged("b"), plugged("c")
    head.up("--head")
    token = head.state / "ray-token"

    def up(*machines: FakeMachine) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda one: one.up("--join", head.address, token=token), machines))

    up(a, b)
    with running(FleetRun(head, tmp_path, name="story", repetitions=REPETITIONS)) as run:
        run.until_ended("b", 2)
        b.die()
        run.until_line(r"^b: gone \(")
        status = run.command("status")
        assert f"process {run.pid} on head runs story since" in status
        assert re.search(rf"^(story)? +b +{PLANNED} ", status, re.MULTILINE)
        assert re.search(r"^b +gone \(", status, re.MULTILINE)
        assert re.search(r"^a +(block \d, (big|small)/one|between two trials|done|preparing)", status, re.MULTILINE)
        assert "Expected to be done at" in status

        up(b, c)
        assert run.wait() == 0
        assert len(re.findall(r"^b: joined", run.output, re.MULTILINE)) == 2
        assert f"{3 * PLANNED} of {3 * PLANNED} trials ok, 0 failed." in run.output
        one = {"trials": PLANNED, "planned": PLANNED, "ids": PLANNED, "ok": PLANNED, "machines": 1}
        assert run.rows(EVERY_TRIAL) == [{"machine": name} | one for name in "abc"]
        state = run.status()
        assert (state["coordinator"], state["now"]) == (None, [])
        (study,) = state["studies"]
        assert {machine["name"]: machine["missing"] for machine in study["machines"]} == dict.fromkeys("abc", 0)
