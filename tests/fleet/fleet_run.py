"""A run of `joulefleet run` and its store, used by the command line alone."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.ray_nodes import FakeMachine
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY
from tests.support.wait import until

CELLS = 2
"""Cells of the study. Each trial runs real torch and takes little more than its baseline."""


class FleetRun:
    """A run on the machine `head`, and commands that read its store there."""

    def __init__(
        self, head: FakeMachine, folder: Path, *, name: str, repetitions: int, baseline_s: float = 0.5
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._head = head
        self._folder = folder
        self.study = folder / f"{name}.yaml"
        # The baseline is longer than anything else of a trial, and asleep: several machines share this host's CPUs.
        own = {"name": name, "repetitions": repetitions, "measure.baseline_s": baseline_s}
        self.study.write_text(changed(TINY_STUDY, own, without=("tasks.two", "measure.modelled")))
        self.store = folder / "store"
        self._log = folder / f"{name}.log"
        self.process: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        """Start it outside of the checkout: Ray's workers look for modules in the coordinator's folder."""
        arguments = ("run", str(self.study), "--store", str(self.store), "--address", self._head.address)
        self.process = self._head.begin(*arguments, folder=self._folder, output=self._log)

    @property
    def pid(self) -> int:
        """Id of its process."""
        assert self.process is not None
        return self.process.pid

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._log.read_text()

    def ended(self, machine: str) -> int:
        """Return the number of trials of `machine` that it has reported as ended."""
        return len(re.findall(rf"^{machine}: \[.*: ok, ", self.output, re.MULTILINE))

    def until_line(self, pattern: str, *, seconds: float = 120) -> None:
        """Wait for a line that `pattern` matches."""
        self._until(lambda: re.search(pattern, self.output, re.MULTILINE) is not None, pattern, seconds)

    def until_ended(self, machine: str, count: int, *, seconds: float = 120) -> None:
        """Wait until `count` trials of `machine` have ended."""
        self._until(lambda: self.ended(machine) >= count, f"{count} trials of {machine}", seconds)

    def _until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        assert self.process is not None
        running = self.process

        def is_over() -> bool:
            return condition() or running.poll() is not None

        until(is_over, seconds=seconds, why=lambda: f"{what} in\n{self.output}")
        assert condition(), f"it ended with {running.returncode} before {what}:\n{self.output}"

    def wait(self, *, seconds: float = 240) -> int:
        """Wait for its end; return its exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self) -> int:
        """End it at once; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds=60)

    def command(self, *arguments: str) -> str:
        """Run another command on its store; return what that prints."""
        done = self._head.command(*arguments, "--store", str(self.store))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        """Return the answer of `joulefleet status --json`."""
        state: dict[str, Any] = json.loads(self.command("status", "--json"))
        return state

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return the rows of `joulefleet sql`."""
        rows: list[dict[str, Any]] = json.loads(self.command("sql", "--format", "json", query))
        return rows


@contextmanager
def running(run: FleetRun) -> Iterator[FleetRun]:
    """Give the run, started, and kill it at the end if it still runs."""
    run.begin()
    assert run.process is not None
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()
