"""Machines on this host whose Ray nodes the tests share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.cluster.ray.node.state import read_record
from tests.fleet.fleet_run import FleetRun, running
from tests.support.network_namespaces import Network, network
from tests.support.ray_nodes import FAST_HEALTH, FakeMachine

MakeMachine = Callable[..., FakeMachine]

SLOWER_HEALTH = FAST_HEALTH | {"RAY_health_check_failure_threshold": "6"}
"""Settings of a head with which a machine may be unplugged for longer than a trial takes, about eight seconds."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the weights, which are written once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def net() -> Iterator[Network]:
    """Give one network to all tests that need one."""
    with network() as made:
        yield made


@pytest.fixture(scope="session")
def lasting(net: Network, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[MakeMachine]:
    """Give a maker of machines with addresses of their own, whose nodes are up for many tests."""
    folder = tmp_path_factory.mktemp("machines")
    yield from _machines(net, folder, cache)


@pytest.fixture
def plugged(net: Network, tmp_path: Path, cache: Path) -> Iterator[MakeMachine]:
    """Give a maker of machines with addresses of their own, whose nodes are down after the test."""
    yield from _machines(net, tmp_path, cache)


def _machines(net: Network, folder: Path, cache: Path) -> Iterator[MakeMachine]:
    made: list[FakeMachine] = []

    def make(name: str, **more: str) -> FakeMachine:
        one = FakeMachine(folder=folder / name, cache=cache, name=name, more=more, base=6379, plug=net.machine())
        made.append(one)
        return one

    yield make
    for one in reversed(made):
        if read_record(one.state) is not None:
            one.down()


@pytest.fixture(scope="session")
def far_head(lasting: MakeMachine) -> FakeMachine:
    """Return a head on the network that measures nothing."""
    one = lasting("head", **SLOWER_HEALTH)
    one.up("--head")
    return one


@pytest.fixture(scope="session")
def lonely(lasting: MakeMachine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRun]:
    """Give a run to which no machine comes. It waits for a minute, while other tests go on."""
    head = lasting("lonely-head")
    head.up("--head")
    with running(FleetRun(head, tmp_path_factory.mktemp("lonely"), name="lonely", repetitions=2)) as run:
        yield run


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A machine whose node looks for a head at an address where there is none."""

    machine: FakeMachine
    head: str
    waiting: subprocess.Popen[str]
    """Process of its `node up`."""
    output: Path


@pytest.fixture(scope="session")
def lost(
    net: Network, lasting: MakeMachine, far_head: FakeMachine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lost]:
    """Give a machine whose node waits for half a minute, while other tests go on."""
    one = lasting("lost")
    assert one.plug is not None
    one.copy_token(far_head.state / "ray-token")
    address = f"{net.nowhere(one.plug)}:6379"
    folder = tmp_path_factory.mktemp("lost")
    up = ("node", "up", "--join", address, "--listen", one.plug.address)
    waiting = one.begin(*up, folder=folder, output=folder / "output")
    yield Lost(machine=one, head=address, waiting=waiting, output=folder / "output")
    waiting.kill()
    waiting.wait()
