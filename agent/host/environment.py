"""Where the work runs: kernel, frequencies, limits, container, library versions. It only reads."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from agent.host.cgroup import read_cgroup_limits
from agent.host.energy_filter import energy_filter
from agent.host.files import exists, kib, number, table, text
from joulefleet.machine import BARE, Environment

LABEL = "JOULEFLEET_ENVIRONMENT"
"""Names the environment that this process runs in, as studies do."""

CONTAINER, POD = "container", "pod"

IMAGE = "JOULEFLEET_IMAGE"
"""Names the container image, which cannot be read from inside."""

LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pyarrow", "psutil", "ray")
"""Distributions whose version can change what is measured."""

_CPU = "devices/system/cpu"


def read_environment(
    sysfs_root: Path,
    proc_root: Path,
    *,
    etc_root: Path = Path("/etc"),
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
) -> Environment:
    """The environment of this very process."""
    libraries = read_libraries()
    limits = read_cgroup_limits(sysfs_root, proc_root)
    lowest, highest = _frequencies_mhz(sysfs_root)
    return Environment(
        runtime=runtime(root, environ),
        engine=f"torch {libraries['torch']}" if "torch" in libraries else "none",
        image=environ.get(IMAGE) or None,
        kernel=text(proc_root / "sys/kernel/osrelease") or platform.release(),
        kernel_command_line=text(proc_root / "cmdline"),
        os=(table(etc_root / "os-release", "=").get("PRETTY_NAME") or "").strip("\"'") or None,
        microcode=text(sysfs_root / _CPU / "cpu0/microcode/version") or table(proc_root / "cpuinfo").get("microcode"),
        governor=_governor(sysfs_root),
        turbo=_turbo(sysfs_root),
        smt=_flag(sysfs_root / _CPU / "smt/active"),
        frequency_min_mhz=lowest,
        frequency_max_mhz=highest,
        numa_nodes=len(list(sysfs_root.glob("devices/system/node/node[0-9]*"))) or None,
        energy_filter=energy_filter(proc_root, root / "dev"),
        swap_bytes=kib(table(proc_root / "meminfo").get("SwapTotal")),
        cgroup_cpu_limit=limits.cpus,
        cgroup_memory_limit_bytes=limits.memory_bytes,
        libraries=dict(libraries),
    )


@cache
def read_libraries() -> Mapping[str, str]:
    """Name to version of Python and of each of `LIBRARIES` that is installed; none is imported for it.

    Read once: 20 ms, and what a process has imported does not change under it.
    """
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def runtime(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> str:
    """What this process was started by: kubernetes, podman, docker, or `none`, which is no container."""
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    if exists(root / "run/.containerenv"):
        return "podman"
    return "docker" if exists(root / ".dockerenv") else "none"


def own_label(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> str:
    """`$JOULEFLEET_ENVIRONMENT`; else what is found: pod, container, or bare."""
    if label := environ.get(LABEL):
        return label
    if runtime(root, environ) == "kubernetes":
        return POD
    return CONTAINER if _contained(root, environ) else BARE


def in_container(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a host around this process; not where its user says that it is the host itself."""
    return _contained(root, environ) and own_label(root, environ) != BARE


def _contained(root: Path, environ: Mapping[str, str]) -> bool:
    # Not every engine leaves a sign of itself; our images do.
    return runtime(root, environ) != "none" or bool(environ.get(IMAGE))


def _governor(sysfs_root: Path) -> str | None:
    """The frequency governor of all CPUs; several are named together."""
    files = sysfs_root.glob(f"{_CPU}/cpu[0-9]*/cpufreq/scaling_governor")
    return ",".join(sorted({found for file in files if (found := text(file))})) or None


def _turbo(sysfs_root: Path) -> bool | None:
    off = _flag(sysfs_root / _CPU / "intel_pstate/no_turbo")
    return _flag(sysfs_root / _CPU / "cpufreq/boost") if off is None else not off


def _frequencies_mhz(sysfs_root: Path) -> tuple[float | None, float | None]:
    """The lowest and the highest frequency that the limits in force allow any CPU."""
    folders = list(sysfs_root.glob(f"{_CPU}/cpu[0-9]*/cpufreq"))
    lowest = [khz for folder in folders if (khz := number(folder / "scaling_min_freq")) is not None]
    highest = [khz for folder in folders if (khz := number(folder / "scaling_max_freq")) is not None]
    return (min(lowest) / 1000 if lowest else None), (max(highest) / 1000 if highest else None)


def _flag(file: Path) -> bool | None:
    found = number(file)
    return None if found is None else found != 0
