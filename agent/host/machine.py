"""Who the host is, read from /proc, /sys and /etc. It only reads."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from agent.host.environment import read_environment
from agent.host.files import exists, kib, number, table, text
from joulefleet.errors import MachineError
from joulefleet.machine import Machine

__all__ = ["MACHINE_ID_FILE", "MACHINE_NAME", "boot_id", "read_environment", "read_machine"]

MACHINE_ID_FILE = "JOULEFLEET_MACHINE_ID_FILE"
"""Names a file to take the id from: in a container, the host's /etc/machine-id as mounted there."""

MACHINE_NAME = "JOULEFLEET_MACHINE_NAME"
"""Names the machine for people."""

_ID_LENGTH = 16


def read_machine(
    sysfs_root: Path,
    proc_root: Path,
    *,
    etc_root: Path = Path("/etc"),
    environ: Mapping[str, str] = os.environ,
) -> Machine:
    """The host's record. Raises MachineError where the machine has no id."""
    cpus = _cpus(proc_root)
    first = cpus[0] if cpus else {}
    sockets, cores = _topology(sysfs_root, cpus)
    memory = kib(table(proc_root / "meminfo").get("MemTotal"))
    if memory is None:
        raise MachineError(
            f"{proc_root}/meminfo does not say how much memory this machine has.",
            cure="Give the folder where procfs is mounted.",
        )
    return Machine(
        machine_id=_machine_id(etc_root, environ),
        name=environ.get(MACHINE_NAME) or text(proc_root / "sys/kernel/hostname") or platform.node(),
        cpu_model=first.get("model name") or first.get("Model"),
        sockets=sockets,
        physical_cores=cores,
        logical_cpus=len(cpus) or os.cpu_count() or 1,
        memory_bytes=memory,
        virtualised="hypervisor" in first["flags"].split() if "flags" in first else None,
    )


def boot_id(proc_root: Path) -> str | None:
    """The kernel's id of this boot."""
    return text(proc_root / "sys/kernel/random/boot_id")


def _machine_id(etc_root: Path, environ: Mapping[str, str]) -> str:
    given = environ.get(MACHINE_ID_FILE)
    file = Path(given) if given else etc_root / "machine-id"
    found = text(file)
    # systemd writes "uninitialized" into images whose first boot is still to come.
    if found is None or found == "uninitialized":
        raise MachineError(
            f"{file} is {'missing or unreadable' if not exists(file) else 'empty'}: this machine has no id.",
            cure=f"Make one with `sudo systemd-machine-id-setup`; in a container mount the host's /etc/machine-id "
            f"and name it in {MACHINE_ID_FILE}.",
        )
    # machine-id(5) asks not to publish the id itself: a hash for this application, not to be traced back.
    return hashlib.sha256(b"joulefleet" + found.encode()).hexdigest()[:_ID_LENGTH]


def _cpus(proc_root: Path) -> list[dict[str, str]]:
    """One table for each logical CPU of /proc/cpuinfo."""
    cpus: list[dict[str, str]] = []
    for line in (text(proc_root / "cpuinfo") or "").splitlines():
        key, found, value = (part.strip() for part in line.partition(":"))
        if key == "processor" and found:
            cpus.append({})
        if found and cpus:
            cpus[-1][key] = value
    return cpus


def _topology(sysfs_root: Path, cpus: list[dict[str, str]]) -> tuple[int | None, int | None]:
    """Sockets and physical cores, from cpuinfo (x86) or else from sysfs."""
    pairs = {(cpu["physical id"], cpu["core id"]) for cpu in cpus if "physical id" in cpu and "core id" in cpu}
    if not pairs:
        for folder in sysfs_root.glob("devices/system/cpu/cpu[0-9]*/topology"):
            package, core = number(folder / "physical_package_id"), number(folder / "core_id")
            if package is not None and core is not None:
                pairs.add((str(package), str(core)))
    if not pairs:
        return None, None
    return len({package for package, _ in pairs}), len(pairs)
