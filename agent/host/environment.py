"""The record of the environment: kernel, frequencies, limits, container, library versions. It only reads."""

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
"""Environment variable with the label of the environment that this process runs in, as studies name it."""

CONTAINER, POD = "container", "pod"
"""Labels of an environment in a container, and in a pod of Kubernetes."""

IMAGE = "JOULEFLEET_IMAGE"
"""Environment variable with the name of the container image, which cannot be read from inside it."""

LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pyarrow", "psutil", "ray")
"""Names of the distributions whose version can change what is measured."""

_CPU = "devices/system/cpu"


def read_environment(
    sysfs_root: Path,
    proc_root: Path,
    *,
    etc_root: Path = Path("/etc"),
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
) -> Environment:
    """Return the environment of this process."""
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
    """Return the versions of Python and of each of `LIBRARIES` that is installed, without importing them.

    They are read once: it takes 20 ms, and a process keeps what it has imported.
    """
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def runtime(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> str:
    """Return what started this container: kubernetes, podman or docker; `none` outside of containers."""
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    if exists(root / "run/.containerenv"):
        return "podman"
    return "docker" if exists(root / ".dockerenv") else "none"


def environment_label(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> str:
    """Return `$JOULEFLEET_ENVIRONMENT` where it is set, else pod, container or bare by what runs this process."""
    if label := environ.get(LABEL):
        return label
    if runtime(root, environ) == "kubernetes":
        return POD
    return CONTAINER if _contained(root, environ) else BARE


def in_container(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process runs in a container; False where `$JOULEFLEET_ENVIRONMENT` is `bare`."""
    return _contained(root, environ) and environment_label(root, environ) != BARE


def _contained(root: Path, environ: Mapping[str, str]) -> bool:
    # Some engines leave no file that shows them; the images of Joulefleet set this variable.
    return runtime(root, environ) != "none" or bool(environ.get(IMAGE))


def _governor(sysfs_root: Path) -> str | None:
    """Return the frequency governors of all CPUs, each once."""
    files = sysfs_root.glob(f"{_CPU}/cpu[0-9]*/cpufreq/scaling_governor")
    return ",".join(sorted({governor for file in files if (governor := text(file))})) or None


def _turbo(sysfs_root: Path) -> bool | None:
    off = _flag(sysfs_root / _CPU / "intel_pstate/no_turbo")
    return _flag(sysfs_root / _CPU / "cpufreq/boost") if off is None else not off


def _frequencies_mhz(sysfs_root: Path) -> tuple[float | None, float | None]:
    """Return the lowest and the highest frequency that the limits in force allow to any CPU, MHz."""
    folders = list(sysfs_root.glob(f"{_CPU}/cpu[0-9]*/cpufreq"))
    lowest = [khz for folder in folders if (khz := number(folder / "scaling_min_freq")) is not None]
    highest = [khz for folder in folders if (khz := number(folder / "scaling_max_freq")) is not None]
    return (min(lowest) / 1000 if lowest else None), (max(highest) / 1000 if highest else None)


def _flag(file: Path) -> bool | None:
    value = number(file)
    return None if value is None else value != 0
