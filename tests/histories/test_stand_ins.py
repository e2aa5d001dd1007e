"""The simulated files and hosts of the histories agree with the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.campaign.lost_trial import row_of_lost
from coordinator.scheduling.attempt import AGENT_LOST
from coordinator.store.attempts import fact_of
from tests.support.agent_disk import FileDisk, MemoryDisk
from tests.support.simulated_cluster import hello_of
from tests.support.simulated_fleet import Agent, Host, World
from tests.support.simulated_outcomes import SimulatedOutcome, fact_in, lost_in_memory
from tests.support.tiny_trials import tiny_trial

NOW_S = 1_800_000_000.5


@pytest.mark.parametrize("reason", [None, "timeout"])
def test_a_file_in_memory_reads_as_one_in_parquet(tmp_path: Path, reason: str | None) -> None:
    """This holds for numbers and lists too."""
    trial = tiny_trial(attempt=2, round=3, place="m0")
    made = SimulatedOutcome(trial=trial, machine_id="m0", boot_id="boot", started_s=NOW_S, wall_s=10.0, reason=reason)
    in_parquet = FileDisk(tmp_path, "store").put(made)
    assert fact_in(MemoryDisk().put(made)) == fact_of(in_parquet) == fact_in(in_parquet)


def test_the_row_of_a_lost_agent_reads_the_same_in_memory() -> None:
    """The coordinator writes it, not an agent."""
    hello = hello_of(Agent(World(), Host("m0", "host0", MemoryDisk())))
    trial = tiny_trial(place="m0")
    lost = fact_in(lost_in_memory(trial, hello, now_s=NOW_S))
    assert lost.reason == AGENT_LOST
    assert lost == fact_of(row_of_lost(trial, hello, now_s=NOW_S))


def test_no_agent_outlives_a_restart_of_its_host() -> None:
    """Else it would measure in a boot that it has never reported."""
    world, host, other = World(), Host("m0", "host0", MemoryDisk()), Host("m1", "host1", MemoryDisk())
    mine, second, elsewhere = (world.agent_of(world.join(at)) for at in (host, host, other))
    mine.cut, host.lock = True, mine
    newer = world.agent_of(next(iter(world.nodes.values())))
    before = host.boot_id
    world.restart(host)
    assert not any(agent.alive for agent in (mine, second, newer))
    assert elsewhere.alive
    assert host.lock is None
    assert host.boot_id != before
