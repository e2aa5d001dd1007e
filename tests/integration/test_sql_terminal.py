"""`joulefleet sql` on a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.attempt_rows import attempt_row, write_store

_WITHIN_S = 60.0
_ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
ASKS_WHERE, HERE = b"\x1b[6n", b"\x1b[1;1R"
"""What the editor asks a terminal, and what one answers."""

BEGINS_TO_EDIT = b"\x1b[?2004h"
"""What the editor tells a terminal once a prompt."""


class Terminal:
    """A terminal with `joulefleet sql` in it."""

    def __init__(self, store: Path, state: Path) -> None:
        self._terminal, child_end = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coordinator", "sql", "--store", str(store)],
            stdin=child_end,
            stdout=child_end,
            stderr=child_end,
            env=os.environ | {"TERM": "xterm", "XDG_STATE_HOME": str(state), "COLUMNS": "80", "LINES": "24"},
            start_new_session=True,
            preexec_fn=_takes_the_terminal,  # noqa: PLW1509 - Ctrl-C goes to whoever has the terminal
        )
        os.close(child_end)
        self._screen, self._typed_at, self._prompts = b"", 0, 0

    def type(self, text: str) -> None:
        """Type `text`."""
        self._typed_at = len(self._screen)
        os.write(self._terminal, text.encode())

    def wait_for(self, text: str) -> None:
        """Wait until the screen has shown `text` since something was typed."""
        self._wait(lambda: text.encode() in _ESCAPE.sub(b"", self._screen[self._typed_at :]))

    def interrupt(self) -> None:
        """Press Ctrl-C until a query is interrupted: between input and query it may still clear the input line."""
        for _ in range(5):
            self.type("\x03")
            try:
                self._wait(lambda: b"Interrupted." in self._screen[self._typed_at :], within_s=10.0)
            except AssertionError:
                continue
            return
        raise AssertionError(self._screen)

    def wait_for_prompt(self) -> None:
        """Wait until the next query can be typed."""
        self._prompts += 1
        self._wait(lambda: self._screen.count(BEGINS_TO_EDIT) == self._prompts)

    def wait_until_it_computes(self) -> None:
        """Wait until it has used more CPU time than an editor would."""
        before = self._cpu_s()
        self._wait(lambda: self._cpu_s() > before + 1)

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _wait(self, over: Callable[[], bool], *, within_s: float = _WITHIN_S) -> None:
        end = time.monotonic() + within_s
        while not over():
            assert time.monotonic() < end, self._screen
            if select.select([self._terminal], [], [], 0.05)[0]:
                part = os.read(self._terminal, 65536)
                self._screen += part
                if ASKS_WHERE in part:
                    os.write(self._terminal, HERE)

    def close(self) -> None:
        """End the program and close the terminal."""
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)


def _takes_the_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Whoever runs the tests in the background has Ctrl-C ignored, and what they start inherits that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Open a terminal on a store of one trial."""
    opened = Terminal(write_store(tmp_path / "s", [attempt_row()]), tmp_path / "state")
    yield opened
    opened.close()


def test_a_session(terminal: Terminal, tmp_path: Path) -> None:
    """One query is interrupted while it runs, one is completed by Tab, one is cleared; the history stays."""
    terminal.wait_for_prompt()
    terminal.type("select model,\r")
    terminal.wait_for("...>")
    terminal.type(" 40 + 2 as answer from trials;\r")
    terminal.wait_for("42")
    terminal.wait_for_prompt()
    terminal.type("select count(*) from range(10000000000) a, range(10000000000) b;\r")
    terminal.wait_until_it_computes()
    terminal.interrupt()
    terminal.wait_for_prompt()
    terminal.type("select count(*) as n from pareto_f\t")
    terminal.wait_for("ront")
    terminal.type("();\r")
    terminal.wait_for("n ")
    terminal.wait_for_prompt()
    terminal.type("select half")
    terminal.wait_for("half")
    terminal.type("\x03")
    terminal.wait_for_prompt()
    terminal.type("\x04")
    assert terminal.process.wait(_WITHIN_S) == 0
    history = tmp_path / "state" / "joulefleet" / "sql_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "40 + 2 as answer" in history.read_text()
    assert "from pareto_front();" in history.read_text()
    assert "half" not in history.read_text()
