"""The command line: registers the subcommands, and turns errors into exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from coordinator.cli.compact import compact
from coordinator.cli.compare import compare
from coordinator.cli.doctor import doctor
from coordinator.cli.export import export
from coordinator.cli.import_data import import_data
from coordinator.cli.node import node
from coordinator.cli.plan import plan
from coordinator.cli.publish import publish
from coordinator.cli.run import run
from coordinator.cli.runner import runner
from coordinator.cli.sample_size import sample_size
from coordinator.cli.sql import sql
from coordinator.cli.status import status
from coordinator.process_exit import leave
from joulefleet.errors import EXIT_INTERRUPTED, JoulefleetError

app = typer.Typer(
    name="joulefleet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""Measure what NLP models cost to run, and compare them statistically.

\b
Examples:
  joulefleet doctor                 show what this machine can measure
  joulefleet plan quick             show what the study `quick` would run
  joulefleet run quick              run it, or the part of it that is missing
  joulefleet compare                compare teacher and student
  joulefleet sql "from trials"      query the results in SQL

\b
Exit codes: 0 done, 1 a bug, 2 wrong usage, 3 an error in the study, 4 in the store,
5 on the machine, 6 in the query, 7 trials failed or are missing, 130 interrupted.""",
)
for command in (doctor, plan, run, status, compare, sample_size, sql, compact, publish, runner):
    app.command()(command)
app.add_typer(node, name="node")
app.add_typer(import_data, name="import")
app.add_typer(export, name="export")


def _version(requested: bool) -> None:
    if requested:
        from joulefleet import __version__

        print(f"joulefleet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> int:
    """Run the command line and return the exit code, or end the process at once after `process_exit.at_once`."""
    return leave(_main())


def _main() -> int:
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except JoulefleetError as error:
        print(f"joulefleet: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("joulefleet: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
