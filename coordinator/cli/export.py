"""`joulefleet export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

export = typer.Typer(
    no_args_is_help=True,
    help="""Write a store in the form of another tool.

\b
Examples:
  joulefleet export duckdb results.duckdb --store results""",
)


@export.callback()
def _kinds() -> None:
    # With a callback the kind stays part of the command where there is one kind alone.
    pass


@export.command()
def duckdb(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    *,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URI", help="A folder, or a published store. Default: $JOULEFLEET_STORE, ./joulefleet-store."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it is there already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write every view and macro into one DuckDB file, for any client of DuckDB from 1.0 on.

    The file needs neither Joulefleet nor the store. Comments of its columns carry units and
    meanings. It is a copy of one moment, also while a study runs; where the export is stopped, there
    is no file, or the one that was there before.

    \b
    Examples:
      joulefleet export duckdb results.duckdb --store results
      duckdb results.duckdb "from pareto_front()"
    """
    import json
    import sys

    from coordinator.cli.render.json import plain
    from coordinator.cli.render.steps import StepLine
    from joulefleet.export.duckdb import export_duckdb
    from joulefleet.query import Store

    line = StepLine(sys.stderr)
    with Store.open(store) as opened:
        try:
            done = export_duckdb(opened, file, force=force, on_step=line)
        finally:
            line.end()
    if as_json:
        print(json.dumps(plain(done), indent=2))
    else:
        print(f"{done.rows['trials']} trials in {done.file} ({done.size_bytes / 1e6:.1f} MB)")
