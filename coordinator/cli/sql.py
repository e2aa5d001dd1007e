"""`joulefleet sql`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coordinator.cli.options import StoreToRead

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from coordinator.cli.render.query_result import StreamedResult
    from joulefleet.query import Store

OutputFormat = Literal["table", "csv", "json", "parquet"]


def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="QUERY", help="The query. Default: standard input, or an interactive shell on a terminal."
        ),
    ] = None,
    *,
    describe: Annotated[
        bool,
        typer.Option(
            "--describe",
            help="Describe the columns of all views and macros, or of the one named QUERY. Needs no store.",
        ),
    ] = False,
    list_examples: Annotated[
        bool, typer.Option("--examples", help="List the shipped queries, or show the SQL of the one named QUERY.")
    ] = False,
    example: Annotated[str | None, typer.Option(metavar="NAME", help="Run this shipped query.")] = None,
    own: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME=FILE",
            help="Make a CSV, Parquet or JSON file of your own available as table NAME. Can be given several times.",
        ),
    ] = None,
    output_format: Annotated[OutputFormat, typer.Option("--format", help="Format of the result.")] = "table",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the result to FILE.")
    ] = None,
    store: StoreToRead = None,
) -> None:
    """Query the store in SQL (DuckDB's dialect). The store is only read, never changed.

    Views: trials, attempts, pairs, energy, readings, latencies, machines, environments, studies.
    --describe lists their columns, and the macros. Format `table` shows the first 100 rows; the other
    formats give all rows.

    \b
    Examples:
      joulefleet sql "select model, task, avg(j_per_item) from trials group by all"
      joulefleet sql --describe trials
      joulefleet sql --examples
      joulefleet sql --example ranking --store results
      joulefleet sql --with prices=prices.csv "from trials join prices using (machine)"
      joulefleet sql --format csv "from trials" > trials.csv
      joulefleet sql --format parquet -o slow.parquet "from trials where window_s > 60"
      joulefleet sql < question.sql
      joulefleet sql
    """
    import signal
    import sys

    from coordinator.cli.render.query_result import write_result_table
    from joulefleet.errors import QueryError
    from joulefleet.query import Store
    from joulefleet.query.shipped_sql import example as shipped
    from joulefleet.query.user_tables import parse_user_tables

    if describe + list_examples + (example is not None) > 1:
        raise typer.BadParameter("give only one of --describe, --examples and --example.")
    if example is not None and query is not None:
        raise typer.BadParameter("--example runs a shipped query: leave QUERY out.")
    # `joulefleet sql … | head` ends without an error message, as other commands do.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if output_format == "parquet" and output is None and sys.stdout.isatty():
        raise QueryError("Parquet cannot be shown on a terminal.", cure="Name a file with -o FILE.")
    if describe:
        _write(*_descriptions(query), output_format, output)
        return
    if list_examples:
        _write(*_examples(query), output_format, output)
        return
    text = query if example is None else shipped(example).sql
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with Store.open(store, tables=parse_user_tables(own or ())) as opened:
        if text is None and output is None and output_format == "table" and terminal:
            _interact(opened)
            return
        result = opened.batches(_read_query() if text is None else text)
        _write(result, lambda out: write_result_table(result, out, sys.stderr), output_format, output)


def _descriptions(name: str | None) -> tuple[StreamedResult, Callable[[TextIO], None]]:
    from coordinator.cli.render.catalog import catalogue_result, write_catalogue
    from joulefleet.query.catalog import catalogue, entry

    entries = catalogue() if name is None else (entry(name),)
    return catalogue_result(entries), lambda out: write_catalogue(entries, out)


def _examples(name: str | None) -> tuple[StreamedResult, Callable[[TextIO], None]]:
    from coordinator.cli.render.catalog import examples_result, write_examples
    from joulefleet.query.shipped_sql import example, examples

    if name is None:
        every = examples()
        return examples_result(every), lambda out: write_examples(every, out)
    one = example(name)
    return examples_result([one]), lambda out: out.writelines([one.sql])


def _write(
    result: StreamedResult, write_table: Callable[[TextIO], None], output_format: OutputFormat, output: Path | None
) -> None:
    """Write `result` in `output_format` to `output` or standard output; `write_table` writes format `table`."""
    import io
    import sys
    from contextlib import nullcontext

    from coordinator.cli.render.query_result import new_file, write_result

    with nullcontext(sys.stdout.buffer) if output is None else new_file(output) as out:
        if output_format != "table":
            write_result(result, output_format, out)
        elif output is None:
            write_table(sys.stdout)
        else:
            text = io.TextIOWrapper(out, encoding="utf-8")
            write_table(text)
            text.detach()


def _interact(store: Store) -> None:
    import sys

    from coordinator.cli.shell.editor import editor, history_file
    from coordinator.cli.shell.repl import interact

    interact(store, editor(store, history_file()), sys.stdout, sys.stderr)


def _read_query() -> str:
    import sys

    from joulefleet.errors import QueryError

    if sys.stdin.isatty():
        print("Type the query, then Ctrl-D:", file=sys.stderr)
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise QueryError("The query on standard input is not UTF-8.", cure="Save it as UTF-8.") from error
