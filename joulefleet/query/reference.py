"""Generate docs/reference/views.md: `python -m joulefleet.query.reference > docs/reference/views.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from joulefleet.query.catalog import ColumnEntry, Entry, catalogue
from joulefleet.query.shipped_sql import Example, examples

_BEGINNING = """\
# Views, macros and examples

The tables and functions for queries with `joulefleet sql` and `joulefleet.open`, in DuckDB's SQL. `joulefleet sql
--describe` prints the same. A null is a value that could not be measured; a column beside it has the reason."""


def views_text() -> str:
    """Return the whole page as Markdown."""
    entries = catalogue()
    parts = [
        _BEGINNING,
        "## Views",
        *_texts([entry for entry in entries if entry.kind == "view"]),
        "## Macros",
        "Every opened store has them. An argument is given by its position, or as `name := value`.",
        *_texts([entry for entry in entries if entry.kind != "view"]),
        "## Examples",
        "`joulefleet sql --example NAME` runs one, `joulefleet sql --examples NAME` shows its SQL.",
        "\n".join(_examples(examples())),
    ]
    return "\n\n".join(parts) + "\n"


def _texts(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        yield f"### {entry.call}"
        yield entry.meaning
        if entry.columns:
            yield "\n".join(_table(entry.columns))


def _table(columns: Sequence[ColumnEntry]) -> Iterator[str]:
    yield "| column | type | unit | meaning |"
    yield "| --- | --- | --- | --- |"
    for column in columns:
        yield f"| `{column.name}` | `{column.type}` | {column.unit} | {column.meaning.replace('|', '&#124;')} |"


def _examples(every: Sequence[Example]) -> Iterator[str]:
    yield "| name | question |"
    yield "| --- | --- |"
    for example in every:
        yield f"| `{example.name}` | {example.question} |"


if __name__ == "__main__":
    sys.stdout.write(views_text())
