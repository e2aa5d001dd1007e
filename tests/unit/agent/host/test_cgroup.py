import os
from pathlib import Path

import pytest

from agent.host.cgroup import CgroupLimits, read_cgroup_limits, usable_cpus
from tests.support.machines import unpacked

GIB = 2**30


def write(root: Path, files: dict[str, str]) -> None:
    """Write files by their paths under `root`."""
    for name, value in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(value + "\n")


def limits(root: Path) -> CgroupLimits:
    """Return the limits of the process `self` under `root`."""
    return read_cgroup_limits(root / "sys", root / "proc")


def test_version_2_takes_the_tightest_limit_on_the_way_up(tmp_path: Path) -> None:
    """A pod's limit holds for its containers too."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/container",
            "sys/fs/cgroup/pod/cpu.max": "150000 100000",
            "sys/fs/cgroup/pod/memory.max": "max",
            "sys/fs/cgroup/pod/container/cpu.max": "max 100000",
            "sys/fs/cgroup/pod/container/memory.max": str(2 * GIB),
        },
    )
    assert limits(tmp_path) == CgroupLimits(cpus=1.5, memory_bytes=2 * GIB)


def test_version_1_reads_each_controllers_own_hierarchy(tmp_path: Path) -> None:
    """Quota and memory have a tree each."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/a\n3:memory:/docker/a",
            "sys/fs/cgroup/cpu,cpuacct/docker/a/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu,cpuacct/docker/a/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes": str(GIB),
        },
    )
    assert limits(tmp_path) == CgroupLimits(cpus=0.5, memory_bytes=GIB)


def test_version_1_inside_a_container_finds_its_limits_at_the_mount(tmp_path: Path) -> None:
    """The path is the host's and does not exist here; the mount is the container's group."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "3:memory:/docker/a",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(GIB),
        },
    )
    assert limits(tmp_path).memory_bytes == GIB


def test_unlimited_is_none(tmp_path: Path) -> None:
    """Version 1 writes a huge number, version 2 `max`."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n4:cpu:/\n3:memory:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/unified/cpu.max": "max 100000",
        },
    )
    assert limits(tmp_path) == CgroupLimits(cpus=None, memory_bytes=None)


def test_a_group_outside_of_the_namespace_has_no_visible_limits(tmp_path: Path) -> None:
    """Its path is /../x: neither the mount nor a folder x below it is that group or one around it."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/../../other",
            "sys/fs/cgroup/memory.max": str(GIB),
            "sys/fs/cgroup/other/memory.max": "4096",
            "sys/memory.max": "1",
        },
    )
    assert limits(tmp_path).memory_bytes is None


def test_a_path_that_is_not_visible_is_not_mistaken_for_a_group_of_the_containers(tmp_path: Path) -> None:
    """The host's system.slice is another group than the container's."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/system.slice/docker-9f1c.scope",
            "sys/fs/cgroup/memory.max": str(2 * GIB),
            "sys/fs/cgroup/system.slice/memory.max": str(GIB),
        },
    )
    assert limits(tmp_path).memory_bytes == 2 * GIB


def test_a_group_in_a_container_is_found_by_the_end_of_its_path(tmp_path: Path) -> None:
    """The host's part does not exist here; the limits of the group and of the container both hold."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/docker/9f1c/inner",
            "sys/fs/cgroup/cpu.max": "150000 100000",
            "sys/fs/cgroup/inner/memory.max": str(GIB),
            "sys/fs/cgroup/inner/cpu.max": "max 100000",
        },
    )
    assert limits(tmp_path) == CgroupLimits(cpus=1.5, memory_bytes=GIB)


def test_controllers_may_be_mounted_in_another_order_than_they_are_named(tmp_path: Path) -> None:
    """Some kernels write cpuacct,cpu for the folder cpu,cpuacct, and some containers have no links for each."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpuacct,cpu:/",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )
    assert limits(tmp_path).cpus == 0.5


def test_a_group_called_unified_is_no_hybrid(tmp_path: Path) -> None:
    """Only version 2 has a list of controllers at the mount."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/cgroup.controllers": "cpu memory",
            "sys/fs/cgroup/memory.max": str(GIB),
            "sys/fs/cgroup/unified/memory.max": "4096",
        },
    )
    assert limits(tmp_path).memory_bytes == GIB


def test_a_path_may_hold_colons(tmp_path: Path) -> None:
    """Some versions of Kubernetes name containers cri-containerd:id."""
    write(
        tmp_path,
        {"proc/self/cgroup": "0::/system.slice/pod:cri:1", "sys/fs/cgroup/system.slice/pod:cri:1/memory.max": "4096"},
    )
    assert limits(tmp_path).memory_bytes == 4096


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("cgroup-v1", CgroupLimits(cpus=2.5, memory_bytes=4 * GIB)),
        ("cgroup-v2", CgroupLimits(cpus=1.5, memory_bytes=8 * GIB)),
    ],
)
def test_the_limits_of_whole_machines_are_found(machine: str, expected: CgroupLimits) -> None:
    """A container of a hybrid host, and one whose pod has the limit of memory."""
    assert limits(unpacked(machine)) == expected


@pytest.mark.parametrize("value", ["9" * 5000, "-1", "0", "many"])
@pytest.mark.parametrize("name", ["cpu.max", "cpu.cfs_quota_us", "memory.max"])
def test_what_the_kernel_never_writes_is_no_limit(tmp_path: Path, name: str, value: str) -> None:
    """Nothing is raised for endless digits, a quota of 0 or less, or letters. A limit of 0 bytes is valid."""
    period = {"cpu.max": f"{value} {value}"}.get(name, value)
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/cpu.cfs_period_us": "100000",
            f"sys/fs/cgroup/{name}": period,
        },
    )
    memory = 0 if (name, value) == ("memory.max", "0") else None
    assert limits(tmp_path) == CgroupLimits(cpus=None, memory_bytes=memory)


def test_without_groups_there_is_no_limit(tmp_path: Path) -> None:
    """There is no file to read one from."""
    assert limits(tmp_path) == CgroupLimits(cpus=None, memory_bytes=None)


@pytest.mark.parametrize(("quota", "usable"), [("max", 4), ("250000", 2), ("50000", 1), ("900000", 4)])
def test_a_quota_is_rounded_down_to_usable_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, usable: int
) -> None:
    """One thread is always possible, and no more than this process has CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    write(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": f"{quota} 100000"})
    assert usable_cpus(tmp_path / "sys", tmp_path / "proc") == usable
