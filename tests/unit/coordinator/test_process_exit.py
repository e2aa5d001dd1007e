"""The end of a process, the usual one or at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A thread that never ends, as a library's may: the interpreter would wait for it.
PROGRAM = """
import atexit, sys, threading
from coordinator.process_exit import at_once, leave
atexit.register(lambda: print("goodbye"))
if sys.argv[1] == "at once":
    threading.Thread(target=threading.Event().wait).start()
    at_once()
print("done")
sys.exit(leave(7))
"""


@pytest.mark.parametrize(("how", "printed"), [("as usual", "done\ngoodbye\n"), ("at once", "done\n")])
def test_a_process_that_leaves_at_once_waits_for_nothing(how: str, printed: str) -> None:
    """What was printed is there, and the exit code is the one that was asked for."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == (printed, "", 7)
