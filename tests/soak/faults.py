"""The faults of the soak. Each returns what it hit, or None if there was nothing to hit at that moment."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping

from tests.soak.fleet import Fleet
from tests.soak.machines import Node
from tests.soak.processes import kill, kill_all, marked, wait_for, wait_for_write
from tests.soak.studies import write_study

HEALTH_LIMIT_S = 5.0
"""A head with FAST_HEALTH has declared a node dead after so long."""

INTRUDES_S = 30.0

Fault = Callable[[Fleet], str | None]


def _node(fleet: Fleet) -> Node | None:
    able = [node for node in fleet.nodes if node.at_work()]
    return fleet.luck.choice(able) if able else None


def kill_work(fleet: Fleet) -> str | None:
    """Kill the process that is measured."""
    node = _node(fleet)
    pid = None if node is None else node.work()
    if node is None or pid is None:
        return None
    kill(pid)
    return node.name


def kill_runner(fleet: Fleet) -> str | None:
    """Kill the fork server."""
    node = _node(fleet)
    pid = None if node is None else node.runner()
    if node is None or pid is None:
        return None
    kill(pid)
    return node.name


def kill_agent(fleet: Fleet) -> str | None:
    """Kill the Ray worker that is the agent."""
    node = _node(fleet)
    pid = None if node is None else node.agent()
    if node is None or pid is None:
        return None
    if fleet.luck.random() < 0.5:
        wait_for_write(node.fake.state / "outbox")
    kill(pid)
    return node.name


def kill_raylet(fleet: Fleet) -> str | None:
    """Kill a node's raylet."""
    node = _node(fleet)
    if node is None:
        return None
    node.kill_raylet()
    return node.name


def kill_coordinator(fleet: Fleet) -> str | None:
    """Kill the coordinator."""
    if not fleet.has_coordinator():
        return None
    if fleet.luck.random() < 0.5:
        wait_for_write(fleet.store / "attempts")
    fleet.coordinators.kill()
    return "head"


def kill_control_server(fleet: Fleet) -> str | None:
    """Kill the head's control server: the whole fleet has to start again."""
    if not fleet.has_coordinator():
        return None
    kill(fleet.head.server)
    fleet.head.rest()
    return "head"


def cut_short(fleet: Fleet) -> str | None:
    """Disconnect a node for less time than the health limit."""
    return _cut(fleet, fleet.luck.uniform(0.3, 2.0))


def cut_long(fleet: Fleet) -> str | None:
    """Disconnect a node for so long that Ray declares it dead; `node up` starts it again."""
    return _cut(fleet, fleet.luck.uniform(HEALTH_LIMIT_S + 1, HEALTH_LIMIT_S + 6))


def _cut(fleet: Fleet, seconds: float) -> str | None:
    node = _node(fleet)
    if node is None:
        return None
    node.hold()
    fleet.network.cut(node.plug)

    def repair() -> None:
        fleet.pause(seconds)
        fleet.network.plug_in(node.plug)
        if seconds > HEALTH_LIMIT_S:
            # By the operator, whether or not its raylet has noticed.
            with node.lock:
                node.cluster = 0
        node.let_go()

    fleet.later(repair)
    return node.name


def move(fleet: Fleet) -> str | None:
    """Start a node again under another address."""
    node = _node(fleet)
    if node is None:
        return None
    node.hold()

    def go() -> None:
        node.move(fleet.network_lock)
        node.let_go()

    fleet.later(go)
    return node.name


def usurp(fleet: Fleet) -> str | None:
    """Lose the store's lock, as on a network file system, and start a second coordinator."""
    with fleet.coordinators.lock:
        old = fleet.coordinators.current
        if old is None or not old.works() or fleet.coordinators.older:
            return None
        (fleet.coordinators.store / ".lock").unlink(missing_ok=True)
        fleet.coordinators.begin()
    fleet.later(lambda: fleet.coordinators.unseated(old, "a newer one has come"))
    return f"coordinator {old.number}"


