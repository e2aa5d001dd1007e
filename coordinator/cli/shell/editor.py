"""The input line of the interactive `joulefleet sql`: queries of several lines, completion, and a saved history."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import DynamicCompleter, ThreadedCompleter, WordCompleter
from prompt_toolkit.filters import completion_is_selected
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from coordinator.cli.shell.repl import MORE, is_complete
from joulefleet.query import Store
from joulefleet.query.catalog import catalogue, keywords

if TYPE_CHECKING:
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def editor(
    store: Store, history: Path | None, *, source: Input | None = None, screen: Output | None = None
) -> Callable[[str], str]:
    """Return a function that shows a prompt and reads a query from the terminal.

    The function raises EOFError for Ctrl-D and KeyboardInterrupt for Ctrl-C. `history` is the file of
    earlier queries; with None the history is kept in memory only. `source` and `screen` replace the terminal.
    """
    session: PromptSession[str] = PromptSession(
        multiline=True,
        prompt_continuation=lambda width, number, wrapped: MORE,
        history=_history(history),
        # Collecting the names takes a moment, so it is done in a thread and only at the first Tab.
        completer=ThreadedCompleter(DynamicCompleter(cache(lambda: completer(store)))),
        complete_while_typing=False,
        key_bindings=_keys(),
        input=source,
        output=screen,
    )
    return session.prompt


def history_file() -> Path | None:
    """Return the path of `sql_history` in the user's state folder; None for a user without a home folder."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    with suppress(RuntimeError):  # there is no home folder
        # The XDG base directory specification requires that a relative path is ignored.
        state = given if given.is_absolute() else Path.home() / ".local" / "state"
        return state / "joulefleet" / "sql_history"
    return None


def completer(store: Store) -> WordCompleter:
    """Return a completer for SQL keywords, views, columns, macros and the user's own tables of `store`."""
    meanings = dict.fromkeys(keywords(), "") | dict.fromkeys(store.tables, "your own table")
    for entry in catalogue():
        for column in entry.columns:
            meanings[column.name] = f"{column.unit}: {column.meaning}" if column.unit else column.meaning
    for entry in catalogue():
        meanings[entry.name] = entry.kind
    return WordCompleter(sorted(meanings), ignore_case=True, meta_dict=meanings, pattern=_WORD)


class _FileHistory(FileHistory):
    """A history that ignores errors of its file: a full disk must not end the session."""

    def store_string(self, string: str) -> None:
        with suppress(OSError):
            super().store_string(string)

    def load_history_strings(self) -> Iterable[str]:
        with suppress(OSError):
            return list(super().load_history_strings())
        return []


def _history(file: Path | None) -> History:
    if file is None:
        return InMemoryHistory()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Queries may contain private names: no other user may read the file.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
    except OSError:
        return InMemoryHistory()
    return _FileHistory(file)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=~completion_is_selected)
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text) or not buffer.document.current_line.strip():
            buffer.validate_and_handle()
        else:
            buffer.newline()

    @keys.add("enter", filter=completion_is_selected)
    def _take(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    return keys
