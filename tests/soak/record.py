"""What the soak did and saw, as JSON lines; and the eye that it keeps on the outboxes."""

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
        """Nothing happens any more."""
        self._file.close()


class Eye:
    """Sees rows come into the outboxes of machines, and notes those that an outbox has let go.

    It lets go of what the store has acknowledged: that must never be missed from the store.
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
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._ends.set()
        self._thread.join()

    def look_away(self, machine: str) -> None:
        """From now on its outbox may change in any way."""
        with self._lock:
            self._closed.add(machine)

    def look_again(self, machine: str) -> None:
        """What is in its outbox now is what was left to it."""
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
