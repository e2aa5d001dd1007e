"""`joulefleet runner`."""

from __future__ import annotations

from typing import Annotated

import typer


def runner(
    label: Annotated[
        str | None,
        typer.Argument(
            metavar="ENVIRONMENT",
            help="The name of this environment in studies. Default: $JOULEFLEET_ENVIRONMENT, else pod, container or "
            "bare, whichever this is.",
        ),
    ] = None,
) -> None:
    """Run trials in this environment for the agent of the same machine, until Ctrl-C or SIGTERM.

    So one agent measures bare metal, containers and pods of its machine in the same way. The runner and
    the agent must both see the shared folder ($JOULEFLEET_HOST_FOLDER, default /run/joulefleet), in which
    the agent finds the runner, and the cache ($JOULEFLEET_CACHE). The agent must also see the processes of
    the runner.

    \b
    Examples:
      joulefleet runner                      in a container or a pod
      joulefleet runner rootless             a name of your own, for `environments: [bare, rootless]`
      joulefleet run mine.yaml               a study whose `environments:` include the runner's
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
        raise typer.BadParameter("use letters and digits, and . _ + - between them.", param_hint="ENVIRONMENT")
    setup = AgentSetup()
    describe = partial(describe_own, label, setup.cache, sysfs_root=setup.sysfs_root, proc_root=setup.proc_root)
    service = RunnerService(runners_folder(), label, describe)
    service.stop_on(signal.SIGTERM, signal.SIGINT)
    print(f"The runner of {label} waits at {service.path}.", file=sys.stderr)
    service.serve()
