"""Who the host is, and where on it the work runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from joulefleet.digest import digest

BARE = "bare"
"""The label of the environment that is no container: the host itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The host. `machine_id` is stable over reboots, names, addresses and Ray clusters."""

    machine_id: str
    name: str
    """For people; two machines may share it."""
    cpu_model: str | None
    sockets: int | None
    physical_cores: int | None
    logical_cpus: int
    memory_bytes: int
    virtualised: bool | None
    """True inside a virtual machine, None where the CPU does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What was found where the work runs. None: not readable there."""

    runtime: str
    """The container runtime, `none` on bare metal."""
    engine: str
    """What does the inference, with its version."""
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
    """CPUs, from the quota; None where unlimited."""
    cgroup_memory_limit_bytes: int | None
    libraries: dict[str, str]
    """Name to version of everything that can change what is measured."""

    @property
    def environment_id(self) -> str:
        """Digest of the record: equal ids, equal environments."""
        return digest(asdict(self))
