"""Joining a Ray cluster: one of this machine alone, or one that runs already. And whether its head is still there."""

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

_INIT_OPTIONS: dict[str, Any] = {
    "namespace": NAMESPACE,
    "log_to_driver": False,
    "configure_logging": True,
    "logging_level": logging.ERROR,
}


def start_embedded(*, gone_after_s: float) -> tuple[Any, Head]:
    """Start Ray on this machine, to end with this process. Return its module and head. Raises MachineError."""
    ensure_token(token_file(state_folder()))
    ray = _load_ray()
    with patches.without_monitors():
        try:
            ray.init(
                # Never `auto`, which joins any cluster that was left running here.
                address="local",
                num_cpus=1,
                resources={AGENT_RESOURCE: 1},
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address=_LOOPBACK,
                **_INIT_OPTIONS,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise MachineError(
                f"Ray could not be started here ({error}).",
                cure="Look at its logs in /tmp/ray. It needs free memory and a writable /tmp.",
            ) from error
    return ray, Head(ray.get_runtime_context().gcs_address, gone_after_s=gone_after_s, nodes=ray.nodes)


def connect(address: str, *, gone_after_s: float) -> tuple[Any, Head]:
    """Join the cluster whose head is at `address`. Return Ray's module and the head. Raises MachineError."""
    host_and_port(address)
    _use_record(state_folder(), address)
    need_token(token_file(state_folder()), whose=f"the head at {address}")
    ray = _load_ray()
    wait_for_head(address, wait_s=0.0)
    cluster = probe(address, os.environ)
    if not any(node.node_id in cluster.here for node in cluster.nodes):
        raise MachineError(
            f"no node of the cluster at {address} runs on this machine, and a coordinator needs one on its machine.",
            cure="Run this on the machine of the head, or make this machine a node that measures nothing: "
            f"joulefleet node up --join {address} --no-measure-here.",
        )
    try:
        ray.init(address=address, **_INIT_OPTIONS)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise MachineError(
            f"the cluster at {address} cannot be joined ({str(error).splitlines()[0]}).",
            cure="Check that the head is up, and that Ray and Python have the same versions there and here.",
        ) from error
    head = Head(
        ray.get_runtime_context().gcs_address,
        gone_after_s=gone_after_s,
        nodes=ray.nodes,
        session=cluster.session,
        session_now=lambda: probe(address, os.environ).session,
    )
    return ray, head


class Head:
    """The control server of a cluster: whether it is there, and which nodes it knows.

    RayCluster owns it. It tries a plain connection first, as Ray itself would wait for a minute and then end this
    process. Once `nodes` has raised, the head is gone for good, and nothing may be asked of Ray any more.
    `session` names the cluster that was joined, and `session_now` asks for the one that is there: a head that was
    started anew has another. Both are None for an embedded head, which ends with this process.
    """

    def __init__(
        self,
        address: str,
        *,
        gone_after_s: float,
        nodes: Callable[[], list[dict[str, Any]]],
        session: str | None = None,
        session_now: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._gone_after_s = gone_after_s
        self._nodes = nodes
        self._session = session
        self._session_now = session_now
        self._clock = clock
        self._away_since_s: float | None = None
        self._was_away = False
        self._is_gone = False

    def is_there(self) -> bool:
        """Tell whether it listens, as far as is known."""
        if self._is_gone:
            return False
        try:
            wait_for_head(self._address, wait_s=0.0)
        except MachineError:
            self._was_away = True
            if self._away_since_s is None:
                self._away_since_s = self._clock()
        else:
            self._away_since_s = None
        return self._away_since_s is None

    def nodes(self) -> list[dict[str, Any]] | None:
        """Return the nodes it knows; None while it is away. Raises MachineError once it will not come back."""
        if self.is_there():
            self._check_session()
            # It may go at this moment, or hang; then Ray's call does not return in time.
            answers: list[list[dict[str, Any]]] = []
            thread = threading.Thread(target=lambda: answers.append(self._nodes()), daemon=True)
            thread.start()
            thread.join(self._gone_after_s)
            if answers:
                return answers[0]
        elif self._clock() - (self._away_since_s or 0.0) <= self._gone_after_s:
            return None
        self._is_gone = True
        raise MachineError(
            f"the head at {self._address} has gone.",
            cure="Start it again, and its nodes; then run again: finished trials are kept and not repeated.",
        )

    def _check_session(self) -> None:
        """Raise MachineError where another cluster is there now: Ray would crash if it were asked for its nodes."""
        if self._was_away and self._session_now is not None and self._session_now() != self._session:
            self._is_gone = True
            raise MachineError(
                f"the head at {self._address} was started anew: its nodes have to join it, and so has this run.",
                cure="Run again once its nodes are up: finished trials are kept and not repeated.",
            )
        self._was_away = False


def leave_without_head() -> None:
    """Arrange that this process, when it ends, ends without Ray, which would wait a minute for the head or crash.

    Where no exit code is given, it is that of an interrupt or of a MachineError.
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
    """Use the token and certificates of this machine's node, if the node is in the cluster at `address`."""
    record = read_record(state)
    if record is not None and record.head == address:
        for name, value in record.access.items():
            os.environ.setdefault(name, value)


def _load_ray() -> Any:
    settings.apply()
    settings.need_ray()
    import ray

    patches.keep_loopback()
    patches.keep_quiet()
    return ray
