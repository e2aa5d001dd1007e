from pathlib import Path

import pytest

from agent.sensors.system.throttling import MOST_CORES, open_throttling
from tests.support.machines import unpacked


def write(root: Path, cpu: int, files: dict[str, str]) -> Path:
    """Write files of a logical CPU by their paths and return its folder."""
    folder = root / f"devices/system/cpu/cpu{cpu}"
    for name, value in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(value + "\n")
    return folder


def counters(core: str, package: str) -> dict[str, str]:
    """Return both counters of a logical CPU by their paths."""
    return {"thermal_throttle/core_throttle_count": core, "thermal_throttle/package_throttle_count": package}


def readings(root: Path) -> dict[str, float | None]:
    """Return what the sensor under `root` reads, by channel."""
    throttling = open_throttling(root)
    values = throttling.decode(throttling.read())
    throttling.close()
    return dict(zip((channel.name for channel in throttling.channels), values, strict=True))


def test_cores_and_packages_are_summed() -> None:
    """Four cores have 0 to 3 events, and one of two packages has five."""
    tree = unpacked("two-packages-with-dram") / "sys"
    assert readings(tree) == {"core_throttle_count": 6, "package_throttle_count": 5}
    assert {(c.unit, c.kind) for c in open_throttling(tree).channels} == {("1", "counter")}


@pytest.mark.parametrize("siblings", ["core_cpus_list", "thread_siblings_list"])
def test_the_threads_of_a_core_count_once(tmp_path: Path, siblings: str) -> None:
    """Both threads show the count of their core, and all CPUs of a package show the package's."""
    for cpu in range(4):
        core = cpu % 2
        topology = {f"topology/{siblings}": f"{core},{core + 2}", "topology/physical_package_id": "0"}
        write(tmp_path, cpu, topology | counters(core=str(10 + core), package="7"))
    assert readings(tmp_path) == {"core_throttle_count": 21, "package_throttle_count": 7}


def test_without_a_topology_each_cpu_is_a_core_and_all_are_one_package(tmp_path: Path) -> None:
    """An unknown package is not counted twice."""
    write(tmp_path, 0, counters(core="1", package="4"))
    write(tmp_path, 1, counters(core="2", package="4"))
    assert readings(tmp_path) == {"core_throttle_count": 3, "package_throttle_count": 4}


def test_only_the_packages_of_a_large_machine_are_read(tmp_path: Path) -> None:
    """Hundreds of files a second would cost more than they are worth."""
    for cpu in range(MOST_CORES + 1):
        write(tmp_path, cpu, counters(core="1", package="2") | {"topology/physical_package_id": str(cpu // 40)})
    assert readings(tmp_path) == {"package_throttle_count": 4}


@pytest.mark.parametrize("count", ["", "many", "-1"])
def test_a_sum_with_an_unreadable_part_is_none(tmp_path: Path, count: str) -> None:
    """A sum that is too small would look like a cool machine."""
    write(tmp_path, 0, counters(core="1", package="4"))
    write(tmp_path, 1, counters(core=count, package="4"))
    assert readings(tmp_path) == {"core_throttle_count": None, "package_throttle_count": 4}


def test_a_cpu_that_went_offline_leaves_none(tmp_path: Path) -> None:
    """A kept descriptor fails once its folder is gone; closing the sensor has the same effect."""
    write(tmp_path, 0, counters(core="1", package="4"))
    throttling = open_throttling(tmp_path)
    throttling.close()
    assert throttling.decode(throttling.read()) == (None, None)


def test_cpus_without_the_counters_have_no_channel(tmp_path: Path) -> None:
    """Only Intel's have them."""
    assert readings(tmp_path) == {}
    assert readings(unpacked("amd-single") / "sys") == {}
