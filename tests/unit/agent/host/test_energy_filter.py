from pathlib import Path

import pytest

from agent.host.energy_filter import (
    ENERGY_FILTERING_CTL,
    ENERGY_FILTERING_ENABLE,
    MISC_PACKAGE_CTLS,
    energy_filter,
)
from tests.support.msr_registers import write_registers

BOTH = MISC_PACKAGE_CTLS | ENERGY_FILTERING_CTL


def cpuinfo(proc_root: Path, flags: str = "fpu msr avx512f") -> Path:
    """Write the cpuinfo of two CPUs with these flags and return its folder."""
    cpu = f"vendor_id\t: GenuineIntel\nflags\t\t: {flags}\n\n"
    (proc_root / "cpuinfo").write_text(f"processor\t: 0\n{cpu}processor\t: 1\n{cpu}")
    return proc_root


@pytest.mark.parametrize(("controls", "on"), [(ENERGY_FILTERING_ENABLE, True), (0, False), (0xFFFE, False)])
def test_the_register_tells_whether_the_filter_is_on(tmp_path: Path, controls: int, *, on: bool) -> None:
    """Only its lowest bit counts."""
    write_registers(tmp_path, capabilities=BOTH | 1, controls=controls)
    assert energy_filter(cpuinfo(tmp_path), tmp_path) is on


@pytest.mark.parametrize("capabilities", [0, MISC_PACKAGE_CTLS, ENERGY_FILTERING_CTL, 0x1FF])
def test_a_bit_that_does_not_exist_is_not_read(tmp_path: Path, capabilities: int) -> None:
    """Unless both capabilities are set, the filter is unknown, not off."""
    write_registers(tmp_path, capabilities=capabilities, controls=ENERGY_FILTERING_ENABLE)
    assert energy_filter(cpuinfo(tmp_path), tmp_path) is None


def test_a_register_that_cannot_be_read_leaves_the_filter_unknown(tmp_path: Path) -> None:
    """The CPU may lack it, or the hypervisor may hide it."""
    write_registers(tmp_path, capabilities=None, controls=ENERGY_FILTERING_ENABLE)
    assert energy_filter(cpuinfo(tmp_path), tmp_path) is None


def test_a_device_that_fails_every_read_leaves_the_filter_unknown(tmp_path: Path) -> None:
    """A folder in its place can be opened, but not read."""
    (tmp_path / "cpu/0/msr").mkdir(parents=True)
    assert energy_filter(cpuinfo(tmp_path), tmp_path) is None


def test_sgx_forces_the_filter_whatever_the_register_says(tmp_path: Path) -> None:
    """The register can only switch the filter on where SGX has not."""
    write_registers(tmp_path, capabilities=BOTH, controls=0)
    assert energy_filter(cpuinfo(tmp_path, "fpu sgx sgx_lc"), tmp_path) is True


def test_sgx_is_known_without_the_registers(tmp_path: Path) -> None:
    """The registers need root and the msr driver, the flag needs neither."""
    assert energy_filter(cpuinfo(tmp_path, "fpu sgx"), tmp_path / "nowhere") is True


@pytest.mark.parametrize("flags", ["fpu sgx_lc", "fpu sgx1", "fpu"])
def test_no_other_flag_is_taken_for_sgx(tmp_path: Path, flags: str) -> None:
    """Launch control can be listed while SGX is switched off."""
    assert energy_filter(cpuinfo(tmp_path, flags), tmp_path / "nowhere") is None


def test_without_anything_to_read_the_filter_is_unknown(tmp_path: Path) -> None:
    """It is taken neither as on nor as off."""
    assert energy_filter(tmp_path, tmp_path) is None
