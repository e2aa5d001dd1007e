"""A real agent with real processes and real torch models, on folders of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config import AgentSetup
from agent.runner.pool import RunnerPool
from agent.trial.measure import prepare
from joulefleet.plan.trial import Trial


@pytest.fixture(scope="session")
def pool() -> Iterator[RunnerPool]:
    """One warm runner for all tests: importing torch takes seconds."""
    pool = RunnerPool()
    yield pool
    pool.discard()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, written once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def setup(tmp_path: Path, cache: Path) -> AgentSetup:
    """An agent's folders; the lock is the test's own, so that tests can run beside anything."""
    return AgentSetup(state=tmp_path / "state", cache=cache, lock_folders=lambda: (tmp_path,))


@pytest.fixture
def environment(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same folders for the processes that a test starts."""
    monkeypatch.setenv("JOULEFLEET_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("JOULEFLEET_CACHE", str(cache))
    monkeypatch.setenv("JOULEFLEET_HOST_FOLDER", str(tmp_path))


def prepared(trial: Trial, setup: AgentSetup, pool: RunnerPool) -> Trial:
    """`trial`, with its weights ready."""
    prepare(trial.protocol.model, trial.protocol.task, setup, pool)
    return trial
