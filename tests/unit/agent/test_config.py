"""Where an agent finds its folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config import AgentSetup, cache_folder, powercap_folder, state_folder


@pytest.mark.parametrize(
    ("folder", "variable", "base", "default"),
    [
        (state_folder, "JOULEFLEET_STATE", "XDG_STATE_HOME", ".local/state"),
        (cache_folder, "JOULEFLEET_CACHE", "XDG_CACHE_HOME", ".cache"),
    ],
)
def test_our_own_variable_comes_before_the_desktops_and_that_before_the_home(
    folder: Callable[[], Path], variable: str, base: str, default: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty variable counts as none."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv(variable, "")
    monkeypatch.delenv(base, raising=False)
    assert folder() == Path("/home/me") / default / "joulefleet"
    monkeypatch.setenv(base, "/base")
    assert folder() == Path("/base/joulefleet")
    monkeypatch.setenv(variable, "/mine")
    assert folder() == Path("/mine")


def test_a_setup_follows_the_environment_of_its_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variables are read when it is made, not at import."""
    monkeypatch.setenv("JOULEFLEET_SYSFS_ROOT", "/simulated/sys")
    monkeypatch.setenv("JOULEFLEET_POWERCAP", "/host/powercap")
    monkeypatch.setenv("JOULEFLEET_ENVIRONMENT", "rootless")
    monkeypatch.setenv("JOULEFLEET_HOST_FOLDER", str(tmp_path))
    setup = AgentSetup()
    assert (setup.sysfs_root, setup.powercap) == (Path("/simulated/sys"), Path("/host/powercap"))
    assert (setup.environment, setup.runners) == ("rootless", tmp_path / "runners")
    assert list(setup.observers()) == []


def test_without_variables_the_kernels_own_tree_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """And powercap is looked for in it."""
    for name in ("JOULEFLEET_SYSFS_ROOT", "JOULEFLEET_POWERCAP"):
        monkeypatch.delenv(name, raising=False)
    assert AgentSetup().sysfs_root == Path("/sys")
    assert powercap_folder() is None
