"""Becoming a part of a Ray cluster: one of this machine alone, or one that is there."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.config import state_folder
from coordinator import process_exit
from coordinator.cluster.ray import patches, settings
from coordinator.cluster.ray.auth import ensure_token, need_token, token_file
from coordinator.cluster.ray.network import host_and_port, wait_for_head
from coordinator.cluster.ray.node.state import read_record
from coordinator.cluster.ray.probe import probe
from coordinator.cluster.ray.settings import AGENT_RESOURCE, NAMESPACE, OBJECT_STORE_BYTES
from joulefleet.errors import EXIT_INTERRUPTED, MachineError

_LOOPBACK = "127.0.0.1"


def start_embedded() -> Any:
    """Ray, started on this machine and ended with this process. Raises MachineError."""
    settings.apply()
    ensure_token(token_file(state_folder()))
    ray = _import_ray()
    patches.keep_loopback()
    patches.keep_quiet()
    with patches.without_monitors():
        try:
            ray.init(
                # Never `auto`: that would join whatever cluster was left running here.
                address="local",
                num_cpus=1,
                resources={AGENT_RESOURCE: 1},
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address=_LOOPBACK,
                **_init_options(),
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise MachineError(
                f"Ray could not be started here ({error}).",
                cure="See its logs under /tmp/ray; free memory and a writable /tmp are what it needs most.",
            ) from error
    return ray


def connect(address: str) -> tuple[Any, str]:
    """Ray, connected to the cluster whose head is at `address`, and which that is. Raises MachineError."""
    host_and_port(address)
    settings.apply()
    _use_record(state_folder(), address)
    need_token(token_file(state_folder()), whose=f"the head at {address}")
    ray = _import_ray()
    patches.keep_loopback()
    patches.keep_quiet()
    wait_for_head(address, wait_s=0.0)
    found = probe(address, os.environ)
    if not any(node.node_id in found.here for node in found.nodes):
        raise MachineError(
            f"no node of the cluster at {address} runs on this machine, and a coordinator needs one beside it.",
            cure="Run this on the machine of the head, or make this machine a node that measures nothing: "
            f"joulefleet node up --join {address} --no-measure-here.",
        )
    try:
        ray.init(address=address, **_init_options())
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise MachineError(
            f"the cluster at {address} cannot be joined ({str(error).splitlines()[0]}).",
            cure="See that the head is up, and that Ray and Python are of the same versions there and here.",
        ) from error
    return ray, found.cluster


class Head:
    """Whether the control server of a cluster is there, and what it says. `cluster_now` asks it which it is.

    It is asked by a connection first: Ray itself would wait a minute and then end this process.
    """

    def __init__(
        self,
        address: str,
        *,
        gone_after_s: float,
        nodes: Callable[[], list[dict[str, Any]]],
        cluster: str | None = None,
        cluster_now: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._gone_after_s = gone_after_s
        self._nodes = nodes
        self._clock = clock
        self._away_since: float | None = None
        self._was_away = False
        self._cluster = cluster
        self._cluster_now = cluster_now

    def there(self) -> bool:
        """Whether it listens, as far as is known."""
        try:
            wait_for_head(self._address, wait_s=0.0)
        except MachineError:
            self._was_away = True
            if self._away_since is None:
                self._away_since = self._clock()
        else:
            self._away_since = None
        return self._away_since is None

    def nodes(self) -> list[dict[str, Any]] | None:
        """The nodes it knows; None while it is away. Raises MachineError once it will not come back."""
        if self.there():
            self._check_same()
            # It may go in this very moment, or hang; then Ray's call does not return in time.
            answer: list[list[dict[str, Any]]] = []
            asking = threading.Thread(target=lambda: answer.append(self._nodes()), daemon=True)
            asking.start()
            asking.join(self._gone_after_s)
            if answer:
                return answer[0]
        elif self._clock() - (self._away_since or 0.0) <= self._gone_after_s:
            return None
        raise MachineError(
            f"the head at {self._address} has gone.",
            cure="Start it again, and its nodes; then run again: finished trials are kept and not repeated.",
        )

    def _check_same(self) -> None:
        """Raise MachineError where what has come back is another cluster: asked for its nodes, Ray would crash."""
        if self._was_away and self._cluster_now is not None and self._cluster_now() != self._cluster:
            raise MachineError(
                f"the head at {self._address} was started anew: its nodes have to join it, and so has this run.",
                cure="Run again once its nodes are up: finished trials are kept and not repeated.",
            )
        self._was_away = False


def leave_without_head() -> None:
    """Have this process end, when it does, at once: where nobody says with which exit code, with a MachineError's.

    Ray would wait a minute for the head to say goodbye to, or crash in its destructors.
    """
    process_exit.at_once()
    interrupted = isinstance(sys.exc_info()[1], KeyboardInterrupt)
    code = EXIT_INTERRUPTED if interrupted else MachineError.exit_code

    def end() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    atexit.register(end)


def _use_record(state: Path, address: str) -> None:
    """Where a node of this machine is in that cluster, its token and certificates are the right ones here too."""
    record = read_record(state)
    if record is not None and record.head == address:
        for name, value in record.access.items():
            os.environ.setdefault(name, value)


def _init_options() -> dict[str, Any]:
    return {
        "namespace": NAMESPACE,
        "log_to_driver": False,
        "configure_logging": True,
        "logging_level": logging.ERROR,
    }


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MachineError(
            "Ray is not installed here.", cure="pip install 'joulefleet[all]' on machines that measure."
        ) from error
    return ray
