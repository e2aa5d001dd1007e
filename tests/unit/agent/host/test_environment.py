import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.host.energy_filter import ENERGY_FILTERING_CTL, MISC_PACKAGE_CTLS
from agent.host.environment import environment_label, in_container, read_environment
from joulefleet.machine import Environment
from tests.support.machines import unpacked
from tests.support.msr_registers import write_registers


def environment(
    root: Path, machine: str = "two-packages-with-dram", environ: Mapping[str, str] | None = None
) -> Environment:
    """Return the environment of a machine of tests/machines, in a root folder of the test's own."""
    folder = unpacked(machine)
    return read_environment(folder / "sys", folder / "proc", etc_root=folder / "etc", root=root, environ=environ or {})


def test_the_record_has_what_the_files_hold(tmp_path: Path) -> None:
    """Kernel, frequencies, memory and limits."""
    record = environment(tmp_path)
    assert record.kernel == "6.1.0-28-amd64"
    assert record.kernel_command_line == "BOOT_IMAGE=/vmlinuz-6.1.0 root=/dev/sda1 ro quiet"
    assert record.os == "Debian GNU/Linux 12 (bookworm)"
    assert record.microcode == "0xd0003d1"
    assert (record.governor, record.turbo, record.smt) == ("performance", False, False)
    assert (record.frequency_min_mhz, record.frequency_max_mhz) == (800.0, 3400.0)
    assert (record.numa_nodes, record.swap_bytes) == (2, 8_388_604 * 1024)
    assert (record.cgroup_cpu_limit, record.cgroup_memory_limit_bytes) == (None, None)
    assert (record.runtime, record.image) == ("none", None)


def test_turbo_is_read_from_cpufreq_where_there_is_no_intel_pstate(tmp_path: Path) -> None:
    """On AMD, boost is 1 while turbo is on."""
    record = environment(tmp_path, "amd-single")
    assert (record.governor, record.turbo, record.smt) == ("schedutil", True, True)


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    """A virtual machine without cpufreq has no governor, not a default one."""
    record = environment(tmp_path, "no-rapl")
    assert (record.governor, record.turbo, record.smt, record.frequency_max_mhz, record.numa_nodes) == (None,) * 5
    assert record.os is None


def test_the_energy_filter_is_looked_for_under_the_same_root(tmp_path: Path) -> None:
    """It is unknown where neither registers nor flag show it."""
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
def test_the_container_runtime_is_recognised_by_its_traces(
    tmp_path: Path, file: str, environ: dict[str, str], runtime: str
) -> None:
    """Docker and Podman make a file, Kubernetes sets a variable."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    assert environment(tmp_path, environ=environ).runtime == runtime


def test_the_image_is_what_its_builder_named(tmp_path: Path) -> None:
    """It cannot be read from inside a container."""
    assert environment(tmp_path, environ={"JOULEFLEET_IMAGE": "joulefleet:1"}).image == "joulefleet:1"


def test_library_versions_are_read_without_importing_them(tmp_path: Path) -> None:
    """Python and every library that is installed have a version."""
    record = environment(tmp_path).libraries
    assert record["python"] == platform.python_version()
    assert record["pyarrow"] == importlib.metadata.version("pyarrow")


def test_equal_environments_have_equal_ids(tmp_path: Path) -> None:
    """The id is a digest of the record only."""
    assert environment(tmp_path).environment_id == environment(tmp_path).environment_id
    assert environment(tmp_path).environment_id != environment(tmp_path, "amd-single").environment_id


@pytest.mark.parametrize(
    ("environ", "label", "contained"),
    [
        ({}, "bare", False),
        ({"JOULEFLEET_IMAGE": "joulefleet:1"}, "container", True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "pod", True),
        ({"JOULEFLEET_ENVIRONMENT": "gpu-image", "JOULEFLEET_IMAGE": "joulefleet:1"}, "gpu-image", True),
        ({"JOULEFLEET_ENVIRONMENT": "bare", "JOULEFLEET_IMAGE": "joulefleet:1"}, "bare", False),
    ],
)
def test_the_users_label_comes_before_what_is_recognised(
    tmp_path: Path, environ: dict[str, str], label: str, *, contained: bool
) -> None:
    """With the label `bare` the user declares a container to be the host itself."""
    assert environment_label(tmp_path, environ) == label
    assert in_container(tmp_path, environ) is contained
