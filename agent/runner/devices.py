"""Waiting for the GPUs: they work on after the call that asked them to, and no mark may come before their end."""

from __future__ import annotations

from typing import Protocol


class Cuda(Protocol):
    """What is used of `torch.cuda`."""

    def is_initialized(self) -> bool:
        """Whether this process has used a GPU."""
        ...

    def device_count(self) -> int:
        """How many GPUs this process can see."""
        ...

    def synchronize(self, device: int) -> None:
        """Wait until all that was asked of the GPU is done."""
        ...


def finish_work(cuda: Cuda) -> None:
    """Wait until every visible GPU has done all that was asked of it; costs next to nothing where none was used."""
    if cuda.is_initialized():
        for device in range(cuda.device_count()):
            cuda.synchronize(device)
