"""NVIDIA's library NVML through nvidia-ml-py: the calls that are used, and the reasons why it does not load."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Protocol

from agent.host.files import text
from agent.sensors.base import Missing, Why

_WHAT = "energy of NVIDIA GPUs"
_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"

INVISIBLE = Missing(
    what=_WHAT,
    why="absent",
    message="there is an NVIDIA GPU, but NVML finds none: another driver has it, or this container may not use it",
    cure="Bind it to NVIDIA's driver, or start the container with its GPUs (--gpus all).",
)


class NvmlLibrary(Protocol):
    """The part of the module pynvml that is used. Every call may raise an `NVMLError`; handles are opaque."""

    NVMLError: type[Exception]
    NVML_ERROR_NOT_SUPPORTED: int
    NVML_ERROR_NO_PERMISSION: int
    NVML_ERROR_DRIVER_NOT_LOADED: int
    NVML_ERROR_LIBRARY_NOT_FOUND: int
    NVML_ERROR_FUNCTION_NOT_FOUND: int
    NVML_ERROR_GPU_IS_LOST: int
    NVML_ERROR_LIB_RM_VERSION_MISMATCH: int

    def nvmlInit(self) -> None:
        """Load the library."""
        ...

    def nvmlShutdown(self) -> None:
        """Release the library."""
        ...

    def nvmlDeviceGetCount(self) -> int:
        """Return the number of GPUs."""
        ...

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:
        """Return the handle of the GPU with this number in the order of the PCI bus."""
        ...

    def nvmlDeviceGetUUID(self, handle: object) -> str:
        """Return its permanent id."""
        ...

    def nvmlDeviceGetName(self, handle: object) -> str:
        """Return its model."""
        ...

    def nvmlDeviceGetMigMode(self, handle: object) -> list[int]:
        """Return whether it is partitioned (1 or 0), now and after its next reset."""
        ...

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:
        """Return the millijoules since the driver was loaded."""
        ...

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:
        """Return the power, milliwatts."""
        ...


def has_nvidia_gpu(sysfs_root: Path) -> bool:
    """Return whether a display controller of NVIDIA is on the PCI bus, with or without a driver."""
    return any(
        text(device / "vendor") == _NVIDIA and (text(device / "class") or "").startswith(_DISPLAY_CLASS)
        for device in (sysfs_root / "bus/pci/devices").glob("*")
    )


def import_library() -> NvmlLibrary | Missing:
    """Return the module pynvml of nvidia-ml-py, or why it cannot be imported."""
    try:
        import pynvml
    except ImportError as error:
        message = f"there is an NVIDIA GPU, but nvidia-ml-py cannot be imported: {error}"
        return Missing(what=_WHAT, why="absent", message=message, cure="Install it: pip install 'joulefleet[agent]'")
    library: NvmlLibrary = pynvml
    return library


def explained(error: Exception, library: NvmlLibrary) -> Missing:
    """Return why NVML could not be opened, and the cure."""
    known: dict[int, tuple[Why, str]] = {
        library.NVML_ERROR_LIBRARY_NOT_FOUND: (
            "absent",
            "Install NVIDIA's driver with its library libnvidia-ml.so.1; start a container with its GPUs (--gpus all).",
        ),
        library.NVML_ERROR_DRIVER_NOT_LOADED: ("absent", "Load NVIDIA's driver: sudo modprobe nvidia"),
        library.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
            "unreadable",
            "Restart the machine: library and driver have different versions, as after an upgrade.",
        ),
        library.NVML_ERROR_NO_PERMISSION: (
            "not_permitted",
            "Add the agent's user to the group that may open /dev/nvidiactl and /dev/nvidia0, or run it as root.",
        ),
    }
    why, cure = known.get(
        code_of(error) or 0, ("unreadable", "Read what nvidia-smi prints, and the kernel's log (dmesg).")
    )
    return Missing(what=_WHAT, why=why, message=f"there is an NVIDIA GPU, but NVML fails: {error}", cure=cure)


def code_of(error: Exception) -> int | None:
    """Return the number of an `NVMLError`; None where it has none."""
    value = getattr(error, "value", None)
    return value if isinstance(value, int) else None


def shut_down(library: NvmlLibrary) -> None:
    """Shut NVML down, and ignore its error: it may fail for a lost GPU."""
    with contextlib.suppress(library.NVMLError):
        library.nvmlShutdown()
