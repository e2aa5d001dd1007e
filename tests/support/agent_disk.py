"""A simulated agent's disk: its epochs and its outbox, in memory or by the agent's own classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from agent.state.epochs import Epochs
from agent.state.outbox import Outbox
from joulefleet.errors import SupersededError
from joulefleet.schema import attempt_table
from tests.support.simulated_outcomes import SimulatedOutcome, memory_file


class AgentDisk(Protocol):
    """What an agent keeps for one store when it dies."""

    def obey(self, store_id: str, epoch: int) -> None:
        """Keep `epoch`. Raises SupersededError where a higher one was kept before."""
        ...

    def put(self, made: SimulatedOutcome) -> bytes:
        """Keep the row durably; return its file."""
        ...

    def waiting(self) -> Sequence[str]:
        """Return the ids of the attempts that are not acknowledged."""
        ...

    def get(self, attempt_id: str) -> bytes:
        """Return the file of an attempt."""
        ...

    def acknowledge(self, attempt_id: str) -> None:
        """Drop an attempt."""
        ...


class MemoryDisk:
    """A `AgentDisk` in memory. Its files are those that `fact_in` reads."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._epoch = 0

    def obey(self, store_id: str, epoch: int) -> None:
        """See `AgentDisk`."""
        if epoch < self._epoch:
            raise SupersededError("a newer coordinator commands.", cure="Let it finish.", highest=self._epoch)
        self._epoch = epoch

    def put(self, made: SimulatedOutcome) -> bytes:
        """See `AgentDisk`."""
        data = memory_file(made)
        self._files[made.trial.attempt_id] = data
        return data

    def waiting(self) -> Sequence[str]:
        """See `AgentDisk`."""
        return sorted(self._files)

    def get(self, attempt_id: str) -> bytes:
        """See `AgentDisk`."""
        return self._files[attempt_id]

    def acknowledge(self, attempt_id: str) -> None:
        """See `AgentDisk`."""
        self._files.pop(attempt_id, None)


class FileDisk:
    """A `AgentDisk` of an agent's own classes, in a folder."""

    def __init__(self, folder: Path, store_id: str) -> None:
        self._folder = folder
        self._outbox = Outbox(folder / "outbox", store_id)
        self.waiting, self.get, self.acknowledge = self._outbox.waiting, self._outbox.get, self._outbox.acknowledge

    def obey(self, store_id: str, epoch: int) -> None:
        """See `AgentDisk`. As an agent that has just started, know only what is on the disk."""
        Epochs(self._folder).obey(store_id, epoch)

    def put(self, made: SimulatedOutcome) -> bytes:
        """See `AgentDisk`."""
        return self._outbox.put(made.trial.attempt_id, attempt_table(made.row()))
