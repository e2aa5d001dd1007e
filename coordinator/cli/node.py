"""`joulefleet node`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from coordinator.cluster.ray.node.spec import NodePlan
    from coordinator.cluster.ray.node.state import NodeRecord

node = typer.Typer(
    no_args_is_help=True,
    help="""Start or stop the Ray node of this machine, which makes it part of a fleet.

\b
Examples:
  joulefleet node up --head --listen 192.0.2.7     on the machine that coordinates
  joulefleet node up --join 192.0.2.7:6379 --listen 192.0.2.8
                                                   on each machine that measures
  joulefleet node down                             on each of these machines, at the end""",
)


@node.command()
def up(
    *,
    head: Annotated[bool, typer.Option("--head", help="Start a cluster, which other nodes then join.")] = False,
    join: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Join the cluster of this head.")] = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="The address or name under which the other nodes reach this machine. auto: the address that this "
            "machine uses to reach the head.",
        ),
    ] = "127.0.0.1",
    port_base: Annotated[
        int, typer.Option(min=1024, max=65000, help="The first of the 30 ports that the node uses.")
    ] = 6379,
    measure_here: Annotated[
        bool | None,
        typer.Option(
            "--measure-here/--no-measure-here",
            help="Whether trials run on this node. Default: on all nodes except the head.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="File with the cluster's token. Default: $RAY_AUTH_TOKEN_PATH, else ray-token in the state folder.",
        ),
    ] = None,
    tls: Annotated[
        tuple[Path, Path, Path] | None,
        typer.Option(
            metavar="CERT KEY CA",
            help="Encrypt with TLS: files with this node's certificate, its key, and the authority's certificate.",
        ),
    ] = None,
    foreground: Annotated[
        bool,
        typer.Option("--foreground", help="Run until the node ends; SIGTERM and Ctrl-C end it. For services."),
    ] = False,
    heartbeat: Annotated[
        Path | None,
        typer.Option(
            envvar="JOULEFLEET_HEARTBEAT",
            help="With --foreground: touch this file every 30 s while the node answers. For health checks.",
        ),
    ] = None,
) -> None:
    """Start a Ray node with as few background processes as possible on this machine; return once it is up.

    The head creates the token with which all nodes authenticate; copy it to the other nodes. The token
    does not encrypt: use --tls, or a private network. A node that listens on any address except 127.0.0.1
    can be reached from the network.

    \b
    Ports, with B for --port-base:
      B           on the head: nodes and coordinators connect here
      B+1 … B+6   between nodes
      B+10 … B+29 agents and coordinators

    \b
    Examples:
      joulefleet node up --head
      joulefleet node up --head --listen 192.0.2.7 --tls node.crt node.key ca.crt
      joulefleet node up --join 192.0.2.7:6379 --listen 192.0.2.8
      joulefleet node up --head --measure-here
      joulefleet node up --join head:6379 --listen auto --foreground      in a container
    """
    import os
    import signal

    from agent.config import state_folder
    from coordinator.cluster.ray.auth import VALUE_VARIABLE
    from coordinator.cluster.ray.network import HEAD_WAIT_S, address_to_listen_on
    from coordinator.cluster.ray.node import lifecycle as nodes
    from coordinator.cluster.ray.node.foreground import Heartbeat, StopSignals, foreground_lock
    from coordinator.cluster.ray.node.spec import NodePlan, Ports, Tls
    from joulefleet.errors import MachineError

    if token_file is not None and VALUE_VARIABLE in os.environ:
        raise typer.BadParameter(f"${VALUE_VARIABLE} is set and takes precedence: unset it.", param_hint="--token-file")
    if head == (join is not None):
        raise typer.BadParameter("give either --head, or --join HOST:PORT; not both.", param_hint="--head / --join")
    plan = NodePlan(
        join=join,
        listen=address_to_listen_on(listen, join, wait_s=HEAD_WAIT_S),
        ports=Ports(base=port_base),
        measures=not head if measure_here is None else measure_here,
    )
    certificates = None if tls is None else Tls(cert=tls[0], key=tls[1], ca=tls[2])
    state = state_folder()
    if not foreground:
        _print_next_steps(plan, nodes.up(plan, state=state, token=token_file, tls=certificates), token_file, state)
        return
    with foreground_lock(state):
        # A SIGTERM during the start raises KeyboardInterrupt, upon which `up` ends what it has started.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        record = nodes.up(plan, state=state, token=token_file, tls=certificates)
        signals = StopSignals()
        _print_next_steps(plan, record, token_file, state)
        requested = signals.wait(record, None if heartbeat is None else Heartbeat(heartbeat, plan.address))
        nodes.down(state)
    if not requested:
        raise MachineError(
            "the node has ended by itself.",
            cure="Look in `journalctl -k` for an out-of-memory kill, then start the node again.",
        )


def _print_next_steps(plan: NodePlan, record: NodeRecord, token_file: Path | None, state: Path) -> None:
    import sys

    from coordinator.cluster.ray.auth import token_file as default_token_file

    head = plan.join is None
    print(f"{'The head' if head else 'A node'} of the cluster at {record.head} is up.", file=sys.stderr)
    if head:
        print(_token_text((token_file or default_token_file(state)).absolute()), file=sys.stderr)
        print(f"Next, on each machine: joulefleet node up --join {record.head} --listen ADDRESS", file=sys.stderr)
        print(f"Then, here: joulefleet run STUDY --address {record.head}", file=sys.stderr)
    else:
        where = "here, or on" if not plan.measures else "on"
        print(f"Next, {where} the machine of the head: joulefleet run STUDY --address {record.head}", file=sys.stderr)


def _token_text(file: Path) -> str:
    import os

    from coordinator.cluster.ray.auth import MOUNTED, VALUE_VARIABLE

    if VALUE_VARIABLE in os.environ:
        return f"Its token is the value of ${VALUE_VARIABLE}: set the same value on each node."
    if file.is_relative_to(MOUNTED):
        return f"Its token is the secret in {file}: give each node the same secret."
    return f"Its token is in {file}: copy it to the same place on each node, chmod 600."


@node.command()
def down() -> None:
    """Stop the node of this machine: the processes that `up` started, and their child processes.

    A trial that is running is lost and will run again. Finished trials that were not delivered yet stay on
    this machine until the node is up again.

    \b
    Examples:
      joulefleet node down
    """
    import sys

    from agent.config import state_folder
    from coordinator.cluster.ray.node import lifecycle as nodes

    ended = nodes.down(state_folder())
    if ended is None:
        print("No node is up here.", file=sys.stderr)
    else:
        print(f"The node of {ended.head} is down: {ended.processes} processes ended.", file=sys.stderr)
