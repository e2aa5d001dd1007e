"""A fake of NVML: GPUs whose values and errors the test sets."""

from dataclasses import dataclass, field

NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND = 3, 4, 9, 12
FUNCTION_NOT_FOUND, GPU_IS_LOST, LIB_RM_VERSION_MISMATCH = 13, 15, 18


class FakeNvmlError(Exception):
    """An error with a number, like pynvml's."""

    def __init__(self, value: int) -> None:
        super().__init__(f"error {value}")
        self.value = value


@dataclass(kw_only=True)
class FakeGpu:
    """One GPU. Energy or power is None where it has none; every read raises `error` where that is set."""

    energy_mj: int | None = None
    power_mw: int | None = None
    mig: int | None = None
    error: int | None = None
    reads: int = 0


@dataclass(kw_only=True)
class FakeNvml:
    """A module like pynvml. nvmlInit raises `init_error` and nvmlDeviceGetCount raises `count_error`, where set."""

    NVMLError: type[Exception] = FakeNvmlError
    NVML_ERROR_NOT_SUPPORTED: int = NOT_SUPPORTED
    NVML_ERROR_NO_PERMISSION: int = NO_PERMISSION
    NVML_ERROR_DRIVER_NOT_LOADED: int = DRIVER_NOT_LOADED
    NVML_ERROR_LIBRARY_NOT_FOUND: int = LIBRARY_NOT_FOUND
    NVML_ERROR_FUNCTION_NOT_FOUND: int = FUNCTION_NOT_FOUND
    NVML_ERROR_GPU_IS_LOST: int = GPU_IS_LOST
    NVML_ERROR_LIB_RM_VERSION_MISMATCH: int = LIB_RM_VERSION_MISMATCH

    gpus: list[FakeGpu] = field(default_factory=list)
    init_error: int | None = None
    count_error: int | None = None
    calls: list[str] = field(default_factory=list)

    def nvmlInit(self) -> None:
        """See `NvmlLibrary`."""
        self.calls.append("init")
        _raise(self.init_error)

    def nvmlShutdown(self) -> None:
        """See `NvmlLibrary`."""
        self.calls.append("shutdown")

    def nvmlDeviceGetCount(self) -> int:
        """See `NvmlLibrary`."""
        _raise(self.count_error)
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:
        """See `NvmlLibrary`."""
        _raise(self.gpus[index].error)
        return index

    def nvmlDeviceGetUUID(self, handle: object) -> str:
        """See `NvmlLibrary`."""
        return f"GPU-{handle}"

    def nvmlDeviceGetName(self, handle: object) -> str:
        """See `NvmlLibrary`."""
        return "NVIDIA Fake"

    def nvmlDeviceGetMigMode(self, handle: object) -> list[int]:
        """See `NvmlLibrary`."""
        mig = self._gpu(handle).mig
        return [_known(mig), 0]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:
        """See `NvmlLibrary`."""
        return _known(self._gpu(handle).energy_mj)

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:
        """See `NvmlLibrary`."""
        return _known(self._gpu(handle).power_mw)

    def _gpu(self, handle: object) -> FakeGpu:
        assert isinstance(handle, int)
        gpu = self.gpus[handle]
        gpu.reads += 1
        _raise(gpu.error)
        return gpu


def _known(value: int | None) -> int:
    if value is None:
        raise FakeNvmlError(NOT_SUPPORTED)
    return value


def _raise(value: int | None) -> None:
    if value is not None:
        raise FakeNvmlError(value)
