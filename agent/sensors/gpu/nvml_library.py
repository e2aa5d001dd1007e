"""NVIDIA's library NVML as nvidia-ml-py offers it: what is used of it, and why it would not load."""

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
    message="there is an NVIDIA GPU, but NVML sees none: another driver has it, or this container was not given it",
    cure="Give it to NVIDIA's driver, or start the container with its GPUs (--gpus all).",
)


class NvmlLibrary(Protocol):
    """What is used of the module pynvml. Every call may raise an `NVMLError`; a handle is NVML's own."""

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
        """Let go of it."""
        ...

    def nvmlDeviceGetCount(self) -> int:
        """How many GPUs there are."""
        ...

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:
        """The GPU at this place of the PCI order."""
        ...

    def nvmlDeviceGetUUID(self, handle: object) -> str:
        """Its name for good."""
        ...

    def nvmlDeviceGetName(self, handle: object) -> str:
        """Its model."""
        ...

    def nvmlDeviceGetMigMode(self, handle: object) -> list[int]:
        """Whether it is partitioned, now and after its next reset: 1 or 0."""
        ...

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:
        """Millijoules since the driver was loaded."""
        ...

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:
        """Milliwatts."""
        ...


def has_nvidia_gpu(sysfs_root: Path) -> bool:
    """Whether a display controller of NVIDIA is on the PCI bus, with or without a driver."""
    return any(
        text(device / "vendor") == _NVIDIA and (text(device / "class") or "").startswith(_DISPLAY_CLASS)
        for device in (sysfs_root / "bus/pci/devices").glob("*")
    )


def import_library() -> NvmlLibrary | Missing:
    """The module pynvml of nvidia-ml-py, or why there is none."""
    try:
        import pynvml
    except ImportError as error:
        message = f"there is an NVIDIA GPU, but nvidia-ml-py cannot be imported: {error}"
        return Missing(what=_WHAT, why="absent", message=message, cure="Install it: pip install 'joulefleet[agent]'")
    library: NvmlLibrary = pynvml
    return library


def explained(error: Exception, library: NvmlLibrary) -> Missing:
    """Why NVML could not be opened, and the cure."""
    known: dict[int, tuple[Why, str]] = {
        library.NVML_ERROR_LIBRARY_NOT_FOUND: (
            "absent",
            "Install NVIDIA's driver with its library libnvidia-ml.so.1; start a container with its GPUs (--gpus all).",
        ),
        library.NVML_ERROR_DRIVER_NOT_LOADED: ("absent", "Load NVIDIA's driver: sudo modprobe nvidia"),
        library.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
            "unreadable",
            "Library and driver are of different releases, as after an upgrade: restart the machine.",
        ),
        library.NVML_ERROR_NO_PERMISSION: (
            "not_permitted",
            "Put the agent's user into the group that may open /dev/nvidiactl and /dev/nvidia0, or run it as root.",
        ),
    }
    why, cure = known.get(
        code_of(error) or 0, ("unreadable", "See what nvidia-smi says, and the kernel's log (dmesg).")
    )
    return Missing(what=_WHAT, why=why, message=f"there is an NVIDIA GPU, but NVML says: {error}", cure=cure)


def code_of(error: Exception) -> int | None:
    """The number of an `NVMLError`."""
    value = getattr(error, "value", None)
    return value if isinstance(value, int) else None


def shut_down(library: NvmlLibrary) -> None:
    """Let go of NVML, whatever it says: of a lost GPU it may say no."""
    with contextlib.suppress(library.NVMLError):
        library.nvmlShutdown()
