"""Writes docs/reference/views.md: `python -m joulefleet.query.reference > docs/reference/views.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from joulefleet.query.catalog import ColumnEntry, Entry, catalogue
from joulefleet.query.examples import Example, examples

_BEGINNING = """\
# Views, macros and examples

What `joulefleet sql` and `joulefleet.open` can be asked, in DuckDB's SQL. `joulefleet sql --describe` says the same.
A null is what could not be measured; the reason stands beside it."""


def views_text() -> str:
    """All of it, as Markdown."""
    entries = catalogue()
    parts = [
        _BEGINNING,
        "## Views",
        *_texts([entry for entry in entries if entry.kind == "view"]),
        "## Macros",
        "They stand beside the views in every opened store. An argument is given by its place, or as `name := value`.",
        *_texts([entry for entry in entries if entry.kind != "view"]),
        "## Examples",
        "`joulefleet sql --example NAME` asks one, `joulefleet sql --examples NAME` shows its SQL.",
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
