"""Tables for people: drawn on a terminal, aligned plain text everywhere else."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TextIO


def printable(text: str) -> str:
    """`text` on one line, without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def table_lines(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = (), indent: str = ""
) -> Iterator[str]:
    """`rows` under `headers` as aligned text; the columns numbered in `right` are aligned to the right."""
    cells = [[printable(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = (
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield (indent + "  ".join(aligned)).rstrip()


def write_table(
    out: TextIO, headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = ()
) -> None:
    """Write `rows` to `out`: drawn with rules where it is a terminal, else as aligned plain text."""
    if not out.isatty():
        out.writelines(f"{line}\n" for line in table_lines(headers, rows, right=right))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, header in enumerate(headers):
        table.add_column(Text(printable(header)), justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(file=out, highlight=False).print(table)
