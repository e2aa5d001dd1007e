from pathlib import Path

import pytest

from agent.sensors.gpu.nvml import NvmlSensor, open_nvml
from agent.sensors.gpu.nvml_library import has_nvidia_gpu
from tests.support.nvml import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    LIB_RM_VERSION_MISMATCH,
    LIBRARY_NOT_FOUND,
    NO_PERMISSION,
    FakeGpu,
    FakeNvml,
)

UNKNOWN = 999


def pci_device(sysfs_root: Path, *, vendor: str, kind: str, slot: str = "0000:01:00.0") -> None:
    """Put a device on the PCI bus of the tree."""
    folder = sysfs_root / "bus/pci/devices" / slot
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(f"{vendor}\n")
    (folder / "class").write_text(f"{kind}\n")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return a /sys with an NVIDIA GPU on the PCI bus."""
    pci_device(tmp_path, vendor="0x10de", kind="0x030200")
    return tmp_path


def values(sensor: NvmlSensor) -> dict[str, float | None]:
    """Return what one read gives, by channel."""
    return dict(zip([c.name for c in sensor.channels], sensor.decode(sensor.read()), strict=True))


def test_a_gpu_that_counts_its_energy_is_a_counter_of_microjoules(machine: Path) -> None:
    """NVML counts millijoules; channels of energy counters are in microjoules."""
    gpu = FakeGpu(energy_mj=5_000_123, power_mw=70_000, mig=0)
    sensor = open_nvml(machine, FakeNvml(gpus=[gpu]))
    (channel,) = sensor.channels
    assert (channel.name, channel.unit, channel.kind, channel.source) == ("gpu-0", "uJ", "counter", "nvml")
    assert values(sensor) == {"gpu-0": 5_000_123_000}
    gpu.energy_mj = 5_000_130
    assert values(sensor) == {"gpu-0": 5_000_130_000}
    assert [(g.name, g.how, g.uuid, g.model, g.reason) for g in sensor.gpus] == [
        ("gpu-0", "counter", "GPU-0", "NVIDIA Fake", None)
    ]
    assert sensor.missing == ()


def test_a_gpu_without_a_counter_has_a_channel_of_its_power_in_watts(machine: Path) -> None:
    """GPUs older than Volta have no counter: their power is integrated afterwards."""
    sensor = open_nvml(machine, FakeNvml(gpus=[FakeGpu(power_mw=41_500)]))
    (channel,) = sensor.channels
    assert (channel.name, channel.unit, channel.kind) == ("gpu-0/power_w", "W", "gauge")
    assert values(sensor) == {"gpu-0/power_w": 41.5}
    assert sensor.gpus[0].how == "integrated"


def test_several_gpus_keep_their_numbers_though_one_is_refused(machine: Path) -> None:
    """gpu-1 is partitioned; the readings of gpu-2 keep the name gpu-2."""
    gpus = [FakeGpu(energy_mj=1, mig=0), FakeGpu(energy_mj=2, mig=1), FakeGpu(power_mw=3_000)]
    sensor = open_nvml(machine, FakeNvml(gpus=gpus))
    assert values(sensor) == {"gpu-0": 1_000, "gpu-2/power_w": 3.0}
    assert [g.reason is None for g in sensor.gpus] == [True, False, True]
    (missing,) = sensor.missing
    assert missing.what == "energy of gpu-1"
    assert "MIG" in missing.message
    assert "-mig 0" in missing.cure


def test_a_partitioned_gpu_is_refused_without_being_read(machine: Path) -> None:
    """The energy of the board says nothing about one of its instances."""
    sensor = open_nvml(machine, FakeNvml(gpus=[FakeGpu(energy_mj=1, mig=1)]))
    assert sensor.channels == ()
    assert "divided" in (sensor.gpus[0].reason or "")


def test_a_gpu_that_shows_neither_energy_nor_power_has_the_reason(machine: Path) -> None:
    """It is listed, not left out."""
    sensor = open_nvml(machine, FakeNvml(gpus=[FakeGpu()]))
    assert sensor.gpus[0].reason == "it shows neither its energy nor its power"
    assert sensor.read() == ()


def test_a_gpu_that_fails_does_not_hide_the_others(machine: Path) -> None:
    """The rest is measured where one handle cannot be opened."""
    sensor = open_nvml(machine, FakeNvml(gpus=[FakeGpu(error=NO_PERMISSION), FakeGpu(energy_mj=7)]))
    assert values(sensor) == {"gpu-1": 7_000}
    assert "refuses" in (sensor.gpus[0].reason or "")


def test_a_lost_gpu_reads_none_from_then_on(machine: Path) -> None:
    """It is not called again, and the other GPU is read as before."""
    lost, other = FakeGpu(energy_mj=10), FakeGpu(energy_mj=20)
    sensor = open_nvml(machine, FakeNvml(gpus=[lost, other]))
    lost.error = GPU_IS_LOST
    assert values(sensor) == {"gpu-0": None, "gpu-1": 20_000}
    reads, lost.error = lost.reads, None
    assert values(sensor) == {"gpu-0": None, "gpu-1": 20_000}
    assert lost.reads == reads


def test_a_read_that_fails_once_is_none_once(machine: Path) -> None:
    """Any other error concerns this read only."""
    gpu = FakeGpu(energy_mj=10)
    sensor = open_nvml(machine, FakeNvml(gpus=[gpu]))
    gpu.error = UNKNOWN
    assert values(sensor) == {"gpu-0": None}
    gpu.error = None
    assert values(sensor) == {"gpu-0": 10_000}


@pytest.mark.parametrize(
    ("error", "why", "cure"),
    [
        (LIBRARY_NOT_FOUND, "absent", "libnvidia-ml.so.1"),
        (DRIVER_NOT_LOADED, "absent", "modprobe nvidia"),
        (LIB_RM_VERSION_MISMATCH, "unreadable", "Restart"),
        (NO_PERMISSION, "not_permitted", "/dev/nvidiactl"),
        (UNKNOWN, "unreadable", "nvidia-smi"),
    ],
)
def test_a_library_that_does_not_load_is_missing_with_its_cure(machine: Path, error: int, why: str, cure: str) -> None:
    """Nothing is raised."""
    nvml = FakeNvml(init_error=error)
    sensor = open_nvml(machine, nvml)
    (missing,) = sensor.missing
    assert missing.why == why
    assert cure in missing.cure
    assert (sensor.gpus, sensor.channels, sensor.read()) == ((), (), ())
    sensor.close()
    assert nvml.calls == ["init"]


def test_a_library_that_fails_after_its_start_is_shut_down(machine: Path) -> None:
    """No failure leaves NVML open."""
    nvml = FakeNvml(count_error=NO_PERMISSION)
    (missing,) = open_nvml(machine, nvml).missing
    assert missing.why == "not_permitted"
    assert nvml.calls == ["init", "shutdown"]


def test_a_gpu_that_nvml_does_not_find_is_missing(machine: Path) -> None:
    """A container shows the PCI bus even if it may not use the GPU."""
    nvml = FakeNvml(gpus=[])
    (missing,) = open_nvml(machine, nvml).missing
    assert "--gpus all" in missing.cure
    assert nvml.calls == ["init", "shutdown"]


@pytest.mark.parametrize(("vendor", "kind"), [("0x8086", "0x030000"), ("0x10de", "0x040300"), ("0x10de", "0x0c0330")])
def test_without_an_nvidia_gpu_nothing_is_loaded_and_nothing_missing(tmp_path: Path, vendor: str, kind: str) -> None:
    """Loading NVML wakes the driver. GPUs of other vendors, and NVIDIA's sound or USB devices, do not count."""
    pci_device(tmp_path, vendor=vendor, kind=kind)
    nvml = FakeNvml(gpus=[FakeGpu(energy_mj=1)])
    sensor = open_nvml(tmp_path, nvml)
    assert (sensor.gpus, sensor.missing, sensor.channels, nvml.calls) == ((), (), (), [])


def test_a_machine_without_a_pci_bus_has_no_gpu(tmp_path: Path) -> None:
    """The folder of its devices does not exist."""
    assert not has_nvidia_gpu(tmp_path)


def test_closing_shuts_the_library_down_once(machine: Path) -> None:
    """A closed sensor reads None, and a second close does nothing."""
    nvml = FakeNvml(gpus=[FakeGpu(energy_mj=1)])
    sensor = open_nvml(machine, nvml)
    sensor.close()
    sensor.close()
    assert nvml.calls == ["init", "shutdown"]
    assert values(sensor) == {"gpu-0": None}


def test_the_real_package_has_every_name_that_is_used(machine: Path) -> None:
    """With nvidia-ml-py itself: a GPU is measured, or it is missing with a cure."""
    sensor = open_nvml(machine)
    assert sensor.gpus or (sensor.missing and sensor.missing[0].cure)
    sensor.close()
