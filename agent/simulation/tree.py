"""The files of a simulated machine, in the layout of /sys.

A counter is a file of fixed width that is rewritten in place, never truncated and never replaced, so
that a reader that keeps it open reads the present value.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from agent.simulation.machine import SimulatedDomain, SimulatedMachine
from joulefleet.errors import MachineError
from joulefleet.locks import try_lock

MARKER = "simulated-machine.json"
"""Name of the file at the root of each tree that shows that the folder is a simulated machine."""

TRUTH = "truth"
"""Name of the file at the root in which a running simulation logs its true energy."""

LOWEST_KHZ, HIGHEST_KHZ = 800_000, 3_000_000
"""Clock frequency of an idle and of a busy CPU, kHz."""

AMBIENT_C = 30.0
"""Temperature of a package without power, degrees Celsius."""

_ENTRIES = frozenset({MARKER, TRUTH, "class", "devices", "fs"})
POWERCAP = "devices/virtual/powercap"
_CPU = "devices/system/cpu"
_DIGITS = 16
"""Width of a counter, digits: 2^32 units of a millijoule have thirteen."""


class SimulatedTree:
    """The tree of a simulated machine, with the files that change kept open. `make_tree` makes it; `close` it."""

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
        """Write the counter of the domain (its index in the machine's domains), microjoules."""
        shown = b"%016d\n" % uj
        for descriptor in self._energy[domain]:
            os.pwrite(descriptor, shown, 0)

    def hide_energy(self, domain: int) -> None:
        """Make reads of the counter fail until it is shown again."""
        for descriptor in self._energy[domain]:
            os.ftruncate(descriptor, 0)

    def show_temperature(self, socket: int, celsius: float) -> None:
        """Write the temperature of a socket."""
        os.pwrite(self._temperatures[socket], b"%06d\n" % round(celsius * 1000), 0)

    def show_frequency(self, index: int, khz: int) -> None:
        """Write the frequency of a CPU (its index among the CPUs), kHz."""
        os.pwrite(self._frequencies[index], b"%07d\n" % khz, 0)

    def reload_driver(self) -> None:
        """Replace the counters, as loading the driver again does: files opened before read nothing from now on."""
        for index in range(len(self._domains)):
            self.hide_energy(index)
        self._close_counters()
        for domain in self._domains:
            for file in _counters(self._root, self._machine, domain):
                file.unlink()
                _write(file, "0" * _DIGITS)
        self._open_counters()

    def close(self) -> None:
        """Close the files, and give up the lock. The tree stays."""
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
    """Write the tree of `machine` to `root` and return it; `cpus` maps each logical CPU to its socket.

    It replaces an earlier simulated tree. Raises MachineError where `root` holds anything else, is used
    by another simulation, or cannot be written.
    """
    try:
        lock = _lock(root)
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


def _lock(root: Path) -> int:
    """Return the descriptor of the locked marker in `root`, or raise MachineError."""
    root.mkdir(parents=True, exist_ok=True)
    names = {entry.name for entry in root.iterdir()}
    if names and (MARKER not in names or not names <= _ENTRIES):
        strange = ", ".join(sorted(names - _ENTRIES or names)[:3])
        raise MachineError(
            f"{root} holds something else than a simulated machine ({strange}).",
            cure="Name a folder that is empty or does not exist.",
        )
    # The marker is made before all else, so that an unfinished tree is known as one.
    lock = os.open(root / MARKER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    if not try_lock(lock):
        os.close(lock)
        raise MachineError(
            f"{root} is in use by another simulation that still runs.", cure="Name another folder, or end that one."
        )
    return lock


def _clear(root: Path) -> None:
    for name in _ENTRIES - {MARKER}:
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
            for index, (name, limit_uw, window_us) in enumerate(machine.limits_uw(domain)):
                _write(zone / f"constraint_{index}_name", name)
                _write(zone / f"constraint_{index}_power_limit_uw", limit_uw)
                _write(zone / f"constraint_{index}_time_window_us", window_us)
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
        entry, policy = folder / f"cpu{cpu}", folder / f"cpufreq/policy{cpu}"
        _write(entry / "topology/physical_package_id", socket)
        _write(entry / "topology/core_id", cpu)
        _write(entry / "topology/core_cpus_list", cpu)
        for name in ("core_throttle_count", "package_throttle_count"):
            _write(entry / "thermal_throttle" / name, 0)
        _write(policy / "affected_cpus", cpu)
        _write(policy / "scaling_driver", "intel_pstate")
        _write(policy / "scaling_governor", "performance")
        _write(policy / "scaling_min_freq", LOWEST_KHZ)
        _write(policy / "scaling_max_freq", HIGHEST_KHZ)
        _write(policy / "scaling_cur_freq", f"{LOWEST_KHZ:07d}")
        _link(entry / "cpufreq", policy)
    # Control groups are not simulated: the real limits hold.
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
    """Return the files that show the domain's counter."""
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
    # Relative, as in sysfs, so that the tree can be mounted elsewhere.
    link.symlink_to(os.path.relpath(target, link.parent))


def _open(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CLOEXEC)
