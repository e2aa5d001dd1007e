import os
from pathlib import Path

import pytest

from agent.sensors.system.cgroup import CgroupUsageSensor, open_cgroup_usage
from tests.support.machines import unpack_machine, unpacked

PID = 4343
GROUP_2 = (
    "sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7f3a.slice/cri-containerd-51d2.scope"
)


def write(root: Path, files: dict[str, str]) -> None:
    """Write files by their paths under `root`."""
    for name, value in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(value + "\n")


def sensor(root: Path) -> CgroupUsageSensor:
    """Open the sensor of the process in the machine under `root`."""
    return open_cgroup_usage(PID, root / "sys", root / "proc")


def readings(root: Path) -> dict[str, float | None]:
    """Return what the sensor reads, by channel."""
    usage = sensor(root)
    values = usage.decode(usage.read())
    usage.close()
    return dict(zip((channel.name for channel in usage.channels), values, strict=True))


def copied(name: str, tmp_path: Path) -> Path:
    """Unpack a machine that the test may change."""
    return unpack_machine(name, tmp_path / name)


def test_version_2_counts_cpu_time_throttled_time_and_memory() -> None:
    """The container's, in seconds and bytes. It was throttled 2.25 s by its own quota and 2.5 s by the pod's."""
    assert readings(unpacked("cgroup-v2")) == {
        "cgroup_cpu_s": 90.123456,
        "cgroup_throttled_s": 4.75,
        "cgroup_memory_bytes": 3_221_225_472,
    }
    usage = sensor(unpacked("cgroup-v2"))
    assert [(c.unit, c.kind, c.source) for c in usage.channels] == [
        ("s", "counter", "cgroup"),
        ("s", "counter", "cgroup"),
        ("bytes", "gauge", "cgroup"),
    ]
    assert usage.missing == ()


def test_both_times_of_version_2_come_from_one_read() -> None:
    """Each read of cpu.stat costs the kernel a sum over all CPUs, so each file is read once."""
    usage = sensor(unpacked("cgroup-v2"))
    assert len(usage.read()) == 3
    usage.close()


def test_in_a_hybrid_version_1_counts_as_it_has_the_controllers() -> None:
    """It counts nanoseconds; the folder has its two controllers in another order than /proc."""
    assert readings(unpacked("cgroup-v1")) == {
        "cgroup_cpu_s": 90.123456789,
        "cgroup_throttled_s": 2.25,
        "cgroup_memory_bytes": 3_221_225_472,
    }


def test_a_quota_around_version_1_throttles_as_well(tmp_path: Path) -> None:
    """The folder docker has a quota for all containers; the times of both quotas are added."""
    machine = copied("cgroup-v1", tmp_path)
    write(
        machine, {"sys/fs/cgroup/cpu,cpuacct/docker/cpu.stat": "nr_periods 9\nnr_throttled 3\nthrottled_time 500000000"}
    )
    assert readings(machine)["cgroup_throttled_s"] == 2.75


def test_an_outer_quota_counts_where_the_group_itself_can_have_none(tmp_path: Path) -> None:
    """Where only the slice has the controller, only the slice counts throttled time."""
    machine = copied("cgroup-v2", tmp_path)
    write(machine, {f"{GROUP_2}/cpu.stat": "usage_usec 5000000"})
    assert readings(machine) == {
        "cgroup_cpu_s": 5.0,
        "cgroup_throttled_s": 2.5,
        "cgroup_memory_bytes": 3_221_225_472,
    }


def test_throttled_time_is_none_where_one_of_the_groups_has_no_value(tmp_path: Path) -> None:
    """A part of the sum would look like a step back of the counter."""
    machine = copied("cgroup-v2", tmp_path)
    usage = sensor(machine)
    write(machine, {f"{Path(GROUP_2).parent}/cpu.stat": "usage_usec 91234567"})
    assert usage.decode(usage.read()) == (90.123456, None, 3_221_225_472)
    usage.close()


