"""How a fork server is started."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from agent.host.cgroup import usable_cpus
from agent.runner.spawn import fork_server_environment, peer


def test_every_thread_setting_is_explicit_and_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries read different variables; those that the agent inherited count for nothing."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MKL_DYNAMIC", "TRUE")
    environment = fork_server_environment(2)
    settings = {name: environment[name] for name in environment if name.endswith("_NUM_THREADS")}
    assert settings == {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    assert "MKL_DYNAMIC" not in environment


def test_0_threads_are_one_for_every_usable_cpu() -> None:
    """The number is set explicitly, so that it can be recorded."""
    assert fork_server_environment(0)["OMP_NUM_THREADS"] == str(usable_cpus())


def test_nothing_of_ray_reaches_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work imports this very package, and is no Ray worker."""
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment = fork_server_environment(1)
    assert not any(name.startswith("RAY_") for name in environment)
    root = str(Path(__file__).resolve().parents[4])
    assert environment["PYTHONPATH"].split(os.pathsep) == [root, "/elsewhere"]


def test_the_peer_of_a_connection_is_the_kernels_word() -> None:
    """Process and user need no message."""
    left, right = socket.socketpair()
    with left, right:
        assert peer(left) == (os.getpid(), os.geteuid())
