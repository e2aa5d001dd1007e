from pathlib import Path

import pytest

from agent.sensors.system.frequency import MOST_CPUS, open_frequency
from tests.support.machines import unpacked


def write(root: Path, cpu: int, khz: str) -> Path:
    """Write the frequency of a CPU with its own policy, linked as in the kernel, and return the policy's file."""
    policy = root / f"devices/system/cpu/cpufreq/policy{cpu}"
    policy.mkdir(parents=True)
    (policy / "scaling_cur_freq").write_text(khz)
    (root / f"devices/system/cpu/cpu{cpu}").mkdir()
    (root / f"devices/system/cpu/cpu{cpu}/cpufreq").symlink_to(f"../cpufreq/policy{cpu}")
    return policy / "scaling_cur_freq"


def readings(root: Path) -> tuple[float | None, ...]:
    """Return mean and lowest MHz under `root`."""
    frequency = open_frequency(root)
    values = frequency.decode(frequency.read())
    frequency.close()
    assert len(values) == len(frequency.channels)
    return values


def test_mean_and_lowest_of_the_cpus_are_read() -> None:
    """Sysfs has kHz, the channels MHz."""
    assert readings(unpacked("two-packages-with-dram") / "sys") == (2750.0, 2600.0)
    assert [(c.name, c.unit, c.kind) for c in open_frequency(unpacked("two-packages-with-dram") / "sys").channels] == [
        ("cpu_frequency_mean_mhz", "MHz", "gauge"),
        ("cpu_frequency_min_mhz", "MHz", "gauge"),
    ]


def test_a_policy_of_several_cpus_counts_once(tmp_path: Path) -> None:
    """Its CPUs share one frequency, so one read is enough."""
    write(tmp_path, 0, "1000000\n")
    write(tmp_path, 2, "2000000\n")
    (tmp_path / "devices/system/cpu/cpu1").mkdir()
    (tmp_path / "devices/system/cpu/cpu1/cpufreq").symlink_to("../cpufreq/policy0")
    assert readings(tmp_path) == (1500.0, 1000.0)


def test_policies_are_found_without_the_cpus_links(tmp_path: Path) -> None:
    """Some trees have only the policies."""
    write(tmp_path, 0, "1000000\n")
    (tmp_path / "devices/system/cpu/cpu0/cpufreq").unlink()
    assert readings(tmp_path) == (1000.0, 1000.0)


def test_the_cpus_that_are_read_are_spread_over_a_large_machine(tmp_path: Path) -> None:
    """Each read may interrupt a CPU, so only a few are read."""
    for cpu in range(64):
        write(tmp_path, cpu, f"{1_000_000 + 1000 * cpu}\n")
    frequency = open_frequency(tmp_path)
    assert [int(field or 0) // 1000 - 1000 for field in frequency.read()] == [0, 8, 16, 24, 32, 40, 48, 56]
    assert len(frequency.read()) == MOST_CPUS
    frequency.close()


@pytest.mark.parametrize("khz", ["0\n", "<unknown>\n", "", "-1\n", "9999\n", "10000001\n"])
def test_what_no_cpu_runs_at_is_left_out(tmp_path: Path, khz: str) -> None:
    """Drivers that do not know an idle CPU's frequency write many things."""
    write(tmp_path, 0, khz)
    assert readings(tmp_path) == (None, None)
    write(tmp_path, 1, "3000000\n")
    assert readings(tmp_path) == (3000.0, 3000.0)


def test_a_closed_sensor_reads_none(tmp_path: Path) -> None:
    """So does one whose CPUs went offline."""
    write(tmp_path, 0, "1000000\n")
    frequency = open_frequency(tmp_path)
    frequency.close()
    assert frequency.decode(frequency.read()) == (None, None)


def test_without_cpufreq_there_is_no_channel(tmp_path: Path) -> None:
    """A virtual machine has none: the hypervisor sets the frequency."""
    assert readings(tmp_path) == ()
    assert readings(unpacked("no-rapl") / "sys") == ()
