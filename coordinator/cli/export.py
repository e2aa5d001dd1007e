"""`joulefleet export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.options import AsJson, StoreToRead

export = typer.Typer(
    no_args_is_help=True,
    help="""Write a store in the format of another tool.

\b
Examples:
  joulefleet export duckdb results.duckdb --store results""",
)


@export.callback()
def _kinds() -> None:
    # Without a callback typer drops the command's name while there is only one command.
    pass


@export.command()
def duckdb(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    *,
    store: StoreToRead = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write every view and macro into one DuckDB file that any DuckDB client from version 1.0 can open.

    The file needs neither Joulefleet nor the store. The comments of its columns give units and meanings.
    It is a copy of the store at one moment; a study may be running meanwhile. If the export is stopped,
    FILE is left as it was.

    \b
    Examples:
      joulefleet export duckdb results.duckdb --store results
      duckdb results.duckdb "from pareto_front()"
    """
    import sys

    from coordinator.cli.render.json import json_text
    from coordinator.cli.render.steps import StepLine
    from joulefleet.export.duckdb import export_duckdb
    from joulefleet.query import Store

    with Store.open(store) as opened, StepLine(sys.stderr) as on_step:
        result = export_duckdb(opened, file, force=force, on_step=on_step)
    if as_json:
        print(json_text(result))
    else:
        print(f"{result.rows['trials']} trials in {result.file} ({result.size_bytes / 1e6:.1f} MB)")
