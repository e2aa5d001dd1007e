"""The machine that is measured, and the environment on it in which the work runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from joulefleet.digest import digest

BARE = "bare"
"""Label of the environment outside of any container: the host itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The host. `machine_id` stays the same over reboots and changes of name, address or Ray cluster."""

    machine_id: str
    name: str
    """Name for people; two machines may share it."""
    cpu_model: str | None
    sockets: int | None
    physical_cores: int | None
    logical_cpus: int
    memory_bytes: int
    virtualised: bool | None
    """True inside a virtual machine, None where the CPU does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The record of what the work runs in. A field is None where it could not be read."""

    runtime: str
    """Container runtime; `none` on bare metal."""
    engine: str
    """Library that runs the models, with its version."""
    image: str | None
    kernel: str
    kernel_command_line: str | None
    os: str | None
    microcode: str | None
    governor: str | None
    turbo: bool | None
    smt: bool | None
    frequency_min_mhz: float | None
    frequency_max_mhz: float | None
    numa_nodes: int | None
    energy_filter: bool | None
    """Whether the CPU adds noise to its energy counters on purpose."""
    swap_bytes: int | None
    cgroup_cpu_limit: float | None
    """CPU limit of the cgroup's quota, CPUs; None where unlimited."""
    cgroup_memory_limit_bytes: int | None
    libraries: dict[str, str]
    """Versions of the libraries that can change what is measured, by name."""

    @property
    def environment_id(self) -> str:
        """Digest of the record: equal environments have equal ids."""
        return digest(asdict(self))
