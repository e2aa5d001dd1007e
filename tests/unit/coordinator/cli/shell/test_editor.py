"""The input line of the interactive SQL shell, with a pipe as the keyboard."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from coordinator.cli.shell.editor import completer, editor, history_file
from coordinator.cli.shell.repl import interact
from joulefleet.query import Store
from tests.support.attempt_rows import attempt_row, write_store

ENTER, CTRL_C, CTRL_D, UP = "\r", "\x03", "\x04", "\x1b[A"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of one trial, with a table of the user's own."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "p.csv").write_text("machine,price\nbench,0.3\n")
    with Store.open(write_store(folder / "s", [attempt_row()]), tables={"prices": folder / "p.csv"}) as opened:
        yield opened


@pytest.fixture
def keyboard() -> Iterator[PipeInput]:
    """A pipe that takes the place of the keyboard."""
    with create_pipe_input() as source:
        yield source


def conversation(store: Store, keyboard: PipeInput, typed: str, history: Path | None = None) -> tuple[str, str]:
    """Return what is written to output and notes when the user types `typed`, then Ctrl-D."""
    out, notes = io.StringIO(), io.StringIO()
    keyboard.send_text(typed + CTRL_D)
    interact(store, editor(store, history, source=keyboard, screen=DummyOutput()), out, notes)
    return out.getvalue(), notes.getvalue()


def test_a_query_may_span_lines_until_its_semicolon(store: Store, keyboard: PipeInput) -> None:
    """An empty line ends a query too."""
    typed = f"select 1{ENTER} + 41 as one;{ENTER}select 2 as two{ENTER}{ENTER}"
    out, _ = conversation(store, keyboard, typed)
    assert out.split() == ["one", "42", "two", "2"]


def test_ctrl_c_clears_what_is_typed(store: Store, keyboard: PipeInput) -> None:
    """An unfinished query is not run."""
    out, _ = conversation(store, keyboard, f"select 1 +{ENTER}{CTRL_C}select 4 as four;{ENTER}")
    assert out.split() == ["four", "4"]


def test_commands_need_no_semicolon(store: Store, keyboard: PipeInput) -> None:
    """A command is always one line."""
    out, notes = conversation(store, keyboard, f".tables{ENTER}.describe pairs{ENTER}.nothing{ENTER}{ENTER}")
    assert {"trials", "prices", "expected_ratio"} <= set(out.split())
    assert ".nothing: unknown command" in notes


@pytest.mark.parametrize(
    ("begun", "word"),
    [
        ("select * from tri", "trials"),
        ("from pareto", "pareto_front"),
        ("select wh_", "wh_per_1000_items"),
        ("select t.energy_n", "energy_net_j"),
        ("select count(throttle_e", "throttle_events"),
        ("SEL", "select"),
        ("from trials join pri", "prices"),
    ],
)
def test_words_are_completed(store: Store, begun: str, word: str) -> None:
    """Tab completes views, macros, columns, SQL keywords and the user's own tables."""
    completions = {one.text for one in completer(store).get_completions(Document(begun), CompleteEvent())}
    assert word in completions


def test_completions_show_the_meaning_of_a_column(store: Store) -> None:
    """The meaning includes the unit."""
    (one,) = completer(store).get_completions(Document("select window_"), CompleteEvent())
    assert one.display_meta_text == "s: Duration of the measured window."


def test_the_history_lasts_and_is_private(store: Store, keyboard: PipeInput, tmp_path: Path) -> None:
    """The next session has the history, and no other user can read it, even if the file was readable before."""
    file = tmp_path / "state" / "joulefleet" / "sql_history"
    conversation(store, keyboard, f"select 'x\ny' as first{ENTER};{ENTER}", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.chmod(0o644)
    with create_pipe_input() as again:
        out, _ = conversation(store, again, f"{UP}{ENTER}", file)
    assert "first" in out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", "file/sql_history"])
def test_a_history_that_cannot_be_written_is_ignored(
    store: Store, keyboard: PipeInput, tmp_path: Path, name: str
) -> None:
    """The path may be a folder, or may lead through a file."""
    (tmp_path / "file").write_text("")
    out, _ = conversation(store, keyboard, f"select 5 as five;{ENTER}", tmp_path / name)
    assert out.split() == ["five", "5"]


def test_the_history_is_in_the_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The history is in the user's state folder; a relative XDG_STATE_HOME is ignored."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_file() == tmp_path / "joulefleet" / "sql_history"
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert history_file() == tmp_path / "home" / ".local" / "state" / "joulefleet" / "sql_history"
