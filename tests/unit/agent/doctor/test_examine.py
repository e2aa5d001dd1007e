import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.doctor.examine import examine
from tests.support.machines import unpack_machine, unpacked

FULL = unpacked("two-packages-with-dram")


def test_the_load_of_the_machine_is_read_from_proc(tmp_path: Path) -> None:
    """1200 of 96,000 ticks were stolen; load and swap are low."""
    diagnosis = examine(FULL / "sys", FULL / "proc", etc_root=FULL / "etc", root=tmp_path, environ={})
    topics = {f.topic: f.message for f in diagnosis.findings}
    assert "1.2 %" in topics["steal"]
    assert not {"load", "swap", "thermal", "virtual_machine"} & set(topics)


def test_a_machine_without_anything_is_still_examined(tmp_path: Path) -> None:
    """Under empty roots everything is missing, and nothing is raised."""
    diagnosis = examine(tmp_path / "sys", tmp_path / "proc", etc_root=tmp_path, root=tmp_path, environ={})
    assert diagnosis.machine is None
    assert {m.what for m in diagnosis.missing} == {
        "machine record",
        "energy (RAPL)",
        "CPU time of the machine",
        "memory available",
        "pressure on cpu, memory, io",
    }


def one_number(file: Path) -> None:
    """Write more digits than int() takes."""
    file.write_text("9" * 5000)


def every_number(file: Path) -> None:
    """Replace each number of the file by as many digits."""
    file.write_text(re.sub(r"\b\d+\b", "9" * 5000, file.read_text()))


def pipe(file: Path) -> None:
    """Put a pipe without a writer in its place."""
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("spoil", [one_number, every_number, pipe])
@pytest.mark.parametrize("machine", ["two-packages-with-dram", "cgroup-v1", "cgroup-v2"])
def test_whatever_lies_in_the_place_of_a_number_is_examined(
    tmp_path: Path, machine: str, spoil: Callable[[Path], None]
) -> None:
    """For endless digits and for pipes, nothing is raised and nothing waits."""
    root = unpack_machine(machine, tmp_path / "machine")
    kept = {"cgroup", "cgroup.procs"} if spoil is not pipe else set()
    for file in sorted(root.rglob("*")):
        if file.is_file() and not file.is_symlink() and file.name not in kept:
            spoil(file)
    (root / "etc").mkdir(exist_ok=True)
    diagnosis = examine(root / "sys", root / "proc", etc_root=root / "etc", root=tmp_path, environ={}, pid=4343)
    assert diagnosis.missing
    assert not any(domain.reason is None and domain.range_uj for domain in diagnosis.energy.domains)


def test_the_other_channels_that_can_be_read_are_listed(tmp_path: Path) -> None:
    """Temperature, frequency and throttling of one machine; pressure and control group of another."""
    bare = examine(FULL / "sys", FULL / "proc", etc_root=FULL / "etc", root=tmp_path, environ={})
    grouped = unpacked("cgroup-v2")
    inside = examine(grouped / "sys", grouped / "proc", etc_root=tmp_path, root=tmp_path, environ={}, pid=4343)
    assert {g.source for g in bare.gauges} == {"thermal", "frequency", "throttling"}
    assert {"pressure", "cgroup"} <= {g.source for g in inside.gauges}
    assert all(g.unit for g in (*bare.gauges, *inside.gauges))


def test_a_gauge_that_holds_no_number_is_missing(tmp_path: Path) -> None:
    """The file exists, but the channel has no value."""
    diagnosis = examine(unpacked("garbage") / "sys", FULL / "proc", etc_root=FULL / "etc", root=tmp_path, environ={})
    assert diagnosis.gauges == ()
    assert "temperature/x86_pkg_temp/thermal_zone0" in {m.what for m in diagnosis.missing if m.why == "unreadable"}
    assert "thermal" in {f.topic for f in diagnosis.findings}


def test_each_energy_source_has_its_channels_or_a_reason(tmp_path: Path) -> None:
    """A study may name either source; only the default source's reasons are listed as missing."""
    diagnosis = examine(FULL / "sys", FULL / "proc", etc_root=FULL / "etc", root=tmp_path, environ={})
    powercap, pyrapl = diagnosis.energy.sources
    assert (powercap.name, len(powercap.channels), powercap.reason) == ("powercap", 4, None)
    assert (pyrapl.name, pyrapl.channels) == ("pyrapl", ())
    assert "only /sys" in (pyrapl.reason or "")
    assert not any("pyRAPL" in m.what for m in diagnosis.missing)


def test_a_container_with_its_images_own_id_is_found(tmp_path: Path) -> None:
    """Otherwise all containers of one image would be one machine."""
    (tmp_path / ".dockerenv").touch()
    roots = (FULL / "sys", FULL / "proc")
    own = examine(*roots, etc_root=FULL / "etc", root=tmp_path, environ={})
    mounted = {"JOULEFLEET_MACHINE_ID_FILE": str(FULL / "etc/machine-id")}
    hosts = examine(*roots, etc_root=tmp_path, root=tmp_path, environ=mounted)
    assert "machine_id" in {f.topic for f in own.findings}
    assert "machine_id" not in {f.topic for f in hosts.findings}
