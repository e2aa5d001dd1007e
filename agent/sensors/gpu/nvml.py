"""Energy of NVIDIA GPUs, from NVML, the library of NVIDIA's driver.

A GPU of the Volta generation or newer counts its energy in millijoules since the driver was loaded.
An older one shows only its power, from which the energy is integrated afterwards; its rows say so.
Both are of the whole board, memory included.

The calls are those of nvidia-ml-py, NVIDIA's own package, whose module is named pynvml. (The package
named pynvml was another author's, and is retired.) Loading NVML wakes a sleeping driver, so it is not
loaded where no NVIDIA GPU is on the PCI bus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.sensors.base import Missing, Raw
from agent.sensors.gpu.nvml_library import (
    INVISIBLE,
    NvmlLibrary,
    code_of,
    explained,
    has_nvidia_gpu,
    import_library,
    shut_down,
)
from joulefleet.measurement import Channel

_BYTES = 8
_PARTITIONED = "it is partitioned (MIG): the energy of the board cannot be divided among its instances"
_SILENT = "it shows neither its energy nor its power"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuEnergy:
    """One GPU, and how its energy is read, whether it can be read or not."""

    name: str
    """Name such as `gpu-0`; the number is NVML's, in the order of the PCI bus."""
    how: Literal["counter", "integrated"]
    """Method: the GPU's counter (channel `gpu-0`, microjoules), or its power (channel `gpu-0/power_w`, watts)."""
    uuid: str | None
    model: str | None
    reason: str | None
    """Why it cannot be read; None where it can."""

    @property
    def channel(self) -> str:
        """Name of the channel of its readings."""
        return self.name if self.how == "counter" else f"{self.name}/power_w"


class NvmlSensor:
    """A `Sensor` with one channel for each GPU that can be read."""

    name = "nvml"

    def __init__(
        self,
        *,
        library: NvmlLibrary | None,
        gpus: tuple[GpuEnergy, ...],
        handles: tuple[object, ...],
        missing: tuple[Missing, ...],
    ) -> None:
        self._library = library
        self.gpus = gpus
        """All GPUs; those that cannot be read have a `reason` and no channel."""
        self.missing = missing
        self._readable = tuple(gpu for gpu in gpus if gpu.reason is None)
        self._handles: list[object | None] = list(handles)
        self.channels = tuple(
            Channel(name=gpu.channel, unit="uJ", kind="counter", source=self.name)
            if gpu.how == "counter"
            else Channel(name=gpu.channel, unit="W", kind="gauge", source=self.name)
            for gpu in self._readable
        )

    def read(self) -> Raw:
        """Return millijoules or milliwatts of each GPU; None where its call fails, and always once it is lost."""
        return tuple([self._fetch(index, gpu) for index, gpu in enumerate(self._readable)])

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return microjoules of a counter, watts of a power; None where the read failed."""
        return tuple(
            None if field is None else _value(int.from_bytes(field, "little"), gpu)
            for field, gpu in zip(raw, self._readable, strict=True)
        )

    def close(self) -> None:
        """Shut NVML down. Later reads are None."""
        library, self._library = self._library, None
        if library is not None:
            shut_down(library)

    def _fetch(self, index: int, gpu: GpuEnergy) -> bytes | None:
        library, handle = self._library, self._handles[index]
        if library is None or handle is None:
            return None
        try:
            if gpu.how == "counter":
                return library.nvmlDeviceGetTotalEnergyConsumption(handle).to_bytes(_BYTES, "little")
            return library.nvmlDeviceGetPowerUsage(handle).to_bytes(_BYTES, "little")
        except library.NVMLError as error:
            if code_of(error) == library.NVML_ERROR_GPU_IS_LOST:
                # Another call might wait for the GPU, and after a reset its counter starts at 0.
                self._handles[index] = None
            return None


def open_nvml(sysfs_root: Path, library: NvmlLibrary | None = None) -> NvmlSensor:
    """Open the GPUs of this machine by `library` (pynvml). What cannot be read is listed as missing, never raised.

    Without an NVIDIA GPU on the PCI bus under `sysfs_root`, there is no channel and nothing is missing.
    """
    if not has_nvidia_gpu(sysfs_root):
        return _without()
    nvml = library or import_library()
    if isinstance(nvml, Missing):
        return _without(nvml)
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return _without(explained(error, nvml))
    try:
        probed = [_probe(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError as error:
        shut_down(nvml)
        return _without(explained(error, nvml))
    if not probed:
        shut_down(nvml)
        return _without(INVISIBLE)
    gpus = tuple(gpu for gpu, _ in probed)
    return NvmlSensor(
        library=nvml,
        gpus=gpus,
        handles=tuple(handle for gpu, handle in probed if gpu.reason is None),
        missing=tuple(_refused(gpu) for gpu in gpus if gpu.reason is not None),
    )


def _probe(library: NvmlLibrary, index: int) -> tuple[GpuEnergy, object]:
    """Return the GPU at `index`, with a reason where it cannot be read, and its handle."""
    handle: object = None
    uuid: str | None = None
    model: str | None = None
    how: Literal["counter", "integrated"] = "counter"
    reason: str | None = None
    try:
        handle = library.nvmlDeviceGetHandleByIndex(index)
        uuid, model = library.nvmlDeviceGetUUID(handle), library.nvmlDeviceGetName(handle)
        if _is_partitioned(library, handle):
            reason = _PARTITIONED
        elif not _offers(library, library.nvmlDeviceGetTotalEnergyConsumption, handle):
            how = "integrated"
            reason = None if _offers(library, library.nvmlDeviceGetPowerUsage, handle) else _SILENT
    except library.NVMLError as error:
        reason = f"NVML refuses it: {error}"
    return GpuEnergy(name=f"gpu-{index}", how=how, uuid=uuid, model=model, reason=reason), handle


def _is_partitioned(library: NvmlLibrary, handle: object) -> bool:
    try:
        return library.nvmlDeviceGetMigMode(handle)[0] != 0
    except library.NVMLError as error:
        if code_of(error) in _unsupported(library):
            return False
        raise


def _offers(library: NvmlLibrary, call: Callable[[object], int], handle: object) -> bool:
    try:
        call(handle)
    except library.NVMLError as error:
        if code_of(error) in _unsupported(library):
            return False
        raise
    return True


def _unsupported(library: NvmlLibrary) -> tuple[int, int]:
    # The GPU lacks the function, or the driver is older than the call.
    return library.NVML_ERROR_NOT_SUPPORTED, library.NVML_ERROR_FUNCTION_NOT_FOUND


def _without(*missing: Missing) -> NvmlSensor:
    return NvmlSensor(library=None, gpus=(), handles=(), missing=missing)


def _refused(gpu: GpuEnergy) -> Missing:
    cure = (
        f"Measure on a GPU without partitions: sudo nvidia-smi -i {gpu.uuid} -mig 0"
        if gpu.reason == _PARTITIONED
        else "Read what nvidia-smi -q prints for it. Everything else is measured without it."
    )
    message = f"{gpu.name} ({gpu.model or 'unknown model'}): {gpu.reason}"
    return Missing(what=f"energy of {gpu.name}", why="unreadable", message=message, cure=cure)


def _value(number: int, gpu: GpuEnergy) -> float:
    return number * 1000 if gpu.how == "counter" else number / 1000
