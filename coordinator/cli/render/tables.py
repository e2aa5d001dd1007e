"""Tables for people: drawn on a terminal, aligned plain text everywhere else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TextIO

from coordinator.text import printable, table_lines


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
