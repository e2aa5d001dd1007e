"""`joulefleet sql`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def sql(
    query: Annotated[
        str | None,
        typer.Argument(metavar="QUERY", help="The question. Absent: asked interactively, or read from standard input."),
    ] = None,
    *,
    form: Annotated[
        Literal["table", "csv", "json", "parquet"], typer.Option("--format", help="How the answer is written.")
    ] = "table",
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

    Views: trials, attempts, pairs, energy, readings, latencies, machines, environments, studies,
    verdicts. A table shows the first 100 rows; the other formats give all of them.

    \b
    Examples:
      joulefleet sql "select model, task, avg(j_per_item) from trials group by all"
      joulefleet sql --format csv "from trials" > trials.csv
      joulefleet sql --format parquet -o slow.parquet "from trials where window_s > 60"
      joulefleet sql < question.sql
      joulefleet sql
    """
    import io
    import signal
    import sys
    from contextlib import nullcontext

    from coordinator.answers import new_file, write_answer, write_answer_table
    from coordinator.sql_prompt import interact
    from joulefleet.analysis import Store
    from joulefleet.errors import QueryError

    # `joulefleet sql … | head` ends quietly, as other commands do.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise QueryError("Parquet is nothing for a terminal.", cure="Name a file with -o FILE.")
    with Store.open(store) as opened:
        if query is None and output is None and form == "table" and sys.stdin.isatty() and sys.stdout.isatty():
            import readline  # noqa: F401 - gives input() its history and editing

            interact(opened, input, sys.stdout, sys.stderr)
            return
        answer = opened.batches(_read_query() if query is None else query)
        with nullcontext(sys.stdout.buffer) if output is None else new_file(output) as out:
            if form != "table":
                write_answer(answer, form, out)
            elif output is None:
                write_answer_table(answer, sys.stdout, sys.stderr)
            else:
                text = io.TextIOWrapper(out, encoding="utf-8")
                write_answer_table(answer, text, sys.stderr)
                text.detach()


def _read_query() -> str:
    import sys

    from joulefleet.errors import QueryError

    if sys.stdin.isatty():
        print("The query, ended by Ctrl-D:", file=sys.stderr)
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise QueryError("The query on standard input is not UTF-8.", cure="Save it as UTF-8.") from error
