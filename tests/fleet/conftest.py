"""Several Ray nodes on this host, each a machine of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.cluster.ray.node.state import read_record
from tests.fleet.fleet_run import FleetRun, running
from tests.support.network import Network, network
from tests.support.ray_nodes import FAST_HEALTH, FakeMachine

MakeMachine = Callable[..., FakeMachine]

SLOWER_HEALTH = FAST_HEALTH | {"RAY_health_check_failure_threshold": "6"}
"""Of a head: a cable may be out for longer than a trial takes, and then for some eight seconds."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, written once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def net() -> Iterator[Network]:
    """A network for all who need one."""
    with network() as made:
        yield made


@pytest.fixture(scope="session")
def lasting(net: Network, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[MakeMachine]:
    """Makes machines with addresses of their own, whose nodes are up for many tests."""
    folder = tmp_path_factory.mktemp("machines")
    yield from _machines(net, folder, cache)


@pytest.fixture
def plugged(net: Network, tmp_path: Path, cache: Path) -> Iterator[MakeMachine]:
    """Makes machines with addresses of their own; their nodes are down after the test."""
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
    """A head on a network, on which nothing is measured."""
    one = lasting("head", **SLOWER_HEALTH)
    one.up("--head")
    return one


@pytest.fixture(scope="session")
def lonely(lasting: MakeMachine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRun]:
    """A run to which no machine comes. It waits for a minute, in which other tests go on."""
    head = lasting("lonely-head")
    head.up("--head")
    with running(FleetRun(head, tmp_path_factory.mktemp("lonely"), name="lonely", repetitions=2)) as run:
        yield run


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A machine that looks for a head where there is nothing."""

    machine: FakeMachine
    head: str
    waiting: subprocess.Popen[str]
    """Its `node up`."""
    said: Path


@pytest.fixture(scope="session")
def lost(
    net: Network, lasting: MakeMachine, far_head: FakeMachine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lost]:
    """Its node waits for half a minute, in which other tests go on."""
    one = lasting("lost")
    assert one.plug is not None
    one.copy_token(far_head.state / "ray-token")
    address = f"{net.nowhere(one.plug)}:6379"
    folder = tmp_path_factory.mktemp("lost")
    up = ("node", "up", "--join", address, "--listen", one.plug.address)
    waiting = one.begin(*up, folder=folder, output=folder / "said")
    yield Lost(machine=one, head=address, waiting=waiting, said=folder / "said")
    waiting.kill()
    waiting.wait()
