"""The interactive `joulefleet sql`: reads one query or command after another, until `.quit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from coordinator.cli.render.catalog import write_catalogue, write_examples
from coordinator.cli.render.query_result import write_result_table
from joulefleet.errors import JoulefleetError
from joulefleet.query import Store
from joulefleet.query.catalog import entry as catalogue_entry
from joulefleet.query.shipped_sql import example, examples

PROMPT, MORE = "sql> ", "...> "
_HELP = """\
A query ends with `;` or an empty line. Tab completes names.
  .tables           list the views and your own tables
  .describe NAME    describe the columns of a view, with units
  .examples         list the shipped queries
  .example NAME     run one of them
  .help             show this help
  .quit             leave (Ctrl-D does too)
Ctrl-C discards what you have typed, and interrupts a running query."""


def interact(store: Store, read: Callable[[str], str], out: TextIO, notes: TextIO) -> None:
    """Answer queries and commands until `read` raises EOFError or returns `.quit`; errors are printed to `notes`.

    `read` is called with the prompt and returns one line, or all lines of a query at once.
    """
    notes.write(f"{store.layout.root}: .help for help, .quit to leave.\n")
    while True:
        try:
            entry = _read_entry(read)
        except EOFError:
            notes.write("\n")
            return
        except KeyboardInterrupt:
            notes.write("\n")
            continue
        if entry in {".quit", ".exit"}:
            return
        try:
            _answer(store, entry, out, notes)
        except JoulefleetError as error:
            notes.write(f"{error}\n")
        except KeyboardInterrupt:
            notes.write("Interrupted.\n")


def is_complete(text: str) -> bool:
    """Return whether `text` is a complete query or a command, so that no more lines are read."""
    return not text.strip() or text.lstrip().startswith(".") or text.rstrip().endswith(";")


def _read_entry(read: Callable[[str], str]) -> str:
    """Return the next command or query; empty if the user typed nothing."""
    lines: list[str] = []
    while True:
        typed = read(MORE if lines else PROMPT)
        line = typed.rstrip()
        if not lines and line.lstrip().startswith("."):
            return line.strip().rstrip(";")
        if line:
            lines.append(line)
        if not line or line.endswith(";") or typed.rstrip(" ").endswith("\n"):
            return "\n".join(lines)


def _answer(store: Store, entry: str, out: TextIO, notes: TextIO) -> None:
    command, _, name = entry.partition(" ") if entry.startswith(".") else ("", "", "")
    match command, name.strip():
        case "", _ if not entry:
            pass
        case "", _:
            write_result_table(store.batches(entry), out, notes)
        case ".help", _:
            notes.write(_HELP + "\n")
        case ".tables", _:
            write_result_table(store.batches("show tables"), out, notes)
        case ".describe", name if name:
            write_catalogue([catalogue_entry(name)], out)
        case ".examples", _:
            write_examples(examples(), out)
        case ".example", name if name:
            query = example(name).sql
            notes.write(query)
            write_result_table(store.batches(query), out, notes)
        case ".describe" | ".example", _:
            notes.write(f"{command} needs a name: {command} NAME.\n")
        case _:
            notes.write(f"{entry}: unknown command. .help lists the commands.\n")
