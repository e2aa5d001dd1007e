"""`joulefleet runner`."""

from __future__ import annotations

from typing import Annotated

import typer


def runner(
    label: Annotated[
        str | None,
        typer.Argument(
            metavar="ENVIRONMENT",
            help="What studies call this environment. Default: $JOULEFLEET_ENVIRONMENT; else pod, container or bare.",
        ),
    ] = None,
) -> None:
    """Wait in this environment for the host's agent, which has trials of it done here, until Ctrl-C or SIGTERM.

    The agent measures bare metal, containers and pods of one machine through the same path. It finds the
    runner in the host's folder ($JOULEFLEET_HOST_FOLDER, default /run/joulefleet), which both must see, as
    they must the cache ($JOULEFLEET_CACHE); and it must see the runner's processes.

    \b
    Examples:
      joulefleet runner                      in a container or a pod
      joulefleet runner rootless             under a name of your own: `environments: [bare, rootless]`
      joulefleet run mine.yaml               whose `environments:` name it
    """
    import re
    import signal
    import sys
    from functools import partial

    from agent.config import AgentSetup
    from agent.host.environment import environment_label
    from agent.runner.discovery import describe_own, runners_folder
    from agent.runner.server import RunnerService
    from joulefleet.study.spec import NAME_PATTERN

    label = label or environment_label()
    if not re.fullmatch(NAME_PATTERN, label):
        raise typer.BadParameter("letters, digits, and . _ + - between them.", param_hint="ENVIRONMENT")
    setup = AgentSetup()
    describe = partial(describe_own, label, setup.cache, sysfs_root=setup.sysfs_root, proc_root=setup.proc_root)
    service = RunnerService(runners_folder(), label, describe)
    service.stop_on(signal.SIGTERM, signal.SIGINT)
    print(f"The runner of {label} waits at {service.path}.", file=sys.stderr)
    service.serve()
