"""The agent as its coordinators use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import AgentSetup
from agent.service import LEASE_S, AgentService
from joulefleet.errors import BusyError, MachineError, SupersededError


class Clock:
    """Seconds that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def service(folder: Path, clock: Clock) -> AgentService:
    """Return an agent with its state in `folder`."""
    return AgentService(
        AgentSetup(state=folder / "state", cache=folder, lock_folders=lambda: (folder,)), monotonic=clock
    )


def test_the_coordinator_of_another_store_waits_until_the_first_has_been_silent(tmp_path: Path) -> None:
    """Two coordinators would delay each other's trials; after LEASE_S of silence another one may take over."""
    clock = Clock()
    agent = service(tmp_path, clock)
    agent.acknowledge("one", [], 3)
    clock.now += LEASE_S - 1
    with pytest.raises(BusyError, match=r"another store \(one\)"):
        agent.acknowledge("two", [], 1)
    assert agent.commanded_by("one", 3)
    clock.now += 2
    agent.acknowledge("two", [], 1)
    assert agent.commanded_by("two", 1)
    assert not agent.commanded_by("one", 3)


def test_a_newer_coordinator_of_the_same_store_commands_at_once(tmp_path: Path) -> None:
    """The older coordinator never commands again; its error has the newer one's epoch."""
    agent = service(tmp_path, Clock())
    agent.acknowledge("one", [], 3)
    agent.acknowledge("one", [], 4)
    assert not agent.commanded_by("one", 3)
    with pytest.raises(SupersededError) as raised:
        agent.acknowledge("one", [], 3)
    assert raised.value.highest == 4


def test_a_missing_row_or_a_failing_disk_concerns_this_machine_only(tmp_path: Path) -> None:
    """The coordinator can set the machine aside, and the run goes on."""
    agent = service(tmp_path, Clock())
    with pytest.raises(MachineError, match="nothing can be stored there"):
        agent.fetch("one", "gone", 1)
    (tmp_path / "state" / "outbox").mkdir(parents=True)
    (tmp_path / "state" / "outbox" / "one").write_text("a file where a folder should be")
    with pytest.raises(MachineError, match=r"\$JOULEFLEET_STATE"):
        agent.acknowledge("one", ["row"], 1)
