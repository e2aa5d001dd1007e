"""One peer that samples a working process, until its parent is gone.

Called as ``python -I sampling_driver.py JSON`` by the Python of the peer's own environment, so nothing
of Joulefleet is imported here. ``JSON`` names the ``peer``, the process ``pid`` it watches, the folder
``sysfs`` with energy counters, the descriptor ``socket`` of the parent's socket, and ``options``. Over
that socket the driver sends one JSON line when the sampling has begun, and answers every line with
the cost of the sampling so far (`cost`).
"""

import functools
import importlib
import json
import multiprocessing
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cost(children: Sequence[int] = ()) -> dict[str, float]:
    """Return the use of this process and its `children` since they began.

    ``clock_s`` is CPU time by the processes' own clocks, ``ticks_s`` user and system time as /proc
    counts it, ``switches`` the context switches of all threads, voluntary or not.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = {
        "now_s": time.monotonic(),
        "clock_s": time.process_time(),
        "ticks_s": _ticks_s(os.getpid()),
        # Includes threads that have ended, which /proc forgets.
        "switches": float(usage.ru_nvcsw + usage.ru_nivcsw),
    }
    for pid in children:
        # CPUCLOCK_SCHED of Linux's include/linux/posix-timers.h: the clock of another process.
        used["clock_s"] += time.clock_gettime((~pid << 3) | 2)
        used["ticks_s"] += _ticks_s(pid)
        used["switches"] += _switches(pid)
    return used


def _ticks_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _switches(pid: int) -> int:
    lines = [line for file in Path(f"/proc/{pid}/task").glob("*/status") for line in file.read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if "voluntary_ctxt_switches" in line)


class Parent:
    """The socket on which the parent asks for the cost."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def send(self, message: dict[str, Any]) -> None:
        """Send a line."""
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def has_asked(self, within_s: float | None = None) -> bool:
        """Return whether the parent asks within that time; end this process where the parent is gone."""
        if not self._poll.poll(None if within_s is None else max(0, int(within_s * 1000) + 1)):
            return False
        if not self._socket.recv(4096):
            sys.exit()
        return True


def sample_psutil(parent: Parent, pid: int, sysfs: Path, *, fast_s: float, slow_s: float) -> None:
    """Sample as a script with psutil would: the same values as Joulefleet, at the same rates."""
    psutil = importlib.import_module("psutil")
    work = psutil.Process(pid)
    seen: dict[int, Any] = {}
    counters = sorted(sysfs.glob("devices/virtual/powercap/intel-rapl/**/energy_uj"))
    kept: list[Any] = []

    def fast() -> None:
        tree = [seen.setdefault(each.pid, each) for each in [work, *work.children(recursive=True)]]
        kept.append([(each.cpu_percent(), each.memory_info()) for each in tree])
        kept.append((psutil.cpu_times(), psutil.virtual_memory()))
        kept.append([int(counter.read_text()) for counter in counters])

    def slow() -> None:
        kept.append((psutil.sensors_temperatures(), psutil.cpu_freq()))
        kept.append([file.read_text() for file in sorted(Path("/proc/pressure").glob("*"))])

    _every(parent, {fast_s: fast, slow_s: slow}, f"{len(counters)} energy counters")


def _every(parent: Parent, jobs: dict[float, Callable[[], None]], note: str) -> None:
    due = dict.fromkeys(jobs, time.monotonic())
    parent.send({"note": note})
    while True:
        for period_s, job in jobs.items():
            if due[period_s] <= time.monotonic():
                job()
                due[period_s] = time.monotonic() + period_s
        if parent.has_asked(min(due.values()) - time.monotonic()):
            parent.send(cost())


def sample_codecarbon(parent: Parent, pid: int, sysfs: Path, *, period_s: float) -> None:
    """Run CodeCarbon's offline tracker of the whole machine, which samples from threads of its own."""
    cpu: Any = importlib.import_module("codecarbon.core.cpu")
    hardware: Any = importlib.import_module("codecarbon.external.hardware")
    # It looks for energy counters under /sys alone; both functions that do so take a folder as an argument.
    powercap = str(sysfs / "class/powercap")
    cpu.is_rapl_available = functools.partial(cpu.is_rapl_available, rapl_dir=powercap)
    hardware.CPU.__init__ = functools.partialmethod(hardware.CPU.__init__, rapl_dir=powercap)
    tracker = importlib.import_module("codecarbon").OfflineEmissionsTracker(
        country_iso_code="NLD",
        measure_power_secs=period_s,
        save_to_file=False,
        tracking_mode="machine",
        allow_multiple_runs=True,
        log_level="critical",
    )
    tracker.start()
    parent.send({"note": ", ".join(str(part) for part in tracker._hardware)})  # noqa: SLF001 - its mode stands nowhere else
    while parent.has_asked():
        parent.send(cost())


def sample_perun(parent: Parent, pid: int, sysfs: Path, *, period_s: float) -> None:
    """Run perun around a function that waits; perun samples from a process of its own."""
    # Forked, the default on Linux, that process keeps the folder that is set here.
    multiprocessing.set_start_method("fork")
    backend: Any = importlib.import_module("perun.backend.powercap_rapl")
    backend.RAPL_PATH = str(sysfs / "class/powercap")
    perun = importlib.import_module("perun.api.decorator").perun

    @perun(sampling_period=period_s, app_name="sampling_cost", log_lvl="ERROR")  # type: ignore[untyped-decorator]
    def application() -> None:
        children = [child.pid for child in multiprocessing.active_children() if child.pid is not None]
        instance = importlib.import_module("perun.core").Perun.getInstance()
        parent.send({"note": ", ".join(sorted(instance.l_assigned_sensors))})
        while parent.has_asked():
            parent.send(cost(children))

    application()


PEERS: dict[str, Callable[..., None]] = {
    "psutil": sample_psutil,
    "codecarbon": sample_codecarbon,
    "perun": sample_perun,
}


def main() -> None:
    """Run the peer named in the first argument."""
    asked = json.loads(sys.argv[1])
    parent = Parent(asked["socket"])
    PEERS[asked["peer"]](parent, asked["pid"], Path(asked["sysfs"]), **asked["options"])


if __name__ == "__main__":
    main()
