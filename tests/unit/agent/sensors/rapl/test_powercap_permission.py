import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.results.energy import CounterSeries, choose_scope, phase_energies
from agent.sensors.rapl.powercap import open_powercap
from joulefleet.measurement import Phase
from tests.support.machines import unpack_machine

NOBODY = 65534
WINDOW = Phase(name="window", start_ns=0, end_ns=1_000_000_000)


@pytest.fixture
def root() -> Iterator[Path]:
    """Yield a tree whose counters only its owner may read, in a folder that everyone may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = unpack_machine("not-permitted", Path(folder) / "machine") / "sys"
        if os.geteuid() != 0:
            # The counters have the kernel's mode, 0400. It keeps out everybody but their owner.
            for counter in (root / "devices").rglob("energy_uj"):
                counter.chmod(0o000)
        yield root


def seen_by_another_user(root: Path) -> dict[str, object]:
    """Return what the sensor finds in a process without root's rights, as root ignores mode 0400."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(NOBODY)
            powercap = open_powercap(root)
            energies = phase_energies(
                CounterSeries(t_ns=(), values={}),
                powercap.domains,
                [WINDOW],
                source="powercap",
                provenance="measured",
            )
            result = {
                "missing": [(m.what, m.why, m.message, m.cure) for m in powercap.missing],
                "domains": [d.channel for d in powercap.domains],
                "channels": [c.name for c in powercap.channels],
                "reason": choose_scope(energies).reason,
                "scope": choose_scope(energies).scope,
            }
            os.write(send, json.dumps(result).encode())
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return dict(json.loads(answer))


def test_counters_that_only_root_may_read_are_not_permitted(root: Path) -> None:
    """They are not absent, and there is a cure."""
    result = seen_by_another_user(root)
    assert isinstance(result["missing"], list)
    ((what, why, message, cure),) = result["missing"]
    assert why == "not_permitted"
    assert what == "energy of package-0, package-0/dram, package-1, package-1/dram"
    assert "may not read" in message
    assert "root" in cure


@pytest.mark.parametrize(
    "closed",
    [
        "devices/virtual/powercap",
        "devices/virtual/powercap/intel-rapl",
        "devices/virtual",
        "class",
        ".",
    ],
)
def test_a_folder_that_may_not_be_entered_is_not_permitted(root: Path, closed: str) -> None:
    """It is neither absent nor masked, though the links into it seem to lead nowhere."""
    if closed != "class":
        shutil.rmtree(root / "class/powercap")
    else:
        shutil.rmtree(root / "devices/virtual/powercap")
    (root / closed).chmod(0o000)
    result = seen_by_another_user(root)
    (root / closed).chmod(0o755)
    assert isinstance(result["missing"], list)
    ((_, why, message, cure),) = result["missing"]
    assert why == "not_permitted"
    assert "may not look into it" in message
    assert "root" in cure


def test_links_into_a_folder_that_may_not_be_entered_are_no_mask(root: Path) -> None:
    """The cure of a container's mask would not help."""
    (root / "devices/virtual/powercap").chmod(0o000)
    result = seen_by_another_user(root)
    (root / "devices/virtual/powercap").chmod(0o755)
    assert isinstance(result["missing"], list)
    assert [why for _, why, _, _ in result["missing"]] == ["not_permitted"]


def test_one_closed_zone_is_listed_as_missing(root: Path) -> None:
    """The total that includes its package is unknown."""
    zone = root / "devices/virtual/powercap/intel-rapl/intel-rapl:1"
    zone.chmod(0o000)
    result = seen_by_another_user(root)
    zone.chmod(0o755)
    assert "intel-rapl:1" in str(result["domains"])
    assert isinstance(result["missing"], list)
    assert {why for _, why, _, _ in result["missing"]} == {"not_permitted"}


def test_counters_that_may_not_be_read_have_domains_without_channels(root: Path) -> None:
    """The domains are known by name; their energy is null for this one reason."""
    result = seen_by_another_user(root)
    assert result["domains"] == ["package-0", "package-0/dram", "package-1", "package-1/dram"]
    assert result["channels"] == []
    assert result["scope"] == "package+dram"
    assert result["reason"] == "the counter is there, but this user may not read it"
