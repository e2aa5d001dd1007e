"""The fleet of the soak: a head, nodes with addresses of their own, coordinators, and one folder for all of it."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.soak.coordinators import Coordinators
from tests.soak.machines import Head, Machine, Node
from tests.soak.power_loss import HOOK, Shadow
from tests.soak.processes import kill_all, marked
from tests.soak.record import Eye, Record
from tests.soak.studies import Studies
from tests.support.network_namespaces import network
from tests.support.ray_nodes import FAST_HEALTH, FakeMachine

BASE = 6379


class Fleet:
    """A fleet in `folder`, which is kept if `keep` is set. `code` is the folder of the product's packages."""

    def __init__(self, *, nodes: int, seed: int, step: int, code: Path, names: tuple[str, ...]) -> None:
        # Ray's sockets allow no long path.
        self.folder = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
        self.keep = False
        self.luck = random.Random(seed)
        self.mark = f"SOAK={secrets.token_hex(6)}"
        self.stopping = threading.Event()
        self.network_lock = threading.Lock()
        self.logs = self.folder / "logs"
        for name in ("logs", "t", "seen", "machines", "intruders"):
            (self.folder / name).mkdir()
        self.record = Record(self.folder / "soak.jsonl")
        self.store = self.folder / "store"
        self._code = code
        self._stack = ExitStack()
        self._pool = ThreadPoolExecutor(max_workers=32)
        self._tasks: list[Future[None]] = []
        self._names = tuple(f"m{number}" for number in range(nodes))
        self.studies = Studies(folder=self.folder, seed=seed, machines=self._names, step=step, names=names)

    def __enter__(self) -> Self:
        self._stack.callback(self._clear)
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        self._before = Path.cwd()
        self._stack.callback(lambda: os.chdir(self._before))
        # Python, and Ray in its workers, look for packages in the present folder first.
        os.chdir(self._code)
        self.network = self._stack.enter_context(network())
        self.head = Head(**self._machine("head", FAST_HEALTH, self.store), store=self.store)
        self.nodes = [
            Node(
                **self._machine(name, {}, self.folder / "machines" / name / "state"),
                head=self.head,
                network=self.network,
            )
            for name in self._names
        ]
        self.eye = Eye({node.name: node.fake.state / "outbox" for node in self.nodes}, self.record)
        self.coordinators = Coordinators(
            head=self.head,
            store=self.store,
            studies=self.studies,
            record=self.record,
            logs=self.logs,
            luck=self.luck,
            stays_down=lambda: not any(node.is_up() for node in self.nodes),
        )
        self.studies.grow()
        self.eye.open()
        for node in self.nodes:
            node.eye = self.eye
        self._stack.callback(self.end)
        for machine in self.machines():
            machine.open()
        self.coordinators.open()

    def _machine(self, name: str, more: dict[str, str], watched: Path) -> dict[str, Any]:
        shadow = Shadow(folder=self.folder / "shadows" / name)
        shadow.make()
        mark, _, value = self.mark.partition("=")
        own = {
            "PYTHONPATH": os.pathsep.join([str(HOOK), str(self._code)]),
            "TMPDIR": str(self.folder / "t"),
            mark: value,
            "SOAK_MACHINE": name,
        }
        fake = FakeMachine(
            folder=self.folder / "machines" / name,
            cache=self.folder / "cache",
            name=name,
            more=more | own | shadow.environment([watched], self.folder / "seen"),
            base=BASE,
            plug=self.network.machine(),
        )
        luck = random.Random(self.luck.random())
        return {"fake": fake, "mark": self.mark, "record": self.record, "shadow": shadow, "luck": luck}

    def has_coordinator(self) -> bool:
        """Tell whether head and coordinator are at work."""
        current = self.coordinators.current
        return self.head.is_up() and not self.head.held and current is not None and current.works()

    def later(self, task: Callable[[], None]) -> None:
        """Run a step in a thread of its own."""
        self._tasks.append(self._pool.submit(task))

    def pause(self, seconds: float) -> None:
        """Wait, unless the soak ends."""
        self.stopping.wait(seconds)

    def calm(self) -> bool:
        """Tell whether all faults are over; raise the error of a fault that failed."""
        for task in [task for task in self._tasks if task.done()]:
            task.result()
            self._tasks.remove(task)
        return not self._tasks

    def machines(self) -> list[Machine]:
        """Return all machines, the head first."""
        return [self.head, *self.nodes]

    def end(self) -> None:
        """End everything that runs. A second call does nothing."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        # The eye first: from now on outboxes say nothing of what was acknowledged.
        self.eye.close()
        for machine in self.machines():
            machine.ends.set()
        self.coordinators.ends.set()
        self._end_processes()
        self.coordinators.close()
        for machine in self.machines():
            machine.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._end_processes()

    def _end_processes(self) -> None:
        kill_all(lambda: marked(self.mark).union(*(machine.pids() for machine in self.machines())))

    def _clear(self) -> None:
        if self.keep:
            sys.stderr.write(f"Everything is kept in {self.folder}.\n")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
