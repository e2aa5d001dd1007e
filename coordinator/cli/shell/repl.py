"""The interactive form of `joulefleet sql`: one question after another, until `.quit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from coordinator.cli.render.catalog import write_catalogue, write_examples
from coordinator.cli.render.query_result import write_answer_table
from joulefleet.errors import JoulefleetError
from joulefleet.query import Store
from joulefleet.query.catalog import entry
from joulefleet.query.shipped_sql import example, examples

PROMPT, MORE = "sql> ", "...> "
_HELP = """\
A question ends with `;` or an empty line; Tab completes names.
  .tables           the views, and tables of your own
  .describe NAME    the columns of a view, with units
  .examples         questions that others ask
  .example NAME     ask one of them
  .help             this
  .quit             leave (or Ctrl-D)
Ctrl-C clears what is typed, and interrupts a question."""


def interact(store: Store, read: Callable[[str], str], out: TextIO, notes: TextIO) -> None:
    """Answer what `read` gives until it raises EOFError or says `.quit`. Errors end nothing.

    `read` is given the prompt, and gives a line, or all of a question at once.
    """
    notes.write(f"{store.layout.root}: .help for help, .quit to leave.\n")
    while True:
        try:
            question = _question(read)
        except EOFError:
            notes.write("\n")
            return
        except KeyboardInterrupt:
            notes.write("\n")
            continue
        if question in {".quit", ".exit"}:
            return
        try:
            _answer(store, question, out, notes)
        except JoulefleetError as error:
            notes.write(f"{error}\n")
        except KeyboardInterrupt:
            notes.write("Interrupted.\n")


def is_whole(text: str) -> bool:
    """Whether `text` is a whole question, or a command: nothing more is waited for."""
    return not text.strip() or text.lstrip().startswith(".") or text.rstrip().endswith(";")


def _question(read: Callable[[str], str]) -> str:
    lines: list[str] = []
    while True:
        said = read(MORE if lines else PROMPT)
        line = said.rstrip()
        if not lines and line.lstrip().startswith("."):
            return line.strip().rstrip(";")
        if line:
            lines.append(line)
        if not line or line.endswith(";") or said.rstrip(" ").endswith("\n"):
            return "\n".join(lines)


def _answer(store: Store, question: str, out: TextIO, notes: TextIO) -> None:
    command, _, name = question.partition(" ") if question.startswith(".") else ("", "", "")
    match command, name.strip():
        case "", _ if not question:
            pass
        case "", _:
            write_answer_table(store.batches(question), out, notes)
        case ".help", _:
            notes.write(_HELP + "\n")
        case ".tables", _:
            write_answer_table(store.batches("show tables"), out, notes)
        case ".describe", name if name:
            write_catalogue([entry(name)], out)
        case ".examples", _:
            write_examples(examples(), out)
        case ".example", name if name:
            asked = example(name)
            notes.write(asked.sql)
            write_answer_table(store.batches(asked.sql), out, notes)
        case ".describe" | ".example", _:
            notes.write(f"{command} what? Name one: {command} NAME.\n")
        case _:
            notes.write(f"{question}: no such command. .help lists them.\n")
