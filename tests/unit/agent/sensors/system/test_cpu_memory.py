import os
from pathlib import Path

from agent.sensors.system.cpu_memory import oom_kills, open_host, open_memory
from tests.support.machines import unpacked

PROC = unpacked("two-packages-with-dram") / "proc"
TICKS = os.sysconf("SC_CLK_TCK")


def test_busy_seconds_leave_out_idle_iowait_steal_and_the_guests_second_count() -> None:
    """Busy is user + nice + system + irq + softirq; guest time is in user already."""
    host = open_host(PROC)
    cpu_s, steal_s = host.decode(host.read())
    assert cpu_s == (3000 + 200 + 1000 + 30 + 70) / TICKS
    assert steal_s == 1200 / TICKS
    host.close()


def test_memory_available_is_read_in_bytes() -> None:
    """The kernel writes kB."""
    memory = open_memory(PROC)
    assert memory.decode(memory.read()) == (250_000_000 * 1024,)
    memory.close()


def test_channels_name_their_units() -> None:
    """CPU times are counters in seconds, memory is a gauge in bytes."""
    assert [(c.name, c.unit, c.kind) for c in (*open_host(PROC).channels, *open_memory(PROC).channels)] == [
        ("machine_cpu_s", "s", "counter"),
        ("machine_steal_s", "s", "counter"),
        ("machine_memory_available_bytes", "bytes", "gauge"),
    ]


def test_a_missing_file_is_listed_and_reads_none(tmp_path: Path) -> None:
    """Without procfs nothing is raised, and no value is 0."""
    host, memory = open_host(tmp_path), open_memory(tmp_path)
    assert host.decode(host.read()) == (None, None)
    assert memory.decode(memory.read()) == (None,)
    assert [m.what for m in (*host.missing, *memory.missing)] == ["CPU time of the machine", "memory available"]


def test_garbage_is_none(tmp_path: Path) -> None:
    """Letters are not taken for 0."""
    (tmp_path / "stat").write_text("cpu a b c d e f g h\n")
    (tmp_path / "meminfo").write_text("MemAvailable: many kB\n")
    host, memory = open_host(tmp_path), open_memory(tmp_path)
    assert host.decode(host.read()) == (None, None)
    assert memory.decode(memory.read()) == (None,)
    assert (*host.missing, *memory.missing) == ()


def test_this_machines_own_proc_is_understood() -> None:
    """The real files decode as well as those of the tests."""
    for sensor in (open_host(Path("/proc")), open_memory(Path("/proc"))):
        assert all(value is not None and value >= 0 for value in sensor.decode(sensor.read()))


def test_kills_by_the_out_of_memory_killer_are_counted(tmp_path: Path) -> None:
    """The count is None where the kernel does not show it."""
    assert oom_kills(PROC) == 3
    assert oom_kills(tmp_path) is None
