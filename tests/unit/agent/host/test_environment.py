import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.host.energy_filter import ENERGY_FILTERING_CTL, MISC_PACKAGE_CTLS
from agent.host.environment import read_environment
from joulefleet.machine import Environment
from tests.support.machines import unpacked
from tests.support.registers import write_registers


def environment(
    root: Path, machine: str = "two-packages-with-dram", environ: Mapping[str, str] | None = None
) -> Environment:
    """The environment of a machine of tests/machines, in a root folder of the test's own."""
    folder = unpacked(machine)
    return read_environment(folder / "sys", folder / "proc", etc_root=folder / "etc", root=root, environ=environ or {})


def test_the_record_says_what_was_found(tmp_path: Path) -> None:
    """Kernel, frequencies, memory and limits as the files have them."""
    found = environment(tmp_path)
    assert found.kernel == "6.1.0-28-amd64"
    assert found.kernel_command_line == "BOOT_IMAGE=/vmlinuz-6.1.0 root=/dev/sda1 ro quiet"
    assert found.os == "Debian GNU/Linux 12 (bookworm)"
    assert found.microcode == "0xd0003d1"
    assert (found.governor, found.turbo, found.smt) == ("performance", False, False)
    assert (found.frequency_min_mhz, found.frequency_max_mhz) == (800.0, 3400.0)
    assert (found.numa_nodes, found.swap_bytes) == (2, 8_388_604 * 1024)
    assert (found.cgroup_cpu_limit, found.cgroup_memory_limit_bytes) == (None, None)
    assert (found.runtime, found.image) == ("none", None)


def test_turbo_is_read_from_cpufreq_where_there_is_no_intel_pstate(tmp_path: Path) -> None:
    """AMD's boost switch says 1 for on."""
    found = environment(tmp_path, "amd-single")
    assert (found.governor, found.turbo, found.smt) == ("schedutil", True, True)


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    """A virtual machine without cpufreq has no governor, not a default one."""
    found = environment(tmp_path, "no-rapl")
    assert (found.governor, found.turbo, found.smt, found.frequency_max_mhz, found.numa_nodes) == (None,) * 5
    assert found.os is None


def test_the_energy_filter_is_looked_for_under_the_same_root(tmp_path: Path) -> None:
    """/dev of this very process; unknown where neither register nor flag tells."""
    assert environment(tmp_path).energy_filter is None
    write_registers(tmp_path / "dev", capabilities=MISC_PACKAGE_CTLS | ENERGY_FILTERING_CTL, controls=1)
    assert environment(tmp_path).energy_filter is True


@pytest.mark.parametrize(
    ("file", "environ", "runtime"),
    [
        (".dockerenv", {}, "docker"),
        ("run/.containerenv", {}, "podman"),
        (".dockerenv", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
    ],
)
def test_the_container_runtime_is_told_by_what_it_leaves(
    tmp_path: Path, file: str, environ: dict[str, str], runtime: str
) -> None:
    """Docker and Podman leave a file, Kubernetes a variable."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    assert environment(tmp_path, environ=environ).runtime == runtime


def test_the_image_is_what_its_builder_named(tmp_path: Path) -> None:
    """It cannot be read from inside."""
    assert environment(tmp_path, environ={"JOULEFLEET_IMAGE": "joulefleet:1"}).image == "joulefleet:1"


def test_library_versions_are_read_without_importing_them(tmp_path: Path) -> None:
    """Python and every library that is installed, each with its version."""
    found = environment(tmp_path).libraries
    assert found["python"] == platform.python_version()
    assert found["pyarrow"] == importlib.metadata.version("pyarrow")


def test_equal_environments_have_equal_ids(tmp_path: Path) -> None:
    """The id is a digest of the record and of nothing else."""
    assert environment(tmp_path).environment_id == environment(tmp_path).environment_id
    assert environment(tmp_path).environment_id != environment(tmp_path, "amd-single").environment_id
