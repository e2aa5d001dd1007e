from pathlib import Path

import pytest

from agent.state.epochs import Epochs
from joulefleet.errors import SupersededError


def test_the_newest_coordinator_is_obeyed(tmp_path: Path) -> None:
    """The same or a higher epoch is accepted, a lower one never again."""
    epochs = Epochs(tmp_path)
    for epoch in (3, 3, 4):
        epochs.obey("store", epoch)
    with pytest.raises(SupersededError, match="epoch 4"):
        epochs.obey("store", 3)


def test_an_agent_that_restarts_remembers_the_epoch(tmp_path: Path) -> None:
    """The epoch is on disk before the first command is obeyed; each store has its own."""
    Epochs(tmp_path).obey("store", 7)
    with pytest.raises(SupersededError):
        Epochs(tmp_path).obey("store", 6)
    Epochs(tmp_path).obey("another", 1)
