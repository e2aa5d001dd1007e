from pathlib import Path

import pytest

from agent.host.machine import boot_id, read_machine
from joulefleet.errors import MachineError
from joulefleet.machine import Machine
from tests.support.machines import unpacked

MACHINE = unpacked("two-packages-with-dram")
SYS, PROC, ETC = MACHINE / "sys", MACHINE / "proc", MACHINE / "etc"


def machine(**environ: str) -> Machine:
    """Return the record of the two-package machine with these variables set."""
    return read_machine(SYS, PROC, etc_root=ETC, environ=environ)


def test_the_record_has_cpu_cores_and_memory() -> None:
    """They are named as the kernel names them."""
    record = machine()
    assert record.cpu_model == "Intel(R) Xeon(R) Gold 6326 CPU @ 2.90GHz"
    assert (record.sockets, record.physical_cores, record.logical_cpus) == (2, 4, 4)
    assert record.memory_bytes == 263_852_000 * 1024
    assert record.virtualised is False
    assert record.name == "xeon-1"


def test_the_machine_id_is_stable_and_is_not_the_systems_own() -> None:
    """It is a hash for this application: machine-id(5) asks not to publish the id itself."""
    machine_id = machine().machine_id
    assert machine_id == machine(JOULEFLEET_MACHINE_NAME="other").machine_id
    assert len(machine_id) == 16
    assert machine_id not in (ETC / "machine-id").read_text()


def test_a_container_may_name_the_hosts_id_file(tmp_path: Path) -> None:
    """With the host's id file, host and container are one machine."""
    mounted = tmp_path / "host-machine-id"
    mounted.write_text((ETC / "machine-id").read_text())
    inside = read_machine(SYS, PROC, etc_root=tmp_path, environ={"JOULEFLEET_MACHINE_ID_FILE": str(mounted)})
    assert inside.machine_id == machine().machine_id


def test_a_name_for_people_may_be_given() -> None:
    """The hostname is only the default."""
    assert machine(JOULEFLEET_MACHINE_NAME="rack-3").name == "rack-3"


@pytest.mark.parametrize("written", [None, "", "uninitialized\n"])
def test_a_machine_without_an_id_is_an_error_with_a_cure(tmp_path: Path, written: str | None) -> None:
    """The file is missing, empty, or of an image that was never booted."""
    if written is not None:
        (tmp_path / "machine-id").write_text(written)
    with pytest.raises(MachineError, match="no id") as raised:
        read_machine(SYS, PROC, etc_root=tmp_path, environ={})
    assert "systemd-machine-id-setup" in raised.value.cure


def test_a_wrong_proc_root_is_an_error_with_a_cure(tmp_path: Path) -> None:
    """Without meminfo the memory is unknown."""
    with pytest.raises(MachineError, match="memory"):
        read_machine(SYS, tmp_path, etc_root=ETC, environ={})


def test_a_hypervisor_flag_means_virtualised(tmp_path: Path) -> None:
    """A CPU without flags (not x86) shows nothing."""
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\n")
    for flags, expected in (("flags : fpu hypervisor\n", True), ("flags : fpu\n", False), ("", None)):
        (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}")
        assert read_machine(SYS, tmp_path, etc_root=ETC, environ={}).virtualised is expected


def test_topology_comes_from_sysfs_where_cpuinfo_has_none(tmp_path: Path) -> None:
    """On ARM, cpuinfo has neither sockets nor cores."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1000 kB\n")
    (tmp_path / "proc/cpuinfo").write_text("processor : 0\n\nprocessor : 1\n")
    for cpu in range(2):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text("0\n")
        (folder / "core_id").write_text(f"{cpu}\n")
    record = read_machine(tmp_path / "sys", tmp_path / "proc", etc_root=ETC, environ={})
    assert (record.sockets, record.physical_cores, record.logical_cpus) == (1, 2, 2)


def test_the_boot_id_is_read(tmp_path: Path) -> None:
    """It is None where the kernel does not show it."""
    assert boot_id(PROC) == "0f5c3f2e-2f0e-4a0c-9d62-6b1f7e0d9a11"
    assert boot_id(tmp_path) is None
