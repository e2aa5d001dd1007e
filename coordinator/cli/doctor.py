"""`joulefleet doctor`: print what this machine can measure, what it cannot, why, and the cure."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.render.doctor import lines

if TYPE_CHECKING:
    from agent.doctor.diagnosis import Diagnosis


def doctor(
    *,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object with stable keys.")] = False,
    sysfs_root: Annotated[
        Path,
        typer.Option(envvar="JOULEFLEET_SYSFS_ROOT", help="Folder where sysfs is mounted, if not /sys."),
    ] = Path("/sys"),
    proc_root: Annotated[Path, typer.Option(help="Folder where procfs is mounted.")] = Path("/proc"),
    powercap: Annotated[
        Path | None,
        typer.Option(
            envvar="JOULEFLEET_POWERCAP",
            help="In a container: the folder where the host's /sys/devices/virtual/powercap is mounted.",
        ),
    ] = None,
) -> None:
    """Print what this machine can measure, what it cannot, why, and the cure. It only reads.

    \b
    Examples:
      joulefleet doctor
      joulefleet doctor --json | jq .missing
      joulefleet doctor --sysfs-root /host/sys
    """
    from agent.doctor.diagnosis import as_json
    from agent.doctor.examine import examine

    diagnosis = examine(sysfs_root, proc_root, powercap=powercap)
    if json_:
        typer.echo(json.dumps(as_json(diagnosis), indent=2))
    elif sys.stdout.isatty():
        _print_styled(diagnosis)
    else:
        typer.echo("\n".join(text for _, text in lines(diagnosis)))


def _print_styled(diagnosis: Diagnosis) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for style, text in lines(diagnosis):
        console.print(text, style=style or None, markup=False, soft_wrap=True)
