"""The record of the host: id, name, CPU and memory, from /proc, /sys and /etc. It only reads."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from agent.host.files import exists, kib, number, table, text
from joulefleet.errors import MachineError
from joulefleet.machine import Machine

MACHINE_ID_FILE = "JOULEFLEET_MACHINE_ID_FILE"
"""Environment variable with the path of the id's file: in a container, where the host's /etc/machine-id is mounted."""

MACHINE_NAME = "JOULEFLEET_MACHINE_NAME"
"""Environment variable with the machine's name for people."""

_ID_LENGTH = 16


def read_machine(
    sysfs_root: Path,
    proc_root: Path,
    *,
    etc_root: Path = Path("/etc"),
    environ: Mapping[str, str] = os.environ,
) -> Machine:
    """Return the host's record. Raises MachineError where the machine has no id, or its memory is unknown."""
    cpus = _cpus(proc_root)
    first = cpus[0] if cpus else {}
    sockets, cores = _topology(sysfs_root, cpus)
    memory = kib(table(proc_root / "meminfo").get("MemTotal"))
    if memory is None:
        raise MachineError(
            f"{proc_root}/meminfo has no readable MemTotal, so the memory of this machine is unknown.",
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
    """Return the kernel's id of this boot; None where it cannot be read."""
    return text(proc_root / "sys/kernel/random/boot_id")


def _machine_id(etc_root: Path, environ: Mapping[str, str]) -> str:
    file = Path(environ.get(MACHINE_ID_FILE) or etc_root / "machine-id")
    machine_id = text(file)
    # systemd writes "uninitialized" into images that have not been booted.
    if machine_id is None or machine_id == "uninitialized":
        raise MachineError(
            f"{file} is {'missing or unreadable' if not exists(file) else 'empty'}: this machine has no id.",
            cure=f"Make one with `sudo systemd-machine-id-setup`; in a container mount the host's /etc/machine-id "
            f"and name it in {MACHINE_ID_FILE}.",
        )
    # machine-id(5) asks not to publish the id itself, but a hash of it for each application.
    return hashlib.sha256(b"joulefleet" + machine_id.encode()).hexdigest()[:_ID_LENGTH]


def _cpus(proc_root: Path) -> list[dict[str, str]]:
    """Return one table for each logical CPU of /proc/cpuinfo."""
    cpus: list[dict[str, str]] = []
    for line in (text(proc_root / "cpuinfo") or "").splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if key == "processor" and colon:
            cpus.append({})
        if colon and cpus:
            cpus[-1][key] = value
    return cpus


def _topology(sysfs_root: Path, cpus: list[dict[str, str]]) -> tuple[int | None, int | None]:
    """Return the numbers of sockets and physical cores, from cpuinfo (x86) or else from sysfs."""
    pairs = {(cpu["physical id"], cpu["core id"]) for cpu in cpus if "physical id" in cpu and "core id" in cpu}
    if not pairs:
        for folder in sysfs_root.glob("devices/system/cpu/cpu[0-9]*/topology"):
            package, core = number(folder / "physical_package_id"), number(folder / "core_id")
            if package is not None and core is not None:
                pairs.add((str(package), str(core)))
    if not pairs:
        return None, None
    return len({package for package, _ in pairs}), len(pairs)
