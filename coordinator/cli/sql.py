"""`joulefleet sql`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from coordinator.cli.render.query_result import StreamedResult
    from joulefleet.query import Store

Form = Literal["table", "csv", "json", "parquet"]


def sql(
    query: Annotated[
        str | None,
        typer.Argument(metavar="QUERY", help="The question. Absent: asked interactively, or read from standard input."),
    ] = None,
    *,
    describe: Annotated[
        bool, typer.Option("--describe", help="Say what the views hold, with units; QUERY names one. Needs no store.")
    ] = False,
    list_examples: Annotated[
        bool, typer.Option("--examples", help="List the shipped questions; QUERY names one, to see its SQL.")
    ] = False,
    example: Annotated[str | None, typer.Option(metavar="NAME", help="Ask this shipped question.")] = None,
    own: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="NAME=FILE", help="Your own CSV, Parquet or JSON file as a table NAME; may be repeated."
        ),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="How the answer is written.")] = "table",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the answer here.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URI", help="A folder, or a published store. Default: $JOULEFLEET_STORE, ./joulefleet-store."
        ),
    ] = None,
) -> None:
    """Ask the store anything in SQL (DuckDB's). It is only read.

    Views: trials, attempts, pairs, energy, readings, latencies, machines, environments, studies;
    --describe says what they hold, and which macros there are. A table shows the first 100 rows; the
    other formats give all of them.

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

    from coordinator.cli.render.query_result import write_answer_table
    from joulefleet.errors import QueryError
    from joulefleet.query import Store
    from joulefleet.query.shipped_sql import example as shipped
    from joulefleet.query.user_tables import parse_user_tables

    if describe + list_examples + (example is not None) > 1:
        raise typer.BadParameter("one of --describe, --examples and --example at a time.")
    if example is not None and query is not None:
        raise typer.BadParameter("--example asks a shipped question: leave QUERY out.")
    # `joulefleet sql … | head` ends quietly, as other commands do.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise QueryError("Parquet is nothing for a terminal.", cure="Name a file with -o FILE.")
    if describe:
        _write(*_described(query), form, output)
        return
    if list_examples:
        _write(*_listed(query), form, output)
        return
    asked = query if example is None else shipped(example).sql
    files = parse_user_tables(own or ())
    with Store.open(store, tables=files) as opened:
        if asked is None and output is None and form == "table" and sys.stdin.isatty() and sys.stdout.isatty():
            _interact(opened)
            return
        answer = opened.batches(_read_query() if asked is None else asked)
        _write(answer, lambda out: write_answer_table(answer, out, sys.stderr), form, output)


def _described(name: str | None) -> tuple[StreamedResult, Callable[[TextIO], None]]:
    from coordinator.cli.render.catalog import catalogue_answer, write_catalogue
    from joulefleet.query.catalog import catalogue, entry

    entries = catalogue() if name is None else (entry(name),)
    return catalogue_answer(entries), lambda out: write_catalogue(entries, out)


def _listed(name: str | None) -> tuple[StreamedResult, Callable[[TextIO], None]]:
    from coordinator.cli.render.catalog import examples_answer, write_examples
    from joulefleet.query.shipped_sql import example, examples

    if name is None:
        every = examples()
        return examples_answer(every), lambda out: write_examples(every, out)
    one = example(name)

    def write(out: TextIO) -> None:
        out.write(one.sql)

    return examples_answer([one]), write


def _write(answer: StreamedResult, write_table: Callable[[TextIO], None], form: Form, output: Path | None) -> None:
    """Write `answer` where and how it is wanted; as a table, `write_table` does."""
    import io
    import sys
    from contextlib import nullcontext

    from coordinator.cli.render.query_result import new_file, write_answer

    with nullcontext(sys.stdout.buffer) if output is None else new_file(output) as out:
        if form != "table":
            write_answer(answer, form, out)
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
        print("The query, ended by Ctrl-D:", file=sys.stderr)
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise QueryError("The query on standard input is not UTF-8.", cure="Save it as UTF-8.") from error
