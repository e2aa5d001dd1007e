from pathlib import Path

import pytest

from agent.doctor.examine import examine
from coordinator.cli.render.doctor import lines
from tests.support.machines import unpacked

FULL = unpacked("two-packages-with-dram")


def printed(machine: str, root: Path) -> str:
    """Return the text of a machine of tests/machines; /proc and /etc are those of the full one."""
    diagnosis = examine(unpacked(machine) / "sys", FULL / "proc", etc_root=FULL / "etc", root=root, environ={})
    return "\n".join(line for _, line in lines(diagnosis))


@pytest.mark.parametrize(
    ("machine", "line"),
    [
        (
            "two-packages-with-dram",
            "package-0: package, in the total; long_term 205 W over 0.999 s, short_term 246 W over 0.00195 s",
        ),
        ("amd-multi-die-mirrored", "package-1-die-3: package, repeats another counter"),
        ("garbage", "package-0: package, part of a total that is unknown"),
        ("wraps", "Source powercap: reads all of them"),
        ("masked-by-container", "Source powercap: reads none: see below"),
        ("two-packages-with-dram", "thermal: temperature/coretemp/package-id-0 (degC)"),
        ("psys-first", "psys: psys, not in the total"),
        ("two-packages-with-dram", "Intel(R) Xeon(R) Gold 6326 CPU @ 2.90GHz: 4 cores, 4 logical CPUs"),
    ],
)
def test_domains_sources_and_sensors_have_a_line_each(tmp_path: Path, machine: str, line: str) -> None:
    """A source that reads nothing has its reason."""
    assert line in printed(machine, tmp_path)


def test_what_is_missing_is_printed_with_its_cure(tmp_path: Path) -> None:
    """The cure follows the reason."""
    text = printed("no-rapl", tmp_path)
    assert "energy (RAPL): absent" in text
    assert "modprobe intel_rapl_msr" in text
    assert "none: measured energy will be null" in text


def test_a_warning_is_printed_with_its_advice(tmp_path: Path) -> None:
    """1.2 % of the CPU time of this machine was stolen."""
    text = printed("two-packages-with-dram", tmp_path)
    assert "warning: the hypervisor has taken 1.2 %" in text
    assert "dedicated CPUs" in text
