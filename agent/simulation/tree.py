"""The files of a simulated machine, laid out as the kernel lays out /sys.

The energy counters are files of a fixed width that are rewritten in place: they are never cut short
and never replaced, so that a descriptor that a reader keeps shows the present value.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from agent.simulation.machine import SimulatedDomain, SimulatedMachine
from joulefleet.errors import MachineError

MARKER = "simulated-machine.json"
"""Lies at the root of each such tree, and tells it from a folder that holds anything else."""

TRUTH = "truth"
"""The file beside the tree in which a live machine logs its true energy."""

LOWEST_KHZ, HIGHEST_KHZ = 800_000, 3_000_000
AMBIENT_C = 30.0

_OURS = frozenset({MARKER, TRUTH, "class", "devices", "fs"})
POWERCAP = "devices/virtual/powercap"
_CPU = "devices/system/cpu"
_DIGITS = 16
"""2^32 units of a millijoule have thirteen."""


class SimulatedTree:
    """Such a tree, with the files that change kept open."""

    def __init__(self, root: Path, machine: SimulatedMachine, cpus: Sequence[int], *, lock: int) -> None:
        self._lock = lock
        self._root = root
        self._machine = machine
        self._domains = machine.domains
        self._energy: list[list[int]] = []
        self._temperatures = [_open(root / _hwmon(socket) / "temp1_input") for socket in range(machine.sockets)]
        self._frequencies = [_open(root / _CPU / f"cpufreq/policy{cpu}/scaling_cur_freq") for cpu in cpus]
        self._open_counters()

    def show_energy(self, domain: int, uj: int) -> None:
        """Write the counter of the domain (its place in the machine's domains), microjoules."""
        shown = b"%016d\n" % uj
        for descriptor in self._energy[domain]:
            os.pwrite(descriptor, shown, 0)

    def hide_energy(self, domain: int) -> None:
        """Let reads of the counter fail, until it is shown again."""
        for descriptor in self._energy[domain]:
            os.ftruncate(descriptor, 0)

    def show_temperature(self, socket: int, celsius: float) -> None:
        """Write the socket's temperature."""
        os.pwrite(self._temperatures[socket], b"%06d\n" % round(celsius * 1000), 0)

    def show_frequency(self, place: int, khz: int) -> None:
        """Write the clock of a CPU (its place among the CPUs), kHz."""
        os.pwrite(self._frequencies[place], b"%07d\n" % khz, 0)

    def reload_driver(self) -> None:
        """Make the counters anew: descriptors that readers opened before read nothing any more."""
        for place in range(len(self._domains)):
            self.hide_energy(place)
        self._close_counters()
        for domain in self._domains:
            for file in _counters(self._root, self._machine, domain):
                file.unlink()
                _write(file, "0" * _DIGITS)
        self._open_counters()

    def close(self) -> None:
        """Close the files; the tree stays."""
        self._close_counters()
        for descriptor in (*self._temperatures, *self._frequencies, self._lock):
            os.close(descriptor)

    def _open_counters(self) -> None:
        self._energy = [[_open(file) for file in _counters(self._root, self._machine, d)] for d in self._domains]

    def _close_counters(self) -> None:
        for descriptors in self._energy:
            for descriptor in descriptors:
                os.close(descriptor)
        self._energy = []


def make_tree(root: Path, machine: SimulatedMachine, cpus: Mapping[int, int]) -> SimulatedTree:
    """Write the tree of `machine` to `root`; `cpus` maps each logical CPU to its socket.

    An earlier simulated tree there is replaced. Raises MachineError where `root` holds anything
    else, is in use by another simulation, or cannot be written.
    """
    try:
        lock = _take(root)
        _clear(root)
        _write(root / MARKER, json.dumps(asdict(machine), indent=2))
        _write_powercap(root, machine)
        _write_cpus(root, cpus)
        _write_hwmon(root, machine)
        return SimulatedTree(root, machine, sorted(cpus), lock=lock)
    except OSError as error:
        raise MachineError(
            f"{root}: a simulated machine cannot be written there ({error.strerror}).",
            cure="Name a folder that can be written.",
        ) from error


def _take(root: Path) -> int:
    """Make `root` ours, or raise MachineError; the descriptor that holds it."""
    root.mkdir(parents=True, exist_ok=True)
    found = {entry.name for entry in root.iterdir()}
    if found and (MARKER not in found or not found <= _OURS):
        strange = ", ".join(sorted(found - _OURS or found)[:3])
        raise MachineError(
            f"{root} holds something else than a simulated machine ({strange}).",
            cure="Name a folder that is empty or not there yet.",
        )
    # The marker is there first of all, so that a tree whose making was interrupted is known as one.
    lock = os.open(root / MARKER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise MachineError(
            f"{root} is kept by another simulation that still runs.", cure="Name another folder, or end that one."
        ) from None
    return lock


def _clear(root: Path) -> None:
    for name in _OURS - {MARKER}:
        entry = root / name
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)


def _write_powercap(root: Path, machine: SimulatedMachine) -> None:
    _write(root / POWERCAP / "intel-rapl/enabled", "1")
    if machine.mmio:
        _write(root / POWERCAP / "intel-rapl-mmio/enabled", "1")
    for domain in machine.domains:
        for file in _counters(root, machine, domain):
            zone = file.parent
            _write(zone / "name", domain.name)
            _write(zone / "max_energy_range_uj", domain.max_energy_range_uj)
            _write(zone / "enabled", 1)
            _write(file, "0" * _DIGITS)
            for place, (name, limit_uw, window_us) in enumerate(machine.limits_uw(domain)):
                _write(zone / f"constraint_{place}_name", name)
                _write(zone / f"constraint_{place}_power_limit_uw", limit_uw)
                _write(zone / f"constraint_{place}_time_window_us", window_us)
    for zone in sorted((root / POWERCAP).rglob("intel-rapl*")):
        _link(root / "class/powercap" / zone.name, zone)


def _write_cpus(root: Path, cpus: Mapping[int, int]) -> None:
    folder = root / _CPU
    all_cpus = ",".join(map(str, sorted(cpus)))
    for name in ("online", "present", "possible"):
        _write(folder / name, all_cpus)
    _write(folder / "modalias", "cpu:type:x86,ven0000fam0006mod006A:feature:,0000,0001")
    _write(folder / "smt/active", 0)
    _write(folder / "intel_pstate/no_turbo", 1)
    for cpu, socket in cpus.items():
        own, policy = folder / f"cpu{cpu}", folder / f"cpufreq/policy{cpu}"
        _write(own / "topology/physical_package_id", socket)
        _write(own / "topology/core_id", cpu)
        _write(own / "topology/core_cpus_list", cpu)
        for name in ("core_throttle_count", "package_throttle_count"):
            _write(own / "thermal_throttle" / name, 0)
        _write(policy / "affected_cpus", cpu)
        _write(policy / "scaling_driver", "intel_pstate")
        _write(policy / "scaling_governor", "performance")
        _write(policy / "scaling_min_freq", LOWEST_KHZ)
        _write(policy / "scaling_max_freq", HIGHEST_KHZ)
        _write(policy / "scaling_cur_freq", f"{LOWEST_KHZ:07d}")
        _link(own / "cpufreq", policy)
    # What the real machine lets its processes have is no part of the simulation.
    (root / "fs").mkdir()
    (root / "fs/cgroup").symlink_to("/sys/fs/cgroup")


def _write_hwmon(root: Path, machine: SimulatedMachine) -> None:
    for socket in range(machine.sockets):
        folder = root / _hwmon(socket)
        _write(folder / "name", "coretemp")
        _write(folder / "temp1_label", f"Package id {socket}")
        _write(folder / "temp1_input", f"{round(AMBIENT_C * 1000):06d}")
        _write(folder / "temp1_max", 90_000)
        _write(folder / "temp1_crit", 100_000)
        _link(root / f"class/hwmon/hwmon{socket}", folder)


def _hwmon(socket: int) -> str:
    return f"devices/platform/coretemp.{socket}/hwmon/hwmon{socket}"


def _counters(root: Path, machine: SimulatedMachine, domain: SimulatedDomain) -> list[Path]:
    """The files that show the domain's counter."""
    control, *numbers = domain.zone.split(":")
    parts = [":".join([control, *numbers[: depth + 1]]) for depth in range(len(numbers))]
    files = [root.joinpath(POWERCAP, control, *parts, "energy_uj")]
    if machine.mmio and domain.name.startswith("package"):
        files.append(root / POWERCAP / "intel-rapl-mmio" / f"intel-rapl-mmio:{numbers[0]}" / "energy_uj")
    return files


def _write(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{value}\n", encoding="ascii")


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    # Relative, as in sysfs, so that the tree may be mounted elsewhere.
    link.symlink_to(os.path.relpath(target, link.parent))


def _open(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CLOEXEC)
