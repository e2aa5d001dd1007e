from collections.abc import Callable
from pathlib import Path

import pytest

from agent.sensors.base import Missing
from agent.sensors.rapl.powercap import open_powercap
from tests.support.machines import unpacked
from tests.support.mount_table import write_mounts

BARE = unpacked("two-packages-with-dram") / "proc"

CopyMachine = Callable[[str], Path]


def why_not(root: Path, proc_root: Path = BARE) -> Missing:
    """Return the one thing that is missing under `root`."""
    (missing,) = open_powercap(root, proc_root).missing
    return missing


def test_a_machine_without_rapl_is_absent_with_a_cure() -> None:
    """On bare metal the driver may not be loaded."""
    missing = why_not(unpacked("no-rapl") / "sys")
    assert missing.why == "absent"
    assert "modprobe intel_rapl_msr" in missing.cure
    assert open_powercap(unpacked("no-rapl") / "sys", BARE).read() == ()


def test_a_machine_without_counters_is_not_taken_for_a_simulated_one() -> None:
    """No counter belongs to another kernel."""
    assert open_powercap(unpacked("no-rapl") / "sys", BARE).of_running_kernel


def test_in_a_virtual_machine_the_hypervisor_is_the_cause(tmp_path: Path) -> None:
    """No driver helps there, so the cure names none."""
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu msr hypervisor\n")
    missing = why_not(unpacked("no-rapl") / "sys", tmp_path)
    assert (missing.why, "virtual machine" in missing.message) == ("absent", True)
    assert "modprobe" not in missing.cure
    assert "modelled" in missing.cure


def test_a_root_that_is_no_folder_is_absent(tmp_path: Path) -> None:
    """A wrong root is listed as missing, not raised."""
    missing = why_not(tmp_path / "nowhere")
    assert missing.why == "absent"
    assert "no folder" in missing.message


def test_a_driver_that_is_not_loaded_is_recognised_by_perf(copy_machine: CopyMachine) -> None:
    """Perf's own counter of the package proves that only the driver is missing."""
    root = copy_machine("no-rapl")
    events = root / "bus/event_source/devices/power/events"
    events.mkdir(parents=True)
    (events / "energy-pkg").write_text("event=0x02\n")
    missing = why_not(root)
    assert (missing.why, missing.cure) == ("absent", "Load it: sudo modprobe intel_rapl_msr")


def test_zones_without_counters_are_absent_by_name(copy_machine: CopyMachine) -> None:
    """The tree is there, so the cure is no driver."""
    root = copy_machine("amd-single")
    for counter in list((root / "devices").rglob("energy_uj")):
        counter.unlink()
    powercap = open_powercap(root, BARE)
    assert [(m.what, m.why) for m in powercap.missing] == [("energy of package-0, package-0/core", "absent")]
    assert {d.reason for d in powercap.domains} == {"the zone has no counter (energy_uj)"}
    assert powercap.channels == ()


def test_links_that_lead_nowhere_prove_a_mask() -> None:
    """The kernel's links name the zones, but the folder that holds them is empty or covered."""
    missing = why_not(unpacked("masked-by-container") / "sys")
    assert missing.why == "masked"
    assert "names counters" in missing.message


def test_a_mask_has_a_cure_for_each_kind_of_container(copy_machine: CopyMachine) -> None:
    """Docker and Podman by -v, Kubernetes by a hostPath, each with the folder to read instead."""
    cure = why_not(copy_machine("masked-by-container")).cure
    assert "-v /sys/devices/virtual/powercap:/host/powercap:ro" in cure
    assert "hostPath: {path: /sys/devices/virtual/powercap}" in cure
    assert "JOULEFLEET_POWERCAP=/host/powercap" in cure


def test_a_tree_that_is_mounted_elsewhere_is_read_there(copy_machine: CopyMachine, tmp_path: Path) -> None:
    """Where that folder is empty, the mask over the container's own sysfs is reported."""
    masked = copy_machine("masked-by-container")
    elsewhere = unpacked("two-packages-with-dram") / "sys/devices/virtual/powercap"
    seen = open_powercap(masked, BARE, elsewhere)
    assert [domain.channel for domain in seen.domains] == [
        domain.channel for domain in open_powercap(unpacked("two-packages-with-dram") / "sys", BARE).domains
    ]
    assert None not in seen.decode(seen.read())
    seen.close()
    (missing,) = open_powercap(masked, BARE, tmp_path / "nothing").missing
    assert missing.why == "masked"


def test_an_empty_folder_of_devices_proves_a_mask(copy_machine: CopyMachine) -> None:
    """The kernel removes the folder when it has no device; here class/powercap is hidden as well."""
    root = copy_machine("no-rapl")
    (root / "devices/virtual/powercap").mkdir(parents=True)
    assert why_not(root).why == "masked"


@pytest.mark.parametrize(("kind", "why"), [("tmpfs", "masked"), ("sysfs", "absent")])
def test_a_mount_over_the_tree_proves_a_mask(copy_machine: CopyMachine, tmp_path: Path, kind: str, why: str) -> None:
    """Its content is hidden; a mount of sysfs itself hides nothing."""
    root = copy_machine("no-rapl")
    covered = root / "devices/virtual/powercap"
    covered.mkdir(parents=True)
    (covered / "dtpm").mkdir()
    proc = write_mounts(tmp_path / "proc", ("/", "ext4"), (str(root), "sysfs"), (str(covered), kind))
    assert why_not(root, proc).why == why


def test_a_covered_tree_without_rapl_is_absent(copy_machine: CopyMachine) -> None:
    """The links show everything in the covered folder, and none is RAPL's."""
    root = copy_machine("no-rapl")
    (root / "devices/virtual/powercap").mkdir(parents=True)
    flat = root / "class/powercap"
    flat.mkdir(parents=True)
    (flat / "dtpm").symlink_to("../../devices/virtual/powercap/dtpm")
    assert why_not(root).why == "absent"
