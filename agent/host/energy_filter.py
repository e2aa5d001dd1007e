"""Finding out whether the CPU adds noise to its energy counters, which protects secrets of other programs.

The filter is Intel's answer to the attack PLATYPUS (CVE-2020-8694 and CVE-2020-8695, "Running Average
Power Limit Energy Reporting", INTEL-SA-00389). It adds random energy to what the counters report: means
over long windows stay correct, short windows become uncertain. The filter is on where software has
switched it on, and always while SGX is enabled in the firmware. AMD documents no such filter.

Registers and bits are those of Intel's Software Developer's Manual, volume 4, table 2-2. In
IA32_ARCH_CAPABILITIES (10AH) bit 10 (MISC_PACKAGE_CTLS) means that IA32_MISC_PACKAGE_CTLS exists, and
bit 11 (ENERGY_FILTERING_CTL) that its bit of the filter exists. In IA32_MISC_PACKAGE_CTLS (BCH) bit 0 is
ENERGY_FILTERING_ENABLE.
"""

from __future__ import annotations

import os
from pathlib import Path

from agent.host.files import table

IA32_MISC_PACKAGE_CTLS = 0xBC
IA32_ARCH_CAPABILITIES = 0x10A
ENERGY_FILTERING_ENABLE = 1 << 0
MISC_PACKAGE_CTLS = 1 << 10
ENERGY_FILTERING_CTL = 1 << 11

_REGISTER_BYTES = 8


def energy_filter(proc_root: Path, dev_root: Path = Path("/dev")) -> bool | None:
    """Return whether the energy counters are filtered; None where neither flag nor registers show it.

    The flag is `sgx` in `<proc_root>/cpuinfo`, which Linux lists only where the firmware has enabled it.
    The registers are read from `<dev_root>/cpu/0/msr`, which only root may read.
    """
    if "sgx" in table(proc_root / "cpuinfo").get("flags", "").split():
        return True
    try:
        descriptor = os.open(dev_root / "cpu/0/msr", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _is_enabled(descriptor)
    finally:
        os.close(descriptor)


def _is_enabled(descriptor: int) -> bool | None:
    capabilities = _register(descriptor, IA32_ARCH_CAPABILITIES)
    needed = MISC_PACKAGE_CTLS | ENERGY_FILTERING_CTL
    if capabilities is None or capabilities & needed != needed:
        return None
    controls = _register(descriptor, IA32_MISC_PACKAGE_CTLS)
    return None if controls is None else bool(controls & ENERGY_FILTERING_ENABLE)


def _register(descriptor: int, number: int) -> int | None:
    """Return the 64 bits of a register; None where the CPU has no such register, or it may not be read."""
    try:
        # The offset in the device is the register's number (msr(4)).
        field = os.pread(descriptor, _REGISTER_BYTES, number)
    except OSError:
        return None
    return int.from_bytes(field, "little") if len(field) == _REGISTER_BYTES else None
