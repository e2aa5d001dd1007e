"""Registers of a CPU as the msr driver shows them: eight bytes at the offset that is the register's number."""

from __future__ import annotations

import os
from pathlib import Path

from agent.host.energy_filter import IA32_ARCH_CAPABILITIES, IA32_MISC_PACKAGE_CTLS


def write_registers(dev_root: Path, *, capabilities: int | None, controls: int | None = None) -> None:
    """Write `cpu/0/msr`. The file ends before a register that is None, so its read fails to get eight bytes."""
    file = dev_root / "cpu/0/msr"
    file.parent.mkdir(parents=True)
    with file.open("wb") as opened:
        if controls is not None:
            os.pwrite(opened.fileno(), controls.to_bytes(8, "little"), IA32_MISC_PACKAGE_CTLS)
        if capabilities is not None:
            os.pwrite(opened.fileno(), capabilities.to_bytes(8, "little"), IA32_ARCH_CAPABILITIES)