def freeze(fleet: Fleet) -> str | None:
    """Stop a coordinator, start a second one, and continue the first."""
    with fleet.coordinators.lock:
        old = fleet.coordinators.current
        if old is None or not old.works() or fleet.coordinators.older:
            return None
        kill(old.process.pid, signal.SIGSTOP)
        if fleet.head.shadow.held():
            # It would keep everybody out of the disk's image, which is no part of the product.
            kill(old.process.pid, signal.SIGCONT)
            return None
        (fleet.coordinators.store / ".lock").unlink(missing_ok=True)
        fleet.coordinators.begin()
        new = fleet.coordinators.current
    seconds = fleet.luck.uniform(0, 6)

    def thaw() -> None:
        wait_for(lambda: new is None or new.works() or new.process.poll() is not None, 30, stop=fleet.stopping.is_set)
        fleet.pause(seconds)
        kill(old.process.pid, signal.SIGCONT)
        fleet.coordinators.unseated(old, "a newer one has come while it was stopped")

    fleet.later(thaw)
    return f"coordinator {old.number}"


def intrude(fleet: Fleet) -> str | None:
    """Measure on a machine of the fleet from outside it, into another store."""
    node = _node(fleet)
    if node is None or any(kept.intruder for kept in fleet.nodes):
        return None
    local, also_kill = fleet.luck.random() < 0.6, fleet.luck.random() < 0.6
    node.intruder = True

    def go() -> None:
        try:
            _intruder(fleet, node, local=local, also_kill=also_kill)
        finally:
            node.intruder = False

    fleet.later(go)
    return node.name


def _intruder(fleet: Fleet, node: Node, *, local: bool, also_kill: bool) -> None:
    folder = fleet.folder / "intruders" / f"{node.name}-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    study = write_study(folder, "intruder", 4)
    mark = f"SOAK_INTRUDER={folder.name}"
    name, _, value = mark.partition("=")
    environment = {key: text for key, text in node.fake.environment().items() if not key.startswith("SOAK_W")}
    environment |= {"JOULEFLEET_STATE": str(folder / "state"), "RAY_TMPDIR": str(fleet.folder / "t"), name: value}
    with (fleet.logs / f"intruder-{folder.name}.log").open("wb") as out:
        process = subprocess.Popen(
            [*node.fake.program, "run", str(study), "--store", str(folder / "store"), *(["--local"] if local else [])],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if also_kill:
        # While the fleet's agent comes back, the machine is free.
        fleet.pause(fleet.luck.uniform(2, 5))
        agent = node.agent()
        if agent is not None:
            kill(agent)
    wait_for(lambda: process.poll() is not None, INTRUDES_S, stop=fleet.stopping.is_set)
    code = process.poll()
    kill_all(lambda: marked(fleet.mark, mark))
    process.wait()
    fleet.record("intruder", machine=node.name, code=code, local=local)


def lose_power(fleet: Fleet) -> str | None:
    """Turn a machine off; its disk keeps what was synced."""
    node = _node(fleet)
    if node is None:
        return None
    node.hold()

    def go() -> None:
        lost = node.lose_power()
        node.let_go()
        fleet.record("power_lost", machine=node.name, loss=str(lost))

    fleet.later(go)
    return node.name


def lose_power_of_head(fleet: Fleet) -> str | None:
    """Turn the machine of the coordinator and the store off."""
    if not fleet.has_coordinator():
        return None
    with fleet.coordinators.lock:
        fleet.coordinators.forget_killed()
        lost = fleet.head.lose_power()
    fleet.record("power_lost", machine="head", loss=str(lost))
    return "head"


KINDS: Mapping[str, tuple[Fault, int]] = {
    "kill work": (kill_work, 18),
    "kill runner": (kill_runner, 10),
    "kill agent": (kill_agent, 10),
    "kill raylet": (kill_raylet, 7),
    "kill coordinator": (kill_coordinator, 16),
    "kill control server": (kill_control_server, 3),
    "cut, short": (cut_short, 14),
    "cut, long": (cut_long, 5),
    "other address": (move, 4),
    "two coordinators": (usurp, 10),
    "stopped coordinator": (freeze, 6),
    "intruder": (intrude, 6),
    "power of a node": (lose_power, 9),
    "power of the head": (lose_power_of_head, 3),
}
"""Each with its weight."""


def deck(count: int, luck: random.Random, kinds: Mapping[str, tuple[Fault, int]] = KINDS) -> list[str]:
    """Return `count` faults in random order: each kind about as often as its weight says, and at least once."""
    total = sum(weight for _, weight in kinds.values())
    names = [name for name, (_, weight) in kinds.items() for _ in range(max(1, round(count * weight / total)))]
    luck.shuffle(names)
    while len(names) < count:
        names.append(luck.choice(names))
    return names[:count]