def test_what_lies_around_the_mount_is_no_group(tmp_path: Path) -> None:
    """The groups end at the folder where their hierarchy is mounted."""
    machine = copied("cgroup-v2", tmp_path)
    write(machine, {"sys/fs/cpu.stat": "throttled_usec 9000000", "sys/cpu.stat": "throttled_usec 9000000"})
    assert readings(machine)["cgroup_throttled_s"] == 4.75


def test_the_root_group_of_version_2_has_no_memory_and_no_throttling(tmp_path: Path) -> None:
    """What the group does not count has no channel."""
    machine = copied("cgroup-v2", tmp_path)
    write(machine, {f"proc/{PID}/cgroup": "0::/", "sys/fs/cgroup/cgroup.procs": f"1\n{PID}"})
    assert readings(machine) == {"cgroup_cpu_s": 506.0}


def test_a_container_whose_own_group_is_mounted_is_found(tmp_path: Path) -> None:
    """The path is the host's, and the mount is the container's group."""
    write(
        tmp_path,
        {
            f"proc/{PID}/cgroup": "0::/docker/9f1c",
            "sys/fs/cgroup/cgroup.procs": str(PID),
            "sys/fs/cgroup/memory.current": "1024",
        },
    )
    assert readings(tmp_path) == {"cgroup_memory_bytes": 1024}


def test_a_group_in_a_container_is_found_by_the_end_of_its_path(tmp_path: Path) -> None:
    """The host's part of the path does not exist here, the rest lies below the mount."""
    write(
        tmp_path,
        {
            f"proc/{PID}/cgroup": "0::/docker/9f1c/inner",
            "sys/fs/cgroup/cgroup.procs": "1",
            "sys/fs/cgroup/memory.current": "4096",
            "sys/fs/cgroup/inner/cgroup.procs": str(PID),
            "sys/fs/cgroup/inner/memory.current": "1024",
        },
    )
    assert readings(tmp_path) == {"cgroup_memory_bytes": 1024}


@pytest.mark.parametrize("path", ["/", "/../other", "/system.slice/a.service"])
def test_a_folder_that_does_not_hold_the_process_is_another_group(tmp_path: Path, path: str) -> None:
    """The host's mount, seen in a container with a namespace of its own, would count the host."""
    write(
        tmp_path,
        {
            f"proc/{PID}/cgroup": f"0::{path}",
            "sys/fs/cgroup/cgroup.procs": "1\n43430",
            "sys/fs/cgroup/memory.current": "4096",
            "sys/fs/cgroup/other/cgroup.procs": "77",
            "sys/fs/cgroup/other/memory.current": "2048",
        },
    )
    assert readings(tmp_path) == {}


@pytest.mark.parametrize("content", ["", "many", "-1", "9" * 5000])
def test_a_file_without_a_number_is_no_channel(tmp_path: Path, content: str) -> None:
    """The other files of the group still count."""
    machine = copied("cgroup-v2", tmp_path)
    write(
        machine, {f"{GROUP_2}/memory.current": content, f"{GROUP_2}/cpu.stat": "usage_usec 5000000\nthrottled_usec x"}
    )
    assert readings(machine) == {"cgroup_cpu_s": 5.0}


def test_what_stops_being_a_number_reads_none(tmp_path: Path) -> None:
    """A key may vanish, or letters may appear, after the files were opened."""
    machine = copied("cgroup-v2", tmp_path)
    usage = sensor(machine)
    write(machine, {f"{GROUP_2}/memory.current": "max", f"{GROUP_2}/cpu.stat": "usage_usec_more 5"})
    assert usage.decode(usage.read()) == (None, None, None)
    usage.close()
    assert usage.decode(usage.read()) == (None, None, None)


def test_a_process_that_is_not_there_has_no_channels(tmp_path: Path) -> None:
    """Nothing is raised, and no value is 0."""
    assert readings(tmp_path) == {}


def test_this_process_has_a_group_or_none() -> None:
    """On any machine the values are valid."""
    usage = open_cgroup_usage(os.getpid(), Path("/sys"), Path("/proc"))
    assert all(value is not None and value >= 0 for value in usage.decode(usage.read()))
    usage.close()
