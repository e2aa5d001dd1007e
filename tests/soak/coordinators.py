"""The coordinators of the soak: one is always at work, sometimes two."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.machines import Head
from tests.soak.processes import kill, wait_for
from tests.soak.record import Record
from tests.soak.studies import Studies

LOOK_S = 0.2
LEAVES_S = 90.0
"""Without its head, or superseded, a coordinator has ended by then."""


@dataclass(kw_only=True)
class Running:
    """One `joulefleet run`."""

    number: int
    process: subprocess.Popen[bytes]
    study: Path
    log: Path
    began: float
    cluster: int
    killed: bool = False

    def said(self) -> str:
        """Return its output until now."""
        return self.log.read_text(errors="replace")

    def works(self) -> bool:
        """Tell whether it has finished a trial."""
        return self.process.poll() is None and " ok" in self.said()


@dataclass(kw_only=True)
class Coordinators:
    """Starts the next coordinator when one has ended."""

    head: Head
    store: Path
    studies: Studies
    record: Record
    logs: Path
    luck: random.Random
    stays_down: Callable[[], bool]
    current: Running | None = None
    older: list[Running] = field(default_factory=list)
    rests_until: float = 0.0
    wanted: bool = True
    """Whether a next one is to be started."""
    grows: bool = True
    """Whether a study that is done is followed by more."""
    retry: bool = False
    codes: dict[str, int] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _number: int = 0
    ends: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def open(self) -> None:
        """Start coordinators, one after the other, until `close`."""
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all of them."""
        self.ends.set()
        if self._thread is not None:
            self._thread.join()
        for running in [*self.older, *([self.current] if self.current else [])]:
            kill(running.process.pid)
            running.process.wait()

    def start(self, study: Path) -> Running:
        """Start one more."""
        self._number += 1
        log = self.logs / f"coordinator-{self._number}.log"
        more = ["--retry-failed", "--retry-quarantined"] if self.retry else []
        command = [*self.head.fake.program, "run", str(study), "--store", str(self.store)]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*command, "--address", self.head.fake.address, *more],
                env=self.head.fake.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.record("begins", number=self._number, study=study.stem, retry=self.retry)
        return Running(
            number=self._number,
            process=process,
            study=study,
            log=log,
            began=time.monotonic(),
            cluster=self.head.number,
        )

    def begin(self) -> None:
        """Start a new one, which is the current one from now on."""
        with self.lock:
            if self.current is not None:
                self.older.append(self.current)
            self.current = self.start(self.studies.now)

    def forget_killed(self) -> None:
        """Forget those that were killed together with their machine."""
        with self.lock:
            for running in [*self.older, *([self.current] if self.current else [])]:
                running.killed = True

    def kill(self) -> None:
        """Kill the current one."""
        with self.lock:
            if self.current is not None:
                self.current.killed = True
                kill(self.current.process.pid)
        self.rest()

    def rest(self) -> None:
        """Run none for a short random time."""
        self.rests_until = time.monotonic() + self.luck.uniform(0, 2)

    def unseated(self, running: Running, why: str) -> None:
        """Wait for the end of one that must not go on; raise if it does not end."""
        if not wait_for(lambda: running.process.poll() is not None, LEAVES_S, stop=self.ends.is_set):
            if not self.ends.is_set():
                self.record("does_not_end", number=running.number, why=why)
            running.killed = True
            kill(running.process.pid)

    def settled(self) -> bool:
        """Tell whether none runs any more."""
        with self.lock:
            return self.current is None and not self.older

    def run_once(self, study: Path, seconds: float, *, retry: bool) -> int | None:
        """Run one to its end; return its exit code, or None if it took too long."""
        self.retry = retry
        running = self.start(study)
        ended = wait_for(lambda: running.process.poll() is not None, seconds, stop=self.ends.is_set)
        if not ended:
            running.killed = True
            kill(running.process.pid, signal.SIGKILL)
            running.process.wait()
        self._note_end(running)
        return running.process.returncode if ended else None

    def _keep(self) -> None:
        while not self.ends.wait(LOOK_S):
            with self.lock:
                for running in list(self.older):
                    if running.process.poll() is not None:
                        self.older.remove(running)
                        self._note_end(running)
                current = self.current
                if current is None:
                    rested = time.monotonic() >= self.rests_until
                    if self.wanted and rested and self.head.is_up() and not self.stays_down():
                        self.current = self.start(self.studies.now)
                elif current.process.poll() is not None:
                    self.current = None
                    self._note_end(current)
                    code = current.process.returncode
                    if code == 0 and self.wanted and self.grows:
                        self.studies.grow()
                    self.retry = code == 7
                    self.rest()
                elif current.cluster != self.head.number:
                    # The head is a new one: that it belongs to the old one it must find out by itself.
                    self.older.append(current)
                    self.current = None
                    threading.Thread(target=self.unseated, args=(current, "its head has gone"), daemon=True).start()

    def _note_end(self, running: Running) -> None:
        code = running.process.returncode
        lines = [line for line in running.said().splitlines() if line.strip()]
        kind = "killed" if running.killed else str(code)
        self.codes[kind] = self.codes.get(kind, 0) + 1
        self.record(
            "ended",
            number=running.number,
            code=code,
            killed=running.killed,
            superseded="newer coordinator" in running.said(),
            traceback="Traceback" in running.said(),
            said=" / ".join(lines[-2:])[-400:],
        )
