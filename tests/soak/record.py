"""What the soak did and saw, as JSON lines, and the watcher of the outboxes."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

LOOK_S = 0.01
"""A row is in an outbox for some ten milliseconds."""


class Record:
    """Appends to one file, from any thread."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self._lock = threading.Lock()
        self._began = time.time()

    def __call__(self, what: str, **facts: object) -> None:
        """Note that `what` has happened."""
        line = {"at": time.time(), "t": round(time.time() - self._began, 2), "what": what, **facts}
        with self._lock:
            self._file.write(json.dumps(line, default=str) + "\n")

    def close(self) -> None:
        """Note that nothing happens any more."""
        self._file.close()


class Eye:
    """Watches the outboxes of the machines and notes each row that leaves one.

    A row leaves its outbox only when the store has acknowledged it, so the store must have it.
    """

    def __init__(self, outboxes: Mapping[str, Path], record: Record) -> None:
        self._outboxes = outboxes
        self._record = record
        self._known: dict[str, set[tuple[str, str]]] = {name: set() for name in outboxes}
        self._closed: set[str] = set()
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.let_go = 0

    def open(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._ends.set()
        self._thread.join()

    def look_away(self, machine: str) -> None:
        """Ignore all changes of its outbox from now on."""
        with self._lock:
            self._closed.add(machine)

    def look_again(self, machine: str) -> None:
        """Watch again, from what is in its outbox now."""
        with self._lock:
            self._known[machine] = _rows(self._outboxes[machine])
            self._closed.discard(machine)

    def _watch(self) -> None:
        while not self._ends.wait(LOOK_S):
            with self._lock:
                for machine, folder in self._outboxes.items():
                    if machine not in self._closed:
                        self._look(machine, folder)

    def _look(self, machine: str, folder: Path) -> None:
        now = _rows(folder)
        for store_id, attempt_id in self._known[machine] - now:
            self.let_go += 1
            self._record("let_go", machine=machine, store_id=store_id, attempt_id=attempt_id)
        self._known[machine] = now


def _rows(folder: Path) -> set[tuple[str, str]]:
    found = set()
    try:
        for store in os.scandir(folder):
            for row in os.scandir(store.path):
                if row.name.endswith(".parquet") and not row.name.startswith("."):
                    found.add((store.name, row.name.removesuffix(".parquet")))
    except FileNotFoundError:
        pass
    return found
