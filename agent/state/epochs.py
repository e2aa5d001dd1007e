"""The newest coordinator of each store: an agent obeys no older one."""

from __future__ import annotations

from pathlib import Path

from agent.host.files import number
from joulefleet.durable import write_durably
from joulefleet.errors import SupersededError


class Epochs:
    """The highest epoch of each store, in the agent's state folder, so that it survives a restart of the agent."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "epochs"
        self._highest: dict[str, int] = {}

    def obey(self, store_id: str, epoch: int) -> None:
        """Record `epoch`. Raises SupersededError if a higher one was recorded, OSError if it cannot be stored."""
        file = self._folder / store_id
        highest = self._highest.get(store_id)
        if highest is None:
            highest = number(file) or 0
        if epoch < highest:
            raise SupersededError(
                f"a newer coordinator (epoch {highest}) commands the agents of this store; this one has epoch {epoch}.",
                cure="Let the newer one finish, or stop it and run again.",
                highest=highest,
            )
        if epoch > highest:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_durably(file, str(epoch).encode())
        self._highest[store_id] = epoch
